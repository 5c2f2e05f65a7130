"""Nearest neighbours: is a sample new, or a copy?"""

import torch
from torch import Tensor

from ncsn_lib.protocol import check_examples, check_like


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
