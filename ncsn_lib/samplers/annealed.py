"""Annealed Langevin dynamics: Langevin dynamics down a ladder of noise levels."""

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples
from ncsn_lib.generators import Generators, RandnLike, noise_source
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.langevin import Callback, langevin_dynamics
from ncsn_lib.schedules import langevin_step_sizes


@torch.no_grad()
def annealed_langevin_dynamics(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    eps: float,
    num_steps: int,
    denoise: bool = False,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Annealed Langevin dynamics (Song & Ermon 2019, Algorithm 1).

    Runs `num_steps` of Langevin dynamics at each level with step size alpha_i = eps * sigma_i^2 / sigma_L^2,
    each level starting where the one before it ended.

    Args:
        score_fn: the model.
        x: (B, *D) starting states; the paper draws images uniformly in [0, 1].
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        eps: the step size at the last level, in squared units of `x`. The paper's epsilon, for the step
            `x + alpha/2 * score + sqrt(alpha) * noise`. The authors' image code steps
            `x + step_lr * score + sqrt(2 * step_lr) * noise`: for the same chain pass eps = 2 * step_lr.
        num_steps: the number of steps T at each level.
        denoise: end with x + sigma_L^2 * score, the mean of the clean data given x (Tweedie's formula).
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each of the L * T steps, not after the denoising.

    Returns:
        (B, *D) samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, eps that is not finite and positive, fewer than one step.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    step_sizes = langevin_step_sizes(sigmas, eps).tolist()
    for level, (sigma, step_size) in enumerate(zip(sigmas.tolist(), step_sizes, strict=True)):
        x = langevin_dynamics(
            score_fn,
            x,
            sigma,
            step_size=step_size,
            num_steps=num_steps,
            randn_like=randn_like,
            callback=callback and _at_level(callback, level),
        )
    return denoising_step(score_fn, x, sigma) if denoise else x


def _at_level(callback: Callback, level: int) -> Callback:
    """A callback that is told of the level, whose steps know of no other."""
    return lambda step: callback(step._replace(level=level))


@torch.no_grad()
def denoising_step(score_fn: ScoreFn, x: Tensor, sigma: float) -> Tensor:
    """The expected clean data given noisy data, x + sigma^2 * score (Tweedie's formula; Robbins 1956).

    Args:
        score_fn: the model.
        x: (B, *D) data with noise of standard deviation `sigma`.
        sigma: the noise level, in the units of `x`.

    Returns:
        (B, *D) denoised data.
    """
    return x + sigma**2 * evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
