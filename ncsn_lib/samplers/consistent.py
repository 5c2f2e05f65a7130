"""Consistent annealed sampling: denoise a little, add the noise of the next level, and so down the ladder."""

from collections.abc import Callable

import torch
from torch import Tensor

from ncsn_lib.protocol import ScoreFn, check_examples, check_positive, evaluate_score
from ncsn_lib.samplers.annealed import denoising_step
from ncsn_lib.samplers.langevin import Callback, SamplerStep
from ncsn_lib.schedules import check_sigmas


@torch.no_grad()
def consistent_annealed_sampling(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float,
    randn_like: Callable[[Tensor], Tensor] = torch.randn_like,
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
        randn_like: draws unit normal noise shaped like its argument.
        callback: is called with a `SamplerStep` after each level but the last, with the level that was left.

    Returns:
        (B, *D) denoised samples; `x` itself is left as it was.

    Raises:
        ValueError: a ladder that does not decrease, or an eta that would have to take noise away that is not there.
    """
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
    pairs = zip(levels.tolist(), levels.tolist()[1:], strict=False)
    for level, (sigma, following) in enumerate(pairs):
        score = evaluate_score(score_fn, x, x.new_full((len(x),), sigma))
        added = max(0.0, following**2 - (1 - eta) ** 2 * sigma**2)
        x = x + eta * sigma**2 * score + added**0.5 * randn_like(x)
        if callback is not None:
            callback(SamplerStep(x, level, 0, sigma, eta * sigma**2))
    return denoising_step(score_fn, x, levels[-1].item())
