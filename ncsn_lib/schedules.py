"""Noise levels: the ladder sigma_1 > ... > sigma_L, and the step sizes that follow from it.

The five techniques of Song & Ermon (2020), and where each is found:

1. the largest level: `suggest_sigma_max`;
2. the number of levels: `suggest_num_levels`, by `level_overlap`;
3. a network that knows the level only as a divisor of its output: `networks.NCSNv2`, and any other network f(x) as
   `forms.as_score_fn(lambda x, sigma: -f(x), "noise")`;
4. the step size: `suggest_step_size`;
5. averaged weights: `training.TrainingSettings`, its `ema_decay`.
"""

import bisect
import math
from typing import NamedTuple

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_floating, check_number, check_positive


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


def karras_sigmas(sigma_max: float, sigma_min: float, num_levels: int, rho: float = 7.0) -> Tensor:
    """Noise levels that are evenly spaced in sigma^(1/rho), largest first (Karras et al. 2022, Eq. 5).

    `sigma_i = (sigma_max^(1/rho) + (i - 1) / (L - 1) * (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho`. Their solvers
    take one step a level and a last one to sigma = 0, which is no level here.

    Args:
        sigma_max: the largest level sigma_1, in the units of the data; 80 in the paper, whose data have spread 0.5.
        sigma_min: the smallest level sigma_L, in the units of the data; 0.002 in the paper.
        num_levels: the number of levels L, at least 2.
        rho: 1 spaces the levels evenly, and as it grows they come close to geometric; 7 in the paper.

    Returns:
        (L,) strictly decreasing levels in torch's default dtype.

    Raises:
        ValueError: what `geometric_sigmas` refuses, or a rho that is not finite and positive.
    """
    first, last = geometric_sigmas(sigma_max, sigma_min, 2).double().tolist()
    power = 1 / check_positive("rho", rho)
    check_count("num_levels", num_levels, minimum=2)
    roots = torch.linspace(first**power, last**power, num_levels, dtype=torch.float64)
    return check_sigmas((roots**rho).to(torch.get_default_dtype()))


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


def suggest_sigma_max(images: Tensor, *, num_examples: int = 2000, generator: torch.Generator | None = None) -> float:
    """The largest distance between two examples, for the largest level (Song & Ermon 2020, Technique 1).

    Noise of that size joins any two examples, so that a chain can go from each to each.

    Args:
        images: (N, *D) examples, N at least 2, in the units that the network sees.
        num_examples: on how many of the examples, drawn at random, the distance is measured; at least 2.
        generator: draws them; torch's global one by default.

    Returns:
        The distance, in the units of the images; 0 if they are all alike.

    Raises:
        TypeError: `images` is no floating-point tensor.
        ValueError: one example only.
    """
    check_examples(images)
    check_count("the number of images", len(images), minimum=2)
    check_count("num_examples", num_examples, minimum=2)
    chosen = torch.randperm(len(images), generator=generator)[:num_examples].to(images.device)
    some = images[chosen].flatten(1)
    return torch.cdist(some, some).max().item()


def suggest_num_levels(
    sigma_max: float, sigma_min: float, dim: int, *, overlap: float = 0.5, max_ratio: float = 10 ** (2 / 9)
) -> int:
    """The smallest number of levels whose neighbours share enough of their noise (Song & Ermon 2020, Technique 2).

    Neighbours share at least `overlap`, by `level_overlap`, and are at most `max_ratio` apart. The latter counts in few
    dimensions, where Technique 2, which speaks of many, allows any ratio.

    Args:
        sigma_max: the largest level sigma_1, in the units of the data.
        sigma_min: the smallest level sigma_L, below `sigma_max`.
        dim: D, the number of dimensions of an example.
        overlap: the share of noise that neighbouring levels have in common, above 0 and at most 0.99.
        max_ratio: of a level and the next, above 1; by default that of the ladder of 2019, 10 levels from 1 to 0.01.

    Returns:
        L, for `geometric_sigmas`.

    Raises:
        ValueError: levels that do not decrease, or an overlap that no ladder has.
    """
    if not 0 < check_number("overlap", overlap) <= 0.99:
        raise ValueError(f"overlap must be above 0 and at most 0.99, got {overlap}; the paper advises 0.5")
    if not check_number("max_ratio", max_ratio) > 1:
        raise ValueError(f"max_ratio must be above 1, got {max_ratio}")
    first, last = geometric_sigmas(sigma_max, sigma_min, 2).tolist()

    def share(num_levels: int) -> float:
        ratio = (first / last) ** (1 / (num_levels - 1))
        return level_overlap(torch.tensor([ratio, 1.0], dtype=torch.float64), dim).item()

    apart = 1 + math.ceil(math.log(first / last) / math.log(max_ratio))
    return max(apart, 2 + bisect.bisect_left(range(2, 100_000), overlap, key=share))


def suggest_sigmas(
    images: Tensor,
    *,
    sigma_min: float = 0.01,
    overlap: float = 0.5,
    max_ratio: float = 10 ** (2 / 9),
    num_examples: int = 2000,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A ladder for a data set, geometric, by `suggest_sigma_max` and `suggest_num_levels` (Song & Ermon 2020).

    Args:
        images: (N, *D) examples, N at least 2, in the units that the network sees.
        sigma_min: the smallest level sigma_L, in the units of the images; at 0.01 the noise is invisible in [0, 1].
        overlap: the share of noise that neighbouring levels have in common, above 0 and at most 0.99.
        max_ratio: of a level and the next, above 1; by default that of the ladder of 2019, 10 levels from 1 to 0.01.
        num_examples: on how many of the examples, drawn at random, the distance is measured; at least 2.
        generator: draws them; torch's global one by default.

    Returns:
        (L,) decreasing levels in torch's default dtype.

    Raises:
        TypeError: `images` is no floating-point tensor.
        ValueError: one example only, examples that are all alike or nearer to one another than `sigma_min`, or an
            overlap that no ladder has.
    """
    sigma_max = suggest_sigma_max(images, num_examples=num_examples, generator=generator)
    num_levels = suggest_num_levels(sigma_max, sigma_min, images[0].numel(), overlap=overlap, max_ratio=max_ratio)
    return geometric_sigmas(sigma_max, sigma_min, num_levels)


def suggest_step_size(sigmas: Tensor, num_steps: int) -> float:
    """The step size that leaves each level's samples with nearly that level's noise (Song & Ermon 2020, Technique 4).

    A level begins with the noise of the one above, gamma^2 in units of its own variance. With u = eps / sigma_L^2 a
    step multiplies that by (1 - u/2)^2 and adds u, so after T steps it is
    `(1 - u/2)^(2T) (gamma^2 - 1 / (1 - u/4)) + 1 / (1 - u/4)`. That is above 1 for every u up to 2; taken is the u
    where it is smallest. The paper's epsilon is half of ours, for its update is `x + alpha * score + sqrt(2 alpha) *
    noise`.

    Args:
        sigmas: (L,) decreasing noise levels, L at least 2; gamma is the largest ratio of neighbours.
        num_steps: T, the steps at each level.

    Returns:
        eps, for `langevin_step_sizes`, in squared units of the data.

    Raises:
        ValueError: `sigmas` is no ladder or has one level only, `num_steps` below 1.
    """
    check_sigmas(sigmas)
    check_count("the number of levels in sigmas", len(sigmas), minimum=2)
    num_steps, levels = check_count("num_steps", num_steps), sigmas.double()
    start = ((levels[:-1] / levels[1:]).max() ** 2).item()

    def left(u: float) -> float:
        limit = 1 / (1 - u / 4)
        return (1 - u / 2) ** (2 * num_steps) * (start - limit) + limit

    low, high = 0.0, 2.0
    while high - low > 1e-9 * high:  # thirds: it falls, then it rises
        third = (high - low) / 3
        low, high = (low, high - third) if left(low + third) < left(high - third) else (low + third, high)
    return 0.5 * (low + high) * levels[-1].item() ** 2


class ScheduleReport(NamedTuple):
    """What a ladder and a step size do, by `explain_schedule`."""

    variances: Tensor
    """(L,) variance of the noise that is left at each level's end, over the level's own, sigma_i^2; 1 is right."""
    diverges: bool
    """Whether a step is too long: eps at least 4 sigma_L^2, and each step makes the noise larger."""
    overlaps: Tensor
    """(L - 1,) shares of noise that neighbouring levels have in common, by `level_overlap`; the paper advises 0.5."""
    num_calls: int
    """How often the network is called, L T."""


def explain_schedule(sigmas: Tensor, eps: float, num_steps: int, dim: int) -> ScheduleReport:
    """What annealed Langevin dynamics makes of the noise with a ladder and a step size, without running it.

    Computed for data that are one point, where it is exact: the score of level i is -x / sigma_i^2, and a step of size
    alpha takes the variance v to (1 - alpha / 2 sigma_i^2)^2 v + alpha (Song & Ermon 2020, Proposition 2). The first
    level begins with its own noise, sigma_1^2.

    Args:
        sigmas: (L,) decreasing noise levels.
        eps: the step size at the last level, as in `langevin_step_sizes`.
        num_steps: T, the steps at each level.
        dim: D, the number of dimensions of an example.

    Returns:
        The noise left at each level, whether it diverges, the levels' overlaps and the number of calls; in float64.

    Raises:
        ValueError: `sigmas` is no ladder, `eps` is not finite and positive, `num_steps` or `dim` below 1.
    """
    check_sigmas(sigmas)
    levels, num_steps = sigmas.double().tolist(), check_count("num_steps", num_steps)
    check_count("dim", dim)
    u = check_positive("eps", eps) / levels[-1] ** 2  # alpha_i / sigma_i^2, the same at every level
    variances, variance = [], levels[0] ** 2
    for level in levels:
        variance /= level**2
        for _ in range(num_steps):
            variance = (1 - u / 2) * (1 - u / 2) * variance + u
        variances.append(variance)
        variance *= level**2
    overlaps = level_overlap(sigmas, dim) if len(levels) > 1 else torch.empty(0, dtype=torch.float64)
    return ScheduleReport(torch.tensor(variances, dtype=torch.float64), u >= 4, overlaps, len(levels) * num_steps)
