"""Better ladders."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, uniform
from ncsn_lib.schedules import suggest_num_levels

CHAPTER = "21_better_ladders"


def bound_cases(generator: Generator) -> dict[str, Arguments]:
    sigma = uniform(generator, 1).item()
    return {
        "the plane": {"x": randn(generator, 2), "y": 2 + randn(generator, 2), "sigma": sigma},
        "four pixels": {"x": randn(generator, 4), "y": 1 + randn(generator, 4), "sigma": 2 * sigma},
    }


def share_bound(
    x: Tensor, y: Tensor, sigma: float, *, half: float = 0.5, eighth: float = 8.0, square: int = 2, power: int = 2
) -> Tensor:
    return half * torch.exp(-((x - y).norm() ** square) / (eighth * sigma**power))


def share_bound_by_quadrature(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """Half the integral of sqrt(p q), along the line through both centres."""
    distance = (x - y).norm()
    u = torch.linspace(-12 * sigma, 12 * sigma + distance.item(), 20_001, dtype=torch.float64)
    logs = [
        -((u - centre) ** 2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi)) for centre in (0, distance)
    ]
    return 0.5 * torch.trapezoid(torch.exp(0.5 * (logs[0] + logs[1])), u)


def average_cases(generator: Generator) -> dict[str, Arguments]:
    kept, decay = uniform(generator, 2, low=0.5, high=0.9).tolist()
    return {"two decays": {"kept": kept, "decay": decay}, "a longer memory": {"kept": kept, "decay": 0.5 + 0.5 * decay}}


def noise_left(kept: float, decay: float, *, apart: bool = False, steps: bool = False, root: bool = False) -> float:
    left = (1 - decay) / (1 if steps else 1 + decay)
    left *= 1 if apart else (1 + kept * decay) / (1 - kept * decay)
    return math.sqrt(left) if root else left


def noise_left_by_sums(kept: float, decay: float) -> float:
    """The double sum of the weights of the average and the correlation kept^|s - t| of two steps."""
    steps = torch.arange(500, dtype=torch.float64)
    weights = (1 - decay) * decay**steps
    correlation = kept ** (steps[:, None] - steps).abs()
    return (weights @ correlation @ weights).item()


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="ladders-bound",
        chapter=CHAPTER,
        goal="Return the bound on the expected weight of another example in the score.",
        grade="check",
        minutes=5,
        stub='''
def share_bound(x, y, sigma):
    """x (D,) and y (D,) two examples, sigma the noise level: the bound on the expected weight of y near x, a scalar."""
    raise NotImplementedError
''',
        oracle=share_bound,
        twin=share_bound_by_quadrature,
        cases=bound_cases,
        wrong={
            "square": Wrong("you put the distance into the exponent, not its square.", {"square": 1}),
            "sigma": Wrong("your exponent has units: the noise enters as its variance.", {"power": 1}),
            "four": Wrong(
                "each density enters with the power one half: that halves the exponent once more.", {"eighth": 4.0}
            ),
            "half": Wrong("you leave out the half: examples that coincide have the weight 1/2 each.", {"half": 1.0}),
        },
        hint="It is half the overlap of two Gaussians: the integral of the root of their product.",
        example=(
            "for the examples 0 and 4 and the noise 1",
            {
                "x": torch.zeros(1, dtype=torch.float64),
                "y": torch.full((1,), 4.0, dtype=torch.float64),
                "sigma": 1.0,
            },
        ),
    ),
    Exercise(
        id="ladders-average",
        chapter=CHAPTER,
        goal="Return the fraction of the variance of a weight's noise that is left in its average.",
        grade="modify",
        minutes=10,
        stub='''
def noise_left(kept, decay):
    """kept the fraction of its deviation that a weight keeps per step, decay the average's: the ratio of variances."""
    raise NotImplementedError
''',
        oracle=noise_left,
        twin=noise_left_by_sums,
        cases=average_cases,
        wrong={
            "apart": Wrong(
                "you take the steps to be independent; neighbours share most of their noise.", {"apart": True}
            ),
            "steps": Wrong("the weights of the average are squared before they are summed.", {"steps": True}),
            "root": Wrong("that is the ratio of standard deviations; variances are asked for.", {"root": True}),
        },
        hint="Sum the weights times each other and the correlation kept^|s - t|; both sums are geometric.",
        example=("for steps that keep nothing and the decay 0.5", {"kept": 0.0, "decay": 0.5}),
    ),
    Question(
        id="ladders-count",
        chapter=CHAPTER,
        goal="How many levels does rule 2 ask for from 90 to 0.01, for images of 3 x 64 x 64?",
        grade="check",
        minutes=2,
        key=lambda: suggest_num_levels(90.0, 0.01, 3 * 64 * 64),
        wrong={
            suggest_num_levels(90.0, 0.01, 64 * 64): "that is for one channel; a colour image has three.",
            suggest_num_levels(90.0, 0.01, 3 * 32 * 32): "that is for images of half the side.",
            19: "that is the ladder of 2019, continued at its ratio of 1.67.",
        },
        hint="Call `suggest_num_levels`, with D the number of all values of an image.",
    ),
)
