"""The one protocol, a score function."""

from typing import Protocol

import torch
from torch import Tensor

from ncsn_lib.checks import check_device, check_dtype, check_examples, check_floating, check_labels, has_values

NO_CLASS = -1
"""The class of an example whose class a conditional score function is not told."""


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


def per_example(sigma: Tensor, x: Tensor, *, name: str = "sigma") -> Tensor:
    """Reshape one noise level per example so that it broadcasts against the examples.

    Args:
        sigma: (B,) noise levels, in the units of `x`.
        x: (B, *D) examples, floating point.
        name: what messages call `sigma`.

    Returns:
        (B, 1, ..., 1) view of `sigma` with as many dimensions as `x`.

    Raises:
        TypeError: `sigma` or `x` is no floating-point tensor, or they differ in dtype.
        ValueError: an empty batch, `sigma` is not (B,), or lives on another device than `x`.
    """
    check_examples(x)
    check_floating(name, sigma)
    if sigma.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must be ({len(x)},), one noise level per example of x {tuple(x.shape)}, "
            f"got {tuple(sigma.shape)}; for one level use x.new_full((len(x),), {name})"
        )
    check_device(name, sigma, x)
    check_dtype(name, sigma, x)
    return sigma.view(-1, *[1] * (x.ndim - 1))


def check_classes(classes: Tensor, num_classes: int, x: Tensor) -> Tensor:
    """Return the classes (B,) of the examples `x` (B, *D) if each is from 0 to K - 1, or NO_CLASS.

    Args:
        classes: (B,) integers.
        num_classes: K.
        x: (B, *D) examples.

    Returns:
        The same tensor.

    Raises:
        TypeError: classes that are no integer tensor.
        ValueError: another number of them than examples, another device, or, on a CPU, where reading them costs
            nothing, a class that there is not.
    """
    check_labels("classes", classes, x)
    if x.device.type == "cpu" and has_values(classes):
        for number in classes[(classes < NO_CLASS) | (classes >= num_classes)].tolist():
            raise ValueError(f"classes must be from 0 to {num_classes - 1}, or {NO_CLASS} for none, got {number}")
    return classes


def input_gradient(values: Tensor, x: Tensor, name: str, *, create_graph: bool = False) -> Tensor:
    """The gradient of each example's value in that example.

    Args:
        values: (B,) computed from `x` with gradients enabled, each from its own example.
        x: (B, *D) examples that require a gradient.
        name: what computed the values, for the message.
        create_graph: let the gradients be differentiated in turn.

    Returns:
        (B, *D) gradients; the graph stays, for further ones.

    Raises:
        ValueError: values that do not depend on `x` as autograd sees it.
    """
    if not values.requires_grad:
        raise ValueError(f"{name} returned a value with no gradient in x; do not detach it or use no_grad inside")
    (gradient,) = torch.autograd.grad(
        values.sum(), x, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )
    return gradient
