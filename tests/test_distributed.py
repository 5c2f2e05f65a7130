"""Several processes, as torchrun starts them, do what one does; and signals, which end a run as they should."""

import csv
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from problems import small_recipe

from ncsn_lib.checkpoints import list_checkpoints, load_checkpoint
from ncsn_lib.runs import train_recipe

ONE = [sys.executable, "-m", "ncsn_lib", "train", "digits"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *ONE[1:]]
SMALL = ["--batch-size", "16", "--network.widths", "8", "--device", "cpu"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def losses(folder):
    with (folder / "loss.csv").open(newline="") as file:
        return torch.tensor([float(loss) for _, loss in list(csv.reader(file))[1:]])


def start(command, folder, *options):
    return subprocess.Popen(
        [*command, *SMALL, "--run-dir", str(folder), *options],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(command, folder, *options):
    process = start(command, folder, *options)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_two_processes_do_what_one_does(tmp_path):
    """Their sums are made in another order: float32 rounding, 1e-7 a step, which training lets grow."""
    assert finish(ONE, tmp_path / "one", "--steps", "30")[0] == 0
    status, said = finish(TWO, tmp_path / "two", "--steps", "30")
    assert status == 0, said
    assert said.count("30 steps done") == 1  # one of them speaks
    assert "Warning" not in said
    torch.testing.assert_close(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4, atol=0)


def test_parts_of_a_batch_do_what_the_whole_does(tmp_path):
    recipe = small_recipe()
    train_recipe(recipe, tmp_path / "whole")
    train_recipe(recipe, tmp_path / "parts", accumulate=4)
    torch.testing.assert_close(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=1e-4, atol=0)


def test_parts_that_do_not_divide_the_batch(tmp_path):
    with pytest.raises(ValueError, match="multiple of the 1 processes times the 3 parts of each, got 8; 6 would do"):
        train_recipe(small_recipe(), tmp_path, accumulate=3)
    status, said = finish(TWO, tmp_path / "run", "--steps", "2", "--batch-size", "15")
    assert status != 0
    assert "batch_size must be a multiple of the 2 processes times the 1 parts of each, got 15; 14 would do" in said
    assert not (tmp_path / "run").exists()


def test_one_of_two_processes_is_killed(tmp_path):
    folder = tmp_path / "run"
    process = start(TWO, folder, "--steps", "100000", "--checkpoint-every", "5")
    wait_for(lambda: len(list_checkpoints(folder)) > 1)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert len(workers) == 2
    os.kill(int(workers[1]), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "another process of this run ended or cannot be reached; run the same command to go on" in said
    reached = load_checkpoint(list_checkpoints(folder)[-1]).step
    # The number of steps is part of the recipe, so the run goes on with it; two steps more and it is stopped.
    process = start(TWO, folder, "--steps", "100000", "--checkpoint-every", "5")
    wait_for(lambda: load_checkpoint(list_checkpoints(folder)[-1]).step > reached)
    process.send_signal(signal.SIGTERM)
    assert f"going on from {folder / f'step-{reached:08d}'}" in process.communicate(timeout=120)[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends(tmp_path, number, status):
    folder = tmp_path / "run"
    process = start(ONE, folder, "--steps", "100000", "--checkpoint-every", "7")
    wait_for(lambda: len(list_checkpoints(folder)) > 0)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status
    step = int(re.search(r"stopped at step (\d+); the last good checkpoint is (\S+); run", said)[1])
    assert load_checkpoint(list_checkpoints(folder)[-1]).step == step
    assert len(losses(folder)) == step
