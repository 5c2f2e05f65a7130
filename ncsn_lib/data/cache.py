"""Decoded images kept on disk: the next start decodes nothing, and a set may be larger than the memory."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FORMAT = "ncsn_lib images 1"
Allocate = Callable[[tuple[int, ...]], np.ndarray]


class DecodedImages(NamedTuple):
    """Images as they came out of their files."""

    images: np.ndarray
    """(N, C, H, W) uint8, in memory or mapped from a file."""
    labels: list[int]
    """The class of each."""
    broken: list[str]
    """The names of files that could not be read and are left out."""


def cache_folder() -> Path:
    """Where decoded images are kept: the folder that NCSN_CACHE names, else `~/.cache/ncsn_lib`."""
    named = os.environ.get("NCSN_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "ncsn_lib"


def fingerprint(files: Iterable[Path], **settings: Any) -> dict[str, Any]:
    """What tells whether a cache is of these files as they are now, and of these settings.

    Args:
        files: what was decoded; their names, sizes and times of change count.
        settings: how it was decoded, JSON-serialisable.

    Returns:
        A dict that JSON gives back as it is.
    """
    total = hashlib.sha256()
    for file in files:
        state = file.stat()
        total.update(f"{file.absolute().as_posix()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return {"files": total.hexdigest(), "settings": settings}


def cached_images(
    folder: Path | None, name: str, source: dict[str, Any], decode: Callable[[Allocate], DecodedImages]
) -> DecodedImages:
    """Images from a cache, which is made if it is missing, stale or damaged.

    `NAME.npy` holds the images; `NAME.json`, written last, the labels and what the images were made of. Each is
    replaced whole or not at all.

    Args:
        folder: where the cache is; None for none: the images are decoded into memory.
        name: of the cache's files.
        source: the `fingerprint` of what is decoded.
        decode: decodes into the array that it gets for a shape (N, C, H, W).

    Returns:
        The images, mapped from the cache's file (writing to them changes no file), or in memory.

    Raises:
        OSError: the cache cannot be written; the message says how to do without.
    """
    if folder is None:
        return decode(lambda shape: np.empty(shape, np.uint8))
    file = Path(folder) / f"{name}.npy"
    found = _read(file, source)
    if found is not None:
        return found
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _discard_abandoned(file.parent)
        temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=file.parent))
    except OSError as error:
        raise _unwritable(file, error) from error
    try:
        _write(file, source, decode, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    found = _read(file, source)
    if found is None:
        raise OSError(f"the cache {file} changed while it was written: another program writes there; start again")
    return found


def _write(file: Path, source: dict[str, Any], decode: Callable[[Allocate], DecodedImages], temporary: Path) -> None:
    numbers = count()

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        try:
            path = temporary / f"{next(numbers)}.npy"
            return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        except OSError as error:
            raise _unwritable(file, error) from error

    images, labels, broken = decode(allocate)
    made = Path(images.filename)
    images.flush()
    del images  # Windows moves no file that is mapped
    try:
        made.replace(file)
        state = file.stat()
        record = {
            "format": FORMAT,
            "source": source,
            "size": state.st_size,
            "changed": state.st_mtime_ns,
            "labels": labels,
            "broken": broken,
        }
        (temporary / "record.json").write_text(json.dumps(record), encoding="utf-8")
        (temporary / "record.json").replace(file.with_suffix(".json"))
    except OSError as error:
        raise _unwritable(file, error) from error


def _read(file: Path, source: dict[str, Any]) -> DecodedImages | None:
    """The cache, or None where it is missing, of other images, or not as it was written."""
    try:
        record = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        state = file.stat()
        if (record["format"], record["source"]) != (FORMAT, source):
            return None
        if (record["size"], record["changed"]) != (state.st_size, state.st_mtime_ns):
            return None
        images = np.load(file, mmap_mode="c")
        if len(images) != len(record["labels"]):
            return None
        return DecodedImages(images, record["labels"], record["broken"])
    except (OSError, ValueError, KeyError, TypeError):  # whatever is wrong with it, it is made anew
        return None


def _discard_abandoned(folder: Path, age: float = 86_400.0) -> None:
    """Delete what runs that were killed left behind more than a day ago."""
    for left in folder.glob(".unfinished-*"):
        if time.time() - left.stat().st_mtime > age:
            shutil.rmtree(left, ignore_errors=True)


def _unwritable(file: Path, error: OSError) -> OSError:
    reason = error.strerror or error
    return OSError(f"cannot write the cache {file}: {reason}; set NCSN_CACHE to another folder, or go without a cache")
