"""The images: as published, split once and for all, and damaged files refused."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import datasets

from ncsn_lib.data import MNIST_MD5, load_digits, load_mnist

DATA = Path(os.environ.get("NCSN_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_mnist = pytest.mark.skipif(
    not (DATA / "MNIST" / "raw").is_dir(), reason=f"no MNIST in {DATA}; set NCSN_DATA to the folder that holds it"
)


def test_digits_are_scikit_learns():
    ours, theirs = load_digits("all"), datasets.load_digits()
    assert ours.images.shape == (1797, 1, 8, 8)
    assert ours.images.dtype == torch.float32
    assert np.array_equal(ours.images[:, 0].numpy() * 16, theirs.images)
    assert np.array_equal(ours.labels.numpy(), theirs.target)


def test_the_split_is_a_partition_and_always_the_same():
    train, test, everything = load_digits("train"), load_digits("test"), load_digits("all")
    assert (len(train.images), len(test.images)) == (1437, 360)
    rows = lambda part: sorted(part.images.flatten(1).tolist())  # noqa: E731
    assert sorted(rows(train) + rows(test)) == rows(everything)
    shares = torch.bincount(test.labels) / 360
    assert (shares - torch.bincount(everything.labels) / 1797).abs().max() < 1 / 360  # stratified
    assert torch.equal(load_digits("test").images, test.images)


@needs_mnist
def test_mnist():
    train, test = load_mnist("train", DATA), load_mnist("test", DATA)
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert (train.images.min().item(), train.images.max().item()) == (0.0, 1.0)
    # The mean pixel of the training set, known to everyone who has normalised by it.
    assert train.images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert torch.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs_mnist
def test_mnist_through_the_environment(monkeypatch):
    monkeypatch.setenv("NCSN_DATA", str(DATA))
    assert len(load_mnist("test").labels) == 10_000


@pytest.fixture
def copy(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_MD5:
        shutil.copy(DATA / "MNIST" / "raw" / name, raw)
    return raw


@needs_mnist
def test_a_damaged_file_is_named_with_both_sums(copy):
    file = copy / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    with pytest.raises(OSError, match=f"{file} is damaged: its md5 is {found}, MNIST's is {MNIST_MD5[file.name]}"):
        load_mnist("test", copy.parents[1])


@needs_mnist
def test_a_missing_file_is_named_with_its_remedy(copy):
    (copy / "train-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte is missing; download it with: python"):
        load_mnist("train", copy.parents[1])


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"MNIST is not in {tmp_path / 'nowhere'}"):
        load_mnist("train", tmp_path / "nowhere")


@pytest.mark.parametrize(("load", "split"), [(load_digits, "valid"), (load_mnist, "all")])
def test_an_unknown_split(load, split):
    with pytest.raises(ValueError, match=f"split must be one of .*, got '{split}'"):
        load(split)
