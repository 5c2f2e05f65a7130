"""A network that has seen a hundred digits, again and again: python book/results/mnist_hundred.py.

The contrast of the chapter on copies. Trains the recipe mnist_small_wide on the first hundred images of MNIST alone,
for about ten minutes on one core, and writes the weights to models/mnist_hundred.safetensors, with their origin.
"""

import dataclasses
import time
from pathlib import Path

import torch

from ncsn_lib import load_mnist, train
from ncsn_lib.provenance import provenance
from ncsn_lib.recipes import MNIST_SMALL_WIDE
from ncsn_lib.runs import Run, export_run
from ncsn_lib.training import TrainingState

HERE = Path(__file__).resolve().parent
RECIPE = dataclasses.replace(MNIST_SMALL_WIDE, training=dataclasses.replace(MNIST_SMALL_WIDE.training, num_steps=5000))


def main():
    """Train on the hundred, and write the network."""
    torch.set_num_threads(1)
    state = TrainingState.start(RECIPE.build_network(), RECIPE.training)
    begun = time.perf_counter()
    train(state, load_mnist("train").images[:100], RECIPE.objective(), RECIPE.training)
    record = {
        "num_images": 100,
        "seconds": round(time.perf_counter() - begun, 1),
        "provenance": provenance("python book/results/mnist_hundred.py"),
    }
    export_run(Run(state.ema.module.eval(), RECIPE, state.step), HERE / "models" / "mnist_hundred.safetensors", record)


if __name__ == "__main__":
    main()
