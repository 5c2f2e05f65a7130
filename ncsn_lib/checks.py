"""Checks of arguments that every floor shares; each message quotes what arrived."""

import contextlib
import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import SupportsIndex

import torch
from torch import Tensor


def check_examples(x: Tensor) -> None:
    """Raise unless `x` is a floating-point batch (B, *D) with at least one example and one data dimension."""
    check_floating("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must be (B, *D), a batch of examples, got {tuple(x.shape)}; for one use x[None]")
    if x.shape[0] == 0:  # not len(x), which would make an exported network one of this size only
        raise ValueError(f"x must hold at least one example, got {tuple(x.shape)}; leave empty batches out")


def check_image_batch(x: Tensor, channels: int, *, multiple: int = 1, minimum: int = 1) -> None:
    """Raise unless `x` is a floating-point batch (B, `channels`, H, W) of images of a size that a network takes."""
    check_examples(x)
    if x.ndim != 4 or x.shape[1] != channels or any(size % multiple or size < minimum for size in x.shape[2:]):
        raise ValueError(
            f"x must be (B, {channels}, H, W) with H and W multiples of {multiple} and at least {minimum}, "
            f"got {tuple(x.shape)}; pad or resize the images"
        )


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


def check_dtype(name: str, value: Tensor, x: Tensor) -> None:
    """Raise `TypeError` unless `value` has the dtype of `x`."""
    if value.dtype != x.dtype:
        raise TypeError(f"{name} is {value.dtype} but x is {x.dtype}; convert one with .to()")


def check_like(name: str, value: Tensor, shape: Sequence[int], x: Tensor) -> None:
    """Raise unless `value` is floating point, of the given shape, and of the device and dtype of `x`."""
    check_floating(name, value)
    if value.shape != torch.Size(shape):
        raise ValueError(f"{name} must be {tuple(shape)} to go with x {tuple(x.shape)}, got {tuple(value.shape)}")
    check_device(name, value, x)
    check_dtype(name, value, x)


def check_labels(name: str, labels: Tensor, x: Tensor) -> None:
    """Raise unless `labels` are (B,) integers, one for each of the examples `x` (B, *D), on their device."""
    if not isinstance(labels, Tensor) or labels.dtype not in (torch.int64, torch.int32):
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"{name} must be an int64 or int32 tensor, got {got}; use {name}.long()")
    if labels.shape != x.shape[:1]:
        raise ValueError(f"{name} must be ({len(x)},) to go with x {tuple(x.shape)}, got {tuple(labels.shape)}")
    check_device(name, labels, x)


def has_values(x: Tensor) -> bool:
    """Whether a check can look at the numbers of `x`: not while torch compiles, and not inside `torch.func`."""
    return not (torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x))


def check_number(name: str, value: float | Tensor) -> float:
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


def check_not_negative(name: str, value: float | Tensor) -> float:
    """Return `value` as a float if it is finite and at least zero; raise otherwise."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    return number


def check_probability(name: str, value: float) -> float:
    """Return `value` as a float if it is from 0 to 1; raise otherwise."""
    number = check_number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")
    return number


def check_count(name: str, value: SupportsIndex, minimum: int = 1) -> int:
    """Return `value` as an int if it is an integer of any type of at least `minimum`; raise otherwise."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            count = operator.index(value)
            if count >= minimum:
                return count
            raise ValueError(f"{name} must be at least {minimum}, got {count}")
    raise TypeError(f"{name} must be an int, got {value!r}")


def check_seed(name: str, value: SupportsIndex) -> int:
    """Return `value` as an int if it can seed a generator, from 0 to 2^63 - 1; raise otherwise."""
    seed = check_count(name, value, minimum=0)
    if seed >= 2**63:
        raise ValueError(f"{name} must be below 2^63, got {seed}")
    return seed
