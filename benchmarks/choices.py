"""Whether an own form of ELU or of pooling is worth its lines, measured: `python -m benchmarks.choices`.

ELU as exp(x) - 1 was the library's once; it was no faster than torch's in a step, and went. The poolings are its own.
"""

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.__main__ import RESULTS
from ncsn_lib.files import write_result
from ncsn_lib.losses import ncsn_loss
from ncsn_lib.networks import layers
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.pooling import max_pool, mean_pool
from ncsn_lib.networks.score_resnet import ScoreResNet
from ncsn_lib.provenance import processor, provenance
from ncsn_lib.schedules import geometric_sigmas

SIGMAS = geometric_sigmas(1.0, 0.01, 10)
NETWORKS = {
    "NCSN": lambda channels: NCSN(SIGMAS, channels, 32),
    "NCSNv2": lambda channels: NCSNv2(SIGMAS, channels, 32),
    "ScoreResNet": lambda channels: ScoreResNet(channels, 32),
}


class ExpELU(torch.autograd.Function):
    """ELU as exp(x) - 1, whose derivative follows from its value; what `F.elu` is compared with."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        y = x.clamp(max=0).exp_().sub_(1).maximum(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The gradient of the output -> that of the input."""
        (y,) = ctx.saved_tensors
        return grad * (y.clamp(max=0) + 1)


def compare(name: str, size: int, repeat: int, batch_size: int = 16) -> list[dict[str, Any]]:
    """Median seconds of a training and a sampling step with each form, which take turns; the first turn not counted."""
    torch.manual_seed(0)
    channels = 1 if size == 28 else 3
    network = NETWORKS[name](channels)
    x, labels = torch.rand(batch_size, channels, size, size), torch.randint(len(SIGMAS), (batch_size,))
    noise = torch.randn_like(x)
    forms = {"as in the library": (), "exp(x) - 1 for ELU": ("elu",)}
    if any(isinstance(module, layers.ChainedResidualPooling) for module in network.modules()):
        forms["torch's pooling"] = ("pool",)
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat + 1):
        for form, changes in forms.items():
            network.zero_grad()
            with _changed(network, changes):
                begun = time.perf_counter()
                ncsn_loss(network, x, SIGMAS, labels, noise).backward()
                trained = time.perf_counter()
                with torch.no_grad():
                    network(x, SIGMAS[labels])
                sampled = time.perf_counter()
            seconds.setdefault((form, "training"), []).append(trained - begun)
            seconds.setdefault((form, "sampling"), []).append(sampled - trained)
    row = {"network": name, "size": size, "threads": torch.get_num_threads(), "batch_size": batch_size}
    return [
        row | {"form": form, "step": step, "seconds": statistics.median(times[1:]), "least_seconds": min(times[1:])}
        for (form, step), times in seconds.items()
    ]


class _changed:
    """A network of which some forms are others for a while."""

    def __init__(self, network: nn.Module, changes: tuple[str, ...]):
        self.changes, self.elu = changes, F.elu
        self.blocks = [m for m in network.modules() if isinstance(m, layers.ChainedResidualPooling)]

    def __enter__(self) -> None:
        if "elu" in self.changes:
            F.elu = lambda x, *_: ExpELU.apply(x)
        if "pool" in self.changes:
            self._pool_with({mean_pool: F.avg_pool2d, max_pool: F.max_pool2d})

    def __exit__(self, *_: object) -> None:
        F.elu = self.elu
        self._pool_with({F.avg_pool2d: mean_pool, F.max_pool2d: max_pool})

    def _pool_with(self, others: dict[Callable[..., Tensor], Callable[..., Tensor]]) -> None:
        for block in self.blocks:
            block.pool = others.get(block.pool, block.pool)


def main() -> None:
    """Measure, print a table, store it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choices", description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[28, 32], choices=[28, 32])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in options.networks:
            for size in options.sizes:
                for row in compare(name, size, options.repeat):
                    rows.append(row)
                    print(
                        f"{name:<13}{size:>4}{threads:>3} threads  {row['step']:<10}{row['form']:<22}"
                        f"{1000 * row['seconds']:>9.0f} ms, at least {1000 * row['least_seconds']:.0f}",
                        flush=True,
                    )
    command = shlex.join(["python", "-m", "benchmarks.choices", *sys.argv[1:]])
    out = RESULTS / "choices" / f"{'-'.join(processor().lower().split())}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_result(out, {"name": processor(), "rows": rows, "seed": 0, "provenance": provenance(command, "cpu")})
    print(f"stored in {out}")


if __name__ == "__main__":
    main()
