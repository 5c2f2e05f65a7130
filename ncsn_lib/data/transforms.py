"""The paper's preparation of a batch."""

import math

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples

BEYOND = 0.5  # why, see check_unit_range


def unit_images(images: Tensor) -> Tensor:
    """Images in [0, 1]: uint8 ones divided by 255, of torch's default dtype, others as they are."""
    return images.to(torch.get_default_dtype()) / 255 if images.dtype == torch.uint8 else images


def check_unit_range(images: Tensor, name: str) -> None:
    """Raise `ValueError` if floating-point images, of any shape, leave [0, 1] by more than what sampling leaves.

    Samples carry the last level's noise and are not clamped: 64 of the book's `mnist_small_wide` go from -0.03 to 1.02,
    64 of `cifar10_small` from -0.16 to 1.16, and a network that trained less goes further. Images in [-1, 1] have
    pixels below -0.5, and those in 0 to 255 have some above 1.5, so that these bounds tell them apart.

    Args:
        images: of any type; those of whole numbers pass.
        name: what they are, as the message begins.

    Raises:
        ValueError: values that are no finite numbers, or from another range; the message gives it, and what to do.
    """
    if not images.is_floating_point() or not images.numel():
        return
    low, high = (float(value) for value in images.aminmax())
    if not math.isfinite(low + high):
        raise ValueError(f"{name} holds values that are NaN or infinite; leave those images out")
    if low >= -BEYOND and high <= 1 + BEYOND:
        return
    remedy = "scale them to [0, 1]"
    if low >= 0 and high <= 255:
        remedy = "divide by 255 or store as uint8"
    elif low >= -1 - BEYOND and high <= 1 + BEYOND:
        remedy = "use (x + 1) / 2"
    raise ValueError(f"{name} must be in [0, 1], got values from {low:g} to {high:g}; {remedy}")


def dequantize(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Spread each of 256 grey values over its interval, x * 255/256 + u/256 with u uniform (Song & Ermon 2019, code).

    Discrete values have no density; with the noise of one grey value they have one.

    Args:
        images: (B, *D) in [0, 1].
        generator: source of the draws.

    Returns:
        (B, *D) in [0, 1).
    """
    check_examples(images)
    u = torch.rand(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return images * (255 / 256) + u / 256


def random_flip(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Mirror each image left to right at even odds, (B, C, H, W) -> the same."""
    check_examples(images)
    flipped = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(flipped.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def random_shift(images: Tensor, max_shift: int, generator: torch.Generator | None = None) -> Tensor:
    """Shift each image by up to `max_shift` pixels along each side; zeros come in.

    Args:
        images: (B, C, H, W).
        max_shift: the largest shift, in pixels; each from -max_shift to max_shift is as likely.
        generator: source of the draws.

    Returns:
        (B, C, H, W) shifted images.
    """
    check_examples(images)
    check_count("max_shift", max_shift, minimum=0)
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, [max_shift] * 4)
    offsets = torch.randint(2 * max_shift + 1, (2, count, 1), generator=generator, device=images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)  # (B, H)
    columns = offsets[1] + torch.arange(width, device=images.device)  # (B, W)
    batch = torch.arange(count, device=images.device)[:, None, None]
    return padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
