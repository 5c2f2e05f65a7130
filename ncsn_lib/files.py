"""Files and folders written whole or not at all."""

import contextlib
import io
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

UNFINISHED = ".unfinished-"
"""What the name begins with of whatever is not yet whole."""


@contextlib.contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; the file or folder that is written there takes its place at the end.

    It is flushed to the disk before, and deleted if the context ends by an error. No two writers, of one process or of
    several, are given the same temporary path. A file replaces a file, and a folder the folder that was there.

    Args:
        path: where it goes; its folder is made if missing.

    Yields:
        The temporary path, at which nothing is yet.

    Raises:
        OSError: it cannot be written; what was at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        for file in [temporary] if temporary.is_file() else sorted(temporary.iterdir()):
            _flush(file)
        if temporary.is_dir() and path.is_dir():
            discard_folder(path)
        temporary.replace(path)
    finally:
        delete(temporary)
    _flush(path.parent)


def discard_folder(path: Path) -> None:
    """Delete a folder in two moves, so that a cut leaves no half of it under its name."""
    doomed = _beside(path)
    path.rename(doomed)
    delete(doomed)


def discard_abandoned(folder: Path, *, kind: str = "", age: float = 86_400.0) -> None:
    """Delete what writers that were killed left in a folder.

    Args:
        folder: where to look; not below.
        kind: what the names of the finished files begin with; all by default.
        age: seconds for which they have not changed; what is younger may still be written.
    """
    for left in folder.glob(f"{UNFINISHED}*"):
        if kind in left.name and time.time() - left.stat().st_mtime >= age:
            delete(left)


def delete(path: Path) -> None:
    """Delete a file or a folder; nothing happens where there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whatever was there before; its folder is made if missing."""
    with whole_or_nothing(path) as temporary:
        temporary.write_bytes(content)


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON, whole or not at all; a missing folder is made."""
    write_file(path, (json.dumps(result, indent=1) + "\n").encode())


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an .npy file, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_file(path, buffer.getvalue())


def _beside(path: Path) -> Path:
    """A name in the same folder, with the same ending, that nobody else is given."""
    return path.with_name(f"{UNFINISHED}{uuid.uuid4().hex[:12]}-{path.name}")


def _flush(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk."""
    if path.is_dir() and os.name != "posix":  # a folder cannot be opened to flush it
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
