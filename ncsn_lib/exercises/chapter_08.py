"""Slow mixing of modes."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import ladder, randn, uniform, vector
from ncsn_lib.metrics.density import mode_mass

CHAPTER = "08_slow_mixing"


def eps_cases(generator: Generator) -> dict[str, Arguments]:
    levels, spread = ladder(generator), uniform(generator, 1).item()
    return {
        "five levels": {"sigmas": levels, "spread": spread},
        "narrow data": {"sigmas": levels, "spread": spread / 9},
    }


def largest_eps(
    sigmas: Tensor, spread: float, *, factor: float = 4.0, data: bool = True, add_stds: bool = False, last: bool = False
) -> Tensor:
    own = spread if data else 0.0
    variances = (sigmas + own) ** 2 if add_stds else sigmas**2 + own**2
    limits = factor * variances * sigmas[-1] ** 2 / sigmas**2
    return limits[-1] if last else limits.min()


def largest_eps_by_bisection(sigmas: Tensor, spread: float) -> float:
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        steps = [middle * (sigma / sigmas[-1].item()) ** 2 for sigma in sigmas.tolist()]
        pulls = [step / (2 * (spread**2 + sigma**2)) for step, sigma in zip(steps, sigmas.tolist(), strict=True)]
        low, high = (middle, high) if max(abs(1 - pull) for pull in pulls) < 1 else (low, middle)
    return low


def heat_cases(generator: Generator) -> dict[str, Arguments]:
    beta, narrow, wide = uniform(generator, 3, low=0.2, high=0.8).tolist()
    return {
        "the plane": {"dim": 2, "beta": beta, "narrow": narrow, "wide": 1 + wide},
        "five dimensions": {"dim": 5, "beta": 0.5 * beta, "narrow": narrow, "wide": 1 + wide},
    }


def heated_share(
    dim: int, beta: float, narrow: float, wide: float, *, heated: bool = True, total: bool = True, swap: bool = False
) -> float:
    exponent = (dim if total else 1) * (1 - beta if heated else 1)
    masses = wide**exponent, narrow**exponent
    return masses[0 if swap else 1] / sum(masses)


def heated_by_quadrature(dim: int, beta: float, narrow: float, wide: float) -> float:
    """The integral of each heated Gaussian, on a grid of one axis, to the power of the dimension."""
    masses = []
    for width in (narrow, wide):
        x = torch.linspace(-60, 60, 20_001, dtype=torch.float64)
        heated = torch.distributions.Normal(0.0, width).log_prob(x).mul(beta).exp()
        masses.append(torch.trapezoid(heated, x).item() ** dim)
    return masses[0] / sum(masses)


def mode_cases(generator: Generator) -> dict[str, Arguments]:
    return {"forty chains, three modes": {"x": 2 * randn(generator, 40, 2), "means": 1.5 * randn(generator, 3, 2)}}


def fractions_of_modes(x: Tensor, means: Tensor, *, soft: bool = False, counts: bool = False, axes: int = 2) -> Tensor:
    squares = (x[:, None, :axes] - means[:, :axes]).square().sum(2)  # (B, K)
    belongs = torch.softmax(-squares / 2, dim=1) if soft else (squares == squares.amin(1, keepdim=True)).to(x)
    return belongs.sum(0) if counts else belongs.mean(0)


ENTRIES: tuple[Exercise | Question, ...] = (
    Question(
        id="mixing-start",
        chapter=CHAPTER,
        goal="What proportion of chains that begin in the upper half of the square ends in the mode of weight 0.8?",
        grade="check",
        minutes=2,
        key=lambda: 0.75,
        wrong={
            0.5: "that is the proportion from the whole square.",
            0.8: "that is the weight of the mode; the chains do not find it, they keep where they began.",
            1.0: "the other basin reaches into the upper half as well.",
        },
        hint="Draw the half square and the line between the two basins. How much of it lies above?",
        rtol=0.04,
    ),
    Exercise(
        id="mixing-eps",
        chapter=CHAPTER,
        goal="Return the eps above which annealed Langevin dynamics explodes, for data of one standard deviation.",
        grade="modify",
        minutes=10,
        stub='''
def largest_eps(sigmas, spread):
    """sigmas (L,) decreasing, spread the data's standard deviation, a number: the limit of eps, a scalar."""
    raise NotImplementedError
''',
        oracle=largest_eps,
        twin=largest_eps_by_bisection,
        cases=eps_cases,
        wrong={
            "last": Wrong("that is the limit of the last level; another level explodes earlier.", {"last": True}),
            "data": Wrong("you leave out the data's own standard deviation: it widens every level.", {"data": False}),
            "two": Wrong(
                "at that eps a level forgets its start at once; a larger eps is still stable.", {"factor": 2.0}
            ),
            "add": Wrong(
                "you add standard deviations; for independent variables it is the variances that add.",
                {"add_stds": True},
            ),
        },
        hint="The step of level i is eps sigma_i^2 / sigma_L^2, and it has to stay below four variances.",
        example=("for the levels 2 and 1 and data of width 1", {"sigmas": vector(2.0, 1.0), "spread": 1.0}),
    ),
    Exercise(
        id="mixing-tempering",
        chapter=CHAPTER,
        goal="Return the proportion of the narrow one of two modes under p^beta, where p gives each a half.",
        grade="discover",
        minutes=60,
        stub='''
def heated_share(dim, beta, narrow, wide):
    """Two modes far apart in dim dimensions, with standard deviations narrow and wide: the narrow one's part."""
    raise NotImplementedError
''',
        oracle=heated_share,
        twin=heated_by_quadrature,
        cases=heat_cases,
        wrong={
            "equal": Wrong(
                "that is what blurring does; heating changes the weights of the modes.",
                answer=lambda dim, beta, narrow, wide: 0.5,
            ),
            "beta": Wrong("yours does not depend on beta: at beta = 1 each mode must have a half.", {"heated": False}),
            "dimension": Wrong(
                "that is for one dimension; the mass of a mode is a product over the axes.", {"total": False}
            ),
            "swap": Wrong("that is the proportion of the wide mode.", {"swap": True}),
        },
        hint="Integrate one Gaussian to the power beta over all of space, and see how the result depends on its width.",
        example=(
            "for one dimension, beta = 0 and the widths 1 and 3",
            {"dim": 1, "beta": 0.0, "narrow": 1.0, "wide": 3.0},
        ),
    ),
    Exercise(
        id="mixing-mass",
        chapter=CHAPTER,
        goal="Return the fraction of samples that is nearest to each mode.",
        grade="check",
        minutes=5,
        stub='''
def fractions_of_modes(x, means):
    """x (B, D) samples, means (K, D) modes: the fraction of the samples nearest to each mode, (K,)."""
    raise NotImplementedError
''',
        oracle=fractions_of_modes,
        twin=mode_mass,
        cases=mode_cases,
        wrong={
            "soft": Wrong(
                "you give each sample to several modes in part; count it for the nearest alone.", {"soft": True}
            ),
            "counts": Wrong("those are numbers of samples, not fractions.", {"counts": True}),
            "axis": Wrong("you compare the first coordinate alone.", {"axes": 1}),
        },
        hint="All distances between samples and modes first, (B, K); then the nearest mode of each sample.",
        example=(
            "for the samples 0, 1 and 9 and the modes 0 and 10",
            {"x": torch.tensor([[0.0], [1.0], [9.0]]).double(), "means": torch.tensor([[0.0], [10.0]]).double()},
        ),
    ),
)
