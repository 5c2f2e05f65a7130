"""What the cases are made of: draws, score-like fields in general position, mixtures."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.protocol import ScoreFn, per_example

Field = Callable[[Tensor], Tensor]  # (B, D) -> (B, D)


def randn(generator: Generator, *shape: int) -> Tensor:
    """Unit normal draws of double precision."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(generator: Generator, *shape: int, low: float = 0.3, high: float = 1.7) -> Tensor:
    """Draws between two bounds, of double precision."""
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def image_field(generator: Generator, dim: int = 12) -> ScoreFn:
    """A smooth field on images of `dim` pixels that depends on sigma, and is no gradient."""
    weight = 0.3 * randn(generator, dim, dim)
    return lambda x, sigma: torch.tanh(x.flatten(1) @ weight).view(x.shape) / per_example(sigma, x) - x


def plane_field(generator: Generator, dim: int = 4) -> Field:
    """A smooth field (B, D) -> (B, D) that is no gradient."""
    weight = randn(generator, dim, dim)
    return lambda x: torch.tanh(x @ weight) - 0.5 * x


def mixture(generator: Generator, dim: int = 2) -> GaussianMixture:
    """Three Gaussians of different standard deviation and weight."""
    return GaussianMixture(
        2 * randn(generator, 3, dim), torch.tensor([0.5, 0.8, 1.1]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    )


def jacobians(field: Field, x: Tensor) -> Tensor:
    """(B, D, D) derivatives ds_i/dx_j of a field (B, D) -> (B, D) at each example."""
    return torch.func.vmap(torch.func.jacrev(lambda point: field(point[None])[0]))(x)


def ladder(generator: Generator, num: int = 5) -> Tensor:
    """(L,) noise levels that fall, by ratios that differ."""
    return uniform(generator, num, low=0.4, high=0.8).cumprod(0) * 3


def rows(*values: float) -> Tensor:
    """One example (1, D) of double precision."""
    return torch.tensor([values], dtype=torch.float64)


def vector(*values: float) -> Tensor:
    """A vector of double precision."""
    return torch.tensor(values, dtype=torch.float64)


def slope_of(loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The derivative of a loss in the one parameter that it is a function of, as training needs it."""
    parameter = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(loss(parameter).sum(), parameter)[0]
