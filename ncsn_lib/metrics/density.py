"""How far samples and scores are from a density that is known."""

import torch
from torch import Tensor

from ncsn_lib.checks import check_examples, check_like, check_positive
from ncsn_lib.distributions import squared_distances
from ncsn_lib.losses import explicit_score_matching_loss
from ncsn_lib.protocol import ScoreFn


def mode_mass(x: Tensor, means: Tensor) -> Tensor:
    """Share of the samples that lie nearest to each mode.

    Args:
        x: (B, *D) samples.
        means: (K, *D) the modes.

    Returns:
        (K,) shares that sum to 1; all NaN if a sample is not finite.

    Raises:
        ValueError: modes of another shape than the samples.
    """
    check_examples(x)
    check_like("means", means, (len(means), *x.shape[1:]), x)
    if not x.isfinite().all():
        return means.new_full((len(means),), torch.nan)
    nearest = squared_distances(x, means).argmin(1)
    return torch.bincount(nearest, minlength=len(means)).to(x) / len(x)


@torch.no_grad()
def fisher_divergence(score_fn: ScoreFn, true_score_fn: ScoreFn, x: Tensor, sigma: Tensor) -> Tensor:
    """Monte-Carlo estimate of the Fisher divergence, E 1/2 ||s(x) - grad log p(x)||^2 over x ~ p.

    Args:
        score_fn: the model.
        true_score_fn: the density's score.
        x: (B, *D) samples of the density.
        sigma: (B,) noise levels handed to both.

    Returns:
        Scalar, in squared inverse units of `x`, summed over the data's dimensions.
    """
    return explicit_score_matching_loss(score_fn, x, sigma, true_score_fn(x, sigma)).mean()


def mmd_squared(x: Tensor, y: Tensor, *, bandwidth: float) -> Tensor:
    """Squared maximum mean discrepancy with a Gaussian kernel, unbiased (Gretton et al. 2012, Eq. 3).

    Args:
        x: (B, *D) samples, B at least 2.
        y: (N, *D) other samples, N at least 2.
        bandwidth: h of the kernel exp(-||x - y||^2 / 2h^2), in the units of the samples.

    Returns:
        Scalar; its expectation is 0 if both have one distribution, and it can fall below 0.

    Raises:
        ValueError: samples of different shape or fewer than two, or a bandwidth that is not positive.
    """
    check_examples(x)
    check_like("y", y, (len(y), *x.shape[1:]), x)
    check_positive("bandwidth", bandwidth)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"x and y must hold two samples or more, got {len(x)} and {len(y)}")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        # In double precision: matrix products lose the distance of points that are far from the origin.
        return torch.exp(-0.5 * (torch.cdist(a.flatten(1).double(), b.flatten(1).double()) / bandwidth) ** 2)

    def mean_of_pairs(a: Tensor) -> Tensor:
        return (kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1))  # without each sample with itself

    return (mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean()).to(x.dtype)
