"""Annealed Langevin dynamics."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import ladder, mixture, randn, rows, uniform, vector
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.samplers import annealed_langevin_dynamics, consistent_annealed_sampling

CHAPTER = "10_annealed_langevin_dynamics"
RATIO = 100 ** (1 / 9)  # of the ten levels from 1 to 0.01


def anneal_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "three levels, two steps at each": {
            "score_fn": mixture(generator).score,
            "x": randn(generator, 4, 2),
            "sigmas": ladder(generator, 3),
            "eps": 0.02,
            "num_steps": 2,
            "noise": randn(generator, 6, 4, 2),
        }
    }


def anneal(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    eps: float,
    num_steps: int,
    noise: Tensor,
    *,
    power: int = 2,
    rising: bool = False,
    told: str = "its own",
    restart: bool = False,
) -> Tensor:
    start, draws = x, iter(noise)
    for level in sorted(range(len(sigmas)), reverse=rising):
        x = start if restart else x
        step_size = eps * (sigmas[level] / sigmas[-1]) ** power
        asked = {"its own": level, "the last": len(sigmas) - 1, "the next": min(level + 1, len(sigmas) - 1)}[told]
        for _ in range(num_steps):
            score = score_fn(x, sigmas[asked].expand(len(x)))
            x = x + step_size / 2 * score + step_size.sqrt() * next(draws)
    return x


def anneal_by_library(
    score_fn: ScoreFn, x: Tensor, sigmas: Tensor, eps: float, num_steps: int, noise: Tensor
) -> Tensor:
    draws = iter(noise)
    return annealed_langevin_dynamics(
        score_fn, x, sigmas, eps=eps, num_steps=num_steps, randn_like=lambda state: next(draws)
    )


def carried_cases(generator: Generator) -> dict[str, Arguments]:
    h, start = uniform(generator, 2, low=0.2, high=0.8).tolist()
    return {
        "five steps": {"sigmas": ladder(generator), "h": h, "num_steps": 5, "start": start},
        "one step": {"sigmas": ladder(generator), "h": h, "num_steps": 1, "start": 1.0},
    }


def noise_carried(
    sigmas: Tensor,
    h: float,
    num_steps: int,
    start: float,
    *,
    square: bool = True,
    rescaled: bool = True,
    first: int = 0,
) -> Tensor:
    carried = torch.tensor(start).double()
    for level in range(first, len(sigmas)):
        if level and rescaled:
            carried = carried * (sigmas[level - 1] / sigmas[level]) ** 2
        for _ in range(num_steps):
            carried = (1 - h / 2) ** (2 if square else 1) * carried + h
    return carried


def noise_carried_in_pixels(sigmas: Tensor, h: float, num_steps: int, start: float) -> Tensor:
    """In the units of the data, each level by its closed form."""
    variance = start * sigmas[0] ** 2
    for sigma in sigmas:
        limit = sigma**2 / (1 - h / 4)
        variance = limit + (1 - h / 2) ** (2 * num_steps) * (variance - limit)
    return variance / sigmas[-1] ** 2


def consistent_cases(generator: Generator) -> dict[str, Arguments]:
    x, score, noise = randn(generator, 3, 4, 2)
    sigma = uniform(generator, 1).item()
    part = {"x": x, "score": score, "sigma": sigma, "next_sigma": 0.8 * sigma}
    return {"six tenths": {**part, "eta": 0.6, "noise": noise}, "all of it": {**part, "eta": 1.0, "noise": noise}}


def consistent_move(
    x: Tensor,
    score: Tensor,
    sigma: float,
    next_sigma: float,
    eta: float,
    noise: Tensor,
    *,
    added: str = "variances",
    part: bool = True,
    power: int = 2,
) -> Tensor:
    kept = (1 - eta) * sigma
    missing = {"variances": math.sqrt(next_sigma**2 - kept**2), "deviations": next_sigma - kept, "all": next_sigma}
    return x + (eta if part else 1.0) * sigma**power * score + missing[added] * noise


def consistent_by_library(
    x: Tensor, score: Tensor, sigma: float, next_sigma: float, eta: float, noise: Tensor
) -> Tensor:
    """One level of the sampler; a score of zero at the end leaves its state as it is."""
    scores = iter([score, torch.zeros_like(score)])
    return consistent_annealed_sampling(
        lambda state, level: next(scores), x, vector(sigma, next_sigma), eta=eta, randn_like=lambda state: noise
    )


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="annealed-sampler",
        chapter=CHAPTER,
        goal="Run Algorithm 1 with the draws given.",
        grade="modify",
        minutes=15,
        stub='''
def anneal(score_fn, x, sigmas, eps, num_steps, noise):
    """score_fn(x, sigma (B,)), x (B, *D), sigmas (L,) decreasing, noise (L * num_steps, B, *D): samples, (B, *D)."""
    raise NotImplementedError
''',
        oracle=anneal,
        twin=anneal_by_library,
        cases=anneal_cases,
        wrong={
            "linear": Wrong(
                "your steps are in proportion to sigma_i; the ratio of signal to noise then differs by level.",
                {"power": 1},
            ),
            "constant": Wrong("you take the same step at every level: the first levels hardly move.", {"power": 0}),
            "rising": Wrong("you go up the ladder: the sampler begins at the largest level.", {"rising": True}),
            "last": Wrong("you ask for the score of the last level throughout.", {"told": "the last"}),
            "next": Wrong("you ask for the score of the level below the one where x is.", {"told": "the next"}),
            "restart": Wrong(
                "each of your levels begins anew; it has to begin where the one before ended.", {"restart": True}
            ),
        },
        hint="Two loops, the levels outside; the step size eps sigma_i^2 / sigma_L^2; one draw for each step.",
        example=(
            "for the score -x / sigma^2, the only level 1, x = 1, eps = 0.04 and the draw 1",
            {
                "score_fn": lambda x, sigma: -x / sigma[:, None] ** 2,
                "x": rows(1.0),
                "sigmas": vector(1.0),
                "eps": 0.04,
                "num_steps": 1,
                "noise": rows(1.0)[None],
            },
        ),
    ),
    Exercise(
        id="carried-noise",
        chapter=CHAPTER,
        goal="Return the variance of the noise that a chain carries after the last level, in units of sigma_L^2.",
        grade="modify",
        minutes=10,
        stub='''
def noise_carried(sigmas, h, num_steps, start):
    """sigmas (L,), step h sigma_i^2, start the variance at first in units of sigma_1^2: that at the end, a scalar."""
    raise NotImplementedError
''',
        oracle=noise_carried,
        twin=noise_carried_in_pixels,
        cases=carried_cases,
        wrong={
            "square": Wrong("a variance shrinks by the square of 1 - h/2.", {"square": False}),
            "units": Wrong("at each new level the old noise counts in units of a smaller sigma.", {"rescaled": False}),
            "first": Wrong("you leave out the first level.", {"first": 1}),
            "limit": Wrong(
                "that is the limit of many steps at a level; a few steps leave more.",
                answer=lambda sigmas, h, num_steps, start: 1 / (1 - h / 4),
            ),
        },
        hint="In units of sigma_i^2 a step multiplies the variance by (1 - h/2)^2 and adds h.",
        example=(
            "for the only level 1, h = 1, one step and the start 0",
            {"sigmas": vector(1.0), "h": 1.0, "num_steps": 1, "start": 0.0},
        ),
    ),
    Exercise(
        id="consistent-step",
        chapter=CHAPTER,
        goal="Go from one level to the next so that the noise is exactly that of the next level.",
        grade="modify",
        minutes=10,
        stub='''
def consistent_move(x, score, sigma, next_sigma, eta, noise):
    """x, score, noise (B, *D); eta the fraction of the noise that is removed: the states at next_sigma, (B, *D)."""
    raise NotImplementedError
''',
        oracle=consistent_move,
        twin=consistent_by_library,
        cases=consistent_cases,
        wrong={
            "deviations": Wrong(
                "you subtract standard deviations; what is missing is a variance.", {"added": "deviations"}
            ),
            "all": Wrong(
                "you add noise for the whole next level, although some of the old is still there.", {"added": "all"}
            ),
            "whole": Wrong("you take the whole denoising step; eta says which fraction of it.", {"part": False}),
            "unit": Wrong("the denoising step has sigma where a length needs sigma^2 times a score.", {"power": 1}),
        },
        hint="After the move the noise has the standard deviation (1 - eta) sigma. Which variance is missing?",
        example=(
            "for x = 1, the score -1, the levels 1 and 0.5, eta = 1 and z = 1",
            {"x": rows(1.0), "score": rows(-1.0), "sigma": 1.0, "next_sigma": 0.5, "eta": 1.0, "noise": rows(1.0)},
        ),
    ),
    Question(
        id="annealed-fewest",
        chapter=CHAPTER,
        goal="Which h is the step 6.2e-6 of NCSNv2's code, at sigma_L = 0.01?",
        grade="check",
        minutes=2,
        key=lambda: 2 * 6.2e-6 / 0.01**2,
        wrong={
            6.2e-6 / 0.01**2: "the code's step is half of alpha in our form.",
            6.2e-6 / 0.01**2 / 2: "you halved where the code's form has to be doubled.",
            2 * 6.2e-6 / 0.01: "h is a step in units of sigma^2.",
        },
        hint="Bring the code's step into the form of the paper, and divide it by sigma_L^2.",
    ),
    Question(
        id="annealed-mixed",
        chapter=CHAPTER,
        goal="What variance does a chain carry in the limit with h = 0.2, the paper's drift and the code's noise?",
        grade="check",
        minutes=2,
        key=lambda: 2 / (1 - 0.2 / 4),
        wrong={
            4.0: "doubling the variance of each draw does not double the standard deviation of the result.",
            1 / (1 - 0.2 / 4): "that is the limit of the right pair.",
            2.0: "the finite step adds to that.",
        },
        hint="Everything is linear: compare with the limit for the right pair.",
    ),
    Question(
        id="annealed-late",
        chapter=CHAPTER,
        goal="Above which h does the run explode, if the score is asked for the next level of the paper's ladder?",
        grade="modify",
        minutes=10,
        key=lambda: 4 / RATIO**2,
        wrong={
            4.0: "that is the limit if the score is asked for the right level.",
            4 * RATIO**2: "the score of the next level is steeper, so the limit falls.",
            4 / RATIO: "the score goes like 1/sigma^2.",
            2 / RATIO**2: "there the start is forgotten at once; it is stable beyond.",
        },
        hint="Find the factor a by which a step multiplies x; it must stay above -1.",
    ),
)
