"""Two hundred damaged files: each is refused in one line that names it, or is as good as the whole one.

A damaged file is empty, cut short, of another type, or has one flipped bit.
"""

import gzip
import hashlib
import json
import pickle
import random
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torchvision.datasets as datasets_of_torchvision
from PIL import Image
from test_author_checkpoints import ncsnv2_content
from test_cli import TINY, fails

import ncsn_lib.data.datasets
from ncsn_lib.author_checkpoints import load_author_checkpoint
from ncsn_lib.checkpoints import CheckpointError
from ncsn_lib.classifiers import load_classifier, save_classifier
from ncsn_lib.cli import main
from ncsn_lib.data import load_fashion_mnist, load_images, load_mnist
from ncsn_lib.files import record_path
from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.runs import load_run

pytestmark = pytest.mark.usefixtures("one_thread")
NUM_FILES = {"checkpoint": 40, "model": 40, "author": 40, "zip": 40, "mnist": 20, "fashion": 20}
OTHER_TYPES = [
    b"a text of some length, and no more than that\n",
    b"\x89PNG\r\n\x1a\n" + bytes(200),
    pickle.dumps({"weights": [1.0, 2.0]}),
    json.dumps({"format": "something else", "step": 3}).encode(),
    b"[]",
    gzip.compress(bytes(1000), mtime=0),
]


class Kind(NamedTuple):
    """A kind of file: those there are, how they are read, and how they are refused."""

    files: list
    load: callable
    error: type
    command: list | None = None


def tensors(module):
    return list(module.state_dict().values())


def make_checkpoint(folder, patch):
    run = folder / "digits"
    assert main(["train", "digits", *TINY, "--run-dir", str(run)]) == 0
    files = sorted((run / "step-00000004").iterdir())
    command = ["sample", "digits", "--num", "1", "--run-dir", run, "--out", folder / "out.npy"]
    return Kind(files, lambda: tensors(load_run(run).network), CheckpointError, command)


def make_model(folder, patch):
    path = folder / "classifier.safetensors"
    torch.manual_seed(0)
    save_classifier(path, Classifier(1, 10), {"test_accuracy": 0.1})
    np.save(folder / "images.npy", np.zeros((4, 1, 8, 8), np.uint8))
    command = ["evaluate", "digits", "--num", "4", "--images", folder / "images.npy", "--classifier", path]
    files = [path, record_path(path)]
    return Kind(files, lambda: tensors(load_classifier(path)), CheckpointError, command)


def make_author(folder, patch):
    # As torch has written since 1.6, a zip with checksums. Files from before have none: a flipped bit among the
    # weights there gives another number, which nobody can tell from the right one.
    path = folder / "checkpoint.pth"
    torch.save(ncsnv2_content(), path)
    return Kind([path], lambda: tensors(load_author_checkpoint(path)), ValueError)


def make_zip(folder, patch):
    path, generator = folder / "pictures.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(6):
            picture = folder / ("picture.png" if number % 2 else "picture.jpg")
            Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(picture)
            archive.write(picture, f"{'ab'[number // 3]}/{number}{picture.suffix}")
    command = ["train", "digits", "--steps", "1", "--batch-size", "2", "--run-dir", folder / "run", "--data", path]
    return Kind([path], lambda: list(load_images(path)), ValueError, [*command, "--no-cache"])


def write_idx_files(raw):
    """Thirty images and labels for training and for testing, as idx files."""
    raw.mkdir(parents=True)
    generator, count = np.random.default_rng(0), (30).to_bytes(4, "big")
    for part in ("train", "t10k"):
        head = b"\0\0\x08\x03" + count + 2 * (28).to_bytes(4, "big")
        pixels = generator.integers(0, 256, 30 * 28 * 28, dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = generator.integers(0, 10, 30, dtype=np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count + labels.tobytes())
    return sorted(raw.iterdir())


def md5(file):
    return hashlib.md5(file.read_bytes()).hexdigest()


def make_mnist(folder, patch):
    files = write_idx_files(folder / "MNIST" / "raw")
    patch.setattr(ncsn_lib.data.datasets, "MNIST_MD5", {file.name: md5(file) for file in files})
    patch.setenv("NCSN_DATA", str(folder))

    def load():
        return [*load_mnist("train", folder), *load_mnist("test", folder)]

    return Kind(files, load, OSError, ["train", "mnist", "--run-dir", folder / "run"])


def make_fashion(folder, patch):
    files, sums = write_idx_files(folder / "FashionMNIST" / "raw"), []
    for file in files:
        archive = file.with_name(f"{file.name}.gz")
        archive.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        sums.append((archive.name, md5(archive)))
    patch.setattr(datasets_of_torchvision.FashionMNIST, "resources", sums)
    patch.setenv("NCSN_DATA", str(folder))

    def load():
        return [*load_fashion_mnist("train", folder), *load_fashion_mnist("test", folder)]

    out = folder / "out.safetensors"
    return Kind(files, load, OSError, ["train-classifier", "fashion_mnist", "--out", out])


MAKE = {
    "checkpoint": make_checkpoint,
    "model": make_model,
    "author": make_author,
    "zip": make_zip,
    "mnist": make_mnist,
    "fashion": make_fashion,
}


def damage(kind, num):
    """Damaged contents: (file, how, content, where the flipped bit is)."""
    generator = random.Random(0)
    for trial in range(num):
        file = kind.files[trial % len(kind.files)]
        whole = file.read_bytes()
        if trial < len(kind.files):
            yield file, "empty", b"", None
        elif trial % 8 == 5:
            yield file, "of another type", generator.choice(OTHER_TYPES), None
        elif trial // len(kind.files) % 2:
            # Two bytes at least: without the line's end at its end a JSON says what it said.
            yield file, "cut", whole[: generator.randrange(1, len(whole) - 1)], None
        else:
            position, content = generator.randrange(len(whole)), bytearray(whole)
            content[position] ^= 1 << generator.randrange(8)
            yield file, "flipped", bytes(content), position


def inside_a_member(path, position):
    """Whether a byte of a zip belongs to what a member holds; the others are headers, padding and the list."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            lengths = content[
                member.header_offset + 26 : member.header_offset + 30
            ]  # of the name and of the extra field
            start = member.header_offset + 30 + sum(np.frombuffer(lengths, "<u2").tolist())
            assert content[start : start + member.file_size] == archive.read(member)  # stored as it is
            if start <= position < start + member.file_size:
                return True
    return False


@pytest.mark.parametrize("name", MAKE)
def test_damaged_files(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kind = MAKE[name](tmp_path, monkeypatch)
    expected, harmless, asked = kind.load(), [], set()
    for file, how, content, position in damage(kind, NUM_FILES[name]):
        whole = file.read_bytes()
        file.write_bytes(content)
        try:
            found = kind.load()
        except kind.error as error:
            message = str(error)
            assert str(file) in message or str(file.parent) in message
            assert "\n" not in message
            if kind.command and how not in asked:  # and once of each how, as a user meets it
                asked.add(how)
                assert str(file.parent) in fails(capsys, *kind.command)
        else:
            assert how == "flipped", f"{file.name}, {how}, was taken for whole"
            assert all(map(torch.equal, found, expected))
            harmless.append(position)
        file.write_bytes(whole)
    assert all(map(torch.equal, kind.load(), expected))  # it was the damage
    if name in ("author", "zip"):
        # A zip says most things twice, and only one is read: bits of headers and padding may flip, none of a content.
        assert not any(inside_a_member(kind.files[0], position) for position in harmless)
    else:
        assert harmless == []
