"""What a machine can do at most, and how a measurement is kept apart from the others."""

import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

CLEAR_REFS = Path("/proc/self/clear_refs")


def wait_for(device: str) -> None:
    """Let a GPU finish; a CPU has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(work: Callable[[], Any], device: str, *, repeat: int = 5) -> float:
    """The median time of a call, after one that is not counted."""
    seconds = []
    for _ in range(repeat + 1):
        wait_for(device)
        begun = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large product of square matrices, as one or as a 1x1 convolution, whichever is faster.

    On a CPU the two go through different libraries, of which one may not know the processor well.
    """
    size = 8192 if torch.device(device).type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    pixels, kernels = a.view(1, size, size, 1), b.view(size, size, 1, 1)
    seconds = [median_seconds(lambda: a @ b, device), median_seconds(lambda: F.conv2d(pixels, kernels), device)]
    return 2 * size**3 / min(seconds)


def copy_rate(device: str) -> float:
    """Bytes a second of a copy in memory, read and written."""
    source = torch.zeros(2**28 if torch.device(device).type == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(lambda: target.copy_(source), device)


def measure_alone(step: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """What a measurement returns, made in a process of its own, with the most memory that it took in `peak_mib`.

    On a GPU that is what torch allocated; on a CPU, under Linux, what the process grew by; elsewhere it is not known.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_with_memory, (step, args))


def _with_memory(step: Callable[..., dict[str, Any]], args: tuple) -> dict[str, Any]:
    linux = CLEAR_REFS.exists()
    if linux:
        CLEAR_REFS.write_text("5")  # the kernel forgets the peak so far
    before = _resident_kib("VmRSS") if linux else 0
    row = step(*args)
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return row | {"peak_mib": torch.cuda.max_memory_allocated() / 2**20}
    return row | {"peak_mib": (_resident_kib("VmHWM") - before) / 1024 if linux else float("nan")}


def _resident_kib(name: str) -> int:
    """A figure of the process's memory, by the kernel's name of it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def start_up(words: str) -> float:
    """The median of three starts of Python with these words: a statement, or a module with its arguments."""
    command = [sys.executable, *words.split()] if words.startswith("-m") else [sys.executable, "-c", words]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    return median_seconds(run, "cpu", repeat=3)
