"""The manifold hypothesis."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, rows

CHAPTER = "06_manifold_hypothesis"


def sheet_cases(generator: Generator) -> dict[str, Arguments]:
    """Scores near a sheet: normal to it noise over sigma^2, along it nearly nothing."""

    def of(sigma: float, dim: int, empty: int) -> Arguments:
        score = randn(generator, 50, dim) / torch.cat([torch.full((empty,), sigma), torch.full((dim - empty,), 9.0)])
        return {"score": score.double(), "sigma": sigma}

    return {"a curve in six dimensions": of(0.2, 6, 5), "a sheet in ten": of(0.01, 10, 8)}


def dimension_of(
    score: Tensor, sigma: float, *, power: int = 2, complement: bool = True, root: bool = False, mean: bool = False
) -> Tensor:
    squares = score.square().mean(1) if mean else score.square().sum(1)
    empty = sigma**power * squares.mean()
    empty = empty.sqrt() if root else empty
    return score.shape[1] - empty if complement else empty


def dimension_by_loops(score: Tensor, sigma: float) -> float:
    found = float(score.shape[1])
    for row in score.tolist():
        found -= sum((sigma * value) ** 2 for value in row) / len(score)
    return found


def grey_cases(generator: Generator) -> dict[str, Arguments]:
    grey = torch.randint(256, (4, 5), generator=generator).double()
    grey[0, 0], grey[0, 1] = 255, 0
    draws = torch.rand(4, 5, generator=generator, dtype=torch.float64)
    return {"twenty pixels": {"x": grey / 255, "noise": draws}}


def spread_grey(x: Tensor, noise: Tensor, *, bins: int = 256, spacing: int = 255, shift: float = 0.0) -> Tensor:
    return (spacing * x + noise - shift) / bins


def spread_by_integers(x: Tensor, noise: Tensor) -> Tensor:
    levels = (x * 255).round().long()
    return torch.lerp(levels.double() / 256, (levels + 1).double() / 256, noise)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="manifold-dimension",
        chapter=CHAPTER,
        goal="Estimate the dimension of the surface near which the data lie, from scores at noisy points.",
        grade="modify",
        minutes=10,
        stub='''
def dimension_of(score, sigma):
    """score (B, D) at points with noise of sigma, a small number: the dimension of the surface, a scalar."""
    raise NotImplementedError
''',
        oracle=dimension_of,
        twin=dimension_by_loops,
        cases=sheet_cases,
        wrong={
            "empty": Wrong("that counts the directions without data, not those of the surface.", {"complement": False}),
            "power": Wrong("sigma times a squared score still has a unit; a count has none.", {"power": 1}),
            "root": Wrong("the square counts the directions; its root does not.", {"root": True}),
            "mean": Wrong("you take the mean over the axes, which is a fraction, not a count.", {"mean": True}),
        },
        hint="Each direction without data adds about 1 / sigma^2 to the squared length of the score.",
        example=("for the score (10, 0) at sigma = 0.1", {"score": rows(10.0, 0.0), "sigma": 0.1}),
    ),
    Exercise(
        id="dequantize",
        chapter=CHAPTER,
        goal="Spread each of 256 grey values over an interval of its own, so that they fill [0, 1) without gaps.",
        grade="check",
        minutes=5,
        stub='''
def spread_grey(x, noise):
    """x (B, *D) with the values k/255, noise uniform in [0, 1): values in [0, 1), (B, *D)."""
    raise NotImplementedError
''',
        oracle=spread_grey,
        twin=spread_by_integers,
        cases=grey_cases,
        wrong={
            "bins": Wrong("divided by 255, the brightest pixels go beyond 1.", {"bins": 255}),
            "gaps": Wrong(
                "the values stand 1/255 apart, and yours are spread over 1/256 each: gaps are left.", {"spacing": 256}
            ),
            "centred": Wrong("you centre the noise: black pixels fall below 0.", {"shift": 0.5}),
        },
        hint="Turn x back into the integer k. Its interval is that from k/256 to (k + 1)/256.",
        example=("for x = 1 and the draw 0.5", {"x": rows(1.0), "noise": rows(0.5)}),
    ),
    Question(
        id="manifold-plane",
        chapter=CHAPTER,
        goal="What is the least score matching loss at sigma = 0.01, for data on a plane in 64 dimensions?",
        grade="check",
        minutes=2,
        key=lambda: -(64 - 2) / (2 * 0.01**2),
        wrong={
            -2 / (2 * 0.01**2): "you count the directions of the plane; the steep ones are the others.",
            62 / (2 * 0.01**2): "the minimum lies below the loss of the zero score, which is 0.",
            -62 / 0.01**2: "the factor 1/2 is missing.",
            -62 / (2 * 0.01): "the squared score goes like 1/sigma^2.",
        },
        hint="The least loss is minus one half of the mean squared length of the true score.",
    ),
    Question(
        id="manifold-wall",
        chapter=CHAPTER,
        goal="Which c has the least loss on the digits with noise of 0.01?",
        grade="check",
        minutes=2,
        key=lambda: 1 / 0.01**2,
        wrong={
            100.0: "that is 1/sigma; compare the units of a score and of x.",
            30_000.0: "three pixels are three copies of one problem: their number drops out.",
            20_000.0: "at that c the loss is back at zero.",
        },
        hint="For one pixel the loss is -c + c^2 sigma^2 / 2.",
    ),
    Question(
        id="manifold-edge",
        chapter=CHAPTER,
        goal="With which power of sigma does the mean squared score grow for the uniform density on a square?",
        grade="discover",
        minutes=60,
        key=lambda: -1.0,
        wrong={
            -2.0: "that is the power at an edge point; only few points lie near the edge.",
            0.0: "it has no limit: at the edge the density jumps.",
            1.0: "it grows as sigma becomes smaller.",
        },
        hint="How long is the score near the edge, and what fraction of the points lies there?",
        rtol=0.15,
    ),
)
