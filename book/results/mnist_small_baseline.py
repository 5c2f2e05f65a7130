"""The baseline of Song & Ermon (2019) in small: the noise level 0.01 alone, judged beside the ladders.

python book/results/mnist_small_baseline.py

Trains the U-Net of the recipe mnist_small on that one level, for about ten minutes on one core, and samples it by as
many steps as ten levels have together. Writes its figures beside this file, and its first samples as a picture.
"""

import dataclasses
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "_tools"))
from results import as_row, store

from ncsn_lib import denoising_score_matching_loss, load_mnist, load_run, sample_run, train
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.metrics import judge_images
from ncsn_lib.plotting import image_grid
from ncsn_lib.recipes import MNIST_SMALL, ONE_LEVEL, ONE_LEVEL_SAMPLING
from ncsn_lib.runs import Run
from ncsn_lib.training import TrainingState

MODELS = Path(__file__).resolve().parent / "models"
NUM, SHOWN, STEPS = 200, 64, 5000
RECIPE = dataclasses.replace(
    MNIST_SMALL,
    noise=ONE_LEVEL,
    sampling=ONE_LEVEL_SAMPLING,
    training=dataclasses.replace(MNIST_SMALL.training, num_steps=STEPS),
)


def loss_at_its_level(network, images):
    """The held-out loss at sigma = 0.01, weighted by sigma^2; the draws follow from a seed."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    level = torch.full((len(images),), RECIPE.noise.sigma_min)
    with torch.no_grad():
        losses = denoising_score_matching_loss(network, images, level, noise)
    return RECIPE.noise.sigma_min**2 * losses.mean().item()


def judge(name, images, references):
    """What the classifier makes of images."""
    classifier = load_classifier(MODELS / "mnist_classifier.safetensors")
    return {"name": name, **as_row(judge_images(classifier, images, references))}


def main():
    """Train, sample, judge: beside as many real digits, and as many of the wide ladder."""
    from matplotlib import pyplot as plt

    torch.set_num_threads(1)
    state = TrainingState.start(RECIPE.build_network(), RECIPE.training)
    begun = time.perf_counter()
    train(state, load_mnist("train").images, RECIPE.objective(), RECIPE.training)
    made = {"steps": STEPS, "seconds": round(time.perf_counter() - begun, 1), "seed": 1}
    run = Run(state.ema.module.eval(), RECIPE, state.step)
    images = sample_run(run, NUM, seed=1, bfloat16=True)
    plt.imsave(Path(__file__).with_suffix(".png"), image_grid(images[:SHOWN], 16))
    digits = load_mnist("test").images
    made |= {"loss": loss_at_its_level(run.network, digits[:NUM]), "largest_value": images.abs().max().item()}
    rows = [judge("one level, 0.01", images, digits[1000:]) | made, judge("real", digits[:NUM], digits[1000:])]
    for name in ("mnist_small", "mnist_small_wide"):
        ladder = load_run(MODELS / f"{name}.safetensors")
        row = judge(name, sample_run(ladder, NUM, seed=1, bfloat16=True), digits[1000:])
        rows.append(row | {"loss": loss_at_its_level(ladder.network, digits[:NUM])})
    store(__file__, rows)


if __name__ == "__main__":
    main()
