"""Any number of samples in files, a batch at a time: gone on with where they were cut."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ncsn_lib.files import write_array, write_result
from ncsn_lib.runs import Run
from ncsn_lib.sampling import Progress, batch_sizes, sample_run, to_bytes


def sample_to_shards(
    run: Run,
    num: int,
    folder: Path,
    *,
    classes: Sequence[int] | None = None,
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
        classes: those of the images, in turn, as for `sample_run`.
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
    calls = run.recipe.calls_per_sample()
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
    if classes is not None:
        record["classes"] = list(classes)
    _claim(folder, record)
    shards = [folder / f"shard-{number:05d}.npy" for number in range(len(sizes))]
    sample = partial(
        sample_run, run, classes=classes, seed=seed, batch_size=batch_size, bfloat16=bfloat16, callback=callback
    )
    for number, (size, shard) in enumerate(zip(sizes, shards, strict=True)):
        if not _holds(shard, size):
            write_array(shard, to_bytes(sample(size, first=number * batch_size)))
        elif callback is not None:
            callback(size * calls)
    return shards


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of a network's weights."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _claim(folder: Path, record: dict[str, Any]) -> None:
    """Write what a folder's samples are of, or check that it is this."""
    path = folder / "samples.json"
    if path.exists():
        there = _read_record(path)
        different = sorted(name for name in record if there.get(name) != record[name])
        if different:
            verb = "differs" if len(different) == 1 else "differ"
            raise ValueError(f"{folder} holds other samples ({', '.join(different)} {verb}); choose another folder")
    elif folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(f"{folder} holds files and no samples.json: they are left alone; choose another folder")
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
