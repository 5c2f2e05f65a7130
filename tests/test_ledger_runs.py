"""Each command that the ledger prints writes the result that its verdict reads: with tiny recipes, by the same path."""

import dataclasses
import json
import shlex
import shutil

import claims
import paper_run
import pytest
import torch
from chapters import RESULTS
from problems import Colours, seeded

from ncsn_lib.cli import main
from ncsn_lib.data import DATASETS, LabelledImages
from ncsn_lib.recipes import RECIPES, SOURCES
from ncsn_lib.settings import SamplingSettings, UNetSettings

CLAIMS = [claim for part in claims.CLAIMS.values() for claim in part if claim.command]
QUICK = ["--checkpoint-every", "2", "--num", "12", "--num-along", "6", "--sampled-together", "12"]


def tiny(recipe):
    """A recipe of the same name, parts and data, for images of 8 x 8 and a few steps."""
    training = dataclasses.replace(recipe.training, num_steps=4 if recipe.sampling else 40, batch_size=8)
    sampling = recipe.sampling and SamplingSettings(eps=1e-5, num_steps=1)
    shape = (recipe.image_shape[0], 8, 8)
    noise = dataclasses.replace(recipe.noise, num_levels=min(3, recipe.noise.num_levels))
    network = recipe.network if recipe.sampling is None else UNetSettings(widths=(8,))
    return dataclasses.replace(
        recipe, training=training, sampling=sampling, image_shape=shape, noise=noise, network=network
    )


def blots(channels):
    """A data set of ten classes of bright spots."""

    def load(split="train"):
        num, generator = {"train": 80, "test": 40}[split], seeded({"train": 0, "test": 1}[split])
        labels = torch.arange(num) % 10
        images = 0.1 * torch.rand(num, channels, 8, 8, generator=generator)
        images[torch.arange(num), :, labels // 4 * 2, labels % 4 * 2] = 1.0
        return LabelledImages(images, labels)

    return load


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder in which every command of the ledger has been run, its results in `results`."""
    home = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for name, recipe in RECIPES.items():
            patch.setitem(RECIPES, name, tiny(recipe) if len(recipe.image_shape) == 3 else recipe)
        for name, channels in (("mnist", 1), ("cifar10", 3), ("celeba", 3)):
            for known in (SOURCES, DATASETS):
                patch.setitem(known, name, blots(channels))
        patch.setattr(paper_run, "load_inception", lambda weights, device: Colours())
        for name in ("mnist", "cifar10"):
            small = ["--training.batch-size", "20", "--training.num-epochs", "1", "--training.max-shift", "0"]
            assert main(["train-classifier", name, *small]) == 0
        shutil.copytree(RESULTS, home / "results")
        for command in sorted({claim.command for claim in CLAIMS}):  # with --inception after without
            program, script, *words = shlex.split(command)
            assert (program, script) == ("python", "book/results/paper_run.py")
            more = QUICK if RECIPES[words[0]].sampling else QUICK[:2]
            assert paper_run.main([*words, *more, "--out", "results"]) == 0, command
        yield home


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"{claim.where} {claim.says[:20]}" for claim in CLAIMS])
def test_the_printed_command_writes_what_the_verdict_reads(world, monkeypatch, claim):
    before = claims.measure(claim)
    assert before is None or before.stand_in, "it has been run: then another test holds the page to its result"
    recipe = shlex.split(claim.command)[2]
    monkeypatch.setattr(claims, "RESULTS", world / "results")
    path = world / "results" / f"{recipe}.json"
    stored = json.loads(path.read_text())
    if "by_inception" in stored and stored["by_inception"]["num_images"] < 50_000:
        assert stored["by_inception"]["num_images"] == 12
        stored["by_inception"]["num_images"] = 50_000
        path.write_text(json.dumps(stored))
    after = claims.measure(claim)
    assert (after.result, after.stand_in) == (recipe, "")
    assert claims.verdict(after) in ("reproduced", "not")
    stored["data"], stored["provenance"]["command"] = "a copy", "python x --data y"
    path.write_text(json.dumps(stored))
    assert claims.measure(claim).stand_in == "a copy"
    path.write_text(json.dumps(stored | {"data": recipe, "provenance": {"command": "python x"}}))


def test_the_checkpoint_is_the_one_of_lowest_distance(world):
    stored = json.loads((world / "results" / "cifar10.json").read_text())
    rows = stored["along"]["rows"]
    assert [row["step"] for row in rows] == [2, 4]
    assert stored["step"] == min(rows, key=lambda row: row["distance"])["step"]
    assert stored["along"]["measure"] == "FID"
    assert stored["sampling"]["checkpoint"] == "the one of lowest FID, of 6 samples"
    digits = json.loads((world / "results" / "mnist.json").read_text())
    assert digits["sampling"]["checkpoint"] == "the last one, as the paper's of MNIST"
    faces = json.loads((world / "results" / "celeba.json").read_text())
    assert "judged" not in faces
    assert faces["sampling"]["checkpoint"] == "the last one: nothing judges them"


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ([0.0, 0.1, 0.3, 0.6, 0.8, 1.0], True),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], False),  # at one blow
        ([0.9, 0.9, 0.95, 1.0, 1.0, 1.0], False),  # there from the start
    ],
)
def test_emergence_is_gradual(world, monkeypatch, path, holds):
    monkeypatch.setattr(claims, "RESULTS", world / "results")
    stored = json.loads((world / "results" / "celeba.json").read_text())
    stored["emergence"]["resemblance"] = path
    monkeypatch.setattr(claims, "load", lambda name: stored)
    assert claims.emerges("celeba")().holds == holds


def test_what_is_like_the_data():
    """Other images of the data pass; noise, blank pictures and copies do not."""
    test, train = (blots(3)(split).images for split in ("test", "train"))
    sets = {
        "fresh": (test.flip(0), True),
        "noise": (torch.rand(test.shape, generator=seeded()), False),
        "blank": (train.mean(0, keepdim=True).expand_as(test), False),
        "copies": (train[:40], False),
    }
    for name, (images, holds) in sets.items():
        nearest = {}
        for label, part in (("samples", images), ("test images", test)):
            distances = paper_run.nearest_neighbours(part, train, 1)[0][:, 0]
            nearest[label] = {"in_pixels": paper_run.quantiles(distances)}
        described = {"samples": paper_run.describe(images), "test images": paper_run.describe(test)}
        assert claims.likeness({"statistics": {"nearest": nearest, "images": described}})[1] == holds, name
