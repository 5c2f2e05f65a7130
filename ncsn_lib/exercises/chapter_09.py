"""Perturbing data with noise."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import uniform
from ncsn_lib.schedules import geometric_sigmas, level_overlap

CHAPTER = "09_perturbing_data"
UNWEIGHTED = torch.logspace(0, 4, 10, dtype=torch.float64)  # 1 / sigma^2 of the ladder from 1 to 0.01
FRACTIONS = UNWEIGHTED / UNWEIGHTED.sum()


def ladder_cases(generator: Generator) -> dict[str, Arguments]:
    top, bottom = uniform(generator, 2).tolist()
    return {
        "ten levels": {"sigma_max": 5 * top, "sigma_min": 0.01 * bottom, "num_levels": 10},
        "two levels": {"sigma_max": 5 * top, "sigma_min": bottom, "num_levels": 2},
    }


def levels_between(
    sigma_max: float,
    sigma_min: float,
    num_levels: int,
    *,
    ratios: bool = True,
    rising: bool = False,
    steps: int = -1,
) -> Tensor:
    times = torch.arange(num_levels).double() / (num_levels + steps)
    levels = sigma_max * (sigma_min / sigma_max) ** times if ratios else sigma_max + times * (sigma_min - sigma_max)
    return levels.flip(0) if rising else levels


def overlap_cases(generator: Generator) -> dict[str, Arguments]:
    ratio = 1 + 0.3 * uniform(generator, 1).item()
    return {"images": {"ratio": ratio, "dim": 64}, "two dimensions": {"ratio": 1.3 * ratio, "dim": 2}}


def overlap_of(
    ratio: float,
    dim: int,
    *,
    double: float = 2.0,
    inverse: bool = False,
    inner: bool = True,
    wide: bool = True,
) -> Tensor:
    gamma = torch.tensor(1 / ratio if inverse else ratio).double()
    shift, reach = math.sqrt(double * dim) * (gamma - 1), 3 * (gamma if wide else 1)
    mass = torch.special.ndtr(shift + reach)
    return mass - torch.special.ndtr(shift - reach) if inner else mass


def overlap_by_library(ratio: float, dim: int) -> Tensor:
    return level_overlap(torch.tensor([ratio, 1.0]).double(), dim)[0]


def levels_needed(top: float, bottom: float, twice_dim: float) -> int:
    """By the formula of the chapter; `twice_dim` is 2D."""
    ratio = 1 / (1 - 3 / math.sqrt(twice_dim))
    return 1 + math.ceil(math.log(top / bottom) / math.log(ratio))


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="geometric-ladder",
        chapter=CHAPTER,
        goal="Return noise levels from the largest to the smallest with equal ratios.",
        grade="check",
        minutes=2,
        stub='''
def levels_between(sigma_max, sigma_min, num_levels):
    """Two numbers and the number of levels L: the levels from sigma_max down to sigma_min, (L,)."""
    raise NotImplementedError
''',
        oracle=levels_between,
        twin=geometric_sigmas,
        cases=ladder_cases,
        wrong={
            "differences": Wrong(
                "your levels have equal differences; the small ones are then missing.", {"ratios": False}
            ),
            "rising": Wrong("your levels increase; the sampler begins at the largest.", {"rising": True}),
            "steps": Wrong(
                "your levels never reach the smallest: L levels have only L - 1 steps between them.", {"steps": 0}
            ),
        },
        hint="Equal ratios are equal differences of the logarithms.",
        example=(
            "from 4 to 1 with three levels",
            {"sigma_max": 4.0, "sigma_min": 1.0, "num_levels": 3},
        ),
    ),
    Exercise(
        id="level-overlap",
        chapter=CHAPTER,
        goal="Return how much of a level's noise lies where the level above it was trained.",
        grade="modify",
        minutes=10,
        stub='''
def overlap_of(ratio, dim):
    """ratio sigma_i / sigma_(i+1) above 1, dim D: the mass of level i+1 within three deviations of level i."""
    raise NotImplementedError
''',
        oracle=overlap_of,
        twin=overlap_by_library,
        cases=overlap_cases,
        wrong={
            "radius": Wrong("the length of unit noise has the standard deviation 1/sqrt(2), not 1.", {"double": 1.0}),
            "inverse": Wrong("you take the ratio the other way round, below 1.", {"inverse": True}),
            "inner": Wrong("the noise of a level is a shell: it has an inner edge, too.", {"inner": False}),
            "wide": Wrong("three standard deviations are those of the upper level, which is wider.", {"wide": False}),
        },
        hint="The length of the noise of level i is about N(sqrt(D) sigma_i, sigma_i^2 / 2).",
        example=("for two equal levels, of the ratio 1,", {"ratio": 1.0, "dim": 4}),
    ),
    Question(
        id="noise-ratio",
        chapter=CHAPTER,
        goal="How many levels do images of 64 x 64 x 3 need, from 90 to 0.01?",
        grade="check",
        minutes=2,
        key=lambda: float(levels_needed(90, 0.01, 2 * 3 * 64**2)),
        wrong={
            float(
                4 * levels_needed(50, 0.01, 2 * 3 * 32**2)
            ): "four times the pixels do not take four times the levels.",
            float(levels_needed(90, 0.01, 2 * 64)): "that is with the ratio of the 8 x 8 digits.",
            float(levels_needed(90, 0.01, 3 * 64**2)): "you took the root of D in place of the root of 2D.",
        },
        hint="Compute the ratio of neighbouring levels first, and count how often it fits between 0.01 and 90.",
    ),
    Question(
        id="noise-mean",
        chapter=CHAPTER,
        goal="What is the weighted loss of the zero score if it is averaged over the pixels?",
        grade="check",
        minutes=2,
        key=lambda: 0.5,
        wrong={
            32.0: "that is the sum over the 64 pixels.",
            1.0: "the factor 1/2 of the loss is missing.",
            1 / 128: "you divided by the number of pixels twice.",
        },
        hint="The weighted residual of the zero score is z itself.",
    ),
    Question(
        id="noise-weights",
        chapter=CHAPTER,
        goal="How many levels count effectively in the loss of the zero score without a weight?",
        grade="modify",
        minutes=10,
        key=lambda: math.exp(-(FRACTIONS * FRACTIONS.log()).sum().item()),
        wrong={
            10.0: "without a weight the levels do not count alike: their losses go like 1/sigma^2.",
            -(FRACTIONS * FRACTIONS.log()).sum().item(): "that is the entropy; the number is its exponential.",
            1 / FRACTIONS.max().item(): "that is one over the largest fraction, another measure.",
        },
        hint="The fractions go like 1/sigma^2. Take their entropy.",
    ),
)
