"""What a classifier makes of images: is it sure, does it see every class, are its features those of real images?

These numbers depend on the classifier, so they compare samples that one classifier judged, and nothing else.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_floating, check_number
from ncsn_lib.data import unit_images
from ncsn_lib.metrics.images import frechet_distance
from ncsn_lib.networks.classifier import Classifier


class Judgement(NamedTuple):
    """What a classifier makes of a set of images."""

    num_images: int
    """How many images were judged."""
    num_references: int
    """With how many real images they were compared."""
    sure_share: float
    """The share of images of which the classifier is at least 0.9 sure."""
    class_shares: Tensor
    """(K,) the share of each class among the likeliest ones."""
    feature_distance: float
    """Frechet distance from the references in the classifier's features; not an FID, which takes Inception's."""


@torch.no_grad()
def classify_images(classifier: Classifier, images: Tensor, *, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Features and class probabilities of images.

    Args:
        classifier: in eval mode.
        images: (N, C, H, W) in [0, 1] or uint8; values beyond, as a sampler leaves them, are clamped.
        batch_size: images looked at together; bounds the memory.

    Returns:
        (N, F) features and (N, K) probabilities, on the CPU.

    Raises:
        ValueError: no image, or images of another number of channels than the classifier's.
    """
    check_count("batch_size", batch_size)
    check_count("the number of images", len(images))
    device = classifier.head.weight.device
    features = torch.cat(
        [classifier.features(unit_images(part).clamp(0, 1).to(device)) for part in images.split(batch_size)]
    )
    return features.cpu(), classifier.head(features).softmax(1).cpu()


def sure_share(probabilities: Tensor, threshold: float = 0.9) -> float:
    """The share of images whose likeliest class has at least the probability `threshold`.

    Args:
        probabilities: (N, K) of the classes, N at least 1.
        threshold: between 0 and 1.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: a threshold beyond 0 and 1, or no image.
    """
    _check_probabilities(probabilities)
    if not 0 <= check_number("threshold", threshold) <= 1:
        raise ValueError(f"threshold must be between 0 and 1, got {threshold}")
    return (probabilities.amax(1) >= threshold).double().mean().item()


def class_shares(probabilities: Tensor) -> Tensor:
    """How often each class is the likeliest.

    Args:
        probabilities: (N, K) of the classes, N at least 1.

    Returns:
        (K,) shares in double precision; their sum is 1.

    Raises:
        ValueError: no image.
    """
    _check_probabilities(probabilities)
    return torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]).double() / len(probabilities)


def judge_images(classifier: Classifier, images: Tensor, references: Tensor, *, batch_size: int = 500) -> Judgement:
    """Judge images by a classifier, beside real ones.

    Args:
        classifier: in eval mode.
        images: (N, C, H, W) to be judged, in [0, 1] or uint8, N at least 2; values beyond are clamped.
        references: (M, C, H, W) real images. Compare only judgements by the same ones, of the same N.
        batch_size: images looked at together; bounds the memory.

    Returns:
        Shares, and the distance of the features.

    Raises:
        ValueError: fewer than two images or references, or images that the classifier does not take.
    """
    features, probabilities = classify_images(classifier, images, batch_size=batch_size)
    real, _ = classify_images(classifier, references, batch_size=batch_size)
    distance = frechet_distance(features, real)
    return Judgement(len(images), len(references), sure_share(probabilities), class_shares(probabilities), distance)


def _check_probabilities(probabilities: Tensor) -> None:
    check_floating("probabilities", probabilities)
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(f"probabilities must be (N, K), N at least 1, got {tuple(probabilities.shape)}")
