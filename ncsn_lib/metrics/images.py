"""Distances between sets of images by their features."""

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples, check_floating, check_like


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to two sets (Dowson & Landau 1982; Heusel et al. 2017).

    ||m_x - m_y||^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)), in double precision. With Inception's features it is
    the FID; with any others, pixels among them, it is not, and must not be called so. It shrinks with the number
    of images, so compare only numbers from sets of the same size.

    Args:
        x: (B, *F) features or pixels, B at least 2.
        y: (N, *F) features or pixels, N at least 2.

    Returns:
        The distance, at least 0, in squared units of the features.

    Raises:
        ValueError: features of different shape, or fewer than two of a set.
    """
    check_examples(x)
    check_floating("y", y)
    x, y = x.double(), y.double()
    check_like("y", y, (len(y), *x.shape[1:]), x)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"x and y must hold two examples or more, got {len(x)} and {len(y)}")
    x, y = x.flatten(1), y.flatten(1)
    cov_x, cov_y = torch.atleast_2d(torch.cov(x.T)), torch.atleast_2d(torch.cov(y.T))
    # tr (C_x C_y)^(1/2) through the symmetric C_x^(1/2) C_y C_x^(1/2), which has the same eigenvalues.
    values, vectors = torch.linalg.eigh(cov_x)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_y @ root).clamp_min(0).sqrt().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross
    return max(0.0, distance.item())


def seam_jump(images: Tensor, column: int | None = None) -> float:
    """How much grey changes across a cut: the mean absolute difference of the columns beside it.

    Args:
        images: (B, C, H, W), clamped to [0, 1]; for a cut between rows, hand them over transposed.
        column: the first column after the cut; the middle one by default.

    Returns:
        The mean over images, channels and rows. Compare it with that of real images at the same place.

    Raises:
        ValueError: a column without one before it, or one that is not there.
    """
    column = images.shape[-1] // 2 if column is None else column
    if not 0 < column < images.shape[-1]:
        raise ValueError(f"column must be from 1 to {images.shape[-1] - 1}, got {column}")
    images = images.clamp(0, 1)
    return (images[..., column] - images[..., column - 1]).abs().mean().item()


def mean_distance(x: Tensor) -> float:
    """The mean Euclidean distance between two of several examples, over all pairs: how different they are.

    Args:
        x: (B, *D) examples, B at least 2.

    Returns:
        The distance, in the units of `x`.

    Raises:
        ValueError: fewer than two examples.
    """
    check_examples(x)
    if len(x) < 2:
        raise ValueError(f"x must hold two examples or more, got {len(x)}")
    return torch.nn.functional.pdist(x.flatten(1)).mean().item()


def opponent_colours(images: Tensor) -> Tensor:
    """Colours as one brightness and two differences, an orthonormal change of axes, so that normal noise stays normal.

    (R + G + B) / sqrt(3), (R - B) / sqrt(2), (2 G - R - B) / sqrt(6): about the principal axes of the colours of
    natural images (Ohta et al. 1980).

    Args:
        images: (B, 3, H, W).

    Returns:
        (B, 3, H, W) brightness, red against blue, green against both.

    Raises:
        ValueError: images of other than three channels.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
    axes = images.new_tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    return torch.einsum("kc,bchw->bkhw", axes / axes.norm(dim=1, keepdim=True), images)


def power_spectrum(images: Tensor) -> Tensor:
    """Mean power of square images by spatial frequency, about the mean image.

    The squared size of the discrete Fourier transform, scaled so that it keeps lengths, as a mean over images and over
    the waves of a ring. So noise of standard deviation sigma has the power sigma^2 at every frequency.

    Args:
        images: (B, C, S, S) images, B at least 2.

    Returns:
        (C, S // 2 + 1) power of each channel, in squared units of the images, at 0, 1, ..., S // 2 waves across the
        image, each ring half a wave to either side.

    Raises:
        ValueError: fewer than two images, or images that are not square.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3] or len(images) < 2:
        raise ValueError(f"images must be (B, C, S, S), B at least 2, got {tuple(images.shape)}")
    size = images.shape[-1]
    deviations = images - images.mean(0)
    power = torch.fft.fft2(deviations, norm="ortho").abs().square().sum(0) / (len(images) - 1)  # (C, S, S)
    waves = torch.fft.fftfreq(size, 1 / size, device=images.device)
    ring = (waves[:, None].square() + waves.square()).sqrt().round().long()
    return torch.stack([power[:, ring == radius].mean(1) for radius in range(size // 2 + 1)], dim=1)
