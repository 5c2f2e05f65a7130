"""The losses of the small MNIST runs, thinned: python book/results/mnist_small_losses.py [RUNS].

RUNS is the folder in which `python -m ncsn_lib train` left the runs, `runs` if none is named. Writes means over a
hundred steps beside this file; what made the runs stands in the records of the models mnist_small, mnist_small_wide.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import store, thinned

from ncsn_lib import load_run

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    names = ("mnist_small", "mnist_small_wide")
    seeds = {name: load_run(folder / name).recipe.training.seed for name in names}
    store(__file__, [{"name": n, "seed": seeds[n], **thinned(folder / n / "loss.csv", 100)} for n in names])
