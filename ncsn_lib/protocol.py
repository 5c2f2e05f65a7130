"""The one protocol, a score function."""

from typing import Protocol

import torch
from torch import Tensor

from ncsn_lib.checks import check_device, check_dtype, check_examples, check_floating


class ScoreFn(Protocol):
    """A score model: any callable that takes examples and their noise levels and returns the scores."""

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        """`x` (B, *D) and `sigma` (B,) -> (B, *D), the gradient of a log-density in `x`."""


def evaluate_score(score_fn: ScoreFn, x: Tensor, sigma: Tensor) -> Tensor:
    """Call a score function and check what it takes and returns.

    Args:
        score_fn: the model.
        x: (B, *D) examples.
        sigma: (B,) noise levels, in the units of `x`.

    Returns:
        (B, *D) the score at `x`, in inverse units of `x`.

    Raises:
        TypeError: `sigma` or `x` is no floating-point tensor, or they differ in dtype.
        ValueError: an empty batch, `sigma` is not (B,), or the score has another shape than `x`.
    """
    per_example(sigma, x)
    score = score_fn(x, sigma)
    if score.shape != x.shape:
        raise ValueError(f"score_fn must return the shape of x {tuple(x.shape)}, got {tuple(score.shape)}")
    return score


def per_example(sigma: Tensor, x: Tensor) -> Tensor:
    """Reshape one noise level per example so that it broadcasts against the examples.

    Args:
        sigma: (B,) noise levels, in the units of `x`.
        x: (B, *D) examples, floating point.

    Returns:
        (B, 1, ..., 1) view of `sigma` with as many dimensions as `x`.

    Raises:
        TypeError: `sigma` or `x` is no floating-point tensor, or they differ in dtype.
        ValueError: an empty batch, `sigma` is not (B,), or lives on another device than `x`.
    """
    check_examples(x)
    check_floating("sigma", sigma)
    if sigma.shape != x.shape[:1]:
        raise ValueError(
            f"sigma must be ({len(x)},), one noise level per example of x {tuple(x.shape)}, "
            f"got {tuple(sigma.shape)}; for one level use x.new_full((len(x),), sigma)"
        )
    check_device("sigma", sigma, x)
    check_dtype("sigma", sigma, x)
    return sigma.view(-1, *[1] * (x.ndim - 1))


def input_gradient(values: Tensor, x: Tensor, name: str) -> Tensor:
    """The gradient of each example's value in that example.

    Args:
        values: (B,) computed from `x` with gradients enabled, each from its own example.
        x: (B, *D) examples that require a gradient.
        name: what computed the values, for the message.

    Returns:
        (B, *D) gradients; the graph stays, for further ones.

    Raises:
        ValueError: values that do not depend on `x` as autograd sees it.
    """
    if not values.requires_grad:
        raise ValueError(f"{name} returned a value with no gradient in x; do not detach it or use no_grad inside")
    (gradient,) = torch.autograd.grad(values.sum(), x, retain_graph=True, materialize_grads=True)
    return gradient
