"""Training in processes of its own, together or to be killed or stopped.

They are forked from a server that has imported the library once, so that each starts at once.
"""

import multiprocessing
import os
import sys
import time

import torch

from ncsn_lib.cli import main

PRELOADED = ["ncsn_lib.cli.train", "scipy.integrate", "sklearn.datasets", "torch._dynamo", "tqdm.auto", "tyro"]
PATIENCE = 300  # seconds; a busy machine may take long, and what hangs does not last


def run_command(argv, log):
    """What such a process does: `python -m ncsn_lib ARGV` on one thread, its words in a file."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    sys.exit(main(argv))


def start(target, *args):
    """A process, running; it ends with the tests at the latest."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def start_command(argv, log):
    """A process that runs a command."""
    return start(run_command, argv, log)


def wait_for(condition, is_running):
    """Wait until a condition holds of what a process does, which must not end before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert is_running(), "it ended before its time"
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def wait_for_end(process):
    """The exit status of a process that comes to its end."""
    process.join(PATIENCE)
    assert process.exitcode is not None, "it did not end in time"
    return process.exitcode
