"""The classifier: what it takes, that it learns, that it is stored as it is, and what it says of images."""

import json
from pathlib import Path

import pytest
import torch
from problems import seeded

from ncsn_lib.checkpoints import CheckpointError, load_model, save_model
from ncsn_lib.classifiers import (
    ClassifierSettings,
    classifier_accuracy,
    load_classifier,
    save_classifier,
    train_classifier,
)
from ncsn_lib.data import LabelledImages, load_digits, load_mnist
from ncsn_lib.files import record_path
from ncsn_lib.metrics import class_shares, classify_images, frechet_distance, judge_images, sure_share
from ncsn_lib.networks.classifier import Classifier

STORED = Path(__file__).parents[1] / "book" / "results" / "models" / "mnist_classifier.safetensors"
FEW = ClassifierSettings(num_epochs=8, batch_size=32, max_shift=0, bfloat16=False)


@pytest.fixture(scope="module")
def trained():
    return train_classifier(load_digits("train"), FEW)


def test_parameters_counted_by_hand():
    convs = 9 * (3 * 32 + 32 * 64 + 64 * 64 + 64 * 128)
    norms = 2 * (32 + 64 + 64 + 128)
    network = Classifier(3, 7)
    assert sum(p.numel() for p in network.parameters()) == convs + norms + 128 * 7 + 7
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_logits_are_affine_in_the_features():
    network, x = Classifier(1, 10).eval(), torch.rand(3, 1, 28, 28, generator=seeded())
    features = network.features(x)
    assert features.shape == (3, 128)
    torch.testing.assert_close(network(x), features @ network.head.weight.T + network.head.bias)
    torch.testing.assert_close(network.features(x[1:2])[0], features[1])  # no image sees another


def test_it_learns_the_digits(trained):
    test = load_digits("test")
    # Chance is 0.1, the nearest neighbour in pixels has 0.983; six seeds gave 0.989 or more.
    assert classifier_accuracy(trained, test) > 0.975
    guesses = trained(test.images).argmax(1)
    assert classifier_accuracy(trained, test, batch_size=7) == (guesses == test.labels).double().mean().item()


def test_weights_follow_from_the_seed_and_are_16_bits(trained):
    again = train_classifier(load_digits("train"), FEW)
    for name, value in trained.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.equal(value, value.half().to(value.dtype)) or not value.is_floating_point()
    one = ClassifierSettings(num_epochs=1)
    other = ClassifierSettings(num_epochs=1, seed=1)
    first, second = (train_classifier(load_digits("test"), settings) for settings in (one, other))
    assert not torch.equal(first.head.weight, second.head.weight)


def test_steps_are_reported(trained):
    steps = []
    settings = ClassifierSettings(num_epochs=2, batch_size=100, flip=True)
    train_classifier(load_digits("test"), settings, callback=lambda step, loss: steps.append(step))
    assert steps == list(range(1, 1 + settings.num_steps(360)))
    assert settings.num_steps(360) == 6


def test_bytes_are_images_too(trained):
    images = load_digits("test").images
    as_bytes = (images * 255).round().to(torch.uint8)
    ours, theirs = classify_images(trained, as_bytes)[1], classify_images(trained, as_bytes / 255)[1]
    assert torch.equal(ours, theirs)


def test_a_stored_classifier_is_the_same(trained, tmp_path):
    save_classifier(tmp_path / "c.safetensors", trained, {"test_accuracy": 0.97})
    loaded = load_classifier(tmp_path / "c.safetensors")
    assert not loaded.training
    assert all(torch.equal(v, trained.state_dict()[name]) for name, v in loaded.state_dict().items())
    assert load_model(tmp_path / "c.safetensors")[1]["test_accuracy"] == 0.97


def test_what_is_no_classifier_is_refused(trained, tmp_path):
    path = tmp_path / "c.safetensors"
    save_model(path, {"a": torch.zeros(1)}, {"kind": "network"})
    with pytest.raises(CheckpointError, match=r"c.safetensors is no classifier: its record's kind is 'network'"):
        load_classifier(path)
    save_model(path, {"a": torch.zeros(1)}, {"kind": "classifier", "channels": 1, "num_classes": 10})
    with pytest.raises(CheckpointError, match=r"c.safetensors does not fit this version"):
        load_classifier(path)


def test_the_stored_mnist_classifier_is_as_good_as_its_record_says():
    record = json.loads(record_path(STORED).read_text())
    test = load_mnist("test")
    # Another processor sums in another order: an image or two on the border may change sides.
    accuracy = classifier_accuracy(load_classifier(STORED), test)
    assert accuracy == pytest.approx(record["test_accuracy"], abs=3e-4)
    assert accuracy >= 0.99
    assert record["num_test_images"] == len(test.images)
    assert STORED.stat().st_size < 1_000_000


# --- what it says of images


def test_shares_of_made_up_probabilities():
    rows = [[0.9, 0.1, 0.0], [0.5, 0.25, 0.25], [0.0, 0.05, 0.95], [0.05, 0.95, 0.0]]
    probabilities = torch.tensor(rows, dtype=torch.float64)
    assert sure_share(probabilities) == 0.75
    assert sure_share(probabilities, threshold=0.94) == 0.5
    assert class_shares(probabilities).tolist() == [0.5, 0.25, 0.25]
    assert class_shares(probabilities[:1]).tolist() == [1.0, 0.0, 0.0]


def test_judgement_is_made_of_its_parts(trained):
    train, test = load_digits("train").images, load_digits("test").images
    noise = torch.rand(200, 1, 8, 8, generator=seeded())
    judged = judge_images(trained, test, train, batch_size=100)
    features, probabilities = classify_images(trained, test)
    expected = frechet_distance(features, classify_images(trained, train)[0])
    assert (judged.num_images, judged.num_references) == (360, 1437)
    # Sums over batches of another size, in single precision.
    assert judged.feature_distance == pytest.approx(expected, rel=1e-3)
    assert judged.sure_share == pytest.approx((probabilities.max(1).values >= 0.9).double().mean().item(), abs=1 / 360)
    bad = judge_images(trained, noise, train)
    assert bad.feature_distance > 10 * judged.feature_distance
    assert bad.sure_share < judged.sure_share


def test_a_sampler_may_leave_the_interval(trained):
    images = torch.rand(5, 1, 8, 8, generator=seeded()) * 3 - 1
    for ours, theirs in zip(
        classify_images(trained, images), classify_images(trained, images.clamp(0, 1)), strict=True
    ):
        assert torch.equal(ours, theirs)


IMAGES = torch.zeros(4, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Classifier(0, 10), "channels must be at least 1, got 0"),
        (lambda: Classifier(1, 1), "num_classes must be at least 2, got 1"),
        (lambda: Classifier(3, 10)(IMAGES), r"x must be \(B, 3, H, W\) with H and W .* at least 4, got \(4, 1, 8, 8\)"),
        (lambda: ClassifierSettings(batch_size=1), "batch_size must be at least 2"),
        (lambda: ClassifierSettings(learning_rate=0.0), "learning_rate must be a finite number above 0"),
        (lambda: train_classifier(LabelledImages(IMAGES, torch.arange(4))), "at most the 4 images, got 128"),
        (lambda: train_classifier(LabelledImages(IMAGES, torch.arange(3))), r"labels \(N,\).*and \(3,\)"),
        (lambda: train_classifier(LabelledImages(IMAGES, -torch.arange(4))), "labels must be at least 0, got -3"),
        (lambda: sure_share(torch.ones(2, 2), threshold=2), "threshold must be between 0 and 1, got 2"),
        (lambda: class_shares(torch.ones(0, 2)), r"probabilities must be \(N, K\)"),
        (
            lambda: judge_images(Classifier(1, 2).eval(), IMAGES[:0], IMAGES),
            "number of images must be at least 1",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
