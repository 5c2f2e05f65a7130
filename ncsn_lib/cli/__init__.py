"""The command line: `python -m ncsn_lib train digits`, `python -m ncsn_lib sample digits --out grid.png`."""

import importlib
import re
import sys
from collections.abc import Sequence

import torch

from ncsn_lib import provenance
from ncsn_lib.checkpoints import CheckpointError
from ncsn_lib.cli.options import UserError, choose
from ncsn_lib.distributed import ProcessLostError
from ncsn_lib.extras import MissingPackageError
from ncsn_lib.training import NonFiniteLossError

USAGE = """\
usage: python -m ncsn_lib COMMAND [RECIPE] [OPTIONS]

  list                 the recipes there are, with their size and cost
  train RECIPE         train one; run again to go on where it was cut (--steps, --batch-size and many more)
  sample RECIPE        draw images from one that was trained
  inpaint RECIPE       complete images of which a part is given
  interpolate RECIPE   draw images between two samples
  evaluate RECIPE      measure samples beside real images
  neighbours RECIPE    samples beside the nearest training images
  export RECIPE        write a trained network in 16 bits, to share
  train-classifier DATASET
                       train a classifier, by which samples are judged

`python -m ncsn_lib COMMAND RECIPE --help` explains every option."""

# A command's module in this package is imported when the command is called, so that the others cost nothing.
COMMANDS = {
    "list": "listing",
    "train": "train",
    "sample": "sample",
    "inpaint": "inpaint",
    "interpolate": "interpolate",
    "evaluate": "evaluate",
    "neighbours": "neighbours",
    "export": "export",
    "train-classifier": "train_classifier",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0; 2 for what the user can put right; 143 or 130 if it was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if argv[0] == "--version":
        print(f"ncsn_lib {provenance.version()}, torch {torch.__version__}")
        return 0
    try:
        module = importlib.import_module(f"ncsn_lib.cli.{choose('command', argv[0], COMMANDS)}")
        return module.run(argv[1:])
    except (UserError, MissingPackageError, CheckpointError, NonFiniteLossError, ValueError, OSError) as error:
        print(f"ncsn_lib: {error}", file=sys.stderr)
        return 2
    except ProcessLostError as error:
        print(f"ncsn_lib: {error}; run the same command to go on from the last checkpoint", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        shortage = _memory_shortage(error)
        if shortage is None:
            raise
        print(
            f"ncsn_lib: {shortage}; lower --batch-size, or train with --accumulate 2, 4, ... parts of a batch",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "ncsn_lib: interrupted; the same command starts again, or goes on from what its folder holds",
            file=sys.stderr,
        )
        return 130


def _memory_shortage(error: RuntimeError | MemoryError) -> str | None:
    """What an error says of memory that is missing, in a few words; None if it is another error."""
    words = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return words.split(". ")[0]
    if isinstance(error, MemoryError):
        return f"out of memory ({words})" if words else "out of memory"
    tried = re.search(r"DefaultCPUAllocator: .*you tried to allocate (\d+) bytes", words)
    return f"out of memory: {int(tried[1]) / 2**30:.2f} GiB more were asked for" if tried else None
