"""Langevin dynamics."""

import math

from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, rows, uniform, vector
from ncsn_lib.samplers.langevin import langevin_step

CHAPTER = "05_langevin_dynamics"


def step_cases(generator: Generator) -> dict[str, Arguments]:
    def of(step_size: float) -> Arguments:
        x, score, noise = randn(generator, 3, 4, 2)
        return {"x": x, "score": score, "step_size": step_size, "noise": noise}

    return {"a usual step": of(0.3), "a small step": of(1e-4)}


def take_step(
    x: Tensor,
    score: Tensor,
    step_size: float,
    noise: Tensor,
    *,
    drift: float = 0.5,
    spread: float = 1.0,
    power: float = 0.5,
) -> Tensor:
    return x + drift * step_size * score + spread * step_size**power * noise


def moment_cases(generator: Generator) -> dict[str, Arguments]:
    mean, variance, target_mean, target_variance, step_size = uniform(generator, 5, low=0.5, high=1.5).tolist()
    start = {"mean": -mean, "variance": variance, "target_mean": target_mean, "target_variance": target_variance}
    return {
        "four steps": {**start, "step_size": step_size, "num_steps": 4},
        "a long run": {**start, "step_size": 0.5 * step_size, "num_steps": 60},
    }


def moments_after(
    mean: float,
    variance: float,
    target_mean: float,
    target_variance: float,
    step_size: float,
    num_steps: int,
    *,
    biased: bool = True,
    power: int = 2,
    half: float = 2.0,
) -> list[float]:
    factor = 1 - step_size / (half * target_variance)
    limit = target_variance / (1 - step_size / (4 * target_variance)) if biased else target_variance
    after = limit + factor ** (power * num_steps) * (variance - limit)
    return [target_mean + factor**num_steps * (mean - target_mean), after]


def moments_by_recursion(
    mean: float, variance: float, target_mean: float, target_variance: float, step_size: float, num_steps: int
) -> Tensor:
    for _ in range(num_steps):
        mean = mean - step_size / 2 * (mean - target_mean) / target_variance
        variance = variance * (1 - step_size / 2 / target_variance) ** 2 + step_size
    return vector(mean, variance)


def stable_cases(generator: Generator) -> dict[str, Arguments]:
    return {"five directions": {"variances": uniform(generator, 5)}}


def largest_step(variances: Tensor, *, factor: float = 4.0, widest: bool = False, root: bool = False) -> Tensor:
    deciding = variances.max() if widest else variances.min()
    return factor * (deciding.sqrt() if root else deciding)


def largest_step_by_bisection(variances: Tensor) -> float:
    """Between steps that shrink every direction and steps that make one larger."""
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        shrinks = all(abs(1 - middle / (2 * variance)) < 1 for variance in variances.tolist())
        low, high = (middle, high) if shrinks else (low, middle)
    return low


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="langevin-step",
        chapter=CHAPTER,
        goal="Take one step of Langevin dynamics.",
        grade="check",
        minutes=2,
        stub='''
def take_step(x, score, step_size, noise):
    """x, score, noise (B, *D), step_size alpha, a number: the states after one step, (B, *D)."""
    raise NotImplementedError
''',
        oracle=take_step,
        twin=langevin_step,
        cases=step_cases,
        wrong={
            "drift": Wrong(
                "the drift is twice too long for this noise: such a chain samples the squared density.", {"drift": 1.0}
            ),
            "noise": Wrong(
                "the noise is too strong for this drift: such a chain samples the root of the density.",
                {"spread": math.sqrt(2)},
            ),
            "root": Wrong("the noise has standard deviation alpha, not variance alpha.", {"power": 1.0}),
            "silent": Wrong("without noise the chain climbs to a peak of the density, and stays.", {"spread": 0.0}),
            "longer": Wrong(
                "alpha s with sqrt(2 alpha) z is a correct pair, but for a step twice as long as the one asked for.",
                answer=lambda x, score, step_size, noise: x + step_size * score + math.sqrt(2 * step_size) * noise,
            ),
        },
        hint="Add a drift along the score, and noise whose variance is twice the factor of the score.",
        example=(
            "for x = 1, the score -1, alpha = 0.04 and z = 1",
            {"x": rows(1.0), "score": rows(-1.0), "step_size": 0.04, "noise": rows(1.0)},
        ),
    ),
    Exercise(
        id="langevin-moments",
        chapter=CHAPTER,
        goal="Return mean and variance of chains on a Gaussian after a number of steps.",
        grade="modify",
        minutes=10,
        stub='''
def moments_after(mean, variance, target_mean, target_variance, step_size, num_steps):
    """Chains that begin with this mean and variance, on N(target_mean, target_variance): both after num_steps."""
    raise NotImplementedError
''',
        oracle=moments_after,
        twin=moments_by_recursion,
        cases=moment_cases,
        wrong={
            "unbiased": Wrong(
                "you let the variance converge to that of the density; with a finite step it stays larger.",
                {"biased": False},
            ),
            "power": Wrong("a variance shrinks by the square of the factor of the mean.", {"power": 1}),
            "half": Wrong("the factor per step is wrong: the drift has alpha/2.", {"half": 1.0}),
        },
        hint="On a Gaussian a step is linear: find what it does to the mean and to the variance, and repeat it.",
        example=(
            "for a start at mean 1 and variance 0, the density N(0, 1), alpha = 1 and one step",
            {
                "mean": 1.0,
                "variance": 0.0,
                "target_mean": 0.0,
                "target_variance": 1.0,
                "step_size": 1.0,
                "num_steps": 1,
            },
        ),
    ),
    Exercise(
        id="stable-step",
        chapter=CHAPTER,
        goal="Return the step size above which chains on a Gaussian explode.",
        grade="check",
        minutes=5,
        stub='''
def largest_step(variances):
    """variances (D,), the eigenvalues of the covariance: the largest stable step size, a scalar."""
    raise NotImplementedError
''',
        oracle=largest_step,
        twin=largest_step_by_bisection,
        cases=stable_cases,
        wrong={
            "widest": Wrong("you let the widest direction decide; another one explodes first.", {"widest": True}),
            "two": Wrong(
                "at that step one direction forgets its start at once; longer steps are still stable.", {"factor": 2.0}
            ),
            "root": Wrong(
                "you compare alpha with a standard deviation; alpha has the unit of x squared.", {"root": True}
            ),
        },
        hint="In each direction a step multiplies by 1 - alpha / (2 variance). When is that below 1 in size?",
        example=("for the variances 1 and 4", {"variances": vector(1.0, 4.0)}),
    ),
    Question(
        id="langevin-half",
        chapter=CHAPTER,
        goal="Which step size forgets the start in a single step, on a Gaussian of standard deviation 0.3?",
        grade="check",
        minutes=2,
        key=lambda: 2 * 0.3**2,
        wrong={
            4 * 0.3**2: "that is the limit of stability: there the start returns with the other sign.",
            0.3**2: "half of the start is left after such a step.",
            2 * 0.3: "compare alpha with a variance: it has the unit of x squared.",
        },
        hint="Set the factor of the mean, 1 - alpha / (2 variance), to zero.",
    ),
    Question(
        id="langevin-eps",
        chapter=CHAPTER,
        goal="By which fraction is the variance too large at sigma = 0.01 with the step of the paper's code, 4e-5?",
        grade="check",
        minutes=2,
        key=lambda: 1 / (1 - 4e-5 / (4 * 0.01**2)) - 1,
        wrong={
            0.1: "that is the first order, alpha / (4 sigma^2); the exact fraction is a little more.",
            1 / (1 - 2e-5 / (4 * 0.01**2)) - 1: "that is the fraction for the step of the paper, 2e-5.",
            1 / (1 - 4e-5 / 0.01**2) - 1: "you compare alpha with sigma^2; the bound has a factor 4.",
            1 / (1 - 4e-5 / (4 * 0.01**2)): "that is the ratio of the variances, not the excess.",
        },
        hint="The chain ends with the variance sigma^2 / (1 - alpha / (4 sigma^2)).",
    ),
    Question(
        id="langevin-temperature",
        chapter=CHAPTER,
        goal="What is the standard deviation of the right-hand mode, of width 1, if each step has half of its noise?",
        grade="modify",
        minutes=10,
        key=lambda: 0.5,
        wrong={
            0.25: "that is the variance.",
            1.0: "less noise does not leave a mode as wide as it was.",
            math.sqrt(0.5): "the standard deviation falls with the noise itself, not with its root.",
        },
        hint="Write the step as a step of a different size, with a score that is longer by a factor.",
    ),
    Question(
        id="langevin-condition",
        chapter=CHAPTER,
        goal="How many steps does the wide direction take to forget by a factor 100, for the narrow width 0.1?",
        grade="modify",
        minutes=10,
        key=lambda: float(math.ceil(math.log(0.01) / math.log1p(-(0.1**2)))),
        wrong={
            46.0: "that grows like one over the narrow width; chains diffuse.",
            100.0: "that is the time for a factor e; a factor 100 takes longer.",
            230.0: "that is for a step of twice the size, which is at the limit of stability.",
        },
        hint="Per step the wide direction is multiplied by 1 - 0.01. After how many steps is 0.01 left?",
    ),
)
