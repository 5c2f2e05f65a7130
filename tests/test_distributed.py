"""Several processes, as torchrun starts them, do what one does; and signals, which end a run as they should."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest
import torch
from problems import small_recipe
from processes import PATIENCE, start_command, wait_for, wait_for_end
from test_cli import fails

from ncsn_lib.checkpoints import list_checkpoints, load_checkpoint
from ncsn_lib.cli import main
from ncsn_lib.cli.train import StopSignal
from ncsn_lib.distributed import Processes
from ncsn_lib.runs import train_recipe

TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ncsn_lib"]
TRAIN = ["train", "digits", "--batch-size", "16", "--network.widths", "8", "--device", "cpu"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="torchrun with gloo, and signals, are things of POSIX")


def losses(folder):
    with (folder / "loss.csv").open(newline="") as file:
        return torch.tensor([float(loss) for _, loss in list(csv.reader(file))[1:]])


def close_to(expected):
    """The tolerance of sums made in another order: float32 rounding, 1e-7 a step, which training lets grow."""
    return {"expected": expected, "rtol": 1e-4, "atol": 0}


@contextlib.contextmanager
def two_processes(*argv):
    """The command in two processes under torchrun, which leave with the context."""
    process = subprocess.Popen(
        [*TWO, *argv],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def train_to(step, monkeypatch, *argv):
    """Train in this process, and stop after a step, as after a signal."""
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(StopSignal, "__call__", lambda stop: asked.append(stop) or len(asked) == step)
        assert main([*argv]) == 128 + signal.SIGTERM


@posix
def test_two_processes_go_on_as_one_does(tmp_path, monkeypatch):
    one, two = ([*TRAIN, "--steps", "30", "--run-dir", str(tmp_path / name)] for name in ("one", "two"))
    assert main(one) == 0
    train_to(5, monkeypatch, *two)
    with two_processes(*two) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert f"going on from {tmp_path / 'two' / 'step-00000005'}" in said
    assert said.count("30 steps done") == 1  # one of them speaks
    assert "Warning" not in said
    torch.testing.assert_close(losses(tmp_path / "two"), **close_to(losses(tmp_path / "one")))


@posix
def test_one_of_two_processes_is_killed(tmp_path, monkeypatch):
    """The other one says so; what they did is what one does, and can be gone on with."""
    folder, argv = tmp_path / "run", [*TRAIN, "--steps", "100000", "--checkpoint-every", "5", "--run-dir"]
    with two_processes(*argv, str(folder)) as process:
        wait_for(lambda: len(list_checkpoints(folder)) > 1, lambda: process.poll() is None)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        workers[1].kill()
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert (
        "another process of this run ended or cannot be reached; to go on from the last checkpoint: python -m ncsn_lib"
        in said
    )
    train_to(10, monkeypatch, *argv, str(tmp_path / "one"))
    torch.testing.assert_close(losses(folder)[:10], **close_to(losses(tmp_path / "one")))
    reached = load_checkpoint(list_checkpoints(folder)[-1]).step
    train_to(2, monkeypatch, *argv, str(folder))
    assert load_checkpoint(list_checkpoints(folder)[-1]).step == len(losses(folder)) == reached + 2


def test_parts_of_a_batch_do_what_the_whole_does(tmp_path):
    recipe = small_recipe()
    train_recipe(recipe, tmp_path / "whole")
    train_recipe(recipe, tmp_path / "parts", accumulate=4)
    torch.testing.assert_close(losses(tmp_path / "parts"), **close_to(losses(tmp_path / "whole")))


def test_parts_that_do_not_divide_the_batch(capsys, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="multiple of the 1 processes times the 3 parts of each, got 8; 6 would do"):
        train_recipe(small_recipe(), tmp_path, accumulate=3)
    # The first of two processes: the command refuses the batch before it waits for the other one.
    monkeypatch.setattr("ncsn_lib.cli.train.join_processes", lambda device: contextlib.nullcontext(Processes(0, 2)))
    said = fails(capsys, *TRAIN, "--steps", "2", "--batch-size", "15", "--run-dir", tmp_path / "run")
    assert "--batch-size must be a multiple of the 2 processes times the 1 parts of each, got 15; 14 would do" in said
    assert not (tmp_path / "run").exists()


@posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_ends(tmp_path, number, status):
    folder, log = tmp_path / "run", tmp_path / "log"
    process = start_command([*TRAIN, "--steps", "100000", "--checkpoint-every", "7", "--run-dir", str(folder)], log)
    wait_for(lambda: len(list_checkpoints(folder)) > 0, process.is_alive)
    os.kill(process.pid, number)
    assert wait_for_end(process) == status
    found = re.search(
        r"stopped at step (\d+); the last good checkpoint is (\S+); to go on: python -m ncsn_lib train digits",
        log.read_text(),
    )
    step = int(found[1])
    assert load_checkpoint(list_checkpoints(folder)[-1]).step == step
    assert len(losses(folder)) == step
