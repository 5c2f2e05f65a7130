"""What others have met on the command line: no data lost, nothing silently wrong, one line for whatever is amiss."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from problems import TINY, small_recipe
from processes import start_command, wait_for, wait_for_end
from test_cli import fails, losses

from ncsn_lib import NCSN
from ncsn_lib.checkpoints import list_checkpoints, load_checkpoint, save_model
from ncsn_lib.cli import COMMANDS, main
from ncsn_lib.cli.terminal import Progress, in_time
from ncsn_lib.files import claim
from ncsn_lib.runs import load_run, train_recipe
from ncsn_lib.sampling import NonFiniteSamplesError, sample_run

posix = pytest.mark.skipif(os.name != "posix", reason="signals and permissions of POSIX")
TRAIN = ["train", "digits", *TINY]
LONG = ["train", "digits", "--steps", "100000", "--batch-size", "8", "--network.widths", "8"]


def command(*words):
    """The command line as a program of its own."""
    return [sys.executable, "-m", "ncsn_lib", *map(str, words)]


def quick(run, *words):
    """A command on a run, its sampler at one step a level."""
    return list(map(str, [words[0], "digits", "--run-dir", run, *words[1:], "--sampling.num-steps", "1"]))


# --- nothing is lost


def test_two_outputs_of_one_stem_keep_their_records(run, tmp_path):
    for ending in (".safetensors", ".onnx"):
        assert main(["export", "digits", "--run-dir", str(run), "--out", str(tmp_path / f"d{ending}")]) == 0
    assert main(quick(tmp_path / "d.safetensors", "sample", "--num", 1, "--out", tmp_path / "a.npy")) == 0
    assert json.loads((tmp_path / "d.onnx.json").read_text())["kind"] == "onnx"


def test_another_record_is_never_replaced(capsys, run, tmp_path):
    shutil.copy(run / "run.json", tmp_path / "mine.json")
    (tmp_path / "neighbours.png.json").write_text("[1]")
    (tmp_path / "d.safetensors.json").write_text('{"kind": "evaluation"}')
    (tmp_path / "d.onnx.json").write_text("no JSON")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for words in [
        ("evaluate", "--out", tmp_path / "mine.json"),
        ("neighbours", "--out", tmp_path / "neighbours.png"),
        ("export", "--out", tmp_path / "d.safetensors"),
        ("export", "--out", tmp_path / "d.onnx"),
    ]:
        said = fails(capsys, words[0], "digits", "--run-dir", run, *words[1:])
        assert "it is left alone; choose another name, or move it" in said
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["loss.csv", "run.json", "quality.csv"])
@pytest.mark.parametrize("odd", [b"step;loss\n1;2\n", b"{}", b"[1]", b"\xff\xfe", b"", "a folder"])
def test_a_file_that_others_changed_costs_no_checkpoint(capsys, trained, tmp_path, monkeypatch, name, odd):
    """It is set aside, which is said once, and the run goes on as if it had been whole."""
    monkeypatch.setattr("ncsn_lib.cli.train.quick_distance", lambda *given, **named: lambda run: 1.0)
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir() if odd == "a folder" else (folder / name).write_bytes(odd)
    argv = ["train", "digits", *TINY, "--steps", "8", "--run-dir", str(folder), "--checkpoint-every", "2"]
    assert main([*argv, "--quality-every", "2"]) == 0
    assert load_checkpoint(list_checkpoints(folder)[-1]).step == 8
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    is_empty_table = odd == b"" and name != "run.json"  # a table without rows is one
    assert len(warned) == (0 if is_empty_table else 1), warned
    if warned:
        assert f"{folder / name} is not as it was written" in warned[0]
        assert (folder / f"{name}.odd-1").is_dir() == (odd == "a folder")
    assert {5, 6, 7, 8} <= losses(folder).keys()
    assert json.loads((folder / "run.json").read_text())["step"] == 8


def test_only_names_of_the_librarys_own_form_are_its_own(run, tmp_path):
    """A copy of a checkpoint, and whatever else has a name like one, is neither deleted nor gone on from."""
    mine = ["step-00000004-backup", "step-best", "step-4", "step-00000004.old", ".unfinished-mine", "step-0000000x"]
    for name in mine:
        shutil.copytree(run / "step-00000004", run / name)
    assert [path.name for path in list_checkpoints(run)] == ["step-00000004"]
    assert main([*TRAIN, "--steps", "8", "--run-dir", str(run), "--checkpoint-every", "2", "--keep", "1"]) == 0
    assert main([*TRAIN, "--fresh", "--run-dir", str(run)]) == 0
    assert [path.name for path in list_checkpoints(run)] == ["step-00000004"]
    for name in mine:
        assert load_checkpoint(run / name).step == 4


@posix
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_is_followed(tmp_path, mask):
    before = os.umask(mask)
    try:
        assert main([*TRAIN, "--run-dir", str(tmp_path / "run")]) == 0
        assert main(quick(tmp_path / "run", "sample", "--num", 1, "--out", tmp_path / "a.npy")) == 0
        assert main(["export", "digits", "--run-dir", str(tmp_path / "run"), "--out", str(tmp_path / "d.onnx")]) == 0
    finally:
        os.umask(before)
    for path in [tmp_path / "a.npy", *(path for path in tmp_path.rglob("*") if path.name[0] != ".")]:
        full = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == full & ~mask, path


def test_what_cannot_be_read_is_not_to_be_deleted(capsys, run, monkeypatch, tmp_path):
    shutil.copytree(run / "step-00000004", run / "step-00000002")
    read, argv = Path.read_bytes, quick(run, "sample", "--num", 1, "--out", tmp_path / "a.npy")

    def refuse(path):
        if path.name == "checkpoint.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        said = fails(capsys, *argv)
    assert said.endswith("checkpoint.json: Permission denied; make it readable, or copy it here")
    record = run / "step-00000004" / "checkpoint.json"
    record.write_text(record.read_text().replace("ncsn_lib checkpoint 1", "ncsn_lib checkpoint 2"))
    assert fails(capsys, *argv).endswith("read it with the version of ncsn_lib that wrote it")
    record.write_text("{")
    assert f"Delete {run / 'step-00000004'} to go on from the one before it" in fails(capsys, *argv)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interruption_of_a_fresh_start_tells_how_to_go_on(tmp_path, number):
    folder, log = tmp_path / "run", tmp_path / "log"
    process = start_command([*LONG, "--checkpoint-every", "5", "--fresh", "--run-dir", str(folder)], log)
    wait_for(lambda: len(list_checkpoints(folder)) > 0, process.is_alive)
    os.kill(process.pid, number)
    assert wait_for_end(process) == 128 + number
    words = log.read_text().split("to go on: ")[1].split()
    assert words[:5] == ["python", "-m", "ncsn_lib", "train", "digits"]
    assert "--fresh" not in words
    step = load_checkpoint(list_checkpoints(folder)[-1]).step
    log.unlink()
    process = start_command(words[3:], log)
    wait_for(lambda: load_checkpoint(list_checkpoints(folder)[-1]).step > step, process.is_alive)
    process.kill()
    process.join()
    assert f"going on from {folder / f'step-{step:08d}'}" in log.read_text()


def test_a_folder_that_cannot_be_written_is_found_before_the_first_step(capsys, tmp_path):
    (tmp_path / "file").touch()
    started = []
    with pytest.raises(OSError, match=r"cannot be written .* choose another folder"):
        train_recipe(small_recipe(), tmp_path / "file" / "run", callback=lambda state, loss: started.append(loss))
    assert not started
    said = fails(capsys, *TRAIN, "--run-dir", "/proc/nowhere" if os.name == "posix" else tmp_path / "file" / "run")
    assert "cannot be written" in said
    assert "choose another folder" in said


@pytest.mark.parametrize("name", ["file/a.npy", "folder.npy", "x" * 260 + ".npy"])
def test_an_output_that_cannot_be_written_is_found_before_the_work(capsys, run, tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder.npy").mkdir()
    for command in ("sample", "inpaint", "interpolate"):
        monkeypatch.setattr(f"ncsn_lib.cli.{command}.Progress", None)  # whoever begins fails
        said = fails(capsys, *quick(run, command, "--out", tmp_path / name))
        assert re.search("is a folder|cannot be written", said)
        assert re.search("; choose another (name|folder)$", said)
    assert {path.name for path in tmp_path.iterdir()} == {"digits", "file", "folder.npy"}


def test_a_name_as_long_as_names_can_be(run, tmp_path):
    out = tmp_path / f"{'ß' * 120}.npy"  # 244 bytes
    assert main(quick(run, "sample", "--num", 1, "--out", out)) == 0
    assert np.load(out).shape == (1, 1, 8, 8)


def test_a_second_training_in_a_folder_is_told_whose_it_is(capsys, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name[0] != "."}
    with claim(run):
        said = fails(capsys, *TRAIN, "--fresh", "--run-dir", run)
    assert f"{run} is in use by process {os.getpid()} on" in said
    assert said.endswith("wait for it, stop it, or choose another folder")
    assert {path: path.read_bytes() for path in before} == before
    assert main([*TRAIN, "--run-dir", str(run)]) == 0  # the folder is free again


@posix
def test_of_two_trainings_at_once_one_goes_on(tmp_path):
    folder, logs = tmp_path / "run", [tmp_path / "0", tmp_path / "1"]
    both = [start_command([*LONG, "--checkpoint-every", "3", "--run-dir", str(folder)], log) for log in logs]
    wait_for(lambda: not all(process.is_alive() for process in both), lambda: True)
    loser, winner = (0, 1) if both[1].is_alive() else (1, 0)
    assert wait_for_end(both[loser]) == 2
    assert f"is in use by process {both[winner].pid} on" in logs[loser].read_text()
    wait_for(lambda: len(list_checkpoints(folder)) > 1, both[winner].is_alive)
    both[winner].kill()
    both[winner].join()
    assert load_checkpoint(list_checkpoints(folder)[-1]).step > 0
    with claim(folder):  # the system freed what the killed process held
        pass


@posix
def test_a_disk_that_fills_leaves_nothing_unfinished(run, tmp_path):
    """A limit on the size of a file is met by whatever is written; what was there before stays."""
    out = tmp_path / "a.npy"
    np.save(out, np.zeros(3))
    script = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from ncsn_lib.cli import main; sys.exit(main())"
    for words in (quick(run, "sample", "--num", 9, "--out", out), [*TRAIN, "--steps", "8", "--run-dir", str(run)]):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert re.fullmatch(r"ncsn_lib: .*File too large.*; free some space or choose another folder.*\n", done.stderr)
    assert np.array_equal(np.load(out), np.zeros(3))
    assert load_checkpoint(list_checkpoints(run)[-1]).step == 4
    assert not list(tmp_path.rglob(".unfinished*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_finished_run_can_be_extended(capsys, tmp_path):
    """As many steps as a run of that length from the start, from there on with the rate of the longer cosine."""
    argv = ["train", "digits", *TINY, "--run-dir", str(tmp_path / "run")]
    assert main(argv) == 0
    capsys.readouterr()
    assert main([*argv, "--steps", "8"]) == 0
    said = capsys.readouterr().out
    rate = load_run(tmp_path / "run").recipe.training.learning_rate_at(4)
    assert "8 steps now, 4 were planned: the learning rate's cosine is stretched, 0 -> " in said
    assert float(said.split("stretched, 0 -> ")[1].split()[0]) == pytest.approx(rate, rel=0.01)
    assert list(losses(tmp_path / "run")) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert load_run(tmp_path / "run").recipe.training.num_steps == 8
    said = fails(capsys, *argv)
    assert "--training.num-steps must be at least the 8 steps that" in said


# --- nothing is silently wrong


def test_samples_that_are_not_finite_are_refused(capsys, run, tmp_path):
    loaded = load_run(run)
    for out in ("a.png", "a.npy", "a.gif", "a"):
        argv = ["sample", "digits", "--run-dir", run, "--num", 2, "--sampling.eps", "1e30", "--out", tmp_path / out]
        said = fails(capsys, *argv)
        assert "of 2 samples, 2 left the finite numbers, first at the noise level " in said
        assert said.endswith("lower the step size --sampling.eps, or train longer")
        assert not (list((tmp_path / out).glob("*.npy")) if out == "a" else (tmp_path / out).exists())

    class Breaks(torch.nn.Module):
        """A network whose score is infinite below a noise level."""

        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x, sigma):
            return self.network(x, sigma) / (sigma > 0.1).view(-1, 1, 1, 1)

    level = next(sigma for sigma in loaded.recipe.noise.sigmas().tolist() if sigma <= 0.1)
    with pytest.raises(NonFiniteSamplesError, match=f"first at the noise level {level:.4g};"):
        sample_run(loaded._replace(network=Breaks(loaded.network)), 2)


def test_a_grid_that_cannot_be_drawn_does_not_end_the_training(capsys, tmp_path):
    argv = [*TRAIN, "--run-dir", str(tmp_path / "run"), "--sample-every", "2", "--sampling.eps", "1e30"]
    assert main(argv) == 0
    warned = capsys.readouterr().err.splitlines()
    assert [Path(line.split()[2]).name for line in warned] == ["samples-00000002.png", "samples-00000004.png"]
    assert all(line.endswith("training goes on") for line in warned)


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        (np.linspace(0, 255, 4 * 64), "0 to 255"),
        (np.linspace(-1, 1, 4 * 64), "-1 to 1"),
        (np.full(4 * 64, np.nan), "NaN or infinite"),
    ],
)
def test_arrays_of_another_range_are_refused(capsys, tmp_path, values, remedy):
    np.save(tmp_path / "a.npy", values.reshape(4, 1, 8, 8))
    assert remedy in fails(capsys, "evaluate", "digits", "--images", tmp_path / "a.npy", "--num", "4")


@pytest.fixture
def classes(tmp_path):
    """Makes a folder of pictures, dark and light ones, with classes of the given names."""

    def make(name, *names):
        for index, own in enumerate(names):
            (tmp_path / name / own).mkdir(parents=True)
            for number in range(6):
                grey = np.full((8, 8), 40 + 150 * index + number, np.uint8)
                Image.fromarray(grey).save(tmp_path / name / own / f"{number}.png")
        return tmp_path / name

    return make


def test_classes_are_compared_by_their_names(capsys, classes, run, tmp_path):
    argv = ["train-classifier", "mnist", "--training.batch-size", "4", "--training.num-epochs", "1"]
    train, test = classes("train", "Cat", "dog"), classes("test", "cat", "Dog")
    out = tmp_path / "c.safetensors"
    said = fails(capsys, *argv, "--data", train, "--test-data", test, "--out", out)
    assert f"{test} has the classes Dog, cat, and {train} Cat, dog" in said
    assert main(list(map(str, [*argv, "--data", train, "--test-data", train, "--out", out]))) == 0
    record = json.loads(Path(f"{out}.json").read_text())
    assert record["classes"] == ["Cat", "dog"]
    assert re.fullmatch("[0-9a-f]{16}", record["data_fingerprint"])
    judge = ["evaluate", "digits", "--images", test, "--num", "4", "--classifier", out, "--out", tmp_path / "e.json"]
    said = fails(capsys, *judge)
    assert f"{out} tells Cat, dog apart, and the real images are 0, 1, 2" in said
    assert said.endswith("judge by this one all the same with --any-classes")
    assert "the real images are Dog, cat" in fails(capsys, *judge, "--data", test)
    assert main(list(map(str, [*judge, "--data", train]))) == 0
    assert main(list(map(str, [*judge, "--any-classes"]))) == 0
    assert f"judged by {out}, trained on images of train" in capsys.readouterr().out


def test_an_inpainting_mask_that_is_erased(capsys, run, tmp_path):
    """What is transparent is completed; a mask that leaves nothing to complete, or gives nothing, is refused."""
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:, 4:] = 0
    white = np.full((8, 8), 255, np.uint8)
    Image.fromarray(np.stack([white, white, white, alpha], axis=-1)).save(tmp_path / "rgba.png")
    Image.fromarray(np.stack([white, alpha], axis=-1)).save(tmp_path / "la.png")
    for name in ("left", "rgba.png", "la.png"):
        mask = name if name == "left" else tmp_path / name
        words = ("--mask", mask, "--num", 2, "--completions", 1, "--out", tmp_path / f"{name}.npy")
        assert main(quick(run, "inpaint", *words)) == 0
    expected = np.load(tmp_path / "left.npy")
    for name in ("rgba.png", "la.png"):
        assert np.array_equal(np.load(tmp_path / f"{name}.npy"), expected)
    for value, words in [(255, "all white: nothing is left to complete"), (0, "all black: nothing is given")]:
        Image.new("L", (8, 8), value).save(tmp_path / "plain.png")
        assert words in fails(capsys, *quick(run, "inpaint", "--mask", tmp_path / "plain.png"))
    (tmp_path / "text.png").write_text("no picture")
    assert "text.png is no picture that can be read" in fails(
        capsys, *quick(run, "inpaint", "--mask", tmp_path / "text.png")
    )


def test_evaluate_reads_what_sample_wrote(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train-classifier", "digits", "--training.num-epochs", "1"]) == 0
    for out in ("samples", "samples.npy"):
        assert main(quick(run, "sample", "--num", 5, "--batch-size", 2, "--out", out)) == 0
    np.save("samples.npy", np.load("samples.npy").clip(0, 1))  # so few steps leave the range
    for out in ("samples", "samples.npy"):
        assert main(["evaluate", "digits", "--images", out, "--num", "5", "--out", f"{out}.json"]) == 0
    shards, array = (json.loads(Path(f"{out}.json").read_text())["by_classifier"] for out in ("samples", "samples.npy"))
    # The folder holds 256 values for each pixel, the array all there are.
    assert shards["feature_distance"] == pytest.approx(array["feature_distance"], rel=0.05)
    assert shards["class_shares"] == array["class_shares"]


def test_other_images_are_refused_unless_they_are_meant(capsys, classes, tmp_path):
    first, second = classes("one/set", "a", "b"), classes("two/set", "a", "b")
    Image.new("L", (8, 8), 7).save(second / "a" / "0.png")
    argv = [*TRAIN, "--run-dir", tmp_path / "run", "--data"]
    assert main(list(map(str, [*argv, first]))) == 0
    said = fails(capsys, *argv, second, "--steps", "8")
    known = load_checkpoint(list_checkpoints(tmp_path / "run")[-1]).images
    assert f"was trained on other images, images of set by the fingerprint {known}, not " in said
    assert said.endswith("or go on with other ones by --any-images")
    assert "dataset is 'images of set' there and 'digits' here" in fails(capsys, *argv[:-1], "--steps", "8")
    assert main(list(map(str, [*argv, second, "--steps", "8", "--any-images"]))) == 0
    assert main(list(map(str, [*argv[:-1], "--steps", "10", "--any-images"]))) == 0


def test_grey_images_for_a_recipe_of_colour(capsys, classes, tmp_path, monkeypatch):
    grey = classes("grey", "a", "b")
    argv = ["train", "cifar10_small", "--steps", "1", "--batch-size", "4", "--network.widths", "8", "8"]
    assert main([*argv, "--data", str(grey), "--run-dir", str(tmp_path / "run")]) == 0
    assert f"{grey}: 12 images of 2 classes (a, b)" in capsys.readouterr().out
    assert load_run(tmp_path / "run").recipe.dataset == "images of grey"


# --- one line, always


ERRORS = [
    OSError(5, "Input/output error", "/dev/somewhere"),
    OSError("a message of its own"),
    ImportError("cannot import name 'x' from 'y'"),
    ModuleNotFoundError("No module named 'nowhere'"),
    ValueError("deep inside"),
    UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range(128)"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    MemoryError(),
    Image.DecompressionBombError("Image size (1000000000 pixels) exceeds limit"),
    KeyError("getpwuid(): uid not found: 12345"),
    RuntimeError("two\nlines"),
    AssertionError(),
    RecursionError("maximum recursion depth exceeded"),
    TypeError("unsupported operand"),
]
PLACES = [
    ("ncsn_lib.cli.train.train_recipe", TRAIN),
    ("ncsn_lib.cli.train.join_processes", TRAIN),
    ("ncsn_lib.cli.reading.load_images", [*TRAIN, "--data", "."]),
    ("ncsn_lib.cli.command.need", TRAIN),
    ("ncsn_lib.cli.command.load_run", ["sample", "digits"]),
    ("ncsn_lib.cli.sample.sample_run", ["sample", "digits"]),
    ("ncsn_lib.cli.sample.write_images", ["sample", "digits", "--sampling.num-steps", "1", "--num", "1"]),
    ("ncsn_lib.cli.judging.load_run", ["evaluate", "digits"]),
    ("ncsn_lib.cli.export.export_run", ["export", "digits"]),
    ("ncsn_lib.cli.train_classifier.train_classifier", ["train-classifier", "digits"]),
    ("ncsn_lib.cli.listing.describe", ["list"]),
    ("ncsn_lib.cli.inpaint.inpaint_run", ["inpaint", "digits"]),
    ("ncsn_lib.cli.interpolate.interpolate_run", ["interpolate", "digits"]),
    ("ncsn_lib.cli.neighbours.find_subject", ["neighbours", "digits"]),
]


@pytest.fixture(scope="module")
def home(trained, tmp_path_factory):
    """A folder with a run in its usual place."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(trained, home / "runs" / "digits")
    return home


@pytest.mark.parametrize(("place", "argv"), PLACES, ids=[place.removeprefix("ncsn_lib.cli.") for place, _ in PLACES])
def test_whatever_is_raised_ends_in_one_line(capsys, home, monkeypatch, place, argv):
    monkeypatch.chdir(home)
    for error in ERRORS:

        def fail(*given, error=error, **named):
            raise error

        monkeypatch.setattr(place, fail)
        said = fails(capsys, *argv)
        assert re.search(r"; .{10}", said) or said == "ncsn_lib: a message of its own", said  # what to do about it


@pytest.mark.parametrize("name", COMMANDS)
def test_what_to_do_for_memory_names_options_that_the_command_has(capsys, name):
    asked = ["digits"] if name != "list" else []
    with contextlib.suppress(SystemExit):
        main([name, *asked, "--help"])
    said = capsys.readouterr().out
    for flag in re.findall(r"--[\w.-]+", COMMANDS[name].less_memory):
        assert flag in said or (name, flag) == ("train", "--batch-size")  # short for --training.batch-size


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="it shows when torch begins to be loaded")
def test_interrupted_while_torch_is_imported():
    """Wherever from there on it comes: one line, no traceback."""
    for wait in (0, 0.2, 0.5, 0.9):
        with subprocess.Popen(command("list"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            maps = Path(f"/proc/{process.pid}/maps")
            wait_for(lambda maps=maps: "libtorch" in maps.read_text(), lambda process=process: process.poll() is None)
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            told = process.communicate()[1].strip().splitlines()
        assert process.returncode in (0, 130)
        assert len(told) == (1 if process.returncode else 0), told


@posix
@pytest.mark.parametrize("words", [["list"], ["train", "digits", "--help"], ["--help"], TRAIN], ids=lambda w: w[0])
def test_a_pipe_that_nobody_reads(tmp_path, words):
    """Training goes on to its end; what only prints ends without a word."""
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert (words is TRAIN) == (tmp_path / "runs/digits/step-00000004").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_names_that_a_terminal_cannot_show(run, tmp_path, encoding):
    out = tmp_path / "größe-数字.npy"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    words = command(*quick(run, "sample", "--num", 1, "--out", out))
    done = subprocess.run(words, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1 image from step 4: " in done.stdout
    assert np.load(out).shape == (1, 1, 8, 8)


def test_a_path_that_begins_at_home(capsys, run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert (
        main(["sample", "digits", "--run-dir=~/digits", "--num=1", "--out=~/deep/a.npy", "--sampling.num-steps=1"]) == 0
    )
    assert (tmp_path / "deep" / "a.npy").exists()
    assert not (tmp_path / "~").exists()


def test_export_without_onnx(capsys, run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = fails(capsys, "export", "digits", "--run-dir", run, "--out", tmp_path / "d.onnx")
    assert "an .onnx needs onnx" in said
    assert 'pip install "ncsn_lib[export]"' in said


def test_files_that_are_no_runs(capsys, tmp_path):
    for name, words in [("d.onnx", "is no run"), ("c.pth", "ncsn_lib.load_author_checkpoint")]:
        (tmp_path / name).write_bytes(b"")
        assert words in fails(capsys, "sample", "digits", "--run-dir", tmp_path / name)
    save_model(tmp_path / "c.safetensors", NCSN(torch.tensor([1.0, 0.5]), 1, 8).state_dict(), {"kind": "classifier"})
    assert "its record's kind is 'classifier'" in fails(
        capsys, "sample", "digits", "--run-dir", tmp_path / "c.safetensors"
    )


@pytest.mark.parametrize("seed", ["-1", str(2**63), "1.5", "x"])
@pytest.mark.parametrize("words", [["sample"], ["inpaint"], ["interpolate"], ["evaluate"], ["neighbours"], TRAIN[:1]])
def test_a_seed_that_is_none(capsys, home, monkeypatch, words, seed):
    monkeypatch.chdir(home)
    flag = "--training.seed" if words == ["train"] else "--seed"
    assert re.match(f"ncsn_lib: {flag} must be ", fails(capsys, *words, "digits", f"{flag}={seed}"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys, name):
    status = 0
    try:
        status = main([name, "--help"])
    except SystemExit as ended:
        status = ended.code
    assert status == 0
    assert f"usage: python -m ncsn_lib {name}" in capsys.readouterr().out


# --- words


def test_progress_without_a_terminal(capsys, monkeypatch):
    """The first line after two seconds, then one every twenty, with the time that is left."""
    now = [100.0]
    monkeypatch.setattr("ncsn_lib.cli.terminal.time.perf_counter", lambda: now[0])
    with Progress("sample digits", 1000, "calls") as progress:
        for seconds in range(1, 51):
            now[0] = 100.0 + seconds
            progress.update(10, note="fine")
    assert capsys.readouterr().out.splitlines() == [
        "sample digits: 20 of 1,000 calls, fine, 98 s left",
        "sample digits: 220 of 1,000 calls, fine, 78 s left",
        "sample digits: 420 of 1,000 calls, fine, 58 s left",
    ]
    assert [in_time(seconds) for seconds in (0.2, 119, 121, 7199, 7201)] == ["0 s", "119 s", "2 min", "120 min", "2 h"]
