"""A recipe in a folder: trained, cut, gone on with, sampled; and the recipes themselves."""

import csv
import dataclasses
import hashlib
import math
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
import torch
from problems import conditional_recipe
from problems import small_recipe as small
from processes import start_command, wait_for, wait_for_end

from ncsn_lib.checkpoints import CheckpointError, list_checkpoints
from ncsn_lib.data import LabelledImages, load_digits
from ncsn_lib.losses import sliced_score_matching_vr_loss
from ncsn_lib.metrics import count_flops
from ncsn_lib.recipes import RECIPES, SOURCES, load_two_modes
from ncsn_lib.runs import Quality, TrainingInterrupted, export_run, load_run, read_rows, train_recipe
from ncsn_lib.settings import (
    ConsistentSamplingSettings,
    DenoisingLossSettings,
    HeunSettings,
    NCSNSettings,
    NoiseSettings,
    Recipe,
    SamplingSettings,
    SlicedLossSettings,
    UNetSettings,
)
from ncsn_lib.show import full_or_small_run
from ncsn_lib.training import NonFiniteLossError, TrainingState, train


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


def test_the_papers_celeba():
    """Paper, appendix: 32x32 colour faces, 128 features, flips, and what CIFAR-10 and MNIST have, too."""
    celeba, baseline = RECIPES["celeba"], RECIPES["celeba_baseline"]
    assert (celeba.dataset, celeba.image_shape, celeba.network.ngf) == ("celeba", (3, 32, 32), 128)
    training = celeba.training
    assert (training.num_steps, training.batch_size, training.learning_rate) == (200_000, 128, 1e-3)
    assert training.flip
    assert training.dequantize
    assert training.ema_decay == 0
    assert celeba.noise.sigmas()[[0, -1]].tolist() == pytest.approx([1.0, 0.01])
    assert baseline.noise.sigmas().tolist() == pytest.approx([0.01])
    assert baseline.sampling.num_calls(1) == celeba.sampling.num_calls(10) == 1000


@pytest.mark.parametrize(("name", "variance"), [("fig1_raw", 0.0), ("fig1_noise", 1e-4), ("toy", 0.0)])
def test_the_recipes_of_sliced_score_matching(name, variance):
    """Their loss is SSM-VR at one Gaussian projection, on the data or on the data with noise of that variance."""
    recipe = RECIPES[name]
    network, objective = recipe.build_network(), recipe.objective()
    x = torch.rand(16, *recipe.image_shape, generator=torch.Generator().manual_seed(1))
    draws = objective.draw(x, torch.Generator().manual_seed(0))
    projections = draws["projections"]
    assert projections.shape == (16, 1, *x.shape[1:])
    noise = draws.get("perturbation", torch.zeros_like(x))
    # Five standard errors of the mean square of n normal draws, sqrt(2 / n).
    for values, expected in [(projections, 1.0), (noise, variance)]:
        assert values.square().mean().item() == pytest.approx(expected, rel=5 * (2 / x.numel()) ** 0.5)
    assert projections.unique().numel() > x.numel() / 2  # Gaussian, where Rademacher's have two values
    expected = sliced_score_matching_vr_loss(network, x + noise, torch.full((16,), variance**0.5), projections)
    torch.testing.assert_close(objective.loss(network, x, draws), expected.mean())


@pytest.mark.parametrize("name", ["digits", "mnist_small", "mnist_edm", "cifar10", "fig1_raw", "toy"])
def test_the_cost_of_a_loss_in_calls(monkeypatch, name):
    """Counted by PyTorch for a step of one image, against the number that `list` and the plans reckon with.

    The counts differ from it by up to 3 percent: the first layer's input needs no gradient, and the backward pass of a
    convolution with stride is counted by its larger side.
    """
    # The counter hooks modules, and refuses those whose input is differentiated: call what they do, without hooks.
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda module, *given, **named: module.forward(*given, **named))
    recipe = RECIPES[name]
    if name == "cifar10":
        recipe = dataclasses.replace(recipe, network=NCSNSettings(ngf=8), image_shape=(3, 8, 8))
    network, objective = recipe.build_network(), recipe.objective()
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.1)  # a layer of zeros would pass no gradient on
    x = torch.rand(1, *recipe.image_shape)
    draws = objective.draw(x, torch.Generator().manual_seed(0))
    call = count_flops(lambda: network(x, recipe.noise.sigmas()[:1]))
    step = count_flops(lambda: objective.loss(network, x, draws).backward())
    assert step / call == pytest.approx(recipe.loss.cost_in_calls, rel=0.03)


def test_the_two_modes_hold_a_fifth_and_four_fifths():
    points, labels = load_two_modes()
    num = len(points)
    assert (points.shape, points.dtype) == ((10_000 * 128, 2), torch.float32)
    share = labels.double().mean().item()
    # The modes are 14 standard deviations apart, so the label is the component: binomial, five standard errors.
    assert abs(share - 0.8) < 5 * (0.8 * 0.2 / num) ** 0.5
    for label, mean, weight in [(0, -5.0, 0.2), (1, 5.0, 0.8)]:
        mode = points[labels == label].double()
        error = 5 / (weight * num) ** 0.5
        assert (mode.mean(0) - mean).abs().max() < error
        assert (mode.T.cov() - torch.eye(2)).abs().max() < error * 2**0.5
    assert torch.equal(load_two_modes().images, points)
    with pytest.raises(ValueError, match="test"):
        load_two_modes("test")


def test_the_levels_of_consistent_sampling():
    """One call at each of its own levels, geometric from the training's sigma_1."""
    settings, seen = ConsistentSamplingSettings(num_levels=7, sigma_min=0.03, keep=0.5), []

    def zero_score(x, sigma):
        seen.append(sigma[0].item())
        return torch.zeros_like(x)

    sigmas = NoiseSettings(12.0, 0.01, 24).sigmas()
    x = settings.start((2000, 1, 4, 4), sigmas, torch.Generator().manual_seed(0))
    # 32,000 draws around 0.5 with sigma_1 = 12: five standard errors.
    assert abs(x.mean() - 0.5) < 5 * 12 / 32_000**0.5
    assert abs(x.std() / 12 - 1) < 5 / 64_000**0.5
    settings.sample(zero_score, x, sigmas, randn_like=torch.zeros_like)
    assert len(seen) == settings.num_calls(24) == 7
    assert seen == pytest.approx(np.geomspace(12.0, 0.03, 7).tolist(), rel=1e-5)  # float32 levels
    settings.sample(zero_score, x[:1], NoiseSettings(12.0, 1.0, 24).sigmas(), randn_like=torch.zeros_like)
    assert seen[7:] == seen[:7]  # whatever the training's other levels


def test_the_levels_of_heun():
    """Karras et al. (2022), Eq. (5) and Algorithm 1: L steps down their own levels, two calls each but for the last."""
    settings, seen = HeunSettings(num_levels=5, sigma_max=20.0, sigma_min=0.02, rho=3.0, data_mean=0.2), []

    def zero_score(x, sigma):
        seen.append(sigma[0].item())
        return torch.zeros_like(x)

    ladder = NoiseSettings(12.0, 0.01, 24).sigmas()
    x = settings.start((2000, 1, 4, 4), ladder, torch.Generator().manual_seed(0))
    # 32,000 draws around 0.2 with sigma_max = 20: five standard errors.
    assert abs(x.mean() - 0.2) < 5 * 20 / 32_000**0.5
    assert abs(x.std() / 20 - 1) < 5 / 64_000**0.5
    steps = []
    assert torch.equal(settings.sample(zero_score, x, ladder, callback=steps.append), x)
    assert len(seen) == settings.num_calls(24) == 9
    assert len(steps) == settings.num_steps_in_all(24) == 5
    levels = np.linspace(20 ** (1 / 3), 0.02 ** (1 / 3), 5) ** 3
    assert seen == pytest.approx([levels[0], *np.repeat(levels[1:], 2)], rel=1e-5)


def test_the_constants_of_karras_et_al():
    """Their Table 1, sigma_data = 0.5 in [-1, 1], halved with the images, which we have in [0, 1]."""
    assert DenoisingLossSettings() == DenoisingLossSettings(log_mean=-1.2, log_std=1.2, data_std=0.5)
    assert HeunSettings() == HeunSettings(num_levels=18, sigma_max=80 / 2, sigma_min=0.002 / 2, rho=7.0)
    recipe = RECIPES["cifar10_edm"]
    assert recipe.loss.log_mean == pytest.approx(-1.2 + math.log(recipe.loss.data_std / 0.5), abs=0.005)
    for name in ("mnist_edm", "cifar10_edm"):
        loss, network = RECIPES[name].loss, RECIPES[name].network
        assert (loss.data_std, loss.form) == (network.data_std, network.form)
        assert network.data_mean == RECIPES[name].sampling.data_mean
    assert RECIPES["mnist_edm"].size()[0] < 800_000
    assert 2 * RECIPES["cifar10_edm"].size()[0] < 10e6  # bytes


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(5)
    first = small().build_network()
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), expected)  # the caller's draws are as if nothing had been built
    second = small().build_network()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "Recipe has the fields .*, got colour, dataset"),
        ({"type": "NoiseSettings"}, "NoiseSettings has the fields"),
        ({"noise": {"type": "NoiseSettings", "sigma_max": 1.0}}, "NoiseSettings has the fields num_levels"),
        (
            {"network": {"type": "MyNetwork"}},
            "'MyNetwork' is no type of settings that is known here; import",
        ),
        ({"network": {"widths": [8]}}, "'a record without a type' is no type of settings"),
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
        lambda: ConsistentSamplingSettings(num_levels=1),
        lambda: ConsistentSamplingSettings(sigma_min=0.0),
        lambda: ConsistentSamplingSettings(keep=1.1),
        lambda: SlicedLossSettings(noise_std=-0.1),
        lambda: SlicedLossSettings(num_projections=0),
        lambda: DenoisingLossSettings(log_std=0.0),
        lambda: DenoisingLossSettings(data_std=0.0),
        lambda: DenoisingLossSettings(label_dropout=2.0),
        lambda: DenoisingLossSettings(form="x0"),
        lambda: HeunSettings(num_levels=1),
        lambda: HeunSettings(sigma_min=50.0),
        lambda: HeunSettings(rho=0.0),
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
    assert "num_steps" not in str(caught.value)  # more steps are no other run


def test_a_nan_names_the_last_good_checkpoint(tmp_path):
    # A rate that blows the weights up within a few steps.
    recipe = small(training={"num_steps": 60, "batch_size": 8, "learning_rate": 1e30, "max_grad_norm": None})
    with pytest.raises(NonFiniteLossError, match=r"at step \d+: noise level .*; the last good checkpoint is .*step-"):
        train_recipe(recipe, tmp_path, checkpoint_every=1)
    last = list_checkpoints(tmp_path)[-1]
    assert load_run(last).step == int(last.name.removeprefix("step-"))


def test_the_best_checkpoint_stays(tmp_path):
    """Measured at steps 2, 4 and 6; the second is the best, and stays when newer ones push it out."""
    values = iter([3.0, 1.0, 2.0])
    seen = []

    def measure(run):
        seen.append(run.step)
        return next(values)

    train_recipe(small(), tmp_path, checkpoint_every=1, quality=Quality(measure, 2))
    assert seen == [2, 4, 6]
    assert [step for step, _ in read_rows(tmp_path / "quality.csv")] == [2, 4, 6]
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000005", "step-00000006"]
    assert load_run(tmp_path / "best").step == 4
    with pytest.raises(ValueError, match="quality_every must be a multiple of checkpoint_every, 2, got 3"):
        train_recipe(small(), tmp_path / "new", checkpoint_every=2, quality=Quality(measure, 3))


def test_stopped_when_asked(tmp_path):
    """What was done is saved, and going on gives what an uninterrupted run gives."""
    asked = iter([False, False, True])
    with pytest.raises(TrainingInterrupted, match=r"stopped at step 3; the last good checkpoint is .*step-00000003"):
        train_recipe(small(), tmp_path / "cut", stop=lambda: next(asked))
    train_recipe(small(), tmp_path / "cut")
    train_recipe(small(), tmp_path / "whole")
    assert sums(tmp_path / "cut") == sums(tmp_path / "whole")


def test_a_recipe_that_learns_classes_goes_on_exactly(tmp_path):
    """With its labels, cut and not; and images without labels are refused before anything is written."""
    asked = iter([False, False, True])
    with pytest.raises(TrainingInterrupted):
        train_recipe(conditional_recipe(), tmp_path / "cut", stop=lambda: next(asked))
    train_recipe(conditional_recipe(), tmp_path / "cut")
    train_recipe(conditional_recipe(), tmp_path / "whole", images=load_digits("train"))
    assert sums(tmp_path / "cut") == sums(tmp_path / "whole")
    with pytest.raises(ValueError, match="the objective learns classes, and a tensor has none"):
        train_recipe(conditional_recipe(), tmp_path / "new", images=load_digits("train").images)
    digits = load_digits("train")
    with pytest.raises(ValueError, match="num_classes must be at least 12, got 10"):
        train_recipe(conditional_recipe(), tmp_path / "new", images=digits._replace(labels=digits.labels + 2))
    assert not (tmp_path / "new").exists()


def test_images_of_another_shape(tmp_path):
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 8, 8\), got \(20, 1, 4, 4\)"):
        train_recipe(small(), tmp_path, images=torch.zeros(20, 1, 4, 4))
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 8, 8\), got \(20, 1, 4, 4\)"):
        train_recipe(small(), tmp_path, images=LabelledImages(torch.zeros(20, 1, 4, 4), torch.zeros(20).long()))


def test_the_small_run_or_the_full_one(tmp_path, monkeypatch):
    stored, full = tmp_path / "small.safetensors", small()
    export_run(train_recipe(small(training={"num_steps": 2, "batch_size": 8}), tmp_path / "small"), stored, {})
    monkeypatch.delenv("NCSN_FULL", raising=False)
    assert full_or_small_run(full, stored, tmp_path / "runs").step == 2
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv("NCSN_FULL", "1")
    run = full_or_small_run(full, stored, tmp_path / "runs", device="cpu")
    x, sigma = torch.rand(2, *full.image_shape), torch.ones(2)
    assert (run.step, run.recipe) == (6, full)
    with torch.no_grad():
        torch.testing.assert_close(run.network(x, sigma), load_run(tmp_path / "runs" / full.name).network(x, sigma))
    monkeypatch.setenv("NCSN_FULL", "yes")
    with pytest.raises(ValueError, match="NCSN_FULL must be 0 or 1, got 'yes'"):
        full_or_small_run(full, stored, tmp_path / "runs")
    monkeypatch.setenv("NCSN_FULL", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="wants a GPU"):
        full_or_small_run(full, stored, tmp_path / "runs")


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*; train one first: python -m ncsn_lib"):
        load_run(tmp_path)


def test_counts_of_a_run(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1, got 0"):
        train_recipe(small(), tmp_path, checkpoint_every=0)


# --- cut at any moment

KILLS = int(os.environ.get("NCSN_KILLS") or 3)
KILLED = os.environ.get("NCSN_KILL_RECIPE") or "digits"


def sums(folder):
    """What the last checkpoint holds, by file, and the losses."""
    last = list_checkpoints(folder)[-1]
    files = [*sorted(last.iterdir()), folder / "loss.csv"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a thing of POSIX")
def test_kill_at_random_moments_then_resume(tmp_path):
    """kill -9, resume, and again: the end is that of the uninterrupted run, bit for bit, file by file."""
    num_steps = 40 * KILLS
    options = f"--training.num-steps {num_steps} --training.batch-size 8 --checkpoint-every 3".split()
    options += ["--network.widths", "8"] if KILLED == "digits" else []  # another recipe keeps its network

    def start(folder):
        return start_command(["train", KILLED, *options, "--run-dir", str(folder)], tmp_path / "log")

    assert wait_for_end(start(tmp_path / "whole")) == 0
    folder, generator = tmp_path / "cut", random.Random(0)
    for _ in range(KILLS):
        process, moments = start(folder), []
        for _ in range(2):
            before = list_checkpoints(folder)[-1:]
            wait_for(lambda before=before: list_checkpoints(folder)[-1:] != before, process.is_alive)
            moments.append(time.perf_counter())
        time.sleep(generator.uniform(0, 2) * (moments[1] - moments[0]))  # in the next six steps, or their checkpoints
        process.kill()
        assert wait_for_end(process) == -signal.SIGKILL, "it ended before it could be killed"
    assert wait_for_end(start(folder)) == 0
    assert sums(folder) == sums(tmp_path / "whole")
    assert steps_of(folder) == list(range(1, num_steps + 1))


def test_the_digits_recipe_learns():
    """150 steps of a narrow network: held-out digits cost far less than the 32 of the zero score."""
    recipe, held_out = small(training={"num_steps": 150, "batch_size": 64}), load_digits("test").images
    state = TrainingState.start(recipe.build_network(), recipe.training)
    train(state, load_digits("train").images, recipe.objective(), recipe.training)
    generator = torch.Generator().manual_seed(0)
    draws = recipe.objective().draw(held_out, generator)
    with torch.no_grad():
        assert recipe.objective().loss(state.ema.module, held_out, draws).item() < 22


def test_what_a_training_costs():
    """Three calls of 19.786 GFLOP (a call of the published network) for each of 200,000 x 128 images."""
    recipe = RECIPES["cifar10"]
    assert recipe.training_operations() == pytest.approx(3 * 19.786e9 * 200_000 * 128, rel=1e-4)
