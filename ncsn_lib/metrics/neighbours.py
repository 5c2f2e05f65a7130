"""Nearest neighbours: is a sample new, or a copy?"""

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_examples, check_like


def nearest_distances(x: Tensor, references: Tensor, *, batch_size: int = 1000) -> tuple[Tensor, Tensor]:
    """Euclidean distance of each example to its nearest reference.

    Args:
        x: (B, *D) examples.
        references: (N, *D) what to look in: the training set.
        batch_size: examples compared at once; bounds the memory.

    Returns:
        (B,) distances, in the units of `x`, and (B,) indices of the nearest references.

    Raises:
        ValueError: references of another shape.
    """
    check_examples(x)
    check_like("references", references, (len(references), *x.shape[1:]), x)
    nearest = torch.cat([torch.cdist(part.flatten(1), references.flatten(1)).argmin(1) for part in x.split(batch_size)])
    # Again and by subtraction: cdist multiplies matrices, and so finds an exact copy at a small distance, not at 0.
    return (x - references[nearest]).flatten(1).norm(dim=1), nearest


def nearest_neighbours(x: Tensor, references: Tensor, k: int = 5, *, batch_size: int = 1000) -> tuple[Tensor, Tensor]:
    """The k nearest references of each example, in Euclidean distance: of pixels, or of any features.

    Args:
        x: (B, *D) examples.
        references: (N, *D) what to look in: the training set.
        k: how many, at most N.
        batch_size: examples compared at once; bounds the memory.

    Returns:
        (B, k) distances, rising, in the units of `x`, and (B, k) indices of the references.

    Raises:
        ValueError: references of another shape, or fewer than k.
    """
    check_examples(x)
    check_like("references", references, (len(references), *x.shape[1:]), x)
    if check_count("k", k) > len(references):
        raise ValueError(f"k must be at most the number of references, {len(references)}, got {k}")
    flat = references.flatten(1)
    distances, indices = [], []
    for part in x.flatten(1).split(batch_size):
        nearest = torch.cdist(part, flat).topk(k, largest=False).indices  # (b, k)
        exact = (part[:, None] - flat[nearest]).norm(dim=2)  # by subtraction, as above
        order = exact.argsort(dim=1, stable=True)
        distances.append(exact.gather(1, order))
        indices.append(nearest.gather(1, order))
    return torch.cat(distances), torch.cat(indices)
