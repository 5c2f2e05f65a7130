"""The script that makes a stored run, on the digits: its figures are the library's, and it goes on where it was cut."""

import json

import paper_run
import pytest
import torch
from PIL import Image
from problems import seeded

from ncsn_lib import frechet_distance, load_digits, load_run, sample_run
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.cli import main as command
from ncsn_lib.cli.command import UserError
from ncsn_lib.metrics import judge_images
from ncsn_lib.sampling import to_bytes
from ncsn_lib.settings import Recipe

QUICK = ["--steps", "4", "--batch-size", "8", "--checkpoint-every", "2", "--num", "12", "--num-along", "6"]
SAMPLING = ["--sampling.num-steps", "1"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder in which the script has made all there is of four steps of the digits, in `out`."""
    home = tmp_path_factory.mktemp("home")
    argv = ["train-classifier", "digits", "--training.num-epochs", "1", "--training.max-shift", "0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert command(argv) == 0
        assert paper_run.main(["digits", *QUICK, *SAMPLING, "--out", "out", "--seed", "3"]) == 0
    return home


def test_the_figures_are_the_librarys(stored):
    result = json.loads((stored / "out/digits.json").read_text())
    best = min(result["along"]["rows"], key=lambda row: row["distance"])["step"]  # of two hardly trained networks
    run = load_run(stored / f"runs/digits/step-{best:08d}")
    assert (result["recipe"], result["data"], result["step"], run.step) == ("digits", "digits", best, best)
    assert result["provenance"]["command"].startswith("python book/results/paper_run.py digits --steps 4")
    assert result["training"]["seconds"] > 0
    losses = [float(line.split(",")[1]) for line in (stored / "runs/digits/loss.csv").read_text().split()[1:]]
    assert result["loss"] == {"block": 1, "losses": [round(loss, 3) for loss in losses]}
    assert result["sampling"]["calls"] == 10 * 1 + 1
    fields = run.recipe.to_dict()
    fields["sampling"]["num_steps"] = 1
    run = run._replace(recipe=Recipe.from_dict(fields))
    classifier = load_classifier(stored / "runs/classifiers/digits.safetensors")
    train, test = load_digits("train").images, load_digits("test").images
    order = torch.randperm(len(test), generator=seeded(3))
    samples = torch.from_numpy(to_bytes(sample_run(run, 12, seed=3)))
    for row, images in zip(result["judged"]["rows"], (samples, test[order][:12]), strict=True):
        expected = judge_images(classifier, images, train)
        assert row["sure_share"] == expected.sure_share
        assert row["class_shares"] == expected.class_shares.tolist()
        # The same sums, of features of which the classifier saw other numbers together.
        assert row["feature_distance"] == pytest.approx(expected.feature_distance, rel=1e-4)
    assert [row["step"] for row in result["along"]["rows"]] == [2, 4]
    early = load_run(stored / "runs/digits/step-00000002")._replace(recipe=run.recipe)
    distance = judge_images(classifier, sample_run(early, 6, seed=3), train).feature_distance
    assert result["along"]["rows"][0]["feature_distance"] == pytest.approx(distance, rel=1e-4)


def test_the_pictures_are_small_and_there(stored):
    sizes = {"samples": (8, 8), "real": (8, 8), "trajectory": (11, 8), "inpainting": (6, 8), "neighbours": (9, 8)}
    for name, (columns, rows) in sizes.items():
        with Image.open(stored / f"out/digits_{name}.png") as image:
            assert image.size == (9 * columns + 1, 9 * rows + 1), name  # eight pixels and a gap


def test_what_is_measured_is_kept(capsys, stored, monkeypatch):
    monkeypatch.chdir(stored)
    before = json.loads((stored / "out/digits.json").read_text())
    monkeypatch.setattr(paper_run, "sample_run", None)  # whoever draws again fails
    argv = ["digits", *QUICK, *SAMPLING, "--out", "out", "--seed", "3"]
    assert paper_run.main(argv) == 0
    after = json.loads((stored / "out/digits.json").read_text())
    assert after == before
    assert "judged:" not in capsys.readouterr().out
    kept = stored / "runs/digits/paper_run.json"
    parts = json.loads(kept.read_text())
    del parts["trajectory"]
    kept.write_text(json.dumps(parts))  # as if it had been cut there
    (stored / "out/digits_trajectory.png").unlink()
    assert paper_run.main([*argv, "--no-train"]) == 0
    said = capsys.readouterr().out
    assert "trajectory:" in said
    assert "samples:" not in said
    assert (stored / "out/digits_trajectory.png").exists()
    with pytest.raises(TypeError):  # another seed: all is drawn again
        paper_run.main([*argv[:-1], "4"])


def test_what_cannot_be_made_is_said_first(capsys, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="make it with python -m ncsn_lib train-classifier digits"):
        paper_run.main(["digits", *QUICK])
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UserError, match="--data and --test-data go together"):
        paper_run.main(["digits", "--data", "a.zip", "--data-label", "some"])
    with pytest.raises(UserError, match="--data goes with --data-label"):
        paper_run.main(["digits", "--data", "a.zip", "--test-data", "b.zip"])
    with pytest.raises(UserError, match=r"must be a run's folder, got x\.safetensors"):
        paper_run.main(["digits", "--run-dir", "x.safetensors"])
    monkeypatch.chdir(stored)
    assert paper_run.main(["digits", *QUICK, "--batch-size", "9"]) == 2  # a run of other settings
    assert "training.batch_size is 8 there and 9 here" in capsys.readouterr().err


def test_statistics_of_known_images():
    generator = seeded(5)
    noise = 0.5 + 0.1 * torch.randn(4000, 3, 8, 8, generator=generator)
    found = paper_run.describe(noise)
    # Unit normal draws scaled by 0.1: of 4,000 images the power of a ring is within 5 standard errors, 8 %, of 0.01.
    for channel in found["spectrum"]:
        assert channel == pytest.approx([0.01] * 5, rel=0.12)
    assert found["mean"] == pytest.approx([0.5] * 3, abs=5 * 0.1 / (4000 * 64) ** 0.5)
    assert found["spread_of_mean_colour"] == pytest.approx([0.1 / 8] * 3, rel=5 / (2 * 4000) ** 0.5)
    assert frechet_distance(noise[:50], noise[:50]) == pytest.approx(0, abs=1e-6)
