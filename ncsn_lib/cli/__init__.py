"""The command line: `python -m ncsn_lib train digits`, `python -m ncsn_lib sample digits --out grid.png`."""

import importlib
import sys
from collections.abc import Sequence

from ncsn_lib.checkpoints import CheckpointError
from ncsn_lib.cli.options import UserError, choose
from ncsn_lib.training import NonFiniteLossError

USAGE = """\
usage: python -m ncsn_lib COMMAND [RECIPE] [OPTIONS]

  list              the recipes there are
  train RECIPE      train one; run again to go on where it was cut (--steps, --batch-size and many more)
  sample RECIPE     draw images from one that was trained
  evaluate RECIPE   measure samples beside real images
  neighbours RECIPE samples beside the nearest training images
  train-classifier DATASET
                    train a classifier, by which samples are judged

`python -m ncsn_lib COMMAND RECIPE --help` explains every option."""

# A command's module in this package is imported when the command is called, so that the others cost nothing.
COMMANDS = {
    "list": "listing",
    "train": "train",
    "sample": "sample",
    "evaluate": "evaluate",
    "neighbours": "neighbours",
    "train-classifier": "train_classifier",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or 2 for what the user can put right."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        module = importlib.import_module(f"ncsn_lib.cli.{choose('command', argv[0], COMMANDS)}")
        return module.run(argv[1:])
    except (UserError, CheckpointError, NonFiniteLossError, ValueError, OSError) as error:
        print(f"ncsn_lib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ncsn_lib: interrupted; run the same command to go on from the last checkpoint", file=sys.stderr)
        return 130
