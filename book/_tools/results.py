"""Store what an experiment measured, with where it comes from: for the scripts in book/results."""

import json
import platform
from datetime import date
from pathlib import Path

import torch
from chapters import ROOT, machine


def store(script, runs):
    """Write the runs beside the script that made them, as JSON, whole or not at all."""
    script = Path(script).resolve()
    provenance = {
        "command": f"python {script.relative_to(ROOT).as_posix()}",
        "date": date.today().isoformat(),
        "machine": f"{machine()}, {torch.get_num_threads()} used",
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
    }
    unfinished = script.with_suffix(".json.unfinished")
    unfinished.write_text(json.dumps({"provenance": provenance, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(script.with_suffix(".json"))
