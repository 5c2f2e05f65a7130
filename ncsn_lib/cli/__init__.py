"""The command line: `python -m ncsn_lib train digits`, `python -m ncsn_lib sample digits --out grid.png`."""

import importlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from ncsn_lib import provenance
from ncsn_lib.checkpoints import CheckpointError
from ncsn_lib.cli.command import Command, UserError, choose
from ncsn_lib.cli.terminal import prepare_streams, say
from ncsn_lib.distributed import ProcessLostError
from ncsn_lib.extras import MissingPackageError
from ncsn_lib.files import remedy_of
from ncsn_lib.sampling import NonFiniteSamplesError
from ncsn_lib.training import NonFiniteLossError
from ncsn_lib.words import in_one_line

PROGRAM = "python -m ncsn_lib"
USAGE = f"""\
usage: {PROGRAM} COMMAND [RECIPE] [OPTIONS]

  list                 the recipes there are, with their size and cost
  train RECIPE         train one; run again to go on where it was cut (--steps, --batch-size and many more)
  sample RECIPE        draw images from one that was trained
  inpaint RECIPE       complete images of which a part is given
  interpolate RECIPE   draw images between two samples
  evaluate RECIPE      measure samples beside real images
  neighbours RECIPE    show samples beside the nearest training images
  export RECIPE        write a trained network in 16 bits, to share
  train-classifier DATASET
                       train a classifier, by which samples are judged
  grade FOLDER         mark a class's notebooks by a sheet of exercises

`{PROGRAM} COMMAND RECIPE --help` explains every option; `{PROGRAM} --version` names the versions."""


class Kind(NamedTuple):
    """What is known of a command before its module is imported, so that the others cost nothing."""

    module: str
    """Its file in this package."""
    less_memory: str
    """What the user can do when the memory does not suffice."""


COMMANDS = {
    "list": Kind("listing", "close other programs"),
    "train": Kind("train", "lower --batch-size, or train with --accumulate 2, 4, ... parts of a batch"),
    "sample": Kind("sample", "lower --batch-size"),
    "inpaint": Kind("inpaint", "lower --num or --completions"),
    "interpolate": Kind("interpolate", "lower --num"),
    "evaluate": Kind("evaluate", "lower --batch-size, or --num"),
    "neighbours": Kind("neighbours", "lower --batch-size, or --num"),
    "export": Kind("export", "close other programs"),
    "train-classifier": Kind("train_classifier", "lower --training.batch-size"),
    "grade": Kind("grade", "lower --workers"),
}
OURS = (UserError, MissingPackageError, CheckpointError, NonFiniteLossError, NonFiniteSamplesError)
"""Errors whose message says all: what is wrong, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0; 2 for what the user can put right; 143 or 130 if it was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        prepare_streams()
        if not argv or argv[0] in ("-h", "--help"):
            say(USAGE)
            return 0
        if argv[0] == "--version":
            say(f"ncsn_lib {provenance.version()}, torch {torch.__version__}")
            return 0
        command = Command(f"{PROGRAM} {argv[0]}", argv[1:])
        try:
            module = importlib.import_module(f"ncsn_lib.cli.{choose('command', argv[0], COMMANDS).module}")
            return module.run(command)
        except KeyboardInterrupt:
            say(f"ncsn_lib: interrupted; to start again, or go on: {command.line_to_go_on}", error=True)
            return 130
        except Exception as error:
            if os.environ.get("NCSN_TRACEBACK") == "1":
                raise
            say(f"ncsn_lib: {explain(error, command)}", error=True)
            return 2


def explain(error: Exception, command: Command) -> str:
    """In one line, what went wrong and what to do."""
    told = command.with_flags(in_one_line(error))
    if isinstance(error, ProcessLostError):
        return f"{told}; to go on from the last checkpoint: {command.line_to_go_on}"
    if shortage := _memory_shortage(error):
        return f"{shortage}; {COMMANDS[command.program.split()[-1]].less_memory}"
    if isinstance(error, OURS):
        return told
    if isinstance(error, OSError):
        named = error.strerror is not None
        return f"{error.strerror}: {error.filename or 'a file'}; {remedy_of(error)}" if named else told
    if isinstance(error, ValueError | TypeError) and _is_raised_here(error):
        return told
    return f"{type(error).__name__}: {told}; this is not foreseen: NCSN_TRACEBACK=1 shows where it came from, report it"


def _is_raised_here(error: Exception) -> bool:
    """Whether the library itself raised an error, in words for its user, and not one that it uses."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parents[1])


def _memory_shortage(error: Exception) -> str | None:
    """What an error says of memory that is missing, in a few words; None if it is another error."""
    words = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return words.split(". ")[0]
    if isinstance(error, MemoryError):
        return f"out of memory ({words})" if words else "out of memory"
    tried = re.search(r"DefaultCPUAllocator: .*you tried to allocate (\d+) bytes", words)
    return f"out of memory: {int(tried[1]) / 2**30:.2f} GiB more were asked for" if tried else None
