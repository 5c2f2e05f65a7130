"""Inpainting: annealed Langevin dynamics with a part of each image given."""

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_device, check_examples, check_like
from ncsn_lib.generators import Generators, RandnLike, noise_source
from ncsn_lib.protocol import ScoreFn, evaluate_score
from ncsn_lib.samplers.annealed import denoising_step
from ncsn_lib.samplers.langevin import Callback, SamplerStep, langevin_step
from ncsn_lib.schedules import langevin_step_sizes

MASKS = ("left", "right", "top", "bottom", "box", "random")
"""The names of the masks."""


@torch.no_grad()
def inpaint(
    score_fn: ScoreFn,
    x: Tensor,
    known: Tensor,
    mask: Tensor,
    sigmas: Tensor,
    *,
    eps: float,
    num_steps: int,
    denoise: bool = False,
    renoise: bool = False,
    generator: Generators | None = None,
    randn_like: RandnLike | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Annealed Langevin dynamics that completes images (Song & Ermon 2019, appendix, the inpainting algorithm).

    At each level the known pixels are the given ones with noise of that level; after each step they are set to it
    again. So the rest is sampled as if the whole image were a noisy one that agrees with them.

    Args:
        score_fn: the model.
        x: (B, *D) starting states; what they hold at known pixels plays no part.
        known: (B, *D) images whose pixels are given where `mask` is true, clean.
        mask: (B, *D) or any shape that broadcasts to it, bool: true where a pixel is given.
        sigmas: (L,) decreasing noise levels, in the units of `x`.
        eps: the step size at the last level, as in `annealed_langevin_dynamics`.
        num_steps: the number of steps T at each level.
        denoise: end with a denoising step.
        renoise: draw the known pixels' noise anew after every step, as the authors did in 2020; otherwise once a level,
            as in 2019.
        generator: source of the draws: one, or a sequence of B, one for each example, by which a sample is the same in
            a batch of any size; torch's global one by default.
        randn_like: in place of a generator, draws unit normal noise shaped like its argument, for replays: for the
            known pixels, then for the step.
        callback: is called with a `SamplerStep` after each step.

    Returns:
        (B, *D) completed images, equal to `known` where `mask` is true.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: shapes or devices that do not match, a ladder that does not decrease, eps that is not positive.
    """
    check_examples(x)
    randn_like = noise_source(generator, randn_like)
    check_like("known", known, x.shape, x)
    mask = full_mask(mask, x)
    check_count("num_steps", num_steps)
    step_sizes = langevin_step_sizes(sigmas, eps).tolist()
    for level, (sigma, step_size) in enumerate(zip(sigmas.tolist(), step_sizes, strict=True)):
        labels = x.new_full((len(x),), sigma)
        given = known + sigma * randn_like(known)
        x = torch.where(mask, given, x)
        for step in range(num_steps):
            x = langevin_step(x, evaluate_score(score_fn, x, labels), step_size, randn_like(x))
            if renoise:
                given = known + sigma * randn_like(known)
            x = torch.where(mask, given, x)
            if callback is not None:
                callback(SamplerStep(x, level, step, sigma, step_size))
    return torch.where(mask, known, denoising_step(score_fn, x, sigma) if denoise else x)


def full_mask(mask: Tensor, x: Tensor) -> Tensor:
    """The mask in the shape of x, after the checks."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"mask must be a bool tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
    check_device("mask", mask, x)
    try:
        return mask.expand(x.shape)
    except RuntimeError as error:
        raise ValueError(f"mask must broadcast to x {tuple(x.shape)}, got {tuple(mask.shape)}") from error


def make_mask(name: str, shape: tuple[int, int], *, seed: int = 0) -> Tensor:
    """A mask for inpainting: what is given of each image.

    Args:
        name: left, right, top or bottom for that half; box for all but the middle; random for a fifth of the pixels.
        shape: (H, W) of the images.
        seed: of the random pixels.

    Returns:
        (H, W) bool, true where a pixel is given.

    Raises:
        ValueError: another name.
    """
    rows, columns = (torch.arange(size).float() / size for size in shape)
    middle = (rows - 0.5).abs()[:, None].maximum((columns - 0.5).abs()) <= 0.25
    masks = {
        "left": (columns < 0.5).expand(shape),
        "right": (columns >= 0.5).expand(shape),
        "top": (rows < 0.5)[:, None].expand(shape),
        "bottom": (rows >= 0.5)[:, None].expand(shape),
        "box": ~middle,
        "random": torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.2,
    }
    if name not in masks:
        raise ValueError(f"a mask must be {', '.join(MASKS)}, got {name!r}")
    return masks[name]
