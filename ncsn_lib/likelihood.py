"""The log-likelihood of a score model, by its probability flow.

The flow `dx/dsigma = f = -sigma * score` carries data to noise and back, and along it the log-density changes by
`d log p / dsigma = -div f` (Chen et al. 2018, the instantaneous change of variables; Song et al. 2021, Eq. 39).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_floating, check_like, check_not_negative, check_positive
from ncsn_lib.protocol import ScoreFn, input_gradient
from ncsn_lib.samplers.ode import flow_slope, integrate


class Likelihood(NamedTuple):
    """What `log_likelihood` finds."""

    log_prob: Tensor
    """(B,) natural logarithms of the density, which has units of 1 / x^D."""
    standard_error: Tensor
    """(B,) standard errors of Hutchinson's estimate: 0 with the exact trace, not a number with one projection."""
    num_calls: int
    """How often the model was called; each call is followed by a backward pass for each projection."""


def log_likelihood(
    score_fn: ScoreFn,
    x: Tensor,
    sigma_max: float,
    sigma_min: float,
    *,
    projections: Tensor | None = None,
    prior: Callable[[Tensor], Tensor] | None = None,
    mean: float | Tensor = 0.0,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Likelihood:
    """The log-density that a model's probability flow gives to points (Song et al. 2021, Eq. 39).

    It is log p_max(x(sigma_max)) plus the integral of div f from `sigma_min` to `sigma_max`, along the path that begins
    at x: the density at `sigma_min`, of data with that much noise. SciPy's `solve_ivp` solves for path and integral at
    once. Each example's projections stay the same along its path (Grathwohl et al. 2019).

    Args:
        score_fn: the model, differentiable in x; each example must be treated by itself.
        x: (B, *D) points, at which the noise of `sigma_min` counts as part of the data.
        sigma_max: the level where the density is the prior's, in the units of `x`.
        sigma_min: the level of the density that is asked for, below `sigma_max`; 0 where the model has a score there.
        projections: (B, M, *D) directions v with `E[v v'] = I`, as `losses.rademacher_projections` draws them: the
            divergence is the mean of `v' grad f v` over them (Hutchinson 1989). By default it is exact, which costs D
            backward passes a call.
        prior: maps (B, *D) states at `sigma_max` to (B,) log-densities; by default that of N(mean, sigma_max^2 I),
            which leaves out the spread of the data, small beside `sigma_max`.
        mean: of the default prior, a number or a tensor that broadcasts against `x`.
        rtol: the error that a step may make, as a fraction of states and integral.
        atol: what is added to it.

    Returns:
        The log-densities, their standard errors over the projections and the number of calls. The solver's own error
        is not counted; to see it, ask for smaller tolerances.

    Raises:
        ArithmeticError: a score that is not finite, or steps that became too short.
        MissingPackageError: SciPy is not installed.
        ValueError: shapes that do not match, levels that do not increase, or a score with no gradient in x.
    """
    check_examples(x)
    sigma_min = check_not_negative("sigma_min", sigma_min)
    if check_positive("sigma_max", sigma_max) <= sigma_min:
        raise ValueError(f"sigma_max must be above sigma_min, got {sigma_max} and {sigma_min}")
    dim = x[0].numel()
    directions = projections
    if directions is None:
        directions = torch.eye(dim, dtype=x.dtype, device=x.device).view(1, dim, *x.shape[1:])
        directions = directions.expand(len(x), *directions.shape[1:])  # (B, D, *D)
    check_floating("projections", directions)
    check_like("projections", directions, (len(x), directions.shape[1], *x.shape[1:]), x)

    def slope(sigma: float, state: Tensor) -> Tensor:
        with torch.enable_grad():
            points = state[:, :dim].view(x.shape).detach().requires_grad_()
            flow = flow_slope(score_fn, points, sigma)
            along = [(flow * v).flatten(1).sum(1) for v in directions.unbind(1)]  # (B,) v' f
            parts = zip(along, directions.unbind(1), strict=True)
            divergences = [(input_gradient(value, points, "score_fn") * v).flatten(1).sum(1) for value, v in parts]
        return torch.cat([flow.flatten(1), torch.stack(divergences, 1)], 1).detach()

    start = torch.cat([x.flatten(1), x.new_zeros(directions.shape[:2])], 1)  # (B, D + M)
    states, _, num_calls = integrate(slope, start, sigma_min, sigma_max, rtol=rtol, atol=atol)
    last, integrals = states[-1, :, :dim].view(x.shape), states[-1, :, dim:]
    log_prior = _normal_log_prob(last, mean, sigma_max) if prior is None else prior(last)
    check_like("prior(x)", log_prior, x.shape[:1], x)
    if projections is None:
        return Likelihood(log_prior + integrals.sum(1), torch.zeros_like(log_prior), num_calls)
    num = integrals.shape[1]
    error = integrals.std(1) / num**0.5 if num > 1 else torch.full_like(log_prior, math.nan)
    return Likelihood(log_prior + integrals.mean(1), error, num_calls)


def _normal_log_prob(x: Tensor, mean: float | Tensor, sigma: float) -> Tensor:
    squared = (x - mean).flatten(1).square()
    return -0.5 * (squared / sigma**2 + math.log(2 * math.pi * sigma**2)).sum(1)


def bits_per_dim(log_prob: Tensor, dim: int, bins: int = 256) -> Tensor:
    """A log-density as bits per dimension of the discrete data it stands for (Theis et al. 2016).

    -log_prob / (D ln 2) + log2(bins). The data are whole numbers below `bins` made continuous: to each was added noise
    uniform in [0, 1) and the sum divided by `bins`, as `data.transforms.dequantize` does with images. Averaged over
    that noise it is an upper bound on the bits by which the discrete model codes a number.

    Args:
        log_prob: (B,) natural log-densities of the dequantised data, which lie in [0, 1).
        dim: D, the number of dimensions of an example.
        bins: how many values a number has; 256 for 8-bit images, 1 for data that are continuous.

    Returns:
        (B,) bits per dimension.

    Raises:
        ValueError: `dim` or `bins` below 1.
    """
    check_floating("log_prob", log_prob)
    return -log_prob / (check_count("dim", dim) * math.log(2)) + math.log2(check_count("bins", bins))
