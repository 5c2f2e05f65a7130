"""The probability flow: an ordinary differential equation in sigma that carries noise to data without a draw.

Its states have at each sigma the density of the data perturbed at that sigma. With `x = data + sigma * noise` it is
`dx/dsigma = -sigma * score(x, sigma)` (Song et al. 2021, Eq. 13; Karras et al. 2022, Eq. 1).
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples, check_not_negative, check_positive
from ncsn_lib.extras import need
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.annealed import denoising_step
from ncsn_lib.samplers.langevin import Callback, SamplerStep
from ncsn_lib.schedules import check_sigmas

RHO = 7
"""Steps that are chosen by their error are even in sigma^(1/RHO), as Karras' levels are by default."""


@torch.no_grad()
def probability_flow_ode(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    method: Literal["euler", "heun"] = "heun",
    callback: Callback | None = None,
) -> Tensor:
    """The probability flow by Euler's or Heun's method, one step a level and a last one to sigma = 0.

    Heun's is Karras et al. (2022), Algorithm 1 with their sigma(t) = t: a step of Euler, then once more from the same
    state with the mean of the slopes at its two ends. It is of order 2 and calls the model 2 L - 1 times. Euler's
    is of order 1, calls it L times, and is DDIM (Song, Meng & Ermon 2021) in these letters. The last step is Euler's
    with both, which denoises fully.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        method: heun or euler.
        callback: is called with a `SamplerStep` after each step, with the level that was left.

    Returns:
        (B, *D) samples, a function of `x` alone; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, or another method.
    """
    check_examples(x)
    if method not in ("euler", "heun"):
        raise ValueError(f"method must be heun or euler, got {method!r}")
    for level, (sigma, following) in enumerate(steps_to_zero(sigmas)):
        slope = flow_slope(score_fn, x, sigma)
        ahead = x + (following - sigma) * slope
        if method == "heun" and following > 0:
            slope = 0.5 * (slope + flow_slope(score_fn, ahead, following))
            ahead = x + (following - sigma) * slope
        x = ahead
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, sigma - following))
    return x


@torch.no_grad()
def dpm_solver_2m(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback | None = None,
) -> Tensor:
    """The probability flow by DPM-Solver++(2M), of order 2 with one call of the model a level (Lu et al. 2022, Alg. 2).

    Their lambda is -log(sigma) here. Were the denoised data D the same all along a step, its solution would be
    `ratio * x + (1 - ratio) * D`, with the ratio of the next sigma to this one. D is extrapolated from this level and
    the one before to the middle of the step, in lambda. The first step has none before and is Euler's, and so is the
    last one, to sigma = 0.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        callback: is called with a `SamplerStep` after each step, with the level that was left.

    Returns:
        (B, *D) samples, a function of `x` alone; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease.
    """
    check_examples(x)
    steps, previous = steps_to_zero(sigmas), x
    for level, (sigma, following) in enumerate(steps):
        denoised = denoising_step(score_fn, x, sigma)
        middle = denoised
        if 0 < level < len(steps) - 1:
            ahead, behind = math.log(sigma / following), math.log(steps[level - 1][0] / sigma)  # in lambda
            middle = denoised + 0.5 * ahead / behind * (denoised - previous)
        x = following / sigma * x + (1 - following / sigma) * middle
        previous = denoised
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, sigma - following))
    return x


@torch.no_grad()
def adaptive_probability_flow(
    score_fn: ScoreFn,
    x: Tensor,
    sigma_max: float,
    sigma_min: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    denoise: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """The probability flow by SciPy's `solve_ivp`, which chooses its steps (Song et al. 2021, Sec. 4.3).

    The method is Dormand and Prince's of order 5 (RK45), as in the paper. A step has one length for the whole batch,
    so that in another batch a sample is the same to the tolerance only.

    Args:
        score_fn: the model. How often it was called, it can count itself.
        x: (B, *D) starting states, with noise of standard deviation `sigma_max`.
        sigma_max: the noise level to begin at, in the units of `x`.
        sigma_min: the one to end at, below `sigma_max`; 0 where the model has a score there.
        rtol: the error that a step may make, as a fraction of the state.
        atol: what is added to it, in the units of `x`.
        denoise: end with x + sigma_min^2 * score, the mean of the clean data given x (Tweedie's formula).
        callback: is called with a `SamplerStep` for each step that was taken, after the last one, with the level that
            was left.

    Returns:
        (B, *D) samples, a function of `x` alone; `x` itself is left as it was.

    Raises:
        ArithmeticError: a score that is not finite, or steps that became too short.
        ValueError: levels that do not decrease, or a tolerance that is not positive.
    """
    check_examples(x)
    sigma_min = check_not_negative("sigma_min", sigma_min)
    if check_positive("sigma_max", sigma_max) <= sigma_min:
        raise ValueError(f"sigma_max must be above sigma_min, got {sigma_max} and {sigma_min}")
    states, sigmas, _ = integrate(
        lambda sigma, state: flow_slope(score_fn, state, sigma), x, sigma_max, sigma_min, rtol=rtol, atol=atol
    )
    for level, (sigma, following) in enumerate(pairwise(sigmas)):
        if callback is not None:
            callback(SamplerStep(states[level + 1], level, 0, sigma, sigma - following))
    return denoising_step(score_fn, states[-1], sigma_min) if denoise else states[-1]


def integrate(
    slope: Callable[[float, Tensor], Tensor], state: Tensor, start: float, end: float, *, rtol: float, atol: float
) -> tuple[Tensor, list[float], int]:
    """Solve dstate/dsigma = slope(sigma, state) from sigma = `start` to `end` by SciPy's `solve_ivp`.

    SciPy holds the root mean square of a step's error over all numbers below the tolerance, so in a large batch one
    example could be far above it. Here the tolerance is divided by sqrt(B), which holds each example's own below it.
    The steps are chosen in sigma^(1/7), as even as Karras' levels: in sigma itself, where a path is straight for long,
    steps grow so much that one leaps over the bend at the data's spread, and its error goes unseen.

    Args:
        slope: maps sigma and the state to the state's derivative, of its shape.
        state: (B, *D) the one at `start`; SciPy computes in double precision, the slope in that of the state.
        start: where to begin.
        end: where to end, above `start` or below it.
        rtol: the error that a step may make, as a fraction of the state.
        atol: what is added to it.

    Returns:
        (T + 1, B, *D) the states from the first to the last after T steps, the T + 1 sigmas they belong to, and how
        often `slope` was called.

    Raises:
        ArithmeticError: a slope that is not finite, or steps that became too short.
        MissingPackageError: SciPy is not installed.
    """
    solve_ivp = need("scipy.integrate", "ode", "an adaptive solver").solve_ivp

    def flat(root: float, values: Any) -> Any:
        sigma = min(max(root**RHO, low), high)
        found = slope(sigma, torch.from_numpy(values).to(state).view(state.shape))
        if not found.isfinite().all():  # SciPy would look for a shorter step for ever
            raise ArithmeticError(f"the score is not finite at sigma = {sigma:.6g}; begin or end elsewhere")
        return RHO * root ** (RHO - 1) * found.detach().flatten().cpu().double().numpy()

    low, high = sorted((start, end))
    both = {"rtol": check_positive("rtol", rtol), "atol": check_positive("atol", atol)}
    tolerances = {name: value / len(state) ** 0.5 for name, value in both.items()}
    roots = start ** (1 / RHO), end ** (1 / RHO)
    done = solve_ivp(flat, roots, state.detach().flatten().cpu().double().numpy(), **tolerances)
    if not done.success:
        raise ArithmeticError(f"the solver stopped at sigma = {done.t[-1] ** RHO:.6g}: {done.message}")
    sigmas = [start, *(done.t[1:-1] ** RHO).tolist(), end]
    return torch.from_numpy(done.y.T).to(state).view(-1, *state.shape), sigmas, done.nfev


def steps_to_zero(sigmas: Tensor) -> list[tuple[float, float]]:
    """Each level of a ladder with the one that follows it; 0 follows the last."""
    return list(pairwise([*check_sigmas(sigmas).tolist(), 0.0]))


def flow_slope(score_fn: ScoreFn, x: Tensor, sigma: float) -> Tensor:
    """The slope dx/dsigma of the probability flow, (B, *D), which is the noise that the model sees in `x`."""
    return -sigma * evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
