"""Runs the command line: `python -m ncsn_lib`, or `ncsn` where the library is installed."""

import signal
import sys

from ncsn_lib.cli import main as run_command


def main() -> int:
    """Run the command that the program was called with; returns the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in place of the one that `starting` set
    try:
        return run_command()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: Python only tidies up


if __name__ == "__main__":
    sys.exit(main())
