"""The losses of the small MNIST runs, thinned: python book/results/mnist_small_losses.py [RUNS].

RUNS is the folder in which `python -m ncsn_lib train` left the runs, `runs` if none is named. Writes means over a
hundred steps beside this file; what made the runs stands in the records of the models mnist_small, mnist_small_wide.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store

from ncsn_lib.runs import read_rows

BLOCK = 100


def thinned(path):
    """Means of a run's loss over blocks of steps."""
    losses = torch.tensor([float(loss) for _, loss in read_rows(path)])
    if len(losses) < BLOCK:
        raise ValueError(f"{path} must hold {BLOCK} losses or more, got {len(losses)}; name the folder of the runs")
    return [round(mean, 3) for mean in losses[: len(losses) // BLOCK * BLOCK].view(-1, BLOCK).mean(1).tolist()]


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    names = ("mnist_small", "mnist_small_wide")
    store(__file__, [{"name": name, "block": BLOCK, "losses": thinned(folder / name / "loss.csv")} for name in names])
