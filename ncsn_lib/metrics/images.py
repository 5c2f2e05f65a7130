"""Distances between sets of images by their features."""

import torch
from torch import Tensor

from ncsn_lib.protocol import check_examples, check_like


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
    check_like("y", y, (len(y), *x.shape[1:]), x)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"x and y must hold two examples or more, got {len(x)} and {len(y)}")
    x, y = x.flatten(1).double(), y.flatten(1).double()
    cov_x, cov_y = torch.atleast_2d(torch.cov(x.T)), torch.atleast_2d(torch.cov(y.T))
    # tr (C_x C_y)^(1/2) through the symmetric C_x^(1/2) C_y C_x^(1/2), which has the same eigenvalues.
    values, vectors = torch.linalg.eigh(cov_x)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_y @ root).clamp_min(0).sqrt().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross
    return max(0.0, distance.item())
