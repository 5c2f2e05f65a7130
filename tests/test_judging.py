"""The commands that judge samples: what they measure is what the library measures, and it is told with its origin."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from problems import TINY, Colours, seeded
from test_cli import fails

from ncsn_lib import sample_run
from ncsn_lib.checkpoints import load_model
from ncsn_lib.classifiers import classifier_accuracy, load_classifier
from ncsn_lib.cli import main
from ncsn_lib.cli.judging import JudgingOptions, Subject, draw
from ncsn_lib.data import LabelledImages, load_digits
from ncsn_lib.metrics import judge_images
from ncsn_lib.metrics.inception import inception_figures
from ncsn_lib.recipes import DIGITS, MNIST_EDM, SOURCES
from ncsn_lib.runs import Run


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier of the digits and a run in their usual places, below the folder that is returned."""
    folder = tmp_path_factory.mktemp("home")
    argv = ["train-classifier", "digits", "--training.num-epochs", "2", "--training.max-shift", "0"]
    assert main([*argv, "--out", str(folder / "runs/classifiers/digits.safetensors")]) == 0
    assert main(["train", "digits", *TINY, "--run-dir", str(folder / "runs/digits")]) == 0
    return folder


def test_train_classifier_measures_what_it_stores(classifier):
    record = json.loads((classifier / "runs/classifiers/digits.safetensors.json").read_text())
    stored = load_classifier(classifier / "runs/classifiers/digits.safetensors")
    assert record["test_accuracy"] == classifier_accuracy(stored, load_digits("test"))
    assert record["num_test_images"] == 360
    assert record["settings"]["num_epochs"] == 2
    assert record["command"].startswith("python -m ncsn_lib train-classifier digits --training.num-epochs 2")
    assert set(record["versions"]) == {"python", "torch", "ncsn_lib"}


def two_classes(folder, size=(8, 8), seed=0):
    """Dark and light pictures, five of each."""
    generator = np.random.default_rng(seed)
    for name, low in (("dark", 0), ("light", 156)):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(low, low + 100, size, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_train_classifier_on_any_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, test = two_classes(tmp_path / "train"), two_classes(tmp_path / "test", seed=1)
    argv = ["train-classifier", "mnist", "--data", train, "--test-data"]
    small = ["--training.batch-size", "5", "--training.num-epochs", "10"]
    assert main(list(map(str, [*argv, test, *small]))) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{train}: 10 images of 2 classes (dark, light)",
        f"{test}: 10 images of 2 classes (dark, light)",
        "test accuracy 100.00% of 10 images; the classifier is in runs/classifiers/mnist.safetensors",
    ]
    assert json.loads((tmp_path / "runs/classifiers/mnist.safetensors.json").read_text())["data"] == "images of train"
    assert main(list(map(str, [*argv, test, *small, "--data-label", "a copy"]))) == 0
    record = json.loads((tmp_path / "runs/classifiers/mnist.safetensors.json").read_text())
    assert (record["data"], record["test_data"]) == ("a copy", "a copy")
    for index, (size, message) in enumerate(
        [((9, 8), "has another shape than"), ((8, 8), "has the classes light, and")]
    ):
        other = two_classes(tmp_path / f"other{index}", size)
        shutil.rmtree(other / "dark") if index else None
        assert message in fails(capsys, *argv, other, *small)
    people = LabelledImages(torch.zeros(3, 1, 8, 8), torch.tensor([4, 5, 6]))
    monkeypatch.setitem(SOURCES, "digits", lambda split: people if split == "test" else load_digits(split))
    said = fails(capsys, "train-classifier", "digits")
    assert "digits (test) has another number of classes than digits (train): 3, not 10" in said
    assert "has one class" in fails(capsys, "train-classifier", "mnist", "--data", other, "--test-data", other)


@pytest.fixture
def home(classifier, tmp_path, monkeypatch):
    """A folder with a run and a classifier of the digits in their usual places."""
    shutil.copytree(classifier, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- evaluate


def test_evaluate_writes_what_the_library_measures(home, capsys):
    assert main(["sample", "digits", "--num", "40", "--out", "a.npy", "--seed", "3"]) == 0
    assert main(["evaluate", "digits", "--num", "40", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    result = json.loads((home / "evaluation.json").read_text())
    judge = load_classifier(home / "runs/classifiers/digits.safetensors")
    expected = judge_images(judge, torch.from_numpy(np.load("a.npy")), load_digits("train").images)
    found = result["by_classifier"]
    assert found["sure_share"] == expected.sure_share
    assert found["class_shares"] == expected.class_shares.tolist()
    assert found["feature_distance"] == pytest.approx(expected.feature_distance, rel=1e-6)
    assert f"Frechet distance in its features    {expected.feature_distance:.2f}" in said
    assert found["test_accuracy"] == load_model(home / "runs/classifiers/digits.safetensors")[1]["test_accuracy"]
    origin = {name: result[name] for name in ("num_images", "step", "seed", "denoised", "references", "num_references")}
    assert origin == {
        "num_images": 40,
        "step": 4,
        "seed": 3,
        "denoised": True,
        "references": "digits (train)",
        "num_references": 1437,
    }
    assert result["provenance"]["command"] == "python -m ncsn_lib evaluate digits --num 40 --seed 3"
    assert "by_inception" not in result


def test_a_network_that_knows_classes_is_judged_on_all_of_them():
    assert (DIGITS.classes, MNIST_EDM.classes) == (None, range(10))
    told = []

    class Told(torch.nn.Linear):
        def forward(self, x, sigma, classes=None):
            told.append(classes.tolist())
            return -x / sigma.view(-1, 1, 1, 1)

    subject = Subject(Run(Told(1, 1), MNIST_EDM, 0), "mnist", (1, 28, 28), {"num_images": 12})
    images = draw(subject, JudgingOptions(batch_size=7, seed=4), "evaluate")
    assert told[0] == [0, 1, 2, 3, 4, 5, 6]
    assert told[-1] == [7, 8, 9, 0, 1]
    torch.testing.assert_close(images, sample_run(subject.source, 12, classes=range(10), seed=4))


def test_evaluate_given_images_in_three_forms(home, capsys):
    pixels = torch.randint(256, (30, 8, 8), generator=seeded(), dtype=torch.uint8).numpy()
    (home / "pictures").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(home / "pictures" / f"{number:02}.png")
    shutil.make_archive("pictures", "zip", "pictures")
    np.save("pictures.npy", pixels[:, None])
    np.save("floats.npy", pixels[:, None] / 255)
    results = []
    for path in ("pictures", "pictures.zip", "pictures.npy", "floats.npy"):
        assert main(["evaluate", "digits", "--images", path, "--num", "30", "--out", "deep/e.json"]) == 0
        results.append(json.loads((home / "deep/e.json").read_text()))
    for result in results[1:]:
        assert result["by_classifier"] == results[0]["by_classifier"]
    assert results[1]["images"] == "pictures.zip"
    assert results[0]["denoised"] is None
    assert "holds 30 images, fewer than --num 31" in fails(
        capsys, "evaluate", "digits", "--images", "pictures", "--num", "31"
    )


def test_evaluate_by_inception(home, monkeypatch):
    monkeypatch.setattr("ncsn_lib.cli.evaluate.load_inception", lambda weights, device: Colours())
    test = load_digits("test").images[:50]
    np.save("test.npy", test.numpy())
    shutil.rmtree(home / "runs" / "classifiers")
    argv = ["evaluate", "digits", "--images", "test.npy", "--num", "50", "--inception", "--split", "test"]
    assert main(argv) == 0
    result = json.loads((home / "evaluation.json").read_text())
    expected = inception_figures(
        test, load_digits("test").images, Colours(), reference_name="digits (test)", denoised=None
    )
    assert result["by_inception"] == expected._asdict()
    assert "by_classifier" not in result


def test_a_run_on_a_zip_wants_its_images(home, capsys):
    two_classes(home / "pictures")
    shutil.make_archive("pictures", "zip", "pictures")
    small = ["--steps", "2", "--batch-size", "4", "--network.widths", "8"]
    assert main(["train", "digits", "--data", "pictures.zip", "--run-dir", "run", *small]) == 0
    argv = ["--run-dir", "run", "--num", "4"]
    other = "runs/classifiers/digits.safetensors"
    for command in ("evaluate", "neighbours"):
        said = fails(capsys, command, "digits", *argv)
        assert "the run was trained on images of pictures.zip: give them by --data" in said
        chosen = [*argv, "--data", "pictures.zip", "--classifier", other]
        assert "name another by --classifier, or judge by this one all the same" in fails(
            capsys, command, "digits", *chosen
        )
        assert main([command, "digits", *chosen, "--any-classes"]) == 0
    assert json.loads((home / "evaluation.json").read_text())["references"] == "images of pictures.zip"
    said = fails(capsys, "neighbours", "digits", *argv, "--data", "pictures")
    assert "the run was trained on images of pictures.zip, not on images of pictures" in said


def test_what_evaluate_refuses(home, capsys):
    np.save("flat.npy", np.zeros((5, 64)))
    np.save("nan.npy", np.full((5, 1, 8, 8), np.nan))
    np.save("ints.npy", np.zeros((5, 1, 8, 8), int))
    np.save("wide.npy", np.zeros((5, 1, 8, 9)))
    (home / "broken.npy").write_bytes((home / "flat.npy").read_bytes()[:200])
    for name, message in [
        ("flat", "flat.npy must hold (N, C, H, W) floating point or uint8, got (5, 64) of float64"),
        ("ints", "ints.npy must hold (N, C, H, W) floating point or uint8, got (5, 1, 8, 8) of int64"),
        ("nan", "nan.npy holds values that are NaN or infinite; leave those images out"),
        ("broken", "broken.npy is no array of numbers, or damaged"),
        ("nowhere", "there is no array at nowhere.npy"),
        ("wide", "the images are (1, 8, 9), but digits (train) (1, 8, 8): not to be compared"),
    ]:
        assert message in fails(capsys, "evaluate", "digits", "--images", f"{name}.npy", "--num", "5")
    argv = ["evaluate", "digits", "--num", "4"]
    assert "--inception-weights goes with --inception" in fails(capsys, *argv, "--inception-weights", "a.pth")
    assert "Inception's weights are not at a.pth" in fails(capsys, *argv, "--inception", "--inception-weights", "a.pth")
    said = fails(capsys, *argv, "--split", "test", "--data", "pictures")
    assert "--split test goes with a data set by name: give its images by --data alone" in said
    (home / "runs/classifiers/digits.safetensors").write_bytes(b"")
    assert "digits.safetensors is damaged" in fails(capsys, *argv)
    shutil.rmtree(home / "runs" / "classifiers")
    assert "there is no classifier at runs/classifiers/digits.safetensors: make it with" in fails(capsys, *argv)
    assert not (home / "evaluation.json").exists()


# --- neighbours


def test_neighbours_of_copies(home, capsys):
    train = load_digits("train").images
    np.save("copies.npy", train[[7, 99, 500]].numpy())
    assert main(["neighbours", "digits", "--images", "copies.npy", "--num", "3", "--k", "4"]) == 0
    result = json.loads((home / "neighbours.png.json").read_text())
    for found in (result["in_pixels"], result["in_features"]):
        assert [row[0] for row in found["indices"]] == [7, 99, 500]
        assert [row[0] for row in found["distances"]] == pytest.approx([0.0] * 3, abs=1e-4)
        assert all(row == sorted(row) and len(row) == 4 for row in found["distances"])
    with Image.open("neighbours.png") as picture:
        assert picture.size == (9 * 68 + 4, 3 * 68 + 4)  # image, 4 and 4 neighbours; 8 pixels eightfold, gaps of 4
        pixels = np.asarray(picture)
    # Row by row: the sample, and as its first neighbour the same image again, in pixels and in features.
    for row in range(3):
        cells = [pixels[4 + 68 * row : 68 + 68 * row, 4 + 68 * column : 68 + 68 * column] for column in range(9)]
        assert np.array_equal(cells[0], cells[1])
        assert np.array_equal(cells[0], cells[5])
        second = train[result["in_pixels"]["indices"][row][1], 0].numpy().repeat(8, 0).repeat(8, 1)
        assert np.abs(cells[2][..., 0] / 255 - second).max() < 1 / 255


def test_neighbours_of_samples_without_a_classifier(home, capsys):
    shutil.rmtree(home / "runs" / "classifiers")
    assert main(["neighbours", "digits", "--num", "2", "--k", "3", "--out", "deep/n.png"]) == 0
    result = json.loads((home / "deep/n.png.json").read_text())
    assert "in_features" not in result
    assert result["training_images"] == "digits (train)"
    with Image.open("deep/n.png") as picture:
        assert picture.size == (4 * 68 + 4, 2 * 68 + 4)
    assert "--k must be at most the number of training images, 1437, got 1438" in fails(
        capsys, "neighbours", "digits", "--k", "1438"
    )
