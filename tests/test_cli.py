"""The command line, as a user meets it: what it writes, and one line for every mistake."""

import csv
import errno
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from problems import TINY, conditional_recipe

from ncsn_lib.checkpoints import list_checkpoints, load_checkpoint, load_model
from ncsn_lib.cli import main
from ncsn_lib.cli.train import StopSignal
from ncsn_lib.data import load_images
from ncsn_lib.recipes import RECIPES
from ncsn_lib.runs import load_run, train_recipe
from ncsn_lib.sampling import sample_run


def fails(capsys, *argv):
    """The one line on stderr of a command that ends with status 2."""
    assert main(list(map(str, argv))) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    lines = [line for line in lines if "it/s" not in line and "step" not in line.split(":")[0]]  # the progress bar's
    assert len(lines) == 1, lines
    assert lines[0].startswith("ncsn_lib: ")
    return lines[0]


def test_train_says_where_the_results_are(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", *TINY]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last == "4 steps done; the network is in runs/digits/step-00000004, the losses in runs/digits/loss.csv"
    assert (tmp_path / "runs/digits/step-00000004/network.safetensors").exists()


def test_sample_draws_a_grid(capsys, run, tmp_path):
    out = tmp_path / "deep" / "grid.png"
    argv = ["sample", "digits", "--run-dir", str(run), "--num", "9", "--out", str(out), "--sampling.num-steps", "1"]
    assert main(argv) == 0
    assert capsys.readouterr().out.strip() == f"9 images from step 4: {out}"
    with Image.open(out) as picture:
        assert picture.size == (3 * 68 + 4, 3 * 68 + 4)  # 8 pixels eightfold, gaps of 4


def test_sample_writes_the_numbers(run, tmp_path):
    out = tmp_path / "samples.npy"
    argv = ["sample", "digits", "--run-dir", str(run), "--num", "3", "--out", str(out), "--sampling.num-steps", "1"]
    assert main([*argv, "--seed", "5"]) == 0
    first = np.load(out)
    assert first.shape == (3, 1, 8, 8)
    assert main([*argv, "--seed", "5"]) == 0
    assert np.array_equal(np.load(out), first)


def test_a_second_train_goes_on(capsys, run):
    argv = ["train", "digits", *TINY, "--run-dir", str(run)]
    assert main(argv) == 0
    assert f"going on from {run / 'step-00000004'}" in capsys.readouterr().out
    assert main([*argv, "--training.seed", "1", "--fresh"]) == 0
    assert len(list_checkpoints(run)) == 1


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(np.full((10, 12), 20 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_train_on_any_folder(capsys, pictures, tmp_path):
    argv = ["train", "digits", "--steps", "2", "--batch-size", "4", "--network.widths", "8"]
    argv += ["--run-dir", str(tmp_path / "run"), "--data", str(pictures)]
    assert main(argv) == 0
    assert "2 steps done" in capsys.readouterr().out
    said = fails(capsys, *argv[:-2])
    assert "dataset is 'images of pictures' there and 'digits' here" in said


def test_the_classes_of_any_folder_are_learnt_and_sampled(capsys, pictures, tmp_path, monkeypatch):
    """The classes are the folders: what is trained is what the images with those labels train."""
    for number in range(9):
        (pictures / "ab"[number % 2]).mkdir(exist_ok=True)
        (pictures / f"{number}.png").rename(pictures / "ab"[number % 2] / f"{number}.png")
    recipe = conditional_recipe(training={"num_steps": 2, "batch_size": 4})
    monkeypatch.setitem(RECIPES, "digits", recipe)
    folder, out = tmp_path / "run", tmp_path / "samples.npy"
    assert main(["train", "digits", "--run-dir", str(folder), "--data", str(pictures)]) == 0
    train_recipe(recipe, tmp_path / "other", images=load_images(pictures, size=8))
    assert (folder / "loss.csv").read_bytes() == (tmp_path / "other" / "loss.csv").read_bytes()
    argv = ["sample", "digits", "--run-dir", str(folder), "--num", "3", "--out", str(out), "--classes"]
    assert main([*argv, "1", "0"]) == 0
    assert np.array_equal(np.load(out), sample_run(load_run(folder), 3, classes=[1, 0]).numpy())
    assert "--classes must be from 0 to 9, or -1 for none, got 12" in fails(capsys, *argv, "12")
    few = ["train", "digits", "--network.num-classes", "1", "--run-dir", folder, "--data", pictures]
    assert "--network.num-classes must be at least 2, got 1" in fails(capsys, *few)


def test_the_pictures_are_decoded_once(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("NCSN_CACHE", str(tmp_path / "kept"))
    argv = ["train", "digits", "--batch-size", "4", "--network.widths", "8", "--run-dir", str(tmp_path / "run")]
    argv += ["--data", str(pictures), "--steps", "1"]
    assert main([*argv, "--no-cache"]) == 0
    assert not (tmp_path / "kept").exists()
    assert main(argv) == 0
    first = sorted(file.stat().st_mtime_ns for file in (tmp_path / "kept").iterdir())
    assert len(first) == 2
    assert main(argv) == 0
    assert sorted(file.stat().st_mtime_ns for file in (tmp_path / "kept").iterdir()) == first


def test_a_broken_picture(capsys, pictures, tmp_path):
    (pictures / "4.png").write_bytes(b"no picture")
    argv = ["train", "digits", "--steps", "1", "--batch-size", "4", "--network.widths", "8"]
    argv += ["--run-dir", str(tmp_path / "run"), "--data", str(pictures)]
    assert "the image 4.png cannot be read" in fails(capsys, *argv)
    assert main([*argv, "--skip-broken"]) == 0
    said = capsys.readouterr()
    assert said.err == f"ncsn_lib: warning: {pictures}: 1 image left out, which cannot be read, first 4.png\n"
    assert f"{pictures}: 8 images of 1 class; left out: 1 image that cannot be read (4.png)\n" in said.out


def test_pictures_of_other_colours_are_refused(capsys, pictures, tmp_path):
    Image.new("RGB", (8, 8)).save(pictures / "colour.png")
    said = fails(capsys, "train", "digits", "--run-dir", tmp_path / "run", "--data", pictures)
    assert "holds images of colour, and the recipe digits takes grey ones: make them grey" in said


def test_fresh_deletes_nothing_before_all_is_checked(capsys, run, pictures):
    before = sorted(run.rglob("*"))
    Image.new("RGB", (8, 8)).save(pictures / "colour.png")
    argv = ["train", "digits", "--fresh", "--run-dir", run]
    assert "holds images of colour" in fails(capsys, *argv, "--data", pictures)
    assert "--batch-size must be at most the number of images, 1437" in fails(capsys, *argv, "--batch-size=2000")
    assert "--quality-every must be at least 1, got 0" in fails(capsys, *argv, "--quality-every", "0")
    assert "cannot read none.safetensors.json" in fails(
        capsys, *argv, "--quality-every", "500", "--classifier", "none.safetensors"
    )
    assert sorted(run.rglob("*")) == before


# --- what train does besides


def losses(folder):
    with (folder / "loss.csv").open(newline="") as file:
        return {int(step): float(loss) for step, loss in list(csv.reader(file))[1:]}


def weights(folder):
    return list(load_run(folder).network.parameters())


def test_grids_while_training_change_nothing(trained, tmp_path):
    folder = tmp_path / "run"
    assert main(["train", "digits", *TINY, "--run-dir", str(folder), "--sample-every", "2"]) == 0
    grids = sorted(folder.glob("*.png"))
    assert [grid.name for grid in grids] == ["samples-00000002.png", "samples-00000004.png"]
    for grid in grids:
        with Image.open(grid) as picture:
            assert picture.size == (8 * 68 + 4, 8 * 68 + 4)
    assert losses(folder) == losses(trained)
    assert all(torch.equal(a, b) for a, b in zip(weights(folder), weights(trained), strict=True))


def test_the_last_grid_is_what_sample_draws(tmp_path):
    folder, out = tmp_path / "run", tmp_path / "grid.png"
    assert main(["train", "digits", *TINY, "--run-dir", str(folder), "--sample-every", "4"]) == 0
    assert main(["sample", "digits", "--run-dir", str(folder), "--out", str(out)]) == 0
    with Image.open(out) as drawn, Image.open(folder / "samples-00000004.png") as grid:
        assert np.array_equal(np.asarray(drawn), np.asarray(grid))


def test_tensorboard_gets_the_losses(tmp_path):
    folder = tmp_path / "run"
    assert main(["train", "digits", *TINY, "--run-dir", str(folder), "--tensorboard"]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    written = {event.step: event.value for event in events.Scalars("loss")}
    expected = losses(folder)
    assert written.keys() == expected.keys() == {1, 2, 3, 4}
    assert written == pytest.approx(expected, rel=1e-6)  # its file holds float32


def test_what_is_not_installed_is_told_before_anything_is_lost(capsys, run, monkeypatch, tmp_path):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # what Python does with a missing module
    said = fails(capsys, "train", "digits", *TINY, "--run-dir", run, "--fresh", "--tensorboard")
    assert 'pip install "ncsn_lib[tensorboard]"' in said
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    said = fails(capsys, "sample", "digits", "--run-dir", run, "--out", tmp_path / "a.mp4")
    assert "an .mp4 (a .gif does not) needs imageio_ffmpeg" in said


@pytest.mark.parametrize(("keep", "names"), [(1, ["04"]), (3, ["02", "03", "04"])])
def test_keep(tmp_path, keep, names):
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path), "--checkpoint-every", "1", "--keep", str(keep)]
    assert main(argv) == 0
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"step-000000{name}" for name in names]


def test_accumulate(capsys, trained, tmp_path):
    """Sums in another order: float32 rounding, 1e-7 a step, which training lets grow."""
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path / "run"), "--accumulate"]
    assert main([*argv, "4"]) == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(trained), rel=1e-4)
    assert "times the 3 parts of each, got 8; 6 would do" in fails(capsys, *argv, "3")


def test_lines_where_there_is_no_terminal(capsys, tmp_path):
    assert main(["train", "digits", *TINY, "--run-dir", str(tmp_path), "--checkpoint-every", "2"]) == 0
    said, bar = capsys.readouterr()
    form = r"train digits: (\d) of 4 steps, loss (.*), [\d,]+ images/s, \d+ s left"
    lines = [re.fullmatch(form, line) for line in said.splitlines()]
    told = {int(line[1]): float(line[2]) for line in lines if line}
    assert told == pytest.approx({step: losses(tmp_path)[step] for step in (2, 4)}, abs=0.005)  # two digits
    assert bar == ""


def test_the_record_of_a_run(tmp_path):
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path)]
    begun = time.perf_counter()
    assert main(argv) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["step"], record["processes"]) == (4, 1)
    assert 0 < record["seconds"] < time.perf_counter() - begun
    assert record["provenance"]["command"] == " ".join(["python -m ncsn_lib", *argv])
    assert main(argv) == 0  # nothing left to do, nothing to record
    assert json.loads((tmp_path / "run.json").read_text()) == record


def test_the_clock_goes_on_with_the_run(tmp_path, monkeypatch):
    """A run that is cut at step 2, after 100 seconds by its record, counts on from there."""
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path), "--checkpoint-every", "2"]
    assert main([*argv, "--keep", "2"]) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    for name in (tmp_path / "step-00000004").iterdir():
        name.unlink()
    (tmp_path / "step-00000004").rmdir()
    (tmp_path / "run.json").write_text(json.dumps({**record, "step": 2, "seconds": 100.0}))
    begun = time.perf_counter()
    assert main(argv) == 0
    assert 100 < json.loads((tmp_path / "run.json").read_text())["seconds"] < 100 + time.perf_counter() - begun
    begun = time.perf_counter()
    assert main([*argv, "--fresh"]) == 0
    assert json.loads((tmp_path / "run.json").read_text())["seconds"] < time.perf_counter() - begun


def test_the_clock_of_a_run_that_is_stopped(tmp_path, monkeypatch):
    """A signal at step 3 saves that step, so its seconds count."""
    asked = []
    monkeypatch.setattr(StopSignal, "__call__", lambda stop: asked.append(stop) or len(asked) == 3)
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path)]
    assert main(argv) >= 128
    first = json.loads((tmp_path / "run.json").read_text())
    last = load_checkpoint(list_checkpoints(tmp_path)[-1]).step
    assert first["step"] == last == 3
    assert main(argv) == 0
    second = json.loads((tmp_path / "run.json").read_text())
    assert second["step"] == 4
    assert second["seconds"] >= first["seconds"] > 0


def test_too_little_memory_on_the_gpu(capsys, tmp_path, monkeypatch):
    def train_recipe(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB. See the manual")

    monkeypatch.setattr("ncsn_lib.cli.train.train_recipe", train_recipe)
    said = fails(capsys, "train", "digits", "--run-dir", tmp_path)
    assert said == (
        "ncsn_lib: CUDA out of memory; lower --batch-size, or train with --accumulate 2, 4, ... parts of a batch"
    )


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: torch.empty(2**58), "out of memory: 1073741824.00 GiB more were asked for"),
        (lambda: np.empty(2**57), "out of memory (Unable to allocate 1.00 EiB for an array with shape"),
    ],
    ids=["torch", "numpy"],
)
def test_too_little_memory_beside_the_processor(capsys, tmp_path, monkeypatch, ask, words):
    """Each asks for 2^60 bytes, more than any machine has."""
    monkeypatch.setattr("ncsn_lib.cli.train.train_recipe", lambda *given, **named: ask())
    said = fails(capsys, "train", "digits", "--run-dir", tmp_path)
    assert said.startswith(f"ncsn_lib: {words}")
    assert said.endswith("; lower --batch-size, or train with --accumulate 2, 4, ... parts of a batch")


def test_what_is_not_foreseen_is_one_line_and_its_traceback_can_be_had(capsys, tmp_path, monkeypatch):
    def train_recipe(*given, **named):
        raise RuntimeError("a defect")

    monkeypatch.setattr("ncsn_lib.cli.train.train_recipe", train_recipe)
    argv = ["train", "digits", "--run-dir", str(tmp_path)]
    assert fails(capsys, *argv).startswith("ncsn_lib: RuntimeError: a defect; this is not foreseen: NCSN_TRACEBACK=1")
    monkeypatch.setenv("NCSN_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="a defect"):
        main(argv)


def test_ctrl_c_while_sampling(capsys, run, tmp_path, monkeypatch):
    def sample_run(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("ncsn_lib.cli.sample.sample_run", sample_run)
    argv = ["sample", "digits", "--run-dir", str(run), "--out", str(tmp_path / "a.png")]
    assert main(argv) == 130
    command = " ".join(["python -m ncsn_lib", *argv])
    assert capsys.readouterr().err == f"ncsn_lib: interrupted; to start again, or go on: {command}\n"


def test_a_disk_that_fills_while_training(capsys, tmp_path, monkeypatch):
    """The third write of weights fails: the run ends, the checkpoint before it stands, and with space it goes on."""
    write, written = Path.write_bytes, []

    def full(path, content):
        written.append(path.name)
        if written.count("network.safetensors") == 3:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    folder = tmp_path / "run"
    argv = ["train", "digits", *TINY, "--run-dir", str(folder), "--checkpoint-every", "1"]
    monkeypatch.setattr(Path, "write_bytes", full)
    said = fails(capsys, *argv)
    assert f"could not save {folder / 'step-00000003'}: No space left on device; free some space" in said
    assert said.endswith(f"The last good checkpoint is {folder / 'step-00000002'}")
    assert load_checkpoint(folder / "step-00000002").step == 2
    assert not list(folder.glob(".unfinished*"))
    monkeypatch.undo()
    assert main(argv) == 0
    assert f"going on from {folder / 'step-00000002'}" in capsys.readouterr().out
    assert list(losses(folder)) == [1, 2, 3, 4]


# --- list and export


def test_list_tells_each_recipes_size_and_cost(capsys):
    """Parameters as published; operations as counted by others: 19.786 and 3.786 GFLOP a call, thrice that to train."""
    assert main(["list"]) == 0
    said = capsys.readouterr().out.split("\n\n")[0].splitlines()
    rows = {line.split()[0]: re.split(r"\s{2,}", line) for line in said[1:]}
    assert rows.keys() == RECIPES.keys()
    for name, row in rows.items():
        assert row[-1] == RECIPES[name].reproduces
    for name in ("digits", "mnist_small", "mnist_small_wide"):
        assert rows[name][1] == f"{sum(p.numel() for p in RECIPES[name].build_network().parameters()):,}"
    assert rows["toy"][1] == f"{2 * 128 + 128 + 128 * 128 + 128 + 128 * 2 + 2:,}"
    published = {"mnist": "7,638,657", "cifar10": "30,117,635", "celeba": "30,117,635"}
    published |= {"ncsnv2_cifar10": "29,694,083", "fig1_raw": "1,379,651", "fig1_noise": "1,379,651"}
    assert {name: rows[name][1] for name in published} == published
    assert rows["cifar10"][2:5] == ["200,000 x 128", "1.52 EFLOP", "19.8 TFLOP"]
    assert rows["mnist"][2:5] == ["200,000 x 128", "291 PFLOP", "3.79 TFLOP"]


def test_export_is_read_like_a_run(capsys, run, tmp_path):
    out = tmp_path / "deep" / "digits.safetensors"
    assert main(["export", "digits", "--run-dir", str(run), "--out", str(out)]) == 0
    size = out.stat().st_size
    assert capsys.readouterr().out.strip() == f"the network of step 4 is in {out}, {size / 1e6:.2f} MB"
    stored, record = load_model(out)
    whole = load_run(run)
    count = sum(p.numel() for p in whole.network.parameters())
    assert 2 * count < size < 2 * count + 8192  # two bytes each, and their names
    assert record["step"] == 4
    assert record["provenance"]["command"].startswith("python -m ncsn_lib train digits")
    found = load_run(out)
    assert found.recipe == whole.recipe
    for (name, a), b in zip(found.network.named_parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(a, b.half().float()), name
        assert torch.equal(stored[name].float(), a)
    argv = ["sample", "digits", "--run-dir", str(out), "--num", "2", "--out", str(tmp_path / "two.npy")]
    assert main(argv) == 0
    assert np.isfinite(np.load(tmp_path / "two.npy")).all()


def test_export_without_a_run_or_with_another_suffix(capsys, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no checkpoint in runs/digits; train one first" in fails(capsys, "export", "digits")
    said = fails(capsys, "export", "digits", "--run-dir", run, "--out", "digits.pt")
    assert "--out must end in .safetensors or .onnx, got digits.pt" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]  # the run, and nothing else


def test_without_words_it_explains_itself(capsys):
    assert main([]) == 0
    assert main(["--help"]) == 0
    assert "usage: python -m ncsn_lib COMMAND" in capsys.readouterr().out


def test_help_names_every_field_with_its_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for flag, words in [
        ("--training.learning-rate", "Adam's learning rate"),
        ("--noise.sigma-max", "The largest noise level"),
        ("--network.widths", "Feature channels at each resolution"),
        ("--sampling.eps", "Step size at the last level"),
        ("--fresh", "start anew"),
        ("--device", "auto takes a GPU"),
    ]:
        assert flag in said
        assert words in said


def test_as_a_program():
    program = [sys.executable, "-m", "ncsn_lib"]
    done = subprocess.run([*program, "train", "digts"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ncsn_lib: there is no recipe 'digts'; did you mean 'digits'?\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian", "digits"], "there is no command 'trian'; did you mean 'train'?"),
        (["train", "zebra"], "there is no recipe 'zebra'; there are: "),
        (["train", "digits", "--checkpoint-every", "0"], "--checkpoint-every must be at least 1, got 0"),
        (["train", "digits", "--data", "nowhere"], "there is no folder or zip of images at nowhere"),
        (["train", "digits", "--device", "gpu"], "--device gpu cannot be used here"),
        (["train", "digits", "--network.widths", "12"], "--network.widths must be one or more multiples of 8"),
        (["train-classifier"], "which dataset? usage: python -m ncsn_lib train-classifier DATASET"),
        (["train-classifier", "minst"], "there is no dataset 'minst'; did you mean 'mnist'?"),
        (["train-classifier", "digits", "--data", "a"], "--data and --test-data go together"),
        (["train-classifier", "digits", "--data-label", "a copy"], "--data-label 'a copy' says what the images of"),
        (["train-classifier", "digits", "--out", "a.pt"], "--out must end in .safetensors, got a.pt"),
        (["evaluate"], "which recipe? usage: python -m ncsn_lib evaluate RECIPE"),
        (["evaluate", "digits"], "there is no checkpoint in runs/digits; train one first"),
        (["evaluate", "digits", "--out", "a.csv"], "--out must end in .json, got a.csv"),
        (["neighbours", "digits", "--k", "0"], "--k must be at least 1, got 0"),
        (["neighbours", "digits", "--out", "a.gif"], "--out must end in .png, got a.gif"),
        (["sample", "digits", "--num", "0"], "--num must be at least 1, got 0"),
        (
            ["sample", "digits", "--out", "grid.bmp"],
            "--out must end in .png, .npy, .gif, .mp4 or nothing (a folder), got grid.bmp",
        ),
        (["sample", "digits"], "there is no checkpoint in runs/digits; train one first"),
    ],
)
def test_one_line_for_a_mistake(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, *argv)
    assert list(tmp_path.iterdir()) == []  # a mistake leaves nothing behind


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "digits", "--noise.sigma-max", "0.001"], "--noise.sigma-max must be above sigma_min"),
        (["train", "digits", "--noise.sigma-min", "-1"], "--noise.sigma-min must be a finite number above 0, got -1.0"),
        (["train", "digits", "--training.num-steps", "0"], "--training.num-steps must be at least 1, got 0"),
        (["train", "digits", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["train", "digits", "--steps", "many"], "--training.num-steps must be a whole number, got 'many'"),
        (
            ["train", "digits", "--training.learning-rate", "nan"],
            "--training.learning-rate must be a finite number above 0",
        ),
        (["sample", "digits", "--sampling.eps", "-1"], "--sampling.eps must be a finite number above 0"),
        (["train", "digits", "--training.learning-rat", "1"], "did you mean --training.learning-rate?"),
    ],
)
def test_a_field_with_an_impossible_value(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    said = fails(capsys, *argv)
    assert message in said
    assert said.endswith(f"python -m ncsn_lib {argv[0]} digits --help explains the options")
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_other_settings_is_kept(capsys, run):
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    said = fails(capsys, "train", "digits", "--run-dir", run, "--training.seed", "3", *TINY)
    assert "training.seed is 0 there and 3 here; choose another folder, or the same settings" in said
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_damaged_checkpoint_is_named(capsys, run, tmp_path):
    (run / "step-00000004" / "network.safetensors").write_bytes(b"no weights")
    said = fails(capsys, "sample", "digits", "--run-dir", run, "--out", tmp_path / "g.png")
    assert f"{run / 'step-00000004' / 'network.safetensors'} is damaged" in said
    assert not (tmp_path / "g.png").exists()


def test_a_folder_that_cannot_be_made(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    said = fails(capsys, "train", "digits", *TINY, "--run-dir", tmp_path / "file" / "run")
    assert f"the folder {tmp_path / 'file' / 'run'} cannot be written" in said
    assert "choose another folder" in said


def test_a_missing_gpu(capsys):
    if torch.cuda.is_available():
        index = torch.cuda.device_count()
        assert f"cuda:{index} cannot be used here" in fails(capsys, "train", "digits", "--device", f"cuda:{index}")
    else:
        assert "--device cuda cannot be used here" in fails(capsys, "train", "digits", "--device", "cuda")


def test_fresh_begins_the_measurements_anew(run):
    """The best of the run that is deleted is no measure of the new one."""
    shutil.copytree(run / "step-00000004", run / "best" / "step-00000004")
    (run / "quality.csv").write_text("step,quality\r\n4,0.0\r\n")
    assert main(["train", "digits", *TINY, "--run-dir", str(run), "--fresh"]) == 0
    assert list_checkpoints(run / "best") == []
    assert not (run / "quality.csv").exists()
