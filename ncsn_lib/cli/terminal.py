"""What a user sees: lines and bars, on a terminal, in a log, or where nobody listens."""

import io
import os
import sys
import time
import warnings
from typing import Any, TextIO

from ncsn_lib.words import in_one_line


def say(text: str, *, error: bool = False) -> None:
    """Print a line at once; that nobody reads it is no reason to end."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Let what is written go nowhere: the pipe is closed, as by `| head -1`, or the disk behind it is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def prepare_streams() -> None:
    """Let a terminal of any alphabet show any name, and a warning be one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        told = in_one_line(message) if isinstance(message, Warning) else message
        say(f"ncsn_lib: warning: {told}", error=True)

    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = show


class Progress:
    """How far a command is: a bar on a terminal, elsewhere a line now and then.

    Args:
        title: what is done.
        total: how much there is to do.
        unit: of what, in the plural.
        done: how much of it is done already.
    """

    FIRST, EVERY = 2.0, 20.0
    """Seconds to the first line, and between two of them."""

    def __init__(self, title: str, total: int, unit: str, *, done: int = 0):
        from tqdm.auto import tqdm

        self.title, self.total, self.unit, self.done, self.first = title, total, unit, done, done
        self.bar = tqdm(total=total, initial=done, unit=f" {unit}", desc=title, disable=None)
        self.begun = time.perf_counter()
        self.next = self.begun + self.FIRST

    def __enter__(self) -> "Progress":
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        self.bar.close()

    def update(self, count: int = 1, *, note: str = "", tell: bool = False) -> None:
        """Count what was done; `note` is shown beside it, and with `tell` a line is printed in any case."""
        self.done += count
        now = time.perf_counter()
        if not self.bar.disable:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(count)
        elif tell or now >= self.next:
            self.next = now + self.EVERY
            left = in_time((self.total - self.done) * (now - self.begun) / max(1, self.done - self.first))
            parts = [f"{self.title}: {self.done:,} of {self.total:,} {self.unit}", note, f"{left} left"]
            say(", ".join(filter(None, parts)))


def in_time(seconds: float) -> str:
    """A time in words, in the unit that suits it."""
    for unit, size in [("h", 3600), ("min", 60)]:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
