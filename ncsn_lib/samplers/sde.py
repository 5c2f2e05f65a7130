"""Samplers that go down the ladder with draws: the reverse-time stochastic equation and its relatives.

Noise that grows in sigma from data is `dx = sqrt(d sigma^2 / dt) dw`. Run backwards it is
`dx = -(d sigma^2 / dt) score dt + sqrt(d sigma^2 / dt) dw` (Anderson 1982; Song et al. 2021, Eq. 6). Each sampler takes
one step a level and a last one to sigma = 0, which draws nothing: it denoises.
"""

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_not_negative, check_positive
from ncsn_lib.generators import Generators, RandnLike, noise_source
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.langevin import Callback, SamplerStep, langevin_step
from ncsn_lib.samplers.ode import flow_slope, steps_to_zero


@torch.no_grad()
def reverse_sde(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The reverse-time stochastic equation by Euler and Maruyama's method (Song et al. 2021, Eq. 46).

    A step goes from a level to the next by the difference v of their variances: `x + v * score + sqrt(v) * z`. The
    paper calls it the reverse diffusion sampler. It calls the model L times and is of weak order 1.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each step, with the level that was left.

    Returns:
        (B, *D) samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    for level, (sigma, following) in enumerate(steps_to_zero(sigmas)):
        x = _reverse_step(score_fn, x, sigma, following, randn_like)
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, sigma - following))
    return x


def _reverse_step(score_fn: ScoreFn, x: Tensor, sigma: float, following: float, randn_like: RandnLike) -> Tensor:
    variance = sigma**2 - following**2
    x = x + variance * evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
    return x + variance**0.5 * randn_like(x) if following > 0 else x


@torch.no_grad()
def predictor_corrector(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    snr: float = 0.16,
    num_corrector_steps: int = 1,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Predictor-corrector sampling: `reverse_sde` predicts, Langevin dynamics corrects (Song et al. 2021, Alg. 2).

    After each step, at the level that it reached, the chain takes M steps of Langevin dynamics. Their length follows
    from the draw z, by the paper's Algorithm 4: `epsilon = 2 (r ||z|| / ||score||)^2`, for each example by itself. The
    authors' code takes the means of both norms over the batch. The rule is made for many dimensions, where these norms
    hardly vary: in two, a step is far too long where the score is nearly 0. It calls the model L + (L - 1) M times.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        snr: r, the length of a correction's step along the score over the length of its noise; 0.16 on CIFAR-10 in the
            paper.
        num_corrector_steps: M, the corrections at each level; 0 leaves `reverse_sde`.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each level's corrections, with the level that was left.

    Returns:
        (B, *D) samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, an snr that is not positive, a negative number of corrections, or a
            score of 0, from which no step size follows.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    snr = check_positive("snr", snr)
    num_corrector_steps = check_count("num_corrector_steps", num_corrector_steps, minimum=0)
    for level, (sigma, following) in enumerate(steps_to_zero(sigmas)):
        x = _reverse_step(score_fn, x, sigma, following, randn_like)
        for _ in range(num_corrector_steps if following > 0 else 0):
            score, noise = evaluate_score(score_fn, x, x.new_full((len(x),), following)), randn_like(x)
            ratio = noise.flatten(1).norm(dim=1) / score.flatten(1).norm(dim=1)
            x = langevin_step(x, score, 4 * (snr * ratio) ** 2, noise)  # alpha is twice the paper's epsilon
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, sigma - following))
    return x


@torch.no_grad()
def ancestral_sampling(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float = 1.0,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Ancestral sampling, DDPM's sampler in these letters (Ho et al. 2020, Alg. 2; Song et al. 2021, Eq. 47).

    Each step draws from the density of the next level given this one and the denoised data. With s and s2 for the two
    levels that is `x + (s^2 - s2^2) score + s2 sqrt(1 - s2^2 / s^2) z`. It is the Euler ancestral sampler of
    k-diffusion and diffusers. It calls the model L times.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        eta: how much of that noise is drawn anew, from 0 to 1; the rest is what the state has already. At 0 it is DDIM,
            `probability_flow_ode` by Euler's method (Song, Meng & Ermon 2021, Eq. 16).
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each step, with the level that was left.

    Returns:
        (B, *D) samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, or an eta that is not from 0 to 1.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    if check_not_negative("eta", eta) > 1:
        raise ValueError(f"eta must be from 0 to 1, got {eta}")
    for level, (sigma, following) in enumerate(steps_to_zero(sigmas)):
        drawn = eta * following * (1 - (following / sigma) ** 2) ** 0.5
        kept = (following**2 - drawn**2) ** 0.5
        x = x + (kept - sigma) * flow_slope(score_fn, x, sigma)
        if following > 0:
            x = x + drawn * randn_like(x)
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, sigma - following))
    return x
