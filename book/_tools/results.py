"""Store what an experiment measured, with where it comes from: for the scripts in book/results."""

import math
import time
from pathlib import Path

import torch
from chapters import ROOT

from ncsn_lib.files import write_result
from ncsn_lib.provenance import provenance
from ncsn_lib.runs import read_rows

BEGUN = time.perf_counter()


def store(script, runs, seconds=None):
    """Write the runs beside the script that made them, as JSON, whole or not at all, and how long that took.

    A script that goes on where it was cut says how long all of its parts took.
    """
    script = Path(script).resolve()
    origin = provenance(f"python {script.relative_to(ROOT).as_posix()}")
    took = time.perf_counter() - BEGUN if seconds is None else seconds
    write_result(script.with_suffix(".json"), {"provenance": origin, "seconds": round(took, 1), "runs": runs})


def as_row(judgement, references=True):
    """A `Judgement` as JSON takes it; without the number of references where a file says that once for all its rows."""
    row = judgement._asdict() | {"class_shares": judgement.class_shares.tolist()}
    return row if references else {key: value for key, value in row.items() if key != "num_references"}


def thinned(path, block=None):
    """A run's loss as means over blocks of steps, by default of 1, 10, 100, ...: between 100 and 1,000 of them."""
    losses = torch.tensor([float(loss) for _, loss in read_rows(path)])
    block = block or 10 ** max(0, int(math.log10(max(len(losses), 1))) - 2)
    if len(losses) < block or not len(losses):
        raise ValueError(f"{path} must hold {block} losses or more, got {len(losses)}; name the folder of the runs")
    means = losses[: len(losses) // block * block].view(-1, block).mean(1)
    return {"block": block, "losses": [round(mean, 3) for mean in means.tolist()]}
