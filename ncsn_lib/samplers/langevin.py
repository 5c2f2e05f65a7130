"""Langevin dynamics: follow the score, add noise, repeat."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_like, check_not_negative, check_positive
from ncsn_lib.generators import Generators, RandnLike, noise_source, rand
from ncsn_lib.protocol import ScoreFn, evaluate_score, per_example


class SamplerStep(NamedTuple):
    """What a sampler's `callback` is handed after each step."""

    x: Tensor
    """(B, *D) the state after the step; the sampler's own tensor, clone it to keep it."""
    level: int
    """Index of the noise level, 0 for the largest."""
    step: int
    """Index of the step within its level, from 0."""
    sigma: float
    """The noise level."""
    step_size: float
    """The step size alpha; of a solver with one step a level, how far sigma goes down."""


Callback = Callable[[SamplerStep], None]
LogProbFn = Callable[[Tensor, Tensor], Tensor]
"""A log-density: `log_prob_fn(x (B, *D), sigma (B,)) -> (B,)`, up to a constant."""


def langevin_step(x: Tensor, score: Tensor, step_size: float | Tensor, noise: Tensor) -> Tensor:
    """One step of Langevin dynamics, x + alpha/2 * score + sqrt(alpha) * z (Song & Ermon 2019, Eq. 4).

    Args:
        x: (B, *D) current states.
        score: (B, *D) the score at `x`, in inverse units of `x`.
        step_size: alpha, in squared units of `x`, at least 0; one, or (B,) one for each example.
        noise: (B, *D) unit normal draws z.

    Returns:
        (B, *D) next states.

    Raises:
        ValueError: a step size that is negative or not finite.
    """
    if isinstance(step_size, Tensor) and step_size.ndim:
        check_like("step_size", step_size, x.shape[:1], x)
        if not ((step_size >= 0) & step_size.isfinite()).all():
            raise ValueError(f"step_size must be finite and at least 0, got {step_size.tolist()}")
        step_size = per_example(step_size, x)
    else:
        step_size = check_not_negative("step_size", step_size)
    return x + 0.5 * step_size * score + step_size**0.5 * noise


@torch.no_grad()
def langevin_dynamics(
    score_fn: ScoreFn,
    x: Tensor,
    sigma: float,
    *,
    step_size: float,
    num_steps: int,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Unadjusted Langevin dynamics at one noise level (Song & Ermon 2019, Eq. 4).

    As the step size goes to 0 and the number of steps to infinity the chain samples the density whose score
    it follows. At a finite step it has a bias: on N(0, s^2 I) its variance is
    s^2 / (1 - step_size / (4 s^2)), and it diverges from step_size = 4 s^2 on.

    Args:
        score_fn: the model.
        x: (B, *D) starting states.
        sigma: the noise level handed to the model, in the units of `x`; 0 for a density that takes none.
        step_size: alpha, in squared units of `x`.
        num_steps: the number of steps T.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each step.

    Returns:
        (B, *D) states after the last step; `x` itself is left as it was.

    Raises:
        ValueError: a step size that is not finite and positive, a negative sigma, fewer than one step, a
            score of another shape than x.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    step_size = check_positive("step_size", step_size)
    sigma = check_not_negative("sigma", sigma)
    levels = x.new_full((len(x),), sigma)
    for step in range(check_count("num_steps", num_steps)):
        x = langevin_step(x, evaluate_score(score_fn, x, levels), step_size, randn_like(x))
        if callback is not None:
            callback(SamplerStep(x, 0, step, sigma, step_size))
    return x


@torch.no_grad()
def metropolis_adjusted_langevin_dynamics(
    score_fn: ScoreFn,
    log_prob_fn: LogProbFn,
    x: Tensor,
    sigma: float,
    *,
    step_size: float,
    num_steps: int,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    rand_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Langevin dynamics with a Metropolis test after each step, MALA (Roberts & Tweedie 1996).

    A step of `langevin_dynamics` is proposed, and taken with probability
    min(1, p(y) q(x | y) / (p(x) q(y | x))); otherwise the chain stays where it is. So it keeps the density exactly,
    whatever the step size and however wrong the score. It takes what a score model does not give: the log-density.

    Args:
        score_fn: the model.
        log_prob_fn: maps (B, *D) states and (B,) noise levels to (B,) log-densities, up to a constant.
        x: (B, *D) starting states.
        sigma: the noise level handed to both, in the units of `x`; 0 for a density that takes none.
        step_size: alpha, in squared units of `x`.
        num_steps: the number of steps T.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        rand_like: the same of draws uniform in [0, 1), by which a proposal is taken or not.
        callback: is called with a `SamplerStep` after each step; a state that did not change was a refusal.

    Returns:
        (B, *D) states after the last step; `x` itself is left as it was.

    Raises:
        ValueError: a step size that is not finite and positive, a negative sigma, fewer than one step, a
            score of another shape than x, log-densities that are not (B,).
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    step_size = check_positive("step_size", step_size)
    sigma = check_not_negative("sigma", sigma)
    levels = x.new_full((len(x),), sigma)

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        log_prob = log_prob_fn(x, levels)
        check_like("log_prob_fn(x, sigma)", log_prob, x.shape[:1], x)
        return evaluate_score(score_fn, x, levels), log_prob

    score, log_prob = evaluate(x)
    for step in range(check_count("num_steps", num_steps)):
        y = langevin_step(x, score, step_size, randn_like(x))
        y_score, y_log_prob = evaluate(y)
        way_back = _log_proposal(x, y, y_score, step_size) - _log_proposal(y, x, score, step_size)
        # A ratio that is not a number, from a proposal thrown to infinity, counts as a refusal.
        uniform = rand(log_prob.shape, generator, like=log_prob) if rand_like is None else rand_like(log_prob)
        accepted = uniform.log() < y_log_prob - log_prob + way_back
        keep = accepted.view(-1, *[1] * (x.ndim - 1))
        x, score = torch.where(keep, y, x), torch.where(keep, y_score, score)
        log_prob = torch.where(accepted, y_log_prob, log_prob)
        if callback is not None:
            callback(SamplerStep(x, 0, step, sigma, step_size))
    return x


def _log_proposal(y: Tensor, x: Tensor, score: Tensor, step_size: float) -> Tensor:
    """(B,) log-density of a Langevin step from x, where the score is `score`, to y; without its constant."""
    return -(y - x - 0.5 * step_size * score).flatten(1).square().sum(1) / (2 * step_size)
