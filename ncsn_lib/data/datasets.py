"""Data sets by name, and their downloads."""

import contextlib
import hashlib
import lzma
import os
import socket
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ncsn_lib.data.cache import Allocate, DecodedImages, cache_folder, cached_images
from ncsn_lib.data.folders import LabelledImages, labelled, list_files, state_of
from ncsn_lib.data.transforms import unit_images
from ncsn_lib.extras import need
from ncsn_lib.words import reason_of, some

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
REPOSITORY = Path(__file__).resolve().parents[2]  # of the book; an installed wheel has none of what is looked for in it
PACKED_MNIST = REPOSITORY / "book" / "mnist"
PATIENCE = 30.0  # seconds that a host may be silent


class Download(NamedTuple):
    """What is downloaded, for the reader who has to do that by hand."""

    files: str
    """The files' names."""
    size: str
    """What they take on the disk as they come."""
    address: str
    """Where they are."""
    folder: str
    """Where they belong, below the folder that holds all of that kind."""


_IDX = "{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz"
DOWNLOADS = {
    "MNIST": Download(_IDX, "12 MB", "https://ossci-datasets.s3.amazonaws.com/mnist/", "MNIST/raw"),
    "FashionMNIST": Download(_IDX, "31 MB", "https://github.com/zalandoresearch/fashion-mnist", "FashionMNIST/raw"),
    "CIFAR10": Download("cifar-10-python.tar.gz", "170 MB", "https://www.cs.toronto.edu/~kriz/cifar.html", "."),
    "CelebA": Download(
        "img_align_celeba.zip, identity_CelebA.txt and the four list_*.txt",
        "1.4 GB",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        "celeba",
    ),
}
"""By torchvision's names."""


def load_digits(split: str = "train") -> LabelledImages:
    """The 1,797 handwritten digits, 8x8 pixels, that come with scikit-learn (Alpaydin & Kaynak 1998).

    Each pixel counts the inked points, 0 to 16, in a 4x4 cell of a scanned form; it is divided by 16. The split
    holds out 360 digits, stratified by class, and is always the same.

    Args:
        split: "train" (1,437), "test" (360), or "all" (1,797).

    Returns:
        images (N, 1, 8, 8) of torch's default dtype in [0, 1] and labels (N,).

    Raises:
        ValueError: another split.
    """
    check_split(split, ("train", "test", "all"))
    digits = need("sklearn.datasets", "data", "the digits").load_digits()
    indices = np.arange(len(digits.target))
    if split != "all":
        divide = need("sklearn.model_selection", "data", "the digits").train_test_split
        train, test = divide(indices, test_size=360, stratify=digits.target, random_state=0)
        indices = np.sort(train if split == "train" else test)
    images = torch.from_numpy(digits.images[indices]).to(torch.get_default_dtype()).unsqueeze(1) / 16
    return LabelledImages(images, torch.from_numpy(digits.target[indices]).long())


def load_mnist(split: str = "train", root: str | Path | None = None) -> LabelledImages:
    """MNIST, 28x28 handwritten digits (LeCun et al. 1998).

    They are looked for in the folder that is given or that NCSN_DATA names, then in the book's repository, which holds
    them packed; a library installed without the repository downloads them through torchvision.

    Args:
        split: "train" (60,000) or "test" (10,000).
        root: folder that holds `MNIST/raw`; one that is given must exist. By default the environment variable
            NCSN_DATA, where there is MNIST in it, else the repository's own copy, unpacked once and kept in
            `ncsn_lib.data.cache.cache_folder()`, else `data`, to which the files are downloaded.

    Returns:
        images (N, 1, 28, 28) of torch's default dtype in [0, 1] and labels (N,).

    Raises:
        ValueError: another split.
        FileNotFoundError: the given folder, or MNIST in it, is missing, or MNIST cannot be downloaded.
        OSError: a file whose content is not MNIST's.
    """
    check_split(split, ("train", "test"))
    folder, given = _root(root)
    raw = folder / "MNIST" / "raw"
    part = {"train": "train", "test": "t10k"}[split]
    names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
    if PACKED_MNIST.is_dir() and root is None and not (given and raw.is_dir()):
        source, decode = {"md5": [MNIST_MD5[name] for name in names]}, partial(_read_mnist, PACKED_MNIST, names)
        try:
            decoded = cached_images(cache_folder(), f"mnist-{split}", source, decode)
        except (
            OSError,
            ImportError,
        ):  # nowhere to keep them, or nothing that knows where: unpacked each time, in some 3 s
            decoded = cached_images(None, "", source, decode)
    else:
        if not given and not all((raw / name).is_file() for name in MNIST_MD5):
            _from_torchvision("MNIST", root)
        for name in MNIST_MD5:
            _mnist_file(raw, name)
        decoded = cached_images(None, "", {}, partial(_read_mnist, raw, names))
    images, labels = labelled(decoded)
    return LabelledImages(unit_images(images), labels)


def load_fashion_mnist(split: str = "train", root: str | Path | None = None) -> LabelledImages:
    """Fashion-MNIST, 28x28 articles of clothing (Xiao et al. 2017), through torchvision.

    Args:
        split: "train" (60,000) or "test" (10,000).
        root: folder that holds, or will hold, `FashionMNIST/raw`. By default the environment variable NCSN_DATA, else
            the folder `data` of the book's repository, or of where you are. A folder that is given must exist; without
            one the files are downloaded.

    Returns:
        images (N, 1, 28, 28) of torch's default dtype in [0, 1] and labels (N,).

    Raises:
        ValueError: another split.
        FileNotFoundError: the given folder, or the data set in it, is missing.
        OSError: a damaged file, see `check_fashion_mnist_files`.
    """
    check_split(split, ("train", "test"))
    check_fashion_mnist_files(_root(root)[0])
    data = _from_torchvision("FashionMNIST", root, train=split == "train")
    return LabelledImages(unit_images(data.data.unsqueeze(1)), data.targets.long())


def load_cifar10(split: str = "train", root: str | Path | None = None) -> LabelledImages:
    """CIFAR-10, 32x32 colour images of ten classes (Krizhevsky 2009), through torchvision.

    Args:
        split: "train" (50,000) or "test" (10,000).
        root: as for `load_fashion_mnist`; the files lie in `cifar-10-batches-py`. A folder or zip of images, the class
            by folder, is not CIFAR-10 to the byte: load it by `load_images`.

    Returns:
        images (N, 3, 32, 32) uint8 and labels (N,).

    Raises:
        ValueError: another split.
        FileNotFoundError: the given folder, or the data set in it, is missing or damaged.
    """
    check_split(split, ("train", "test"))
    data = _from_torchvision("CIFAR10", root, train=split == "train")
    return LabelledImages(torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets))


def load_celeba(split: str = "train", root: str | Path | None = None, *, cache: Path | None = None) -> LabelledImages:
    """CelebA, faces (Liu et al. 2015), as Song & Ermon (2019) prepare them, through torchvision.

    The central 140x140 pixels of the aligned images, resized to 32x32; flips are the trainer's.

    Args:
        split: "train" (162,770), "valid" (19,867), "test" (19,962), the official ones, or "all".
        root: as for `load_fashion_mnist`; the files lie in `celeba`: the folder `img_align_celeba` and the five lists.
        cache: a folder for the decoded images, see `ncsn_lib.data.cache`; None for none.

    Returns:
        images (N, 3, 32, 32) uint8, from the cache's file where there is one, and labels (N,), the number of the
        person from 0.

    Raises:
        ValueError: another split.
        FileNotFoundError: the given folder, or the data set in it, is missing or damaged.
        OSError: an image that cannot be read.
    """
    check_split(split, ("train", "valid", "test", "all"))
    folder, source = _root(root)[0] / "celeba", {"place": ""}
    if cache and folder.is_dir():
        with list_files(folder) as files:
            source = state_of(folder, files, split=split)
    name = f"celeba-{split}-{source['place']}"
    return labelled(cached_images(cache, name, source, partial(_decode_celeba, split, root)))


def check_fashion_mnist_files(root: Path) -> None:
    """Raise `OSError` if a file of Fashion-MNIST that is in `root` is not what the archive beside it holds.

    The archive that torchvision leaves there must have the published md5, and the file the checksum that stands in the
    archive. Without the archive, other pixels or labels go unnoticed: no md5 of the unpacked files is published.
    """
    for name, md5 in need("torchvision.datasets", "data", "Fashion-MNIST").FashionMNIST.resources:
        archive, problem = root / "FashionMNIST" / "raw" / name, None
        path = archive.with_suffix("")
        if archive.is_file() and path.is_file():
            packed = archive.read_bytes()
            if (found := _md5(packed)) != md5:
                problem = f"{archive} is damaged: its md5 is {found}, Fashion-MNIST's is {md5}"
            elif zlib.crc32(path.read_bytes()) != int.from_bytes(packed[-8:-4], "little"):  # gzip: CRC-32, then length
                problem = f"{path} is damaged: it is not what {name} holds"
        if problem:
            raise OSError(f"{problem}; delete it, then {_remedy('FashionMNIST', 'FOLDER')}")


def _remedy(dataset: str, folder: str | Path) -> str:
    script = f"import torchvision; torchvision.datasets.{dataset}('{folder}', download=True)"
    needed = ", after pip install gdown," if dataset == "CelebA" else ""
    return f'download it{needed} with: python -c "{script}"'


def check_split(split: str, known: tuple[str, ...]) -> None:
    """Raise `ValueError` unless the data set has that split."""
    if split not in known:
        raise ValueError(f"split must be one of {', '.join(known)}, got {split!r}")


def _root(root: str | Path | None) -> tuple[Path, bool]:
    """The folder of the data, and whether the user named it."""
    given = root or os.environ.get("NCSN_DATA")
    usual = REPOSITORY / "data" if PACKED_MNIST.is_dir() else Path("data")
    return Path(given or usual), bool(given)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _from_torchvision(name: str, root: str | Path | None, **options: Any) -> Any:
    """A data set of torchvision: as it lies in the folder that the user named, or downloaded to the usual one."""
    dataset = getattr(need("torchvision.datasets", "data", name), name)
    root, given = _root(root)
    try:
        with contextlib.nullcontext() if given else downloads(name, DOWNLOADS[name], root):
            return dataset(str(root), download=not given, **options)
    except (RuntimeError, AssertionError, ValueError, LookupError, EOFError) as error:  # a missing or damaged file's
        told = f"{name} is not in {root}, or damaged"
        if wrong := list(_wrong_files(dataset, root)):
            told += f" ({some(wrong)})"
        raise FileNotFoundError(f"{told}; {_remedy(name, root)} (torchvision: {reason_of(error)})") from error


def _wrong_files(dataset: Any, root: Path) -> Iterator[str]:
    """Which of the files that torchvision needs of a data set are missing, or have another md5 than published."""
    if hasattr(dataset, "train_list"):
        meta = dataset.meta
        needed = [*dataset.train_list, *dataset.test_list, (meta["filename"], meta["md5"])]
    elif hasattr(dataset, "file_list"):
        needed = [("img_align_celeba", ""), *((name, md5) for _, md5, name in dataset.file_list if ".txt" in name)]
    else:  # of the unpacked files no md5 is published
        needed = [(name.removesuffix(".gz"), "") for name, _ in dataset.resources]
    for name, md5 in needed:
        file = root / getattr(dataset, "base_folder", f"{dataset.__name__}/raw") / name
        if not file.exists():
            yield f"{file.relative_to(root)} is missing"
        elif md5 and _md5(file.read_bytes()) != md5:
            yield f"{file.relative_to(root)} is damaged"


@contextlib.contextmanager
def downloads(name: str, wanted: Download, root: Path) -> Iterator[None]:
    """Turn whatever ends a download into one line that says how to do without it.

    Args:
        name: what it is.
        wanted: its files.
        root: the folder that holds the download's own.

    Raises:
        FileNotFoundError: the download failed: what was wanted, how large it is, from where, and into which folder.
    """
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    except Exception as error:  # a host, a proxy, a disk and gdown each have their own
        told = f"{name} cannot be downloaded ({reason_of(error)}): put {wanted.files} ({wanted.size}) from"
        place = (root / wanted.folder).absolute()
        raise FileNotFoundError(f"{told} {wanted.address} into {place} and try again") from error
    finally:
        socket.setdefaulttimeout(patience)


def _read_mnist(folder: Path, names: list[str], allocate: Allocate) -> DecodedImages:
    """Images and labels of two idx files."""
    pixels, labels = (np.frombuffer(_mnist_file(folder, name), np.uint8) for name in names)
    images = allocate((len(labels) - 8, 1, 28, 28))
    images[:] = pixels[16:].reshape(images.shape)  # 16 and 8 bytes say how many there are
    return DecodedImages(images, labels[8:].tolist(), [])


def _mnist_file(folder: Path, name: str) -> bytes:
    """What a file of MNIST holds, byte for byte, from the repository's packed one or from a folder of torchvision's."""
    packed = folder == PACKED_MNIST
    path = folder / (f"{name}.xz" if packed else name)
    remedy = f"git checkout -- {path}" if packed else _remedy("MNIST", "FOLDER")
    try:
        content = lzma.decompress(path.read_bytes()) if packed else path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"MNIST is not in {folder}: {path} is missing; {remedy}") from error
    except (lzma.LZMAError, EOFError) as error:
        raise OSError(f"{path} is damaged ({error}); get it again: {remedy}") from error
    if (found := _md5(content)) != MNIST_MD5[name]:
        raise OSError(f"{path} is damaged: its md5 is {found}, MNIST's is {MNIST_MD5[name]}; delete it, then {remedy}")
    return content


def _decode_celeba(split: str, root: str | Path | None, allocate: Allocate) -> DecodedImages:
    """The images of a split, cropped and resized."""
    transforms, Image = need("torchvision.transforms", "data", "CelebA"), need("PIL.Image", "data", "CelebA")
    prepare = transforms.Compose([transforms.CenterCrop(140), transforms.Resize(32)])
    data = _from_torchvision("CelebA", root, split=split, target_type="identity")
    images = allocate((len(data), 3, 32, 32))
    for index, name in enumerate(data.filename):
        path = Path(data.root) / "celeba" / "img_align_celeba" / name
        try:
            with Image.open(path) as face:  # torchvision would leave a file open that cannot be read
                images[index] = np.asarray(prepare(face.convert("RGB"))).transpose(2, 0, 1)
        except Exception as error:  # Pillow has many for broken images
            raise OSError(f"{path} cannot be read ({reason_of(error)}); unpack img_align_celeba.zip again") from error
    return DecodedImages(images, (data.identity[:, 0] - 1).tolist(), [])


def _load_celeba_cached(split: str = "train") -> LabelledImages:
    """CelebA takes minutes to decode, so that by its name it is always kept."""
    return load_celeba(split, cache=cache_folder())


DATASETS = {
    "digits": load_digits,
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
    "celeba": _load_celeba_cached,
}
"""The loaders by name; each takes a split and returns `LabelledImages`."""

_DIGITS = tuple("0123456789")
CLASSES = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""The names of the classes in the order of their labels, of the data sets that have such."""
