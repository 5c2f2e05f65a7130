"""Decoded images kept on disk: the next start decodes nothing, and a set may be larger than the memory."""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ncsn_lib.extras import need
from ncsn_lib.files import discard_abandoned, whole_or_nothing
from ncsn_lib.words import reason_of, shown

FORMAT = "ncsn_lib images 3"
Allocate = Callable[[tuple[int, ...]], np.ndarray]


class DecodedImages(NamedTuple):
    """Images as they came out of their files."""

    images: np.ndarray
    """(N, C, H, W) uint8, in memory or mapped from a file, which may hold more behind them."""
    labels: list[int]
    """The class of each."""
    broken: list[str]
    """The names of files that could not be read and are left out."""


def cache_folder() -> Path:
    """The folder where decoded images are kept: the one that NCSN_CACHE names, else the system's for caches.

    That is `~/.cache/ncsn_lib` on Linux, `~/Library/Caches/ncsn_lib` on macOS, a folder in AppData on Windows. A user
    without a home has a folder of their own, which is made, among the temporary ones.

    Raises:
        OSError: the user has no home, and that folder is another's; the message names it.
    """
    if named := os.environ.get("NCSN_CACHE"):
        return Path(named)
    try:
        return need("platformdirs", "data", "the cache of images").user_cache_path("ncsn_lib", appauthor=False)
    except RuntimeError:  # no home
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = Path(tempfile.gettempdir()) / f"ncsn_lib-{user}"
    with contextlib.suppress(OSError):  # where it cannot be written, the images are read without
        folder.mkdir(mode=0o700)
    if os.path.lexists(folder) and not _is_own(folder.lstat()):
        raise OSError(f"{folder} is not a folder of yours alone; delete it, or set NCSN_CACHE to another")
    return folder


def _is_own(state: os.stat_result) -> bool:
    """Whether it is a folder, not a link, to which only this user can write."""
    if os.name != "posix":
        return stat.S_ISDIR(state.st_mode)
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022


def cached_images(
    folder: Path | None, name: str, source: dict[str, Any], decode: Callable[[Allocate], DecodedImages]
) -> DecodedImages:
    """Images from a cache, which is made if it is missing, stale or damaged; where it cannot be, a warning says so.

    The folder NAME holds the images as an .npy file, and `record.json`: labels, and what they were made of. It is
    replaced whole or not at all. Of several processes one decodes; the others wait for it at `NAME.lock`.

    Args:
        folder: where the cache is; None for none: the images are decoded into memory.
        name: of the cache.
        source: what tells whether the cache is of these images, JSON-serialisable.
        decode: decodes into the array that it gets for a shape (N, C, H, W).

    Returns:
        The images, mapped from the cache's file (writing to them changes no file), or in memory.

    Raises:
        ValueError: images too many for the memory, without a cache.
    """
    if folder is None:
        return decode(_in_memory)
    place = Path(folder) / name
    if found := _read(place, source):
        return found
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with need("filelock", "data", "the cache of images").FileLock(f"{place}.lock"):
            if found := _read(place, source):  # another process made it meanwhile
                return found
            discard_abandoned(place.parent)
            _write(place, source, decode)
            if found := _read(place, source):
                return found
    except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
        if isinstance(error, OSError) and error.errno is None:  # not the system's: of an image that cannot be read
            raise
        problem = getattr(error, "strerror", None) or reason_of(error)
    else:
        problem = "it changed while it was written: another program writes there"
    told = f"the images are read without the cache {shown(place)}, which cannot be written ({problem})"
    warnings.warn(f"{told}; set NCSN_CACHE to another folder", stacklevel=2)
    return decode(_in_memory)


def _in_memory(shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.empty(shape, np.uint8)
    except MemoryError as error:
        told = f"images of {tuple(shape)} bytes do not fit the memory"
        raise ValueError(f"{told}; keep them in a cache, or resize them to a smaller size") from error


def _write(place: Path, source: dict[str, Any], decode: Callable[[Allocate], DecodedImages]) -> None:
    with whole_or_nothing(place) as temporary:
        temporary.mkdir()
        maps: list[np.memmap] = []

        def allocate(shape: tuple[int, ...]) -> np.ndarray:
            if shutil.disk_usage(temporary).free < np.prod(shape):  # writing to a mapped file would end the process
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            path = temporary / f"{len(maps)}.npy"
            maps.append(np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape))
            return maps[-1]

        labels, broken = decode(allocate)[1:]
        made = temporary / f"{len(maps) - 1}.npy"  # the last one; grey images may lie in one before it
        maps[-1].flush()
        maps.clear()  # Windows moves no file that is mapped
        for file in temporary.iterdir():
            if file != made:
                file.unlink()
        record = {"format": FORMAT, "source": source, "labels": labels, "broken": broken, "images": _state(made)}
        (temporary / "record.json").write_text(json.dumps(record), encoding="utf-8")


def _read(place: Path, source: dict[str, Any]) -> DecodedImages | None:
    """The cache, or None where it is missing, of other images, or not as it was written."""
    try:
        record = json.loads((place / "record.json").read_text(encoding="utf-8"))
        file = place / record["images"][0]
        if (record["format"], record["source"], record["images"]) == (FORMAT, source, _state(file)):
            labels = record["labels"]
            return DecodedImages(np.load(file, mmap_mode="c")[: len(labels)], labels, record["broken"])
    except (OSError, ValueError, KeyError, TypeError):  # whatever is wrong with it, it is made anew
        pass
    return None


def _state(file: Path) -> list[Any]:
    """Name, size and time of change of a file."""
    state = file.stat()
    return [file.name, state.st_size, state.st_mtime_ns]
