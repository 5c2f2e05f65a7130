"""Does it copy?"""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, vector
from ncsn_lib.metrics.neighbours import nearest_distances

CHAPTER = "17_does_it_copy"


def copy_cases(generator: Generator) -> dict[str, Arguments]:
    train = randn(generator, 30, 4)
    samples = torch.cat([randn(generator, 12, 4), train[:2] + 0.3 * randn(generator, 2, 4)])
    return {"fourteen samples": {"samples": samples, "held_out": randn(generator, 20, 4), "train": train}}


def ranks_of_copies(
    samples: Tensor, held_out: Tensor, train: Tensor, *, nearest: bool = True, nearer: bool = True, swap: bool = False
) -> Tensor:
    if swap:
        train, held_out = held_out, train
    to_samples, to_held_out = (torch.cdist(points, train) for points in (samples, held_out))
    ours = to_samples.amin(1) if nearest else to_samples.mean(1)
    usual = to_held_out.amin(1) if nearest else to_held_out.mean(1)
    below = usual <= ours[:, None]  # (B, M)
    return (below if nearer else ~below).double().mean(1)


def ranks_by_loops(samples: Tensor, held_out: Tensor, train: Tensor) -> Tensor:
    def distance(point: list[float]) -> float:
        return min(math.dist(point, other) for other in train.tolist())

    usual = [distance(point) for point in held_out.tolist()]
    found = [distance(point) for point in samples.tolist()]
    return vector(*[sum(value <= ours for value in usual) / len(usual) for ours in found])


def nearest_cases(generator: Generator) -> dict[str, Arguments]:
    return {"five images": {"x": randn(generator, 5, 1, 3, 4), "references": randn(generator, 9, 1, 3, 4)}}


def nearest_reference(
    x: Tensor, references: Tensor, *, power: int = 1, farthest: bool = False, pixel_mean: bool = False
) -> list[Tensor]:
    squares = (x[:, None] - references).flatten(2).square()
    distances = (squares.mean(2) if pixel_mean else squares.sum(2)).sqrt() ** power
    found = distances.max(1) if farthest else distances.min(1)
    return [found.values, found.indices]


def alarms_in_99_of_100(num: int, rate: float) -> float:
    """The smallest number that at most one of a hundred such sets exceeds."""
    number, below = -1, 0.0
    while below < 0.99:
        number += 1
        below += math.comb(num, number) * rate**number * (1 - rate) ** (num - number)
    return float(number)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="copy-quantile",
        chapter=CHAPTER,
        goal="Return, for each sample, the fraction of held-out data that is at least as near to the training set.",
        grade="modify",
        minutes=10,
        stub='''
def ranks_of_copies(samples, held_out, train):
    """samples (B, D), held_out (M, D), train (N, D): q of each sample, (B,)."""
    raise NotImplementedError
''',
        oracle=ranks_of_copies,
        twin=ranks_by_loops,
        cases=copy_cases,
        wrong={
            "further": Wrong(
                "you count the held-out data that are further away; a copy must have a small q.", {"nearer": False}
            ),
            "swap": Wrong(
                "you measure distances to the held-out data; copies are made of the training set.", {"swap": True}
            ),
            "mean": Wrong(
                "you take the mean distance to all training examples; a copy is near to one.", {"nearest": False}
            ),
        },
        hint="The distance to the nearest training example, for samples and held-out data alike; then compare.",
        example=(
            "for the sample 1.5, the held-out data 1 and 5, and the training example 0",
            {
                "samples": torch.tensor([[1.5]]).double(),
                "held_out": torch.tensor([[1.0], [5.0]]).double(),
                "train": torch.tensor([[0.0]]).double(),
            },
        ),
    ),
    Exercise(
        id="copy-nearest",
        chapter=CHAPTER,
        goal="Return the distance of each image to its nearest reference, and which one that is.",
        grade="check",
        minutes=5,
        stub='''
def nearest_reference(x, references):
    """x (B, *D), references (N, *D): Euclidean distances and indices of the nearest references, (B,) and (B,)."""
    raise NotImplementedError
''',
        oracle=nearest_reference,
        twin=nearest_distances,
        cases=nearest_cases,
        wrong={
            "squared": Wrong("those are squared distances.", {"power": 2}),
            "mean": Wrong("you take a mean over the pixels; the distance is the root of a sum.", {"pixel_mean": True}),
            "farthest": Wrong("that is the reference that is farthest away.", {"farthest": True}),
            "axis": Wrong(
                "you found the nearest image of each reference; the question is the other way round.",
                answer=lambda x, references: nearest_reference(references, x),
            ),
        },
        hint="Flatten the images and use torch.cdist; then the minimum over the references.",
        example=(
            "for the image (3, 4) and the references (9, 9) and (0, 0)",
            {"x": torch.tensor([[3.0, 4.0]]).double(), "references": torch.tensor([[9.0, 9.0], [0.0, 0.0]]).double()},
        ),
    ),
    Question(
        id="copy-mean",
        chapter=CHAPTER,
        goal="How many times as large is the mean squared distance between two images as that to the mean image?",
        grade="check",
        minutes=2,
        key=lambda: 2 * 100 / 99,
        wrong={
            1.0: "two images vary, the mean image does not.",
            4.0: "the variances of two images add; they are not doubled twice.",
            math.sqrt(2): "that is the ratio of the distances, not of their squares.",
        },
        hint="Write x - x' as the difference of two deviations from the mean.",
    ),
    Question(
        id="copy-alarm",
        chapter=CHAPTER,
        goal="How many of 200 samples may have q of 0.01 or less by chance, in 99 of 100 cases?",
        grade="check",
        minutes=2,
        key=lambda: alarms_in_99_of_100(200, 0.01),
        wrong={
            2.0: "that is the mean number; half of all sets have more.",
            1.0: "already the mean is larger.",
            20.0: "that is a tenth of the samples.",
        },
        hint="The number of false alarms is binomial. Look for its 99 % quantile.",
    ),
)
