"""Consistent annealed sampling: denoise a little, add the noise of the next level, and so down the ladder."""

from collections.abc import Callable

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples, check_like, check_positive
from ncsn_lib.generators import Generators, RandnLike, noise_source
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.annealed import denoising_step
from ncsn_lib.samplers.inpainting import full_mask
from ncsn_lib.samplers.langevin import Callback, SamplerStep
from ncsn_lib.schedules import check_sigmas


@torch.no_grad()
def consistent_annealed_sampling(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Consistent annealed sampling (Jolicoeur-Martineau et al. 2021), one call of the model a level.

    x + eta * sigma_i^2 * score leaves a share 1 - eta of the noise that x carries. To it is added just the noise
    that makes up sigma_{i+1}: variance sigma_{i+1}^2 - (1 - eta)^2 sigma_i^2. So the noise has at every level the
    amount that the model expects, which annealed Langevin dynamics reaches only after many steps. From the last
    level it denoises fully.

    Args:
        score_fn: the model.
        x: (B, *D) starting states, with noise of standard deviation sigma_1.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        eta: the share of the noise that a step takes away, above 0 and at most 1, at least
            1 - sigma_{i+1} / sigma_i at every level; 1 denoises fully and draws all noise anew.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays.
        callback: is called with a `SamplerStep` after each level but the last, with the level that was left.

    Returns:
        (B, *D) denoised samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, or an eta that would have to take noise away that is not there.
    """
    randn_like = noise_source(generator, randn_like)
    return _down_the_ladder(score_fn, x, sigmas, eta, randn_like, callback, lambda x, sigma: x)


def _down_the_ladder(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    eta: float,
    randn_like: RandnLike,
    callback: Callback | None,
    constrain: Callable[[Tensor, float], Tensor],
) -> Tensor:
    """Consistent annealed sampling whose states are put right by `constrain` when they reach a level."""
    check_examples(x)
    check_sigmas(sigmas)
    eta = check_positive("eta", eta)
    levels = sigmas.double()
    smallest = (1 - levels[1:] / levels[:-1]).max().item() if len(levels) > 1 else 0.0
    if not smallest - 1e-6 <= eta <= 1:
        raise ValueError(
            f"eta must be at most 1 and at least 1 - sigma_(i+1) / sigma_i = {smallest:.4g} on this ladder, got {eta}; "
            "a ladder with more levels allows a smaller one"
        )
    x = constrain(x, levels[0].item())
    pairs = zip(levels.tolist(), levels.tolist()[1:], strict=False)
    for level, (sigma, following) in enumerate(pairs):
        score = evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
        added = max(0.0, following**2 - (1 - eta) ** 2 * sigma**2)
        x = constrain(x + eta * sigma**2 * score + added**0.5 * randn_like(x), following)
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, eta * sigma**2))
    return denoising_step(score_fn, x, levels[-1].item())


@torch.no_grad()
def consistent_inpaint(
    score_fn: ScoreFn,
    x: Tensor,
    known: Tensor,
    mask: Tensor,
    sigmas: Tensor,
    *,
    eta: float,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Consistent annealed sampling that completes images: ours, with the known pixels held as in Song & Ermon (2019).

    On reaching a level the known pixels become the given ones with noise of that level, drawn anew. One call of the
    model a level; `inpaint` is the paper's own algorithm, of T calls a level. It draws approximately from the density
    given the known pixels: the rest was moved by other noise than they carry now.

    Args:
        score_fn: the model.
        x: (B, *D) starting states with noise of standard deviation sigma_1; at known pixels they play no part.
        known: (B, *D) images whose pixels are given where `mask` is true, clean.
        mask: (B, *D) or any shape that broadcasts to it, bool: true where a pixel is given.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        eta: the share of the noise that a step takes away, as in `consistent_annealed_sampling`.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays: for the
            known pixels of the first level, then for each step and the known pixels of the level that it reaches.
        callback: is called with a `SamplerStep` after each level but the last, with the level that was left.

    Returns:
        (B, *D) completed images, equal to `known` where `mask` is true.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: shapes or devices that do not match, a ladder or an eta that `consistent_annealed_sampling` refuses.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    check_like("known", known, x.shape, x)
    mask = full_mask(mask, x)

    def hold(x: Tensor, sigma: float) -> Tensor:
        return torch.where(mask, known + sigma * randn_like(known), x)

    return torch.where(mask, known, _down_the_ladder(score_fn, x, sigmas, eta, randn_like, callback, hold))
