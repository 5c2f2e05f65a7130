"""What matters."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import uniform, vector

CHAPTER = "19_what_matters"


def seed_cases(generator: Generator) -> dict[str, Arguments]:
    relative, other = uniform(generator, 2).tolist()
    return {
        "a tenth": {"relative": 0.2 * relative, "difference": 0.1},
        "a fiftieth": {"relative": 0.2 * other, "difference": 0.02},
    }


def seeds_needed(
    relative: float, difference: float, *, settings: int = 2, square: int = 2, errors: float = 3.0, both: bool = False
) -> int:
    needed = math.ceil(settings * (errors * relative / difference) ** square)
    return 2 * needed if both else needed


def seeds_by_trial(relative: float, difference: float) -> int:
    """Seeds are added until the difference of two means is three of its standard errors."""
    seeds = 1
    while math.hypot(relative / math.sqrt(seeds), relative / math.sqrt(seeds)) * 3 > difference:
        seeds += 1
    return seeds


def memory_cases(generator: Generator) -> dict[str, Arguments]:
    return {"eight steps": {"betas": uniform(generator, 8, low=0.1, high=0.9)}}


def weights_of_steps(
    betas: Tensor, *, later: bool = True, first: bool = True, reverse: bool = False, late: bool = False
) -> Tensor:
    left = torch.cumprod(betas.flip(0), 0).flip(0)  # what is left of all that was there before each step
    kept = left if late else torch.cat([left[1:], torch.ones(1).to(left)])
    weights = (1 - betas) * (kept if later else 1)
    if first:
        weights = torch.cat([kept[:1], weights[1:]])
    return weights.flip(0) if reverse else weights


def weights_by_averaging(betas: Tensor) -> Tensor:
    """The average of one-hot vectors, step by step: the entries are the weights."""
    steps = torch.eye(len(betas)).to(betas)
    average = steps[0]
    for beta, step in zip(betas[1:], steps[1:], strict=True):
        average = torch.lerp(step, average, beta)
    return average


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="matters-seeds",
        chapter=CHAPTER,
        goal="Return how many seeds of each of two settings it takes until a difference is three standard errors.",
        grade="check",
        minutes=5,
        stub='''
def seeds_needed(relative, difference):
    """relative standard deviation between seeds, relative difference of two settings: seeds of each, an int."""
    raise NotImplementedError
''',
        oracle=seeds_needed,
        twin=seeds_by_trial,
        cases=seed_cases,
        wrong={
            "one": Wrong("you take the error of one mean; both means of the difference have one.", {"settings": 1}),
            "square": Wrong(
                "an error falls with the root of the number of seeds; the ratio has to be squared.", {"square": 1}
            ),
            "single": Wrong("you ask for one standard error, not for three.", {"errors": 1.0}),
            "both": Wrong("that is the number of both settings together.", {"both": True}),
        },
        hint="With S seeds of each the difference has the standard error sqrt(2 / S) times the deviation.",
        example=(
            "for a deviation of 0.1 and a difference of 0.1",
            {"relative": 0.1, "difference": 0.1},
        ),
    ),
    Exercise(
        id="matters-remember",
        chapter=CHAPTER,
        goal="Return the weight of each step in a moving average with a decay that changes.",
        grade="modify",
        minutes=10,
        stub='''
def weights_of_steps(betas):
    """betas (T,) the decay at each step; the average starts at the first step: its weights, (T,), with sum 1."""
    raise NotImplementedError
''',
        oracle=weights_of_steps,
        twin=weights_by_averaging,
        cases=memory_cases,
        wrong={
            "later": Wrong(
                "you leave out that each later step shrinks what was there before.", {"later": False, "first": False}
            ),
            "first": Wrong("your weights do not sum to 1: the average starts at the first step.", {"first": False}),
            "late": Wrong("each step shrinks what was there before it, not itself.", {"late": True}),
            "reverse": Wrong("your weights run backwards in time.", {"reverse": True}),
        },
        hint="Follow one step: it enters with 1 - beta, and each later step multiplies it by its own beta.",
        example=("for the two decays 0.5 and 0.9", {"betas": vector(0.5, 0.9)}),
    ),
    Question(
        id="matters-weight",
        chapter=CHAPTER,
        goal="What fraction of the whole loss does the top level have without a weight, on the paper's ladder?",
        grade="check",
        minutes=5,
        key=lambda: 1 / sum(10 ** (4 * level / 9) for level in range(10)),
        wrong={
            0.1: "that is with the weight sigma^2.",
            1e-4: "that is relative to the last level alone; the others count as well.",
            1 / sum(10 ** (2 * level / 9) for level in range(10)): "that is with the weight sigma.",
        },
        hint="The losses go like 1/sigma^2: sum them over the ten levels from 1 to 0.01.",
    ),
)
