"""The command line, as a user meets it: what it writes, and one line for every mistake."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ncsn_lib.checkpoints import list_checkpoints
from ncsn_lib.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = ["--training.num-steps", "4", "--training.batch-size", "8", "--network.widths", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", *TINY, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "digits")


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
    assert capsys.readouterr().out.strip() == f"9 images from step 4 are in {out}"
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
    with pytest.warns(UserWarning, match=r"1 images cannot be read and are left out, first 4\.png"):
        assert main([*argv, "--skip-broken"]) == 0


def test_pictures_of_other_colours_are_refused(capsys, pictures, tmp_path):
    Image.new("RGB", (8, 8)).save(pictures / "colour.png")
    said = fails(capsys, "train", "digits", "--run-dir", tmp_path / "run", "--data", pictures)
    assert "images must be (N, 1, 8, 8), got (10, 3, 8, 8)" in said


def test_fresh_deletes_nothing_before_all_is_checked(capsys, run, pictures):
    before = sorted(run.rglob("*"))
    Image.new("RGB", (8, 8)).save(pictures / "colour.png")
    argv = ["train", "digits", "--fresh", "--run-dir", run]
    assert "images must be (N, 1, 8, 8)" in fails(capsys, *argv, "--data", pictures)
    assert "batch_size must be at most the number of images, 1437" in fails(capsys, *argv, "--batch-size=2000")
    assert sorted(run.rglob("*")) == before


def test_without_words_it_explains_itself(capsys):
    assert main([]) == 0
    assert main(["--help"]) == 0
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert "usage: python -m ncsn_lib COMMAND" in said
    assert "digits" in said


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
        (["train", "digits", "--checkpoint-every", "0"], "checkpoint_every must be at least 1, got 0"),
        (["train", "digits", "--data", "nowhere"], "there is no folder or zip of images at nowhere"),
        (["train", "digits", "--device", "gpu"], "--device gpu cannot be used here"),
        (["train", "digits", "--network.widths", "12"], "widths must be one or more multiples of 8"),
        (["train-classifier"], "usage: python -m ncsn_lib train-classifier DATASET"),
        (["train-classifier", "minst"], "there is no data set 'minst'; did you mean 'mnist'?"),
        (["train-classifier", "digits", "--data", "a"], "--data and --test-data go together"),
        (["train-classifier", "digits", "--out", "a.pt"], "--out must end in .safetensors, got a.pt"),
        (["evaluate"], "usage: python -m ncsn_lib evaluate RECIPE"),
        (["evaluate", "digits"], "there is no checkpoint in runs/digits; train one first"),
        (["evaluate", "digits", "--out", "a.csv"], "--out must end in .json, got a.csv"),
        (["neighbours", "digits", "--k", "0"], "k must be at least 1, got 0"),
        (["neighbours", "digits", "--out", "a.gif"], "--out must end in .png, got a.gif"),
        (["sample", "digits", "--num", "0"], "num must be at least 1, got 0"),
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
        (["train", "digits", "--noise.sigma-max", "0.001"], "sigma_max must be above sigma_min"),
        (["train", "digits", "--noise.sigma-min", "-1"], "sigma_min must be a finite number above 0, got -1.0"),
        (["train", "digits", "--training.num-steps", "0"], "num_steps must be at least 1, got 0"),
        (["train", "digits", "--training.num-steps", "many"], "many"),
        (["train", "digits", "--training.learning-rate", "nan"], "learning_rate must be a finite number above 0"),
        (["sample", "digits", "--sampling.eps", "-1"], "eps must be a finite number above 0"),
        (["train", "digits", "--training.learning-rat", "1"], "--training.learning-rate"),  # the right one is shown
    ],
)
def test_a_field_with_an_impossible_value(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
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
    assert "could not save" in said
    assert "choose another folder" in said


def test_a_missing_gpu(capsys):
    if torch.cuda.is_available():
        index = torch.cuda.device_count()
        assert f"cuda:{index} cannot be used here" in fails(capsys, "train", "digits", "--device", f"cuda:{index}")
    else:
        assert "--device cuda cannot be used here" in fails(capsys, "train", "digits", "--device", "cuda")
