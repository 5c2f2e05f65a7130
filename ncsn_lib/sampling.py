"""A trained run sampled: any number of images in the memory of a batch, on the way, between two others, completed."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.checks import check_count
from ncsn_lib.generators import noise_source, sample_generators
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.runs import Run
from ncsn_lib.samplers import SamplerStep, inpaint
from ncsn_lib.words import counted

Progress = Callable[[int], None]
"""Is called after each call of the network with the number of images in the batch."""


class NonFiniteSamplesError(ArithmeticError):
    """Samples hold NaN or infinite values; the message says at which noise level they left the finite ones."""


def sample_run(
    run: Run,
    num: int,
    *,
    classes: Sequence[int] | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int = 500,
    bfloat16: bool = False,
    callback: Progress | None = None,
) -> Tensor:
    """Images from a trained network by its recipe's sampler.

    Args:
        run: the network and its recipe.
        num: how many images.
        classes: those of the images, in turn: image n has `classes[n % len(classes)]`. By default the network is told
            none.
        seed: of the starting points and the noise; each image has draws of its own.
        first: the number of the first image: images 5 to 9 of a seed are `num=5, first=5`.
        batch_size: images sampled together; bounds the memory, and changes no draw.
        bfloat16: let the network's convolutions round to 16 bits.
        callback: is called after each call of the network with the number of images in the batch.

    Returns:
        (num, C, H, W) images on the CPU, in [0, 1] but for the sampler's noise: not clamped.

    Raises:
        ValueError: a recipe without a sampler, a number below 1, or classes that the network does not know.
    """
    batches = []
    for size in batch_sizes(num, batch_size):
        x, sigmas, generators = _begin(run, size, seed, first)
        network = _of_classes(run, classes, range(first, first + size))
        score_fn = _Watched(_rounded(network) if bfloat16 else network, callback)
        batches.append(score_fn.checked(run.recipe.sampler.sample(score_fn, x, sigmas, generator=generators)))
        first += size
    return torch.cat(batches)


def sample_trajectory(
    run: Run,
    num: int,
    *,
    num_frames: int = 50,
    classes: Sequence[int] | None = None,
    seed: int = 0,
    callback: Progress | None = None,
) -> Tensor:
    """The way from noise to images: states of the sampler, evenly spaced over its steps.

    Args:
        run: the network and its recipe.
        num: how many images, sampled together.
        num_frames: how many states, at least 2: the start, the end, and what lies between; fewer where the sampler has
            fewer.
        classes: as for `sample_run`.
        seed: of the starting points and the noise.
        callback: is called after each call of the network with `num`.

    Returns:
        (F, num, C, H, W) states on the CPU, not clamped; the last are the images of `sample_run`.

    Raises:
        ValueError: a recipe without a sampler, no images, or fewer than 2 frames.
    """
    check_count("num_frames", num_frames, minimum=2)
    last = run.recipe.sampler.num_steps_in_all(run.recipe.noise.num_levels)
    wanted = set(np.linspace(0, last, num_frames).round().astype(int).tolist()) - {0, last}
    frames, steps = [], 0

    def keep(step: SamplerStep) -> None:
        nonlocal steps
        steps += 1
        if steps in wanted:
            frames.append(step.x.cpu())

    start, sigmas, generators = _begin(run, num, seed)
    score_fn = _Watched(_of_classes(run, classes, range(num)), callback)
    end = score_fn.checked(run.recipe.sampler.sample(score_fn, start, sigmas, generator=generators, callback=keep))
    return torch.stack([start.cpu(), *frames, end])


def interpolate_run(run: Run, num: int, *, seed: int = 0, callback: Progress | None = None) -> Tensor:
    """Images between two samples, by mixing all random draws of the one with those of the other.

    Song & Ermon (2020), appendix: image k has the draws cos(t) z + sin(t) z' with t from 0 to pi / 2, which are unit
    normal whatever t is. The starting points are mixed in the same way around 1/2.

    Args:
        run: the network and its recipe.
        num: how many images, at least 2, the two ends among them.
        seed: of the draws of both ends, which are the first two images of `sample_run`.
        callback: is called after each call of the network with `num`.

    Returns:
        (num, C, H, W) images on the CPU, not clamped.

    Raises:
        ValueError: a recipe without a sampler, or fewer than 2 images.
    """
    check_count("num", num, minimum=2)
    ends, sigmas, generators = _begin(run, 2, seed)
    draw = noise_source(generators, None)
    angles = torch.linspace(0, math.pi / 2, num, device=ends.device).view(-1, 1, 1, 1)

    def mixed(draws: Tensor) -> Tensor:
        return angles.cos() * draws[:1] + angles.sin() * draws[1:]

    start, score_fn = 0.5 + mixed(ends - 0.5), _Watched(run.network, callback)
    return score_fn.checked(run.recipe.sampler.sample(score_fn, start, sigmas, randn_like=lambda x: mixed(draw(x[:2]))))


def inpaint_run(
    run: Run, known: Tensor, mask: Tensor, *, seed: int = 0, renoise: bool = False, callback: Progress | None = None
) -> Tensor:
    """Images completed by a trained network (Song & Ermon 2019, Fig. 6).

    Args:
        run: the network and its recipe.
        known: (B, C, H, W) images in [0, 1], given where `mask` is true; repeat one for several completions.
        mask: (H, W) or any shape that broadcasts to `known`, bool.
        seed: of the starting points and the noise.
        renoise: draw the given pixels' noise anew at every step (2020), not once a level (2019).
        callback: is called after each call of the network with the number of images.

    Returns:
        (B, C, H, W) images on the CPU, equal to `known` where it is given; not clamped.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: a recipe without a sampler, or shapes that do not match.
    """
    settings = run.recipe.sampler.inpainting
    x, sigmas, generators = _begin(run, len(known), seed)
    score_fn = _Watched(run.network, callback)
    done = inpaint(
        score_fn,
        x,
        known.to(x.device),
        mask.to(x.device),
        sigmas,
        eps=settings.eps,
        num_steps=settings.num_steps,
        denoise=settings.denoise,
        renoise=renoise,
        generator=generators,
    )
    return score_fn.checked(done)


def batch_sizes(num: int, batch_size: int) -> list[int]:
    """How many images each batch has, all `batch_size` but for the last."""
    check_count("num", num)
    check_count("batch_size", batch_size)
    return [min(batch_size, num - start) for start in range(0, num, batch_size)]


def to_bytes(images: Tensor) -> np.ndarray:
    """Images in [0, 1] clamped and rounded to 0 to 255, uint8."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _begin(run: Run, num: int, seed: int, first: int = 0) -> tuple[Tensor, Tensor, list[torch.Generator]]:
    """Starting states (num, C, H, W) of samples from number `first` on, the levels, and each sample's generator."""
    sampler, device = run.recipe.sampler, next(run.network.parameters()).device
    generators = sample_generators(seed, check_count("num", num), first=first, device=device)
    sigmas = run.recipe.noise.sigmas().to(device)
    return sampler.start((num, *run.recipe.image_shape), sigmas, generators), sigmas, generators


def _of_classes(run: Run, classes: Sequence[int] | None, numbers: range) -> ScoreFn:
    """The score of each image's class, where the images of these numbers have the classes in turn."""
    if classes is None:
        return run.network
    if "classes" not in inspect.signature(run.network.forward).parameters:
        raise ValueError(f"the network of {run.recipe.name} knows no classes; sample it without")
    own = torch.tensor([classes[number % len(classes)] for number in numbers])
    return partial(run.network, classes=own.to(next(run.network.parameters()).device))


class _Watched:
    """A score function that reports each call, and notes at which noise level a state was not finite any more."""

    def __init__(self, score_fn: ScoreFn, callback: Progress | None = None):
        self.score_fn, self.callback, self.left = score_fn, callback, torch.tensor(torch.nan)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        score = self.score_fn(x, sigma)
        # Noted on the device, so that a GPU need not wait for the host at each step.
        left, fine = self.left.to(sigma), (x.isfinite() & score.isfinite()).all()
        self.left = torch.where(left.isnan() & ~fine, sigma[0], left)
        if self.callback is not None:
            self.callback(len(x))
        return score

    def checked(self, samples: Tensor) -> Tensor:
        """The samples on the CPU; `NonFiniteSamplesError` unless all their values are finite."""
        samples = samples.cpu()
        bad = int((~samples.isfinite()).flatten(1).any(1).sum())
        if bad:
            where = "after the last noise level" if self.left.isnan() else f"at the noise level {self.left.item():.4g}"
            raise NonFiniteSamplesError(
                f"of {counted(len(samples), 'sample')}, {bad} left the finite numbers, first {where}; "
                "lower the step size `eps`, or train longer"
            )
        return samples


def _rounded(network: ScoreFn) -> ScoreFn:
    """The network under torch's autocast to 16 bits."""

    def score_fn(x: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return network(x, sigma).to(x.dtype)

    return score_fn
