"""The command line's first seconds, while torch is imported: an interruption ends it in one line."""

import os
import signal
import sys
from pathlib import Path


def is_the_command_line() -> bool:
    """Whether this process was started as `python -m ncsn_lib` or `ncsn`, and is no program of a reader's own."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    return module == ["ncsn_lib"] or Path(sys.argv[0]).stem == "ncsn"


def _end_at_once(number: int, frame: object) -> None:
    """End; nothing is begun yet that could be lost."""
    os.write(2, b"ncsn_lib: interrupted\n")
    os._exit(130)


if is_the_command_line():
    signal.signal(signal.SIGINT, _end_at_once)
