"""Measure, print a table, store it: `python -m benchmarks --help`."""

import argparse
import shlex
import sys
from pathlib import Path

import torch

from benchmarks.machine import copy_rate, matmul_rate, measure_alone, start_up
from benchmarks.steps import NETWORKS, VARIANTS, loader_speed, sampling_step, training_step
from ncsn_lib.files import write_result
from ncsn_lib.provenance import processor, provenance

RESULTS = Path(__file__).resolve().parents[1] / "book" / "results" / "benchmarks"


def main() -> None:
    """Run the benchmarks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of a CPU (default 1)")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--repeat", type=int, default=7, help="steps that are timed, after two that are not")
    parser.add_argument("--out", type=Path, help="by default results/MACHINE.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind = torch.device(options.device).type
    name = torch.cuda.get_device_name(options.device) if kind == "cuda" else f"{processor()} {options.threads} threads"

    rates = {
        "matmul_tflops": {
            precision: matmul_rate(options.device, dtype) / 1e12
            for precision, dtype in [("fp32", torch.float32), ("bf16", torch.bfloat16)]
        },
        "copy_gb_per_s": copy_rate(options.device) / 1e9,
    }
    print(f"{name}: matrix products {_rates(rates['matmul_tflops'])} TFLOP/s, copy {rates['copy_gb_per_s']:.1f} GB/s")
    rows = []
    heading = (
        f"{'network':<18}{'step':<10}{'variant':<28}{'batch':>6}{'ms':>10}{'images/s':>10}{'of matmul':>11}{'MiB':>8}"
    )
    print(heading, "-" * len(heading), sep="\n")
    for network in options.networks:
        for step in (training_step, sampling_step):
            for variant in VARIANTS[kind]:
                row = measure_alone(step, network, variant, options.device, options.threads, options.repeat)
                precision = "bf16" if variant.startswith("bf16") else "fp32"
                row["share_of_matmul"] = row["flops"] / row["seconds"] / rates["matmul_tflops"][precision] / 1e12
                rows.append(row)
                print(
                    f"{network:<18}{row['step']:<10}{variant:<28}{row['batch_size']:>6}{1000 * row['seconds']:>10.1f}"
                    f"{row['images_per_s']:>10.1f}{row['share_of_matmul']:>11.0%}{row['peak_mib']:>8.0f}",
                    flush=True,
                )
    loader = loader_speed()
    print("\n".join(f"{where:<46}{value:>12,.0f} images/s" for where, value in loader.items()))
    starts = {words: start_up(words) for words in ("import torch", "import ncsn_lib", "-m ncsn_lib list")}
    print("\n".join(f"{words:<46}{seconds:>12.2f} s" for words, seconds in starts.items()))
    result = {
        "name": name,
        "rates": rates,
        "steps": rows,
        "loader_images_per_s": loader,
        "start_up_s": starts,
        "seed": 0,
    }
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    out = options.out or RESULTS / f"{'-'.join(name.lower().split())}.json"
    write_result(out, result | {"provenance": provenance(command, options.device)})
    print(f"stored in {out}")


def _rates(rates: dict[str, float]) -> str:
    return ", ".join(f"{rate:.3g} in {precision}" for precision, rate in rates.items())


if __name__ == "__main__":
    main()
