"""Store what an experiment measured, with where it comes from: for the scripts in book/results."""

from pathlib import Path

from chapters import ROOT

from ncsn_lib.provenance import provenance, write_result


def store(script, runs):
    """Write the runs beside the script that made them, as JSON, whole or not at all."""
    script = Path(script).resolve()
    origin = provenance(f"python {script.relative_to(ROOT).as_posix()}")
    write_result(script.with_suffix(".json"), {"provenance": origin, "runs": runs})
