"""A training step and a sampling step of each network, as the library makes them."""

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.machine import median_seconds, wait_for
from ncsn_lib.networks import layers, ncsn, ncsnv2
from ncsn_lib.recipes import RECIPES
from ncsn_lib.samplers import langevin_dynamics
from ncsn_lib.training import TrainingSettings, TrainingState, draw_batch, train

NETWORKS = {
    "NCSN ngf 128": ("cifar10", 4),
    "NCSN ngf 64": ("mnist", 4),
    "NCSNv2 ngf 128": ("ncsnv2_cifar10", 4),
    "U-Net MNIST": ("mnist_small", 64),
    "U-Net digits": ("digits", 64),
    "Fig. 1": ("fig1_noise", 16),
}
"""The networks, by the recipe that builds one, and the batch on a CPU."""
VARIANTS = {
    "cpu": ("fp32 plain", "fp32", "bf16"),
    "cuda": ("fp32 plain", "fp32", "bf16", "bf16 channels_last", "bf16 channels_last compiled"),
}
"""What is compared: "plain" has norms and pooling as their formulas are written."""


def training_step(name: str, variant: str, device: str, threads: int, repeat: int) -> dict[str, Any]:
    """Seconds of a step of the training loop: median of `repeat` after two that are not counted."""
    recipe, network, batch_size = _prepare(name, variant, device, threads)
    settings = TrainingSettings(
        num_steps=repeat + 2, batch_size=batch_size, learning_rate=1e-4, dequantize=True, bfloat16="bf16" in variant
    )
    images = torch.randint(256, (batch_size, *recipe.image_shape), dtype=torch.uint8).to(device)
    times = []

    def note(state: TrainingState, loss: float) -> None:
        times.append(time.perf_counter())

    train(TrainingState.start(network, settings), images, recipe.objective(), settings, callback=note)
    wait_for(device)
    seconds = statistics.median(after - before for before, after in itertools.pairwise(times[1:]))
    flops = recipe.loss.cost_in_calls * batch_size * recipe.size()[1]
    return _row(name, "training", variant, batch_size, seconds, flops)


def sampling_step(name: str, variant: str, device: str, threads: int, repeat: int) -> dict[str, Any]:
    """Seconds of a step of Langevin dynamics, the call of the network and the update."""
    recipe, network, batch_size = _prepare(name, variant, device, threads)
    x = torch.rand(batch_size, *recipe.image_shape, device=device)
    sigma = recipe.noise.sigmas()[-1].item()

    def score_fn(x: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled="bf16" in variant):
            return network(x, sigma).to(x.dtype)

    steps = 20 if torch.device(device).type == "cuda" else 1

    def work() -> None:
        langevin_dynamics(score_fn, x, sigma, step_size=1e-6, num_steps=steps)

    with torch.no_grad():
        seconds = median_seconds(work, device, repeat=repeat) / steps
    return _row(name, "sampling", variant, batch_size, seconds, batch_size * recipe.size()[1])


def loader_speed() -> dict[str, float]:
    """Images a second of the batches that training draws, with dequantisation and flips, CIFAR-10's size and number."""
    settings = TrainingSettings(num_steps=1, batch_size=128, learning_rate=1.0, dequantize=True, flip=True)
    images = np.random.default_rng(0).integers(0, 256, (50_000, 3, 32, 32), dtype=np.uint8)
    objective = RECIPES["cifar10"].objective()
    speeds = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        mapped = np.load(Path(folder) / "images.npy", mmap_mode="c")  # copy on write: torch wants it writable
        for where, array in [("batches of images in memory", images), ("batches of images mapped from disk", mapped)]:
            tensor, steps = torch.from_numpy(array), iter(range(10**6))

            def work(tensor: Tensor = tensor, steps=steps) -> None:
                for _ in range(20):
                    draw_batch((tensor,), objective, settings, next(steps), torch.device("cpu"))

            speeds[where] = 20 * 128 / median_seconds(work, "cpu")
    return speeds


def plain_instance_norm_plus_plus(x: Tensor, gamma: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The norm as its formula is written; see `instance_norm_plus_plus`, which does the same faster."""
    means = x.mean((2, 3))
    centred = (means - means.mean(1, keepdim=True)) / torch.sqrt(means.var(1, keepdim=True) + 1e-5)
    gamma, alpha, beta, centred = (a[..., None, None] for a in (gamma, alpha, beta, centred))
    return gamma * (F.instance_norm(x) + alpha * centred) + beta


def _prepare(name: str, variant: str, device: str, threads: int) -> tuple[Any, nn.Module, int]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    key, batch_size = NETWORKS[name]
    recipe = RECIPES[key]
    if variant.endswith("plain"):
        # This process measures nothing else.
        layers.instance_norm_plus_plus = plain_instance_norm_plus_plus
        ncsn.mean_pool, ncsnv2.max_pool = F.avg_pool2d, F.max_pool2d
    network = recipe.build_network().to(device)
    if "channels_last" in variant:
        network.to(memory_format=torch.channels_last)
    if "compiled" in variant:
        network.compile()
    return recipe, network, recipe.training.batch_size if torch.device(device).type == "cuda" else batch_size


def _row(name: str, step: str, variant: str, batch_size: int, seconds: float, flops: int) -> dict[str, Any]:
    return {
        "network": name,
        "step": step,
        "variant": variant,
        "batch_size": batch_size,
        "seconds": seconds,
        "images_per_s": batch_size / seconds,
        "flops": flops,
    }
