"""Where a stored result comes from: command, date, machine and versions."""

import os
import platform
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import torch

import ncsn_lib


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    models = []
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return models[0].split(":", 1)[1].strip() if models else platform.processor() or platform.machine()


def version() -> str:
    """The library's version."""
    return ncsn_lib.__version__


def commit() -> str | None:
    """The library's commit in git, with "+changes" where its files are not as committed; None where git has none."""
    folder = Path(__file__).parent
    try:
        asked = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--match=", "--dirty=+changes"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=30)
        tracked = subprocess.run([*asked[:3], "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == tracked.returncode == 0 else None


def provenance(command: str, device: str | torch.device = "cpu") -> dict[str, Any]:
    """What has to stand beside a stored number.

    Args:
        command: the command that made it.
        device: what it was computed on; a GPU is named beside the processor.

    Returns:
        command, date (ISO 8601), machine, versions, and the library's commit, as JSON takes them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{processor()}, {cores} cores, {torch.get_num_threads()} used"
    if torch.device(device).type == "cuda":
        machine += f", {torch.cuda.get_device_name(device)}"
    return {
        "command": command,
        "date": date.today().isoformat(),
        "machine": machine,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "ncsn_lib": version()},
        "commit": commit(),
    }
