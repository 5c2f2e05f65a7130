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
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return _git("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    """What git says in the library's folder; an error where it has nothing to say."""
    command, folder = ["git", *words], Path(__file__).parent
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


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
