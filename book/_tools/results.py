"""Store what an experiment measured, with where it comes from: for the scripts in book/results."""

import json
from pathlib import Path

from chapters import ROOT

from ncsn_lib.provenance import provenance


def store(script, runs):
    """Write the runs beside the script that made them, as JSON, whole or not at all."""
    script = Path(script).resolve()
    origin = provenance(f"python {script.relative_to(ROOT).as_posix()}")
    unfinished = script.with_suffix(".json.unfinished")
    unfinished.write_text(json.dumps({"provenance": origin, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(script.with_suffix(".json"))
