"""Files and folders: written whole or not at all, never in place of another's, and kept to one process."""

import contextlib
import errno
import io
import json
import os
import platform
import re
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ncsn_lib.words import reason_of

UNFINISHED = re.compile(r"\.unfinished-[0-9a-f]{12}-(.+)")
"""The name of whatever is not yet whole, with the name that it will have."""


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
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # not the temporary one, which nobody knows
        raise
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
    for left in folder.glob(".unfinished-*"):
        unfinished = UNFINISHED.fullmatch(left.name)
        if unfinished and unfinished[1].startswith(kind) and time.time() - left.lstat().st_mtime >= age:
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


def record_path(path: Path) -> Path:
    """Where the record of a file stands: beside it, by its whole name, so that no two files share one."""
    return path.with_name(f"{path.name}.json")


def check_replaces(path: Path, **marks: str) -> None:
    """Raise `ValueError` unless there is no file at `path`, or a JSON object with these entries, which may be replaced.

    Args:
        path: where a record will be written.
        marks: what shows that the one that is there is of the same kind.
    """
    try:
        there = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError):
        there = None
    if not isinstance(there, dict) or any(there.get(name) != mark for name, mark in marks.items()):
        kind = " and ".join(f"{name} {mark!r}" for name, mark in marks.items())
        raise ValueError(f"{path} is there and has not the {kind}: it is left alone; choose another name, or move it")


def check_writable(path: Path) -> None:
    """Raise `OSError` unless a file can be written at `path`, before hours go into it; a missing folder is made."""
    if os.path.isdir(path):
        raise OSError(f"{path} is a folder, where a file is to be written; choose another name")
    probe = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # fails where the name is too long
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror}); {remedy_of(error)}") from error


def remedy_of(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make it writable or choose another folder"
    return "choose another folder"


def write_beside(path: Path, content: bytes) -> str:
    """Write a file that is not worth an interruption; says what is to be warned of where that cannot be done."""
    try:
        write_file(path, content)
    except OSError as error:
        return f"{path} could not be written ({error.strerror or reason_of(error)}); the run goes on without it"
    return ""


def set_aside(path: Path, reason: BaseException) -> None:
    """Rename a file that was changed by others, with a warning; nothing in it is lost.

    Raises:
        OSError: it cannot be renamed.
    """
    number = 1
    while (kept := path.with_name(f"{path.name}.odd-{number}")).exists():
        number += 1
    path.rename(kept)
    told = f"{path} is not as it was written ({reason_of(reason)}): it is kept as {kept.name}, and a new one begun"
    warnings.warn(told, stacklevel=2)


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Keep a folder to this process for as long as the context lasts; it is made if missing.

    The system frees `.lock` when the process ends, however it ends; `.locked-by` says which one it is.

    Raises:
        OSError: another process has it, which the message names, or the folder cannot be written.
    """
    import filelock

    lock, holder = filelock.FileLock(folder / ".lock"), folder / ".locked-by"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        write_file(holder, f"process {os.getpid()} on {platform.node()}".encode())
    except filelock.Timeout as error:
        other = holder.read_text() if holder.exists() else "another process"
        raise OSError(f"{folder} is in use by {other}; wait for it, stop it, or choose another folder") from error
    except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
        lock.release()
        remedy = remedy_of(error) if isinstance(error, OSError) else "choose another folder"
        raise OSError(f"the folder {folder} cannot be written ({reason_of(error)}); {remedy}") from error
    try:
        yield
    finally:
        delete(holder)
        lock.release()


def _beside(path: Path) -> Path:
    """A name in the same folder, with the same ending, that nobody else is given."""
    return path.with_name(f".unfinished-{uuid.uuid4().hex[:12]}-{path.name[-40:]}")  # names have a greatest length


def _flush(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk."""
    if path.is_dir() and os.name != "posix":  # a folder cannot be opened to flush it
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
