"""Random generators: which one draws what, so that no draw depends on how the work is cut in batches."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.checks import check_seed

Generators = torch.Generator | Sequence[torch.Generator]
"""One generator for a batch, or one for each of its examples."""
RandnLike = Callable[[Tensor], Tensor]
"""Draws unit normal noise shaped like its argument."""
STEPS, SAMPLES = 1, 2
"""The streams of a seed: training draws from the one, sampling from the other."""


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The random generator of one training step, the same whenever the step is run."""
    return _generator((seed, STEPS, step), device)


def sample_generators(
    seed: int, num: int, *, first: int = 0, device: str | torch.device = "cpu"
) -> list[torch.Generator]:
    """A random generator for each sample, so that a sample is the same in a batch of any size.

    Args:
        seed: of them all, from 0 to 2^63 - 1.
        num: how many samples.
        first: the number of the first of them.
        device: where the samples are drawn; another kind of device gives other draws.

    Returns:
        Their `num` generators, to be handed to a sampler as `generator`.
    """
    check_seed("seed", seed)
    return [_generator((seed, SAMPLES, number), torch.device(device)) for number in range(first, first + num)]


def randn(shape: Sequence[int], generator: Generators | None, *, like: Tensor) -> Tensor:
    """Unit normal draws (B, *D) of the dtype and device of `like`; see `rand`."""
    return _draw(torch.randn, shape, generator, like)


def rand(shape: Sequence[int], generator: Generators | None, *, like: Tensor) -> Tensor:
    """Draws (B, *D) uniform in [0, 1), of the dtype and device of `like`.

    Args:
        shape: (B, *D).
        generator: one for all, or a sequence of B, one for each example; torch's global one by default.
        like: a tensor of the dtype and on the device that are wanted.

    Returns:
        (B, *D) draws.

    Raises:
        ValueError: another number of generators than B.
    """
    return _draw(torch.rand, shape, generator, like)


def noise_source(generator: Generators | None, randn_like: RandnLike | None) -> RandnLike:
    """What a sampler draws its noise by: the function that replays given draws, or unit normal draws of a generator.

    Raises:
        ValueError: both are given.
    """
    if generator is not None and randn_like is not None:
        raise ValueError("give a sampler generator or randn_like, not both: randn_like makes the draws itself")
    return randn_like or functools.partial(_randn_like, generator=generator)


def _randn_like(x: Tensor, generator: Generators | None) -> Tensor:
    return randn(x.shape, generator, like=x)


def _draw(function: Callable[..., Tensor], shape: Sequence[int], generator: Generators | None, like: Tensor) -> Tensor:
    how = {"dtype": like.dtype, "device": like.device}
    if generator is None or isinstance(generator, torch.Generator):
        return function(shape, generator=generator, **how)
    if len(generator) != shape[0]:
        raise ValueError(f"generator must be one, or one for each of the {shape[0]} examples, got {len(generator)}")
    return torch.stack([function(shape[1:], generator=own, **how) for own in generator])


def _generator(key: tuple[int, int, int], device: torch.device) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))
