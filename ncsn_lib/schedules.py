"""Noise levels: the ladder sigma_1 > ... > sigma_L, and the step sizes that follow from it."""

import math

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_floating, check_positive


def geometric_sigmas(sigma_max: float, sigma_min: float, num_levels: int) -> Tensor:
    """Noise levels in geometric progression, largest first (Song & Ermon 2019, Sec. 4.1).

    The ratio sigma_i / sigma_{i+1} is the same at every rung:
    `sigma_i = sigma_max * (sigma_min / sigma_max) ** ((i - 1) / (L - 1))`.

    Args:
        sigma_max: the largest level sigma_1, in the units of the data.
        sigma_min: the smallest level sigma_L, in the units of the data; below `sigma_max`.
        num_levels: the number of levels L, at least 2.

    Returns:
        (L,) strictly decreasing levels in torch's default dtype.

    Raises:
        ValueError: a level that is not finite and positive, an increasing ladder, L below 2,
            or so many levels that neighbours coincide in the default dtype.
    """
    sigma_max = check_positive("sigma_max", sigma_max)
    sigma_min = check_positive("sigma_min", sigma_min)
    check_count("num_levels", num_levels, minimum=2)
    if sigma_min >= sigma_max:
        raise ValueError(
            f"sigma_max must be above sigma_min, got sigma_max={sigma_max} and sigma_min={sigma_min}; "
            "the ladder goes down from the largest level"
        )
    logs = torch.linspace(math.log(sigma_max), math.log(sigma_min), num_levels, dtype=torch.float64)
    return check_sigmas(logs.exp().to(torch.get_default_dtype()))


def check_sigmas(sigmas: Tensor) -> Tensor:
    """Return `sigmas` if it is a ladder of noise levels: (L,), finite, positive, strictly decreasing.

    Args:
        sigmas: (L,) noise levels, L at least 1 (one rung is the single-sigma baseline).

    Returns:
        The same tensor.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: anything else; the message quotes the first offending level.
    """
    check_floating("sigmas", sigmas)
    if sigmas.ndim != 1 or len(sigmas) == 0:
        raise ValueError(f"sigmas must be (L,) with at least one level, got {tuple(sigmas.shape)}")
    levels = sigmas.tolist()
    for i, level in enumerate(levels):
        if not (math.isfinite(level) and level > 0):
            raise ValueError(f"sigmas must be finite and above 0, got sigmas[{i}] = {level}")
        if i and level >= levels[i - 1]:
            raise ValueError(
                f"sigmas must strictly decrease, got sigmas[{i - 1}] = {levels[i - 1]} "
                f"then sigmas[{i}] = {level}; sort with sigmas.sort(descending=True).values"
            )
    return sigmas


def langevin_step_sizes(sigmas: Tensor, eps: float) -> Tensor:
    """Step size of each level, alpha_i = eps * sigma_i^2 / sigma_L^2 (Song & Ermon 2019, Alg. 1, line 3).

    Args:
        sigmas: (L,) decreasing noise levels.
        eps: the step size at the last level, in squared units of the data. This is the paper's epsilon, for
            the update `x + alpha/2 * score + sqrt(alpha) * noise`; the authors' image code calls half of it
            `step_lr`.

    Returns:
        (L,) step sizes alpha_i; the last equals `eps`.

    Raises:
        ValueError: `sigmas` is no ladder, or `eps` is not finite and positive.
    """
    check_sigmas(sigmas)
    return check_positive("eps", eps) * (sigmas / sigmas[-1]) ** 2


def level_overlap(sigmas: Tensor, dim: int) -> Tensor:
    """How much of each level's noise lies where the level above was trained (Song & Ermon 2020, Technique 2).

    In many dimensions the noise of a level is nearly all at one distance from its example: the distance is about
    N(sqrt(D) sigma, sigma^2 / 2). Taken is the mass of level i+1 within three standard deviations of level i,
    `Phi(sqrt(2D) (gamma - 1) + 3 gamma) - Phi(sqrt(2D) (gamma - 1) - 3 gamma)` with gamma = sigma_i / sigma_{i+1}.
    The paper advises 0.5.

    Args:
        sigmas: (L,) decreasing noise levels, L at least 2.
        dim: D, the number of dimensions of an example.

    Returns:
        (L - 1,) shares between 0 and 1, in float64.

    Raises:
        ValueError: `sigmas` is no ladder or has one level only, `dim` below 1.
    """
    check_sigmas(sigmas)
    check_count("the number of levels in sigmas", len(sigmas), minimum=2)
    levels = sigmas.double()
    ratio = levels[:-1] / levels[1:]
    shift = math.sqrt(2 * check_count("dim", dim)) * (ratio - 1)
    # Upper tails by erfc: the lower ones would both be 1 to the computer, and ndtr has no digits below 1e-16.
    return 0.5 * (torch.erfc((shift - 3 * ratio) / math.sqrt(2)) - torch.erfc((shift + 3 * ratio) / math.sqrt(2)))
