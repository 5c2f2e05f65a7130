"""A trained run sampled: any number of images in the memory of a batch, on the way, between two others, completed."""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.checks import check_count
from ncsn_lib.files import write_array, write_result
from ncsn_lib.generators import step_generator
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.runs import Run
from ncsn_lib.samplers import Callback, SamplerStep, inpaint

MASKS = ("left", "right", "top", "bottom", "box", "random")
"""The names of the masks."""
Progress = Callable[[int], None]
"""Is called after each call of the network with the number of images in the batch."""


def sample_run(
    run: Run,
    num: int,
    *,
    seed: int = 0,
    batch_size: int = 500,
    bfloat16: bool = False,
    callback: Progress | None = None,
) -> Tensor:
    """Images from a trained network by its recipe's sampler.

    Args:
        run: the network and its recipe.
        num: how many images.
        seed: of the starting points and the noise.
        batch_size: images sampled together; bounds the memory. Other sizes give other draws.
        bfloat16: let the network's convolutions round to 16 bits.
        callback: is called after each call of the network with the number of images in the batch.

    Returns:
        (num, C, H, W) images on the CPU, in [0, 1] but for the sampler's noise: not clamped.

    Raises:
        ValueError: a recipe without a sampler, or a number below 1.
    """
    sizes = batch_sizes(num, batch_size)
    return torch.cat(
        [_sample_batch(run, size, (seed, number), bfloat16, callback) for number, size in enumerate(sizes)]
    )


def sample_to_shards(
    run: Run,
    num: int,
    folder: Path,
    *,
    seed: int = 0,
    batch_size: int = 500,
    bfloat16: bool = False,
    callback: Progress | None = None,
) -> list[Path]:
    """Any number of images, a file for each batch, in the memory of one batch; goes on where it was cut.

    Args:
        run: the network and its recipe.
        num: how many images.
        folder: gets `shard-00000.npy` and so on, each (batch_size, C, H, W) uint8, and `samples.json`, which says of
            what network, how and with which seed. Shards that are there already are kept.
        seed: of the starting points and the noise.
        batch_size: images in a shard, sampled together.
        bfloat16: let the network's convolutions round to 16 bits.
        callback: is called after each call of the network with the number of images in the batch; for a shard that is
            kept, once, with all its calls.

    Returns:
        The shards, in order; rounded to 256 values, they hold the images that `sample_run` returns.

    Raises:
        ValueError: a recipe without a sampler, a number below 1, or a folder that holds samples of another network,
            batch size, seed or setting.
    """
    run.recipe.check_sampling()
    folder, sizes = Path(folder), batch_sizes(num, batch_size)
    record = {
        "recipe": run.recipe.to_dict(),
        "step": run.step,
        "network_sha256": fingerprint(run.network),
        "seed": seed,
        "batch_size": batch_size,
        "bfloat16": bfloat16,
        "device": next(run.network.parameters()).device.type,
    }
    _claim(folder, record)
    shards = [folder / f"shard-{number:05d}.npy" for number in range(len(sizes))]
    for number, (size, shard) in enumerate(zip(sizes, shards, strict=True)):
        if _holds(shard, size):
            if callback is not None:
                callback(size * run.recipe.sampling.num_calls(run.recipe.noise.num_levels))
            continue
        write_array(shard, to_bytes(_sample_batch(run, size, (seed, number), bfloat16, callback)))
    return shards


def sample_trajectory(run: Run, num: int, *, num_frames: int = 50, seed: int = 0) -> Tensor:
    """The way from noise to images: states of the sampler, evenly spaced over its steps.

    Args:
        run: the network and its recipe.
        num: how many images, sampled together.
        num_frames: how many states, at least 2: the start, the end, and what lies between; fewer where the sampler has
            fewer.
        seed: of the starting points and the noise.

    Returns:
        (F, num, C, H, W) states on the CPU, not clamped; the last are the samples.

    Raises:
        ValueError: a recipe without a sampler, no images, or fewer than 2 frames.
    """
    run.recipe.check_sampling()
    check_count("num_frames", num_frames, minimum=2)
    last = run.recipe.sampling.num_calls(run.recipe.noise.num_levels)
    wanted = set(np.linspace(0, last, num_frames).round().astype(int).tolist()) - {0, last}
    frames, calls = [], 0

    def keep(step: SamplerStep) -> None:
        nonlocal calls
        calls += 1
        if calls in wanted:
            frames.append(step.x.cpu())

    generator = _generator(run, (seed, 0))
    start = _start(run, num, generator)
    end = _sample(run, start, _randn_like(generator), run.network, keep)
    return torch.stack([start.cpu(), *frames, end.cpu()])


def interpolate_run(run: Run, num: int, *, seed: int = 0, callback: Progress | None = None) -> Tensor:
    """Images between two samples, by mixing all random draws of the one with those of the other.

    Song & Ermon (2020), appendix: image k has the draws cos(t) z + sin(t) z' with t from 0 to pi / 2, which are unit
    normal whatever t is. The starting points are mixed in the same way around 1/2.

    Args:
        run: the network and its recipe.
        num: how many images, at least 2, the two ends among them.
        seed: of the draws of both ends.
        callback: is called after each call of the network with `num`.

    Returns:
        (num, C, H, W) images on the CPU, not clamped.

    Raises:
        ValueError: a recipe without a sampler, or fewer than 2 images.
    """
    check_count("num", num, minimum=2)
    generator = _generator(run, (seed, 0))
    angles = torch.linspace(0, math.pi / 2, num, device=generator.device).view(-1, 1, 1, 1)

    def mixed(draws: Tensor) -> Tensor:
        return angles.cos() * draws[:1] + angles.sin() * draws[1:]

    draw = _randn_like(generator)
    start = 0.5 + mixed(_start(run, 2, generator) - 0.5)
    return _sample(run, start, lambda x: mixed(draw(x[:2])), _reporting(run.network, callback)).cpu()


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
    run.recipe.check_sampling()
    generator = _generator(run, (seed, 0))
    settings, sigmas = run.recipe.sampling.inpainting, run.recipe.noise.sigmas().to(generator.device)
    return inpaint(
        _reporting(run.network, callback),
        _start(run, len(known), generator),
        known.to(generator.device),
        mask.to(generator.device),
        sigmas,
        eps=settings.eps,
        num_steps=settings.num_steps,
        denoise=settings.denoise,
        renoise=renoise,
        randn_like=_randn_like(generator),
    ).cpu()


def make_mask(name: str, shape: tuple[int, int], *, seed: int = 0) -> Tensor:
    """A mask for inpainting: what is given of each image.

    Args:
        name: left, right, top or bottom for that half; box for all but the middle; random for a fifth of the pixels.
        shape: (H, W) of the images.
        seed: of the random pixels.

    Returns:
        (H, W) bool, true where a pixel is given.

    Raises:
        ValueError: another name.
    """
    rows, columns = (torch.arange(size).float() / size for size in shape)
    middle = (rows - 0.5).abs()[:, None].maximum((columns - 0.5).abs()) <= 0.25
    masks = {
        "left": (columns < 0.5).expand(shape),
        "right": (columns >= 0.5).expand(shape),
        "top": (rows < 0.5)[:, None].expand(shape),
        "bottom": (rows >= 0.5)[:, None].expand(shape),
        "box": ~middle,
        "random": torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.2,
    }
    if name not in masks:
        raise ValueError(f"a mask must be {', '.join(MASKS)}, got {name!r}")
    return masks[name]


def batch_sizes(num: int, batch_size: int) -> list[int]:
    """How many images each batch has, all `batch_size` but for the last."""
    check_count("num", num)
    check_count("batch_size", batch_size)
    return [min(batch_size, num - start) for start in range(0, num, batch_size)]


def to_bytes(images: Tensor) -> np.ndarray:
    """Images in [0, 1] clamped and rounded to 0 to 255, uint8."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def fingerprint(network: torch.nn.Module) -> str:
    """SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _claim(folder: Path, record: dict[str, Any]) -> None:
    """Write what a folder's samples are of, or check that it is this."""
    path = folder / "samples.json"
    if path.exists():
        there = _read_record(path)
        different = sorted(name for name in record if there.get(name) != record[name])
        if different:
            raise ValueError(f"{folder} holds other samples ({', '.join(different)} differ); choose another folder")
    else:
        write_result(path, record)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is no record of samples, or damaged; choose another folder")
    return record


def _holds(shard: Path, size: int) -> bool:
    """Whether a shard is there with all its images; one that was cut short, or of fewer images, is made again."""
    try:
        return len(np.load(shard, mmap_mode="r")) == size
    except (FileNotFoundError, ValueError, EOFError):
        return False


def _sample_batch(run: Run, size: int, seeds: tuple[int, int], bfloat16: bool, callback: Progress | None) -> Tensor:
    generator = _generator(run, seeds)
    score_fn = _reporting(_rounded(run.network) if bfloat16 else run.network, callback)
    return _sample(run, _start(run, size, generator), _randn_like(generator), score_fn).cpu()


def _sample(
    run: Run,
    x: Tensor,
    randn_like: Callable[[Tensor], Tensor],
    score_fn: ScoreFn,
    callback: Callback | None = None,
) -> Tensor:
    return run.recipe.sampling.sample(score_fn, x, run.recipe.noise.sigmas().to(x.device), randn_like, callback)


def _reporting(score_fn: ScoreFn, callback: Progress | None) -> ScoreFn:
    """A score function that says after each call how many images it was handed."""
    if callback is None:
        return score_fn

    def reporting(x: Tensor, sigma: Tensor) -> Tensor:
        score = score_fn(x, sigma)
        callback(len(x))
        return score

    return reporting


def _rounded(network: torch.nn.Module) -> ScoreFn:
    """The network under torch's autocast to 16 bits."""

    def score_fn(x: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return network(x, sigma).to(x.dtype)

    return score_fn


def _generator(run: Run, seeds: tuple[int, int]) -> torch.Generator:
    """The generator of a batch, from the seed and the batch's number."""
    return step_generator(*seeds, next(run.network.parameters()).device)


def _start(run: Run, num: int, generator: torch.Generator) -> Tensor:
    run.recipe.check_sampling()
    check_count("num", num)
    sigmas = run.recipe.noise.sigmas().to(generator.device)
    return run.recipe.sampling.start((num, *run.recipe.image_shape), sigmas, generator)


def _randn_like(generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
