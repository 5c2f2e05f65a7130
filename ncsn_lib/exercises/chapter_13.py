"""MNIST."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong

CHAPTER = "13_mnist"


def hit_cases(generator: Generator) -> dict[str, Arguments]:
    return {f"{num} images": {"hits": torch.rand(num, generator=generator) < 0.8} for num in (64, 301)}


def fraction_and_error(
    hits: Tensor, *, count: float = 0.5, root: bool = True, unsure: bool = True, both: bool = True
) -> list[Tensor]:
    num, fraction = len(hits), hits.double().mean()
    variance = fraction * (1 - fraction) if unsure else torch.ones(()).double()
    error = (variance.sqrt() if root else variance) / num**count
    return [fraction if both else fraction * num, error]


def fraction_by_numbers(hits: Tensor) -> list[float]:
    """From the standard deviation of the ones and zeros, one by one."""
    found = [float(hit) for hit in hits]
    mean = math.fsum(found) / len(found)
    return [mean, math.sqrt(math.fsum((hit - mean) ** 2 for hit in found)) / len(found)]


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="mnist-error",
        chapter=CHAPTER,
        goal="Return the fraction of images of which the classifier is sure, and its standard error.",
        grade="check",
        minutes=5,
        stub='''
def fraction_and_error(hits):
    """hits (N,) bool, whether the classifier is sure: the fraction of true ones and its standard error, two scalars."""
    raise NotImplementedError
''',
        oracle=fraction_and_error,
        twin=fraction_by_numbers,
        cases=hit_cases,
        wrong={
            "one": Wrong(
                "your error is the standard deviation of one image; that of a mean falls with N.", {"count": 0.0}
            ),
            "count": Wrong("your error falls like 1/N; a standard error falls more slowly.", {"count": 1.0}),
            "root": Wrong("the root of p (1 - p) is missing.", {"root": False}),
            "certain": Wrong(
                "your error does not depend on the fraction: near 0 and 1 it is smaller.", {"unsure": False}
            ),
            "number": Wrong("the first of the two is a number of images, not a fraction.", {"both": False}),
        },
        hint="A single image has the variance p (1 - p). What is the standard deviation of a mean of N?",
        example=("for one hit and one miss", {"hits": torch.tensor([True, False])}),
    ),
    Question(
        id="mnist-steps",
        chapter=CHAPTER,
        goal="How far does a pixel get in 1,000 steps of noise of variance 4e-5?",
        grade="check",
        minutes=2,
        key=lambda: math.sqrt(1000 * 4e-5),
        wrong={
            1000 * 4e-5: "that is the variance.",
            math.sqrt(100 * 0.4): "that is the way in 100 steps at the top of the ladder.",
            1000 * math.sqrt(4e-5): "you add standard deviations; the steps do not all go one way.",
            math.sqrt(4e-5): "that is a single step.",
        },
        hint="The variances of independent steps add.",
    ),
    Question(
        id="mnist-zero",
        chapter=CHAPTER,
        goal="What weighted loss does a score of zero have, for images of 28 x 28?",
        grade="check",
        minutes=2,
        key=lambda: 28 * 28 / 2,
        wrong={
            784.0: "the factor 1/2 is missing.",
            0.5: "that is the mean over the pixels.",
            784 / 2 / 0.01**2: "that is without the weight, at the smallest level.",
        },
        hint="Only the target is left, z / sigma, and the weight is sigma^2.",
    ),
)
