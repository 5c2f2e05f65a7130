"""From ladders to differential equations."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import mixture, randn, rows, uniform, vector
from ncsn_lib.forms import vp_sigma
from ncsn_lib.samplers.sde import reverse_sde

CHAPTER = "22_ladders_to_equations"


def step_cases(generator: Generator) -> dict[str, Arguments]:
    density, sigma = mixture(generator), 1 + uniform(generator, 1).item()
    x, noise = 3 * randn(generator, 9, 2), randn(generator, 9, 2)
    score = density.score(x, sigma)
    return {"nine states": {"x": x, "score": score, "sigma": sigma, "following": 0.6 * sigma, "noise": noise}}


def reverse_step(
    x: Tensor,
    score: Tensor,
    sigma: float,
    following: float,
    noise: Tensor,
    *,
    drift: float = 1.0,
    power: int = 2,
    root: float = 0.5,
) -> Tensor:
    variance = sigma**power - following**power
    return x + drift * variance * score + variance**root * noise


def reverse_step_of_the_library(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """The first step of the sampler, as its callback sees it."""
    states: list[Tensor] = []
    reverse_sde(
        lambda x, sigma: score,
        x,
        torch.tensor([sigma, following], dtype=torch.float64),
        randn_like=lambda x: noise,
        callback=lambda step: states.append(step.x),
    )
    return states[0]


def vp_cases(generator: Generator) -> dict[str, Arguments]:
    return {"six steps": {"betas": uniform(generator, 6, low=0.05, high=0.4)}}


def levels_of(
    betas: Tensor, *, product: bool = True, root: bool = True, over: bool = True, first: bool = False
) -> Tensor:
    kept = torch.cumprod(1 - betas, 0) if product else 1 - betas.cumsum(0) / len(betas)
    if first:
        kept = 1 - betas
    variances = (1 - kept) / kept if over else 1 - kept
    return variances.sqrt() if root else variances


def levels_by_library(betas: Tensor) -> Tensor:
    return vp_sigma(torch.cumprod(1 - betas, 0))


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="equations-reverse",
        chapter=CHAPTER,
        goal="Return the state after one step of the reverse-time equation.",
        grade="check",
        minutes=5,
        stub='''
def reverse_step(x, score, sigma, following, noise):
    """x, its score at sigma, unit noise, all (B, D), and the level to reach: the state at that level, (B, D)."""
    raise NotImplementedError
''',
        oracle=reverse_step,
        twin=reverse_step_of_the_library,
        cases=step_cases,
        wrong={
            "half": Wrong("that is the drift of a Langevin step, which stays at its level.", {"drift": 0.5}),
            "levels": Wrong("variances add, not standard deviations: v is a difference of squares.", {"power": 1}),
            "root": Wrong("your noise has the wrong size: its variance is v, not v squared.", {"root": 1.0}),
        },
        hint="How does the reverse step differ from a Langevin step whose noise has the variance that is removed?",
        example=(
            "from x = 3 with score -1, from level 2 to 1, with the draw 1",
            {"x": rows(3.0), "score": rows(-1.0), "sigma": 2.0, "following": 1.0, "noise": rows(1.0)},
        ),
    ),
    Exercise(
        id="equations-levels",
        chapter=CHAPTER,
        goal="Return the noise levels of a variance-preserving chain, in the notation of this book.",
        grade="modify",
        minutes=10,
        stub='''
def levels_of(betas):
    """betas (K,) the noise of each step of a variance-preserving chain: sigma after each step, (K,)."""
    raise NotImplementedError
''',
        oracle=levels_of,
        twin=levels_by_library,
        cases=vp_cases,
        wrong={
            "first": Wrong(
                "you look at each step alone; the fraction that is data shrinks at every step.", {"first": True}
            ),
            "root": Wrong("those are variances; a level is a standard deviation.", {"root": False}),
            "over": Wrong(
                "that is the noise of the shrunken state; divide by the fraction that is data.", {"over": False}
            ),
        },
        hint="The fraction of the variance that is data is a product over the steps; the rest is noise.",
        example=("for a single step of 0.5", {"betas": vector(0.5)}),
    ),
    Question(
        id="equations-lag",
        chapter=CHAPTER,
        goal="How many times the change of variance must a Langevin step be, for a variance that is 10 % too large?",
        grade="check",
        minutes=2,
        key=lambda: 11.0,
        wrong={
            10.0: "at 10 the chain carries a ninth too much.",
            1.1: "at 1.1 it carries eleven times the variance.",
            1.0 / (1 - 1.1**-2): "that leaves a tenth too much in the standard deviation.",
        },
        hint="The chapter gives the variance of a chain that lags behind its ladder, as a function of c.",
    ),
)
