"""A number for how good a network's samples are, quick enough to be measured while it trains."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ncsn_lib.classifiers import load_classifier
from ncsn_lib.cli.judging import classifier_path
from ncsn_lib.metrics.classes import classify_images
from ncsn_lib.metrics.images import frechet_distance
from ncsn_lib.metrics.inception import inception_features, load_inception
from ncsn_lib.runs import Run
from ncsn_lib.sampling import NonFiniteSamplesError, sample_run
from ncsn_lib.settings import Recipe

NUM_SAMPLES = 1000
"""Samples of a measurement. Song & Ermon (2019), Sec. 5.2: checkpoints are compared by the FID of 1,000."""
NUM_REFERENCES = 10_000
"""Training images that they are compared with."""


def quick_distance(
    recipe: Recipe, images: Tensor, device: torch.device, *, inception: bool, classifier: Path | None
) -> Callable[[Run], float]:
    """Measures the Frechet distance of 1,000 samples from training images.

    Args:
        recipe: what is trained.
        images: (N, C, H, W) its training images.
        device: where to compute.
        inception: in Inception's features, which is the FID; else in those of a classifier.
        classifier: the classifier's weights; the recipe's data set's in its usual place by default.

    Returns:
        A function of the run as it stands; infinity where its samples are not finite.
    """
    if inception:
        extractor = load_inception(device=device)

        def features(x: Tensor) -> Tensor:
            return inception_features(x, extractor)[0]
    else:
        judge = load_classifier(classifier or classifier_path(recipe.dataset)).to(device)

        def features(x: Tensor) -> Tensor:
            return classify_images(judge, x)[0]

    references = features(images[:NUM_REFERENCES])

    def measure(run: Run) -> float:
        try:
            return frechet_distance(features(sample_run(run, NUM_SAMPLES, classes=run.recipe.classes)), references)
        except NonFiniteSamplesError:  # a network that has only begun to learn
            return math.inf

    return measure
