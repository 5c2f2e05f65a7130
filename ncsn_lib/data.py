"""Images to learn from, as tensors in [0, 1]. Nothing is read or downloaded on import."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class LabelledImages(NamedTuple):
    """Images and their classes."""

    images: Tensor
    """(N, C, H, W) float32 in [0, 1]."""
    labels: Tensor
    """(N,) int64 class indices."""


def load_digits(split: str = "train") -> LabelledImages:
    """The 1,797 handwritten digits, 8x8 pixels, that come with scikit-learn (Alpaydin & Kaynak 1998).

    Each pixel counts the inked points, 0 to 16, in a 4x4 cell of a scanned form; it is divided by 16. The split
    holds out 360 digits, stratified by class, and is always the same.

    Args:
        split: "train" (1,437), "test" (360), or "all" (1,797).

    Returns:
        images (N, 1, 8, 8) in [0, 1] and labels (N,).

    Raises:
        ValueError: another split.
    """
    from sklearn import datasets, model_selection

    check_split(split, ("train", "test", "all"))
    digits = datasets.load_digits()
    indices = np.arange(len(digits.target))
    if split != "all":
        train, test = model_selection.train_test_split(indices, test_size=360, stratify=digits.target, random_state=0)
        indices = np.sort(train if split == "train" else test)
    images = torch.from_numpy(digits.images[indices]).float().unsqueeze(1) / 16
    return LabelledImages(images, torch.from_numpy(digits.target[indices]).long())


def load_mnist(split: str = "train", root: str | Path | None = None) -> LabelledImages:
    """MNIST, 28x28 handwritten digits (LeCun et al. 1998), through torchvision.

    Args:
        split: "train" (60,000) or "test" (10,000).
        root: folder that holds, or will hold, `MNIST/raw`. By default the environment variable NCSN_DATA, else
            the folder `data`. A folder that is given must exist; without one the files are downloaded to `data`.

    Returns:
        images (N, 1, 28, 28) in [0, 1] and labels (N,).

    Raises:
        ValueError: another split.
        FileNotFoundError: the given folder, or MNIST in it, is missing.
        OSError: a file whose content is not MNIST's.
    """
    from torchvision.datasets import MNIST

    check_split(split, ("train", "test"))
    given = root or os.environ.get("NCSN_DATA")
    root = Path(given or "data")
    if given:
        check_mnist_files(root)
    data = MNIST(str(root), train=split == "train", download=not given)
    return LabelledImages(data.data.float().unsqueeze(1) / 255, data.targets.long())


def check_mnist_files(root: Path) -> None:
    """Raise unless `root` holds the four files of MNIST, byte for byte."""
    remedy = "download it with: python -c \"import torchvision; torchvision.datasets.MNIST('FOLDER', download=True)\""
    for name, expected in MNIST_MD5.items():
        path = root / "MNIST" / "raw" / name
        if not path.is_file():
            raise FileNotFoundError(f"MNIST is not in {root}: {path} is missing; {remedy}")
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise OSError(f"{path} is damaged: its md5 is {found}, MNIST's is {expected}; delete it, then {remedy}")


def check_split(split: str, known: tuple[str, ...]) -> None:
    """Raise `ValueError` unless the data set has that split."""
    if split not in known:
        raise ValueError(f"split must be one of {', '.join(known)}, got {split!r}")


DATASETS = {"digits": load_digits, "mnist": load_mnist}
"""The loaders by name; each takes a split and returns `LabelledImages`."""
