"""The probability flow: an ordinary differential equation in sigma that carries noise to data without a draw.

Its states have at each sigma the density of the data perturbed at that sigma. With `x = data + sigma * noise` it is
`dx/dsigma = -sigma * score(x, sigma)` (Song et al. 2021, Eq. 13; Karras et al. 2022, Eq. 1).
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.langevin import Callback, SamplerStep
from ncsn_lib.schedules import check_sigmas


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


def steps_to_zero(sigmas: Tensor) -> list[tuple[float, float]]:
    """Each level of a ladder with the one that follows it; 0 follows the last."""
    return list(pairwise([*check_sigmas(sigmas).tolist(), 0.0]))


def flow_slope(score_fn: ScoreFn, x: Tensor, sigma: float) -> Tensor:
    """The slope dx/dsigma of the probability flow, (B, *D), which is the noise that the model sees in `x`."""
    return -sigma * evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
