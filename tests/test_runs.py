"""A recipe in a folder: trained, cut, gone on with, sampled; and the recipes themselves."""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from problems import small_recipe as small

from ncsn_lib.checkpoints import CheckpointError, list_checkpoints
from ncsn_lib.data import load_digits
from ncsn_lib.recipes import RECIPES, SOURCES, NoiseSettings, Recipe, SamplingSettings, UNetSettings, find_recipe
from ncsn_lib.runs import load_run, train_recipe
from ncsn_lib.training import NonFiniteLossError, TrainingState, train

pytestmark = pytest.mark.usefixtures("one_thread")


def steps_of(folder):
    with (folder / "loss.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "loss"]
    return [int(step) for step, _ in rows[1:]]


# --- recipes


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_survives_its_json(recipe):
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert RECIPES[recipe.name] is recipe
    network = recipe.build_network()
    x = torch.rand(1, *recipe.image_shape)
    with torch.no_grad():
        assert network(x, recipe.noise.sigmas()[-1:]).shape == x.shape
    assert recipe.dataset in SOURCES


def test_the_papers_constants():
    assert NoiseSettings() == NoiseSettings(1.0, 0.01, 10)
    assert SamplingSettings() == SamplingSettings(eps=2 * 2e-5, num_steps=100, denoise=False)


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(5)
    first = small().build_network()
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), expected)  # the caller's draws are as if nothing had been built
    second = small().build_network()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_an_unknown_recipe():
    with pytest.raises(ValueError, match=r"there is no recipe 'digit'; there are: .*digits"):
        find_recipe("digit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"recipe must have the fields \[.*\], got \[.*colour"),
        ({"name": "nothing"}, "there is no recipe 'nothing'"),
        ({"noise": {"sigma_max": 1.0}}, "recipe.noise must have the fields"),
    ],
)
def test_fields_that_are_no_recipe(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe.from_dict({**RECIPES["digits"].to_dict(), **change})


@pytest.mark.parametrize(
    "make",
    [
        lambda: NoiseSettings(0.01, 1.0),
        lambda: NoiseSettings(num_levels=0),
        lambda: SamplingSettings(eps=-1.0),
        lambda: SamplingSettings(num_steps=0),
        lambda: UNetSettings(widths=(12,)).build(torch.ones(1), (1, 8, 8)),
        lambda: NoiseSettings(1.0, 0.5, num_levels=1),
    ],
)
def test_settings_that_cannot_be(make):
    with pytest.raises(ValueError, match="must"):
        make()


# --- runs


def test_a_run_is_stored_and_found_again(tmp_path):
    run = train_recipe(small(), tmp_path / "run", checkpoint_every=4)
    assert [p.name for p in list_checkpoints(tmp_path / "run")] == ["step-00000004", "step-00000006"]
    assert steps_of(tmp_path / "run") == [1, 2, 3, 4, 5, 6]
    found = load_run(tmp_path / "run")
    assert (found.recipe, found.step) == (small(), 6)
    assert load_run(tmp_path / "run" / "step-00000004").step == 4
    for a, b in zip(run.network.parameters(), found.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not found.network.training


def test_a_finished_run_is_left_alone(tmp_path):
    train_recipe(small(), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert train_recipe(small(), tmp_path).step == 6
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_other_settings_are_refused_and_named(tmp_path):
    train_recipe(small(), tmp_path)
    other = small(training={"num_steps": 9, "batch_size": 8, "learning_rate": 0.5})
    with pytest.raises(ValueError, match=r"training.learning_rate is 0\.002 there and 0\.5 here") as caught:
        train_recipe(other, tmp_path)
    assert "training.num_steps is 6 there and 9 here" in str(caught.value)


def test_a_nan_names_the_last_good_checkpoint(tmp_path):
    # A rate that blows the weights up within a few steps.
    recipe = small(training={"num_steps": 60, "batch_size": 8, "learning_rate": 1e30, "max_grad_norm": None})
    with pytest.raises(NonFiniteLossError, match=r"at step \d+: noise level .*; the last good checkpoint is .*step-"):
        train_recipe(recipe, tmp_path, checkpoint_every=1)
    last = list_checkpoints(tmp_path)[-1]
    assert load_run(last).step == int(last.name.removeprefix("step-"))


def test_images_of_another_shape(tmp_path):
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 8, 8\), got \(20, 1, 4, 4\)"):
        train_recipe(small(), tmp_path, images=torch.zeros(20, 1, 4, 4))


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*; train one first: python -m ncsn_lib"):
        load_run(tmp_path)


def test_counts_of_a_run(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1, got 0"):
        train_recipe(small(), tmp_path, checkpoint_every=0)


# --- cut at any moment

KILLS = int(os.environ.get("NCSN_KILLS") or 3)


def sums(folder):
    """What the last checkpoint holds, by file, and the losses."""
    last = list_checkpoints(folder)[-1]
    files = [*sorted(last.iterdir()), folder / "loss.csv"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a thing of POSIX")
def test_kill_at_random_moments_then_resume(tmp_path):
    """kill -9, resume, and again: the end is that of the uninterrupted run, bit for bit, file by file."""
    options = f"--training.num-steps {70 * KILLS} --training.batch-size 8 --network.widths 8 --checkpoint-every 3"
    start = [sys.executable, "-m", "ncsn_lib", "train", "digits", *options.split(), "--run-dir"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*start, tmp_path / "whole"], check=True, capture_output=True, env=environment)

    folder, generator = tmp_path / "cut", random.Random(0)
    for _ in range(KILLS):
        before = list_checkpoints(folder)[-1:]
        process = subprocess.Popen(
            [*start, folder], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while list_checkpoints(folder)[-1:] == before:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    subprocess.run([*start, folder], check=True, capture_output=True, env=environment)
    assert sums(folder) == sums(tmp_path / "whole")
    assert steps_of(folder) == list(range(1, 70 * KILLS + 1))


def test_the_digits_recipe_learns():
    """150 steps of a narrow network: held-out digits cost far less than the 32 of the zero score."""
    recipe, held_out = small(training={"num_steps": 150, "batch_size": 64}), load_digits("test").images
    state = TrainingState.start(recipe.build_network(), recipe.training)
    train(state, load_digits("train").images, recipe.objective(), recipe.training)
    generator = torch.Generator().manual_seed(0)
    draws = recipe.objective().draw(held_out, generator)
    with torch.no_grad():
        assert recipe.objective().loss(state.ema.module, held_out, draws).item() < 22
