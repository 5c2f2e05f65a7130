"""Few steps."""

from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import image_field, ladder, mixture, randn, uniform, vector
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.samplers import dpm_solver_2m, probability_flow_ode

CHAPTER = "24_few_steps"


def order_cases(generator: Generator) -> dict[str, Arguments]:
    steps = vector(5, 8, 20, 60)
    return {
        "order near 2": {"steps": steps, "errors": steps**-2 * uniform(generator, 4)},
        "order near 1": {"steps": steps, "errors": 0.3 / steps * uniform(generator, 4)},
    }


def measured_order(
    steps: Tensor, errors: Tensor, *, sign: int = -1, ends: bool = False, log_steps: bool = True, centred: bool = True
) -> Tensor:
    x, y = steps.log() if log_steps else steps, errors.log()
    if ends:
        return sign * (y[-1] - y[0]) / (x[-1] - x[0])
    x = x - x.mean() if centred else x
    return sign * (x * y).sum() / (x * x).sum()


def order_by_numpy(steps: Tensor, errors: Tensor) -> float:
    """Minus the slope by NumPy's least squares."""
    return -float(np.polyfit(np.log10(steps.numpy()), np.log10(errors.numpy()), 1)[0])


def heun_cases(generator: Generator) -> dict[str, Arguments]:
    sigma = uniform(generator, 3)
    return {
        "a mixture": {
            "score_fn": mixture(generator).score,
            "x": randn(generator, 3, 2),
            "sigma": sigma,
            "following": 0.6 * sigma,
        },
        "a field that is no gradient": {
            "score_fn": image_field(generator, 4),
            "x": randn(generator, 3, 4),
            "sigma": sigma,
            "following": 0.7 * sigma,
        },
    }


def heun_step(
    score_fn: ScoreFn,
    x: Tensor,
    sigma: Tensor,
    following: Tensor,
    *,
    half: float = 0.5,
    asked_at: str = "the next",
    scaled_by: str = "the next",
    twice: bool = False,
    sign: int = -1,
) -> Tensor:
    step = (following - sigma)[:, None]
    slope = sign * sigma[:, None] * score_fn(x, sigma)
    ahead = x + step * slope
    told = following if asked_at == "the next" else sigma
    scale = following if scaled_by == "the next" else sigma
    second = sign * scale[:, None] * score_fn(ahead, told)
    return (ahead if twice else x) + step * half * (slope + second)


def heun_by_library(score_fn: ScoreFn, x: Tensor, sigma: Tensor, following: Tensor) -> Tensor:
    """Each example by itself."""
    pairs = zip(x, torch.stack([sigma, following], 1), strict=True)
    return torch.cat([at_second(score_fn, point[None], levels, "heun") for point, levels in pairs])


def at_second(score_fn: ScoreFn, x: Tensor, levels: Tensor, method: Literal["euler", "heun"]) -> Tensor:
    """The state of the library's solver at the second of two levels."""
    states: list[Tensor] = []
    probability_flow_ode(score_fn, x, levels, method=method, callback=lambda step: states.append(step.x))
    return states[0]


def multistep_cases(generator: Generator) -> dict[str, Arguments]:
    x, denoised, before = randn(generator, 3, 4, 2)
    return {"three levels": {"x": x, "denoised": denoised, "before": before, "sigmas": ladder(generator, 3)}}


def multistep(
    x: Tensor,
    denoised: Tensor,
    before: Tensor,
    sigmas: Tensor,
    *,
    half: float = 0.5,
    in_logs: bool = True,
    sign: int = 1,
    kept: int = 2,
) -> Tensor:
    u = -sigmas.log() if in_logs else sigmas
    middle = denoised + sign * half * (u[2] - u[1]) / (u[1] - u[0]) * (denoised - before)
    ratio = (sigmas[2] / sigmas[1]) ** (kept / 2)
    return ratio * x + (1 - ratio) * middle


def multistep_by_library(x: Tensor, denoised: Tensor, before: Tensor, sigmas: Tensor) -> Tensor:
    """The state that the solver reaches when its model denoises to what is given; a fourth level lies behind."""
    told, states = iter([before, denoised, denoised, denoised]), [before]
    start = (sigmas[0] * x - (sigmas[0] - sigmas[1]) * before) / sigmas[1]  # which Euler's first step takes to x

    def score(state: Tensor, sigma: Tensor) -> Tensor:
        return (next(told) - state) / sigma[:, None] ** 2

    levels = torch.cat([sigmas, sigmas[-1:] / 2])
    dpm_solver_2m(score, start, levels, callback=lambda step: states.append(step.x))
    return states[2]


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="few-order",
        chapter=CHAPTER,
        goal="Return the order of a solver from its errors at several numbers of steps, by least squares.",
        grade="check",
        minutes=5,
        stub='''
def measured_order(steps, errors):
    """steps (N,) numbers of steps, errors (N,) at the end of the path: the order, a scalar."""
    raise NotImplementedError
''',
        oracle=measured_order,
        twin=order_by_numpy,
        cases=order_cases,
        wrong={
            "sign": Wrong("an order is positive where errors fall.", {"sign": 1}),
            "ends": Wrong("you use the first and the last point only; the line is fitted to all.", {"ends": True}),
            "steps": Wrong("take the logarithm of the numbers of steps, too.", {"log_steps": False}),
            "origin": Wrong("your line goes through the origin; centre the logarithms first.", {"centred": False}),
        },
        hint="The logarithm of C n^(-p) is log C - p log n, a line in log n.",
        example=("for errors 1 and 1/4 at 1 and 2 steps", {"steps": vector(1, 2), "errors": vector(1, 0.25)}),
    ),
    Exercise(
        id="few-heun",
        chapter=CHAPTER,
        goal="Take a step of Heun's method along the probability flow.",
        grade="modify",
        minutes=10,
        stub='''
def heun_step(score_fn, x, sigma, following):
    """x (B, D) at the level sigma (B,); following (B,) the next level, above 0: the state there, (B, D)."""
    raise NotImplementedError
''',
        oracle=heun_step,
        twin=heun_by_library,
        cases=heun_cases,
        wrong={
            "sum": Wrong("you add the two slopes; the step takes their mean.", {"half": 1.0}),
            "told": Wrong("the second slope asks the score at the next level.", {"asked_at": "this"}),
            "scaled": Wrong("the second slope is minus the next sigma times the score there.", {"scaled_by": "this"}),
            "twice": Wrong("the mean slope moves the state from which the step began.", {"twice": True}),
            "uphill": Wrong("the slope in sigma is minus sigma times the score.", {"sign": 1}),
        },
        hint="Take Euler's step, ask for the slope where it ends, and go back to take the mean of the two.",
        example=(
            "for unit Gaussian data, from sigma = 1 to 0.5",
            {
                "score_fn": lambda x, sigma: -x / (1 + sigma[:, None] ** 2),
                "x": vector(1.0)[None],
                "sigma": vector(1.0),
                "following": vector(0.5),
            },
        ),
    ),
    Exercise(
        id="few-multistep",
        chapter=CHAPTER,
        goal="Take a step of DPM-Solver++ (2M) from the denoised data of two levels.",
        grade="modify",
        minutes=10,
        stub='''
def multistep(x, denoised, before, sigmas):
    """x, denoised (B, D) at sigmas[1], before (B, D) denoised at sigmas[0]: the state at sigmas[2], (B, D)."""
    raise NotImplementedError
''',
        oracle=multistep,
        twin=multistep_by_library,
        cases=multistep_cases,
        wrong={
            "end": Wrong("you extrapolate to the end of the step, not to its middle.", {"half": 1.0}),
            "sigma": Wrong("the line is drawn in -log(sigma), not in sigma.", {"in_logs": False}),
            "back": Wrong("you extrapolate backwards, towards the level before.", {"sign": -1}),
            "variance": Wrong("the state keeps the ratio of the sigmas, not of their squares.", {"kept": 4}),
        },
        hint="Extrapolate the denoised data to the middle of the step; then step as if they were constant.",
        example=(
            "for levels 4, 2, 1, where each step has the same length",
            {
                "x": vector(2.0)[None],
                "denoised": vector(1.0)[None],
                "before": vector(0.0)[None],
                "sigmas": vector(4, 2, 1),
            },
        ),
    ),
)
