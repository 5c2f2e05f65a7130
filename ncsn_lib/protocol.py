"""The one protocol, a score function, and the checks of arguments that every floor shares."""

import contextlib
import math
from collections.abc import Callable, Sequence
from numbers import Real

import torch
from torch import Tensor

ScoreFn = Callable[[Tensor, Tensor], Tensor]
"""A score model: `score_fn(x (B, *D), sigma (B,)) -> (B, *D)`, the gradient of a log-density in x."""


def evaluate_score(score_fn: ScoreFn, x: Tensor, sigma: Tensor) -> Tensor:
    """Call a score function and check what it takes and returns.

    Args:
        score_fn: the model.
        x: (B, *D) examples.
        sigma: (B,) noise levels, in the units of `x`.

    Returns:
        (B, *D) the score at `x`, in inverse units of `x`.

    Raises:
        TypeError: `sigma` or `x` is no floating-point tensor.
        ValueError: `sigma` is not (B,), or the score has another shape than `x`.
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
        TypeError: `sigma` or `x` is no floating-point tensor.
        ValueError: `sigma` is not (B,), or lives on another device than `x`.
    """
    check_examples(x)
    check_floating("sigma", sigma)
    if sigma.shape != x.shape[:1]:
        raise ValueError(
            f"sigma must be ({len(x)},), one noise level per example of x {tuple(x.shape)}, "
            f"got {tuple(sigma.shape)}; for one level use x.new_full((len(x),), sigma)"
        )
    check_device("sigma", sigma, x)
    return sigma.view(-1, *[1] * (x.ndim - 1))


def check_examples(x: Tensor) -> None:
    """Raise unless `x` is a floating-point batch (B, *D) with at least one data dimension."""
    check_floating("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must be (B, *D), a batch of examples, got {tuple(x.shape)}; for one use x[None]")


def check_floating(name: str, value: Tensor) -> None:
    """Raise `TypeError` unless `value` is a floating-point tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {value.dtype}; use {name}.float()")


def check_device(name: str, value: Tensor, x: Tensor) -> None:
    """Raise `ValueError` unless `value` is on the device of `x`."""
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device} but x is on {x.device}; move one with .to()")


def check_like(name: str, value: Tensor, shape: Sequence[int], x: Tensor) -> None:
    """Raise unless `value` is floating point, of the given shape, and on the device of `x`."""
    check_floating(name, value)
    if value.shape != torch.Size(shape):
        raise ValueError(f"{name} must be {tuple(shape)} to go with x {tuple(x.shape)}, got {tuple(value.shape)}")
    check_device(name, value, x)


def check_number(name: str, value: float) -> float:
    """Return `value` as a float if it is one real number; raise `TypeError` otherwise."""
    if isinstance(value, Real | Tensor) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, RuntimeError, OverflowError):  # several numbers, or too large a one
            return float(value)
    raise TypeError(f"{name} must be one number, got {value!r}")


def check_positive(name: str, value: float) -> float:
    """Return `value` as a float if it is finite and above zero; raise otherwise."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return number


def check_not_negative(name: str, value: float) -> float:
    """Return `value` as a float if it is finite and at least zero; raise otherwise."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    return number


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """Return `value` if it is a whole number of at least `minimum`; raise otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return value
