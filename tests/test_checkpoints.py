"""Checkpoints: whole or not at all, and nothing damaged is believed."""

import json
import pickle
import random
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch

from ncsn_lib.checkpoints import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
)
from ncsn_lib.files import record_path

RECIPE = {"name": "digits", "training": {"num_steps": 5, "betas": [0.9, 0.99]}}
WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1.5])}
TRAINING = {"network.a": torch.ones(2, 3), "ema.n_averaged": torch.tensor(3)}


def save(folder, step=1, **options):
    return save_checkpoint(folder, step=step, recipe=RECIPE, weights=WEIGHTS, training=TRAINING, **options)


def test_what_is_saved_is_loaded(tmp_path):
    checkpoint = load_checkpoint(save(tmp_path / "run", step=12))
    assert checkpoint.step == 12
    assert checkpoint.recipe == RECIPE
    for saved, loaded in ((WEIGHTS, checkpoint.weights), (TRAINING, checkpoint.training)):
        assert saved.keys() == loaded.keys()
        assert all(torch.equal(saved[name], loaded[name]) for name in saved)


def test_the_newest_stay(tmp_path):
    for step in (5, 10, 15, 20):
        save(tmp_path, step, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000015", "step-00000020"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_saving_a_step_again_replaces_it(tmp_path):
    save(tmp_path, 3)
    path = save_checkpoint(tmp_path, step=3, recipe={"name": "other"}, weights=WEIGHTS, training=TRAINING)
    assert load_checkpoint(path).recipe == {"name": "other"}


def test_views_and_transposes_are_saved_by_value(tmp_path):
    shared = torch.arange(12.0).view(3, 4)
    path = save_checkpoint(tmp_path, step=1, recipe=RECIPE, weights={"t": shared.T, "row": shared[1]}, training={})
    loaded = load_checkpoint(path).weights
    assert torch.equal(loaded["t"], shared.T)
    assert torch.equal(loaded["row"], shared[1])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    save(folder, 1)
    save(folder, 2)
    return folder


@pytest.fixture
def run(sound, tmp_path):
    """A folder with two checkpoints, to be damaged."""
    return shutil.copytree(sound, tmp_path / "run")


FILES = ["network.safetensors", "training.safetensors", "checkpoint.json"]


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_and_every_cut_is_seen(run, name):
    """68 damaged files of each kind."""
    file, generator = run / "step-00000002" / name, random.Random(name)
    content = file.read_bytes()
    for trial in range(68):
        damaged = bytearray(content)
        if trial % 2:
            damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        else:
            del damaged[generator.randrange(len(content)) :]
        file.write_bytes(damaged)
        assert "step-00000001" in refusal(run / "step-00000002")  # the one before it is offered
    file.write_bytes(content)
    assert load_checkpoint(run / "step-00000002").step == 2


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(run, name):
    (run / "step-00000002" / name).unlink()
    assert f"cannot read {run / 'step-00000002' / name}" in refusal(run / "step-00000002")


def test_the_first_one_damaged_says_train_again(run):
    shutil.rmtree(run / "step-00000002")
    (run / "step-00000001" / "network.safetensors").write_bytes(b"")
    assert "There is none before it" in refusal(run / "step-00000001")


def test_another_format_is_refused(run):
    path = run / "step-00000002" / "checkpoint.json"
    for content, message in [
        ({"format": "ncsn_lib checkpoint 99"}, "has format 'ncsn_lib checkpoint 99'"),
        ({"weights": 1}, "is no checkpoint of ncsn_lib"),
        ([1, 2], "is no checkpoint of ncsn_lib"),
    ]:
        path.write_text(json.dumps(content))
        assert message in refusal(run / "step-00000002")


def test_nothing_is_ever_unpickled(run):
    """A file of ours replaced by a pickle that would run code."""

    class Attack:
        def __reduce__(self):
            return (open, (str(run / "attacked"), "w"))

    for name in FILES:
        (run / "step-00000002" / name).write_bytes(pickle.dumps(Attack()))
        refusal(run / "step-00000002")
    assert not (run / "attacked").exists()


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(CheckpointError, match=r"could not save .*There is no earlier checkpoint"):
        save(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="file-size limits are a thing of POSIX")
def test_a_full_disk_leaves_the_last_checkpoint(run):
    """A limit on the size of files stands for the full disk: a write fails halfway, and the rest must stand."""
    script = f"""
        import resource, signal, pathlib, torch
        from ncsn_lib.checkpoints import CheckpointError, save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            save_checkpoint(pathlib.Path({str(run)!r}), step=3, recipe={{}}, weights={{"a": torch.zeros(100_000)}},
                            training={{}})
        except CheckpointError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not save" in done.stdout
    assert f"The last good checkpoint is {run / 'step-00000002'}" in done.stdout
    assert sorted(path.name for path in run.iterdir()) == ["step-00000001", "step-00000002"]
    assert load_checkpoint(run / "step-00000002").step == 2


# --- models to share


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "models" / "small.safetensors"
    save_model(path, {**WEIGHTS, "count": torch.tensor(70_000)}, {"kind": "test", "accuracy": 0.5})
    return path


def test_a_model_is_halved_and_its_record_kept(model):
    weights, record = load_model(model)
    assert weights["count"].item() == 70_000  # whole numbers are not rounded: float16 ends at 65,504
    for name, value in WEIGHTS.items():
        assert weights[name].dtype == torch.float32
        assert torch.equal(weights[name], value)  # small multiples of 1/2, which float16 has
    assert (record["kind"], record["accuracy"]) == ("test", 0.5)
    assert sorted(path.name for path in model.parent.iterdir()) == ["small.safetensors", "small.safetensors.json"]
    third = torch.full((1,), 1 / 3)
    save_model(model, {"a": third}, {})
    assert load_model(model)[0]["a"].item() == pytest.approx(1 / 3, rel=2**-11)  # float16 keeps 11 bits
    assert load_model(model)[0]["a"].item() == third.half().item()


@pytest.mark.parametrize("ending", ["", ".json"])
def test_a_damaged_model_is_named(model, ending):
    file = model.with_name(model.name + ending)
    content = bytearray(file.read_bytes())
    for change in (lambda c: c[:-2], lambda c: bytes([c[0] ^ 1]) + c[1:], lambda c: b"", lambda c: b"[]"):
        file.write_bytes(change(content))
        with pytest.raises(CheckpointError, match=rf"{file} .*fetch or make both files again"):
            load_model(model)
    file.unlink()
    with pytest.raises(CheckpointError, match=f"cannot read {file}"):
        load_model(model)


def test_a_checkpoint_is_no_model(run, model):
    shutil.copy(run / "step-00000002" / "checkpoint.json", record_path(model))
    with pytest.raises(CheckpointError, match="has format 'ncsn_lib checkpoint 1', this version reads 'ncsn_lib model"):
        load_model(model)


@pytest.mark.parametrize("value", [1e5, float("nan")])
def test_what_16_bits_cannot_hold_is_refused_before_anything_is_written(model, value):
    before = model.read_bytes()
    with pytest.raises(ValueError, match="the weights a hold a value that float16 cannot"):
        save_model(model, {"a": torch.tensor([value])}, {})
    assert model.read_bytes() == before


def test_a_models_suffix(tmp_path):
    for call in (load_model, lambda path: save_model(path, {}, {})):
        with pytest.raises(ValueError, match=r"must end in .safetensors, got .*model.pt"):
            call(tmp_path / "model.pt")


def test_a_model_where_a_file_stands(tmp_path):
    (tmp_path / "models").write_text("mine")
    with pytest.raises(CheckpointError, match="could not save"):
        save_model(tmp_path / "models" / "a.safetensors", WEIGHTS, {})
