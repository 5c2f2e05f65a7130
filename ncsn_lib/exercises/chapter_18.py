"""Measuring quality."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn
from ncsn_lib.metrics.images import frechet_distance

CHAPTER = "18_measuring_quality"


def class_cases(generator: Generator) -> dict[str, Arguments]:
    return {"twenty images, four classes": {"probabilities": (2 * randn(generator, 20, 4)).softmax(1)}}


def score_of_classes(
    probabilities: Tensor,
    *,
    exponential: bool = True,
    base: float = math.e,
    reverse: bool = False,
    uniform: bool = False,
) -> Tensor:
    mean = probabilities.mean(0)
    if uniform:
        mean = torch.full_like(mean, 1 / len(mean))
    ratio = (probabilities / mean).log()
    divergences = (mean * -ratio if reverse else probabilities * ratio).sum(1)
    return base ** divergences.mean() if exponential else divergences.mean()


def score_by_torch(probabilities: Tensor) -> Tensor:
    each = torch.distributions.Categorical(probabilities)
    together = torch.distributions.Categorical(probabilities.mean(0).expand_as(probabilities))
    return torch.distributions.kl_divergence(each, together).mean().exp()


def feature_cases(generator: Generator) -> dict[str, Arguments]:
    x = randn(generator, 60, 3) @ randn(generator, 3, 3)
    return {"sixty and fifty features": {"x": x, "y": 0.5 + randn(generator, 50, 3) @ randn(generator, 3, 3)}}


def distance_of_gaussians(
    x: Tensor,
    y: Tensor,
    *,
    rooted: bool = True,
    diagonal: bool = False,
    final_root: bool = False,
    square: int = 2,
    correction: int = 1,
) -> Tensor:
    first, second = (torch.cov(features.T, correction=correction) for features in (x, y))
    if diagonal:
        first, second = torch.diag(first.diagonal()), torch.diag(second.diagonal())
    values = torch.linalg.eigvals(first @ second).real.clamp_min(0)
    cross = (values.sqrt() if rooted else values).sum()
    distance = (x.mean(0) - y.mean(0)).norm() ** square + first.trace() + second.trace() - 2 * cross
    return distance.abs().sqrt() if final_root else distance


def kernel_cases(generator: Generator) -> dict[str, Arguments]:
    return {"nine and seven features": {"f": randn(generator, 9, 3), "g": 0.5 + randn(generator, 7, 3)}}


def kernel_distance(
    f: Tensor, g: Tensor, *, themselves: bool = False, scaled: bool = True, power: int = 3, cross: int = 2
) -> Tensor:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / (a.shape[1] if scaled else 1) + 1) ** power

    def mean_of_pairs(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return values.mean() if themselves else (values.sum() - values.trace()) / (len(a) * (len(a) - 1))

    return mean_of_pairs(f) + mean_of_pairs(g) - cross * kernel(f, g).mean()


def kernel_distance_by_loops(f: Tensor, g: Tensor) -> float:
    def kernel(a: list[float], b: list[float]) -> float:
        return (math.fsum(s * t for s, t in zip(a, b, strict=True)) / len(a) + 1) ** 3

    within = []
    for part in (f.tolist(), g.tolist()):
        pairs = [kernel(a, b) for i, a in enumerate(part) for j, b in enumerate(part) if i != j]
        within.append(math.fsum(pairs) / len(pairs))
    across = [kernel(a, b) for a in f.tolist() for b in g.tolist()]
    return sum(within) - 2 * math.fsum(across) / len(across)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="inception-score",
        chapter=CHAPTER,
        goal="Return the inception score of a classifier's probabilities.",
        grade="check",
        minutes=5,
        stub='''
def score_of_classes(probabilities):
    """probabilities (N, K), all above 0, each row sums to 1: the score, between 1 and K, a scalar."""
    raise NotImplementedError
''',
        oracle=score_of_classes,
        twin=score_by_torch,
        cases=class_cases,
        wrong={
            "logarithm": Wrong("that is the mean divergence; the score is its exponential.", {"exponential": False}),
            "reverse": Wrong(
                "your divergence goes from the mean to each image; the divergence is not symmetric.", {"reverse": True}
            ),
            "uniform": Wrong(
                "you compare with equal classes; a set that lacks a class would not be noticed.", {"uniform": True}
            ),
            "base": Wrong("you raise 2 to a power that is in nats.", {"base": 2.0}),
        },
        hint="The mean over the images of the divergence of p(y|x) from the mean of all p(y|x).",
        example=(
            "for the rows (0.9, 0.1) and (0.1, 0.9)",
            {"probabilities": torch.tensor([[0.9, 0.1], [0.1, 0.9]]).double()},
        ),
    ),
    Exercise(
        id="frechet",
        chapter=CHAPTER,
        goal="Return the Frechet distance of two sets of features.",
        grade="modify",
        minutes=10,
        stub='''
def distance_of_gaussians(x, y):
    """x (N, F), y (M, F): the Frechet distance of the Gaussians with their means and covariances, a scalar."""
    raise NotImplementedError
''',
        oracle=distance_of_gaussians,
        twin=frechet_distance,
        cases=feature_cases,
        wrong={
            "root": Wrong("the root of the product of the covariances is missing.", {"rooted": False}),
            "diagonal": Wrong("you use the diagonals of the covariances alone.", {"diagonal": True}),
            "final": Wrong(
                "you take a root at the end; in spite of its name the Frechet distance is a squared one.",
                {"final_root": True},
            ),
            "means": Wrong("the means enter by the square of their distance.", {"square": 1}),
            "biased": Wrong("your covariances are divided by N, and not by N - 1.", {"correction": 0}),
        },
        hint="The trace of the root of C_x C_y is the sum of the roots of its eigenvalues.",
        example=(
            "for the points (0, 0), (2, 0), (0, 2) and the same ones doubled",
            {
                "x": torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]).double(),
                "y": torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]).double(),
            },
        ),
        rtol=1e-5,
    ),
    Exercise(
        id="quality-kid",
        chapter=CHAPTER,
        goal="Return the kernel distance of two sets of features, without bias.",
        grade="modify",
        minutes=10,
        stub='''
def kernel_distance(f, g):
    """f (n, F), g (m, F): the squared mean discrepancy with the kernel (f.g / F + 1)^3, unbiased, a scalar."""
    raise NotImplementedError
''',
        oracle=kernel_distance,
        twin=kernel_distance_by_loops,
        cases=kernel_cases,
        wrong={
            "themselves": Wrong(
                "you count each example with itself, which makes the distance too large.", {"themselves": True}
            ),
            "scaled": Wrong("the product is not divided by the number of features.", {"scaled": False}),
            "power": Wrong("your kernel is the square, which sees moments up to the second only.", {"power": 2}),
            "cross": Wrong("the term between the two sets comes twice.", {"cross": 1}),
        },
        hint="Three means of kernels: within f, within g, both without i = j, and between them.",
        example=(
            "for the sets 0, 1 and 0, 1",
            {"f": torch.tensor([[0.0], [1.0]]).double(), "g": torch.tensor([[0.0], [1.0]]).double()},
        ),
    ),
    Question(
        id="quality-line",
        chapter=CHAPTER,
        goal="What is the Frechet distance of N(0, 1) and N(1, 9)?",
        grade="check",
        minutes=2,
        key=lambda: 1.0**2 + (3 - 1.0) ** 2,
        wrong={
            9.0: "you compare variances where the distance compares standard deviations.",
            math.sqrt(5): "the distance is a squared one, without a root at the end.",
            65.0: "you square the difference of the variances.",
        },
        hint="In one dimension it is the squared difference of the means plus that of the standard deviations.",
        rtol=0.05,
    ),
)
