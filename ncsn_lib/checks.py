"""Checks of arguments that every floor shares; each message quotes what arrived."""

import contextlib
import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor


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
