"""Where submissions run: the strictest of the fences that this machine has, tried one after another."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncsn_lib.exercises.worker import LIMIT_BYTES, READY

LIBRARY = Path(__file__).resolve().parents[1]
NOBODY = 65534
START_SECONDS = 120.0


@dataclass(frozen=True)
class Fence:
    """A way to start the worker.

    Args:
        words: what is said of it.
        keeps_files: whether the files here are safe from what runs behind it.
        command: what stands before the worker's own command.
        flags: of the worker.
        library: the folder in which the worker finds the library.
        user: the number of the user to become; none stays.
    """

    words: str
    keeps_files: bool
    command: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    library: str = str(LIBRARY.parent)
    user: int | None = None


def fences() -> Iterator[Fence]:
    """The fences of this system, the strictest first."""
    if not hasattr(os, "fork"):
        yield Fence("a process for each, in an empty folder", False, flags=("--once",))
        return
    limits = "limits of time, memory and files"
    if shutil.which("bwrap"):
        words = f"bubblewrap: no network, no files but Python's, no other processes; {limits}"
        yield Fence(words, True, _bubblewrap(), ("--alone",), "/library")
    is_root = os.geteuid() == 0
    user, who = (NOBODY, "a user without rights, ") if is_root else (None, "")
    if shutil.which("unshare"):
        unshare = ("unshare", "--map-root-user", "--net")
        yield Fence(f"{who}no network, {limits}", is_root, unshare, user=user)
    yield Fence(f"{who}{limits}", is_root, user=user)


def _bubblewrap() -> tuple[str, ...]:
    """The words before a command that sees the system and this Python, and nothing else."""
    python = {Path(path) for path in (sys.prefix, sys.base_prefix)}
    system = {Path(path) for path in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")}
    shown = sorted(path for path in system | python | {path.resolve() for path in python} if path.exists())
    parents = sorted({parent for path in shown for parent in path.parents[:-1]} | {Path("/library")})
    open_to_all = [word for path in parents for word in ("--perms", "0755", "--dir", str(path))]
    binds = [word for path in shown for word in ("--ro-bind", str(path), str(path))]
    places = ["--proc", "/proc", "--dev", "/dev", "--size", str(256 << 20), "--perms", "1777", "--tmpfs", "/tmp"]
    fence = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent", "--new-session"]
    library = ["--ro-bind", str(LIBRARY), "/library/ncsn_lib", "--chdir", "/tmp"]
    library += ["--remount-ro", "/dev", "--remount-ro", "/"]  # /tmp alone can be written, and is limited
    if os.geteuid() != 0:
        return ("bwrap", "--unshare-user", *fence, *places, *open_to_all, *binds, *library)
    number = str(NOBODY)  # whom limits bind, as they do not bind root
    change = ["setpriv", "--reuid", number, "--regid", number, "--clear-groups", "--no-new-privs"]
    return ("bwrap", *fence, *places, *open_to_all, *binds, *library, *change)


class Worker:
    """A worker's process behind a fence.

    Args:
        fence: what stands around it.

    Raises:
        OSError: it does not start behind this fence.
    """

    def __init__(self, fence: Fence):
        self._fence = fence
        self._start()

    def _start(self) -> None:
        can_fork = hasattr(os, "fork")
        kept = {"PATH": os.environ.get("PATH", "")} if can_fork else dict(os.environ)
        own = {"PYTHONPATH": self._fence.library, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        home = {"HOME": "/tmp", "TMPDIR": "/tmp"} if can_fork else {}
        user = self._fence.user
        self._process = subprocess.Popen(
            [*self._fence.command, sys.executable, "-m", "ncsn_lib.exercises.worker", *self._fence.flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | own | home,
            cwd="/tmp" if can_fork else tempfile.gettempdir(),
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        if self._read(len(READY), START_SECONDS) != READY:
            self.close()
            raise OSError(f"no worker starts behind this fence: {self._fence.words}")

    def run(self, job: dict[str, Any], seconds: float) -> bytes:
        """What a submission gave, as bytes; none where the worker itself was lost, which is started again."""
        assert self._process.stdin is not None
        data = b""
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
            length = int.from_bytes(self._read(8, seconds), "big")
            data = self._read(length, seconds) if length <= LIMIT_BYTES + (1 << 20) else b""
            if data and "--once" not in self._fence.flags:
                return data
        self.close()
        self._start()
        return data

    def _read(self, length: int, seconds: float) -> bytes:
        """So many bytes of the worker; fewer where it ends, or is ended after these seconds."""
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return self._process.stdout.read(length)
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.communicate()


def strictest_fence() -> Fence:
    """The first fence behind which a worker starts."""
    for fence in fences():
        with contextlib.suppress(OSError):
            Worker(fence).close()
            return fence
    raise OSError(
        "no submission can be run here: install bubblewrap (Linux), or mark them as a user who is not root, "
        "since no other user can read this Python"
    )
