"""The images: as published, split once and for all, and damaged files refused."""

import gzip
import hashlib
import io
import lzma
import os
import pickle
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets as datasets_of_torchvision
from PIL import Image
from scipy import stats
from sklearn import datasets

import ncsn_lib.data.datasets
from ncsn_lib.data import (
    CLASSES,
    DATASETS,
    check_unit_range,
    dequantize,
    fingerprint,
    load_celeba,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_images,
    load_mnist,
    random_flip,
    random_shift,
    unit_images,
)
from ncsn_lib.data.datasets import MNIST_MD5, PACKED_MNIST

DATA = Path(os.environ.get("NCSN_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def no_data(monkeypatch):
    """No folder of data is named."""
    monkeypatch.delenv("NCSN_DATA", raising=False)


@pytest.fixture
def bare_wheel(no_data, tmp_path, monkeypatch):
    """The library as it is installed without the book's repository, in a folder of its own."""
    monkeypatch.setattr(ncsn_lib.data.datasets, "PACKED_MNIST", tmp_path / "absent")
    monkeypatch.chdir(tmp_path)


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


@pytest.mark.usefixtures("no_data")
def test_mnist():
    train, test = load_mnist("train"), load_mnist("test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.images.dtype == torch.float32
    assert (train.images.min().item(), train.images.max().item()) == (0.0, 1.0)
    # The mean pixel of the training set, known to everyone who has normalised by it.
    assert train.images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert torch.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def unpack_mnist(raw):
    """The four idx files, from the repository's packed ones."""
    raw.mkdir(parents=True)
    for name in MNIST_MD5:
        (raw / name).write_bytes(lzma.decompress((PACKED_MNIST / f"{name}.xz").read_bytes()))
    return raw


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    return unpack_mnist(tmp_path_factory.mktemp("unpacked") / "MNIST" / "raw")


@pytest.fixture
def copy(unpacked, tmp_path):
    return Path(shutil.copytree(unpacked, tmp_path / "MNIST" / "raw"))


def test_the_packed_files_are_mnists_and_torchvision_reads_the_same(unpacked):
    for name, md5 in MNIST_MD5.items():
        assert hashlib.md5((unpacked / name).read_bytes()).hexdigest() == md5
    for split in ("train", "test"):
        theirs = datasets_of_torchvision.MNIST(unpacked.parents[1], train=split == "train")
        ours = load_mnist(split)
        assert torch.equal((ours.images[:, 0] * 255).round().byte(), theirs.data)
        assert torch.equal(ours.labels, theirs.targets)
    notice = (PACKED_MNIST / "NOTICE.md").read_text(encoding="utf-8")
    assert all(md5 in notice for md5 in MNIST_MD5.values())


@pytest.mark.usefixtures("no_data")
def test_mnist_is_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setenv("NCSN_CACHE", str(tmp_path))
    first = load_mnist("test")
    monkeypatch.setattr(lzma, "decompress", None)  # what is kept is not unpacked again
    again = load_mnist("test")
    assert torch.equal(again.images, first.images)
    assert torch.equal(again.labels, first.labels)


@pytest.mark.usefixtures("no_data")
def test_mnist_without_a_place_for_a_cache(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NCSN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="read without the cache"):
        assert len(load_mnist("test").images) == 10_000


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("damage", ["cut", "another"])
def test_a_damaged_packed_file_is_named(damage, tmp_path, monkeypatch):
    name = "t10k-labels-idx1-ubyte.xz"
    packed = Path(shutil.copytree(PACKED_MNIST, tmp_path / "packed"))
    content = (packed / name).read_bytes()
    (packed / name).write_bytes(content[:-100] if damage == "cut" else lzma.compress(b"another"))
    monkeypatch.setenv("NCSN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ncsn_lib.data.datasets, "PACKED_MNIST", packed)
    with pytest.raises(OSError, match=f"{packed / name} is damaged"):
        load_mnist("test")


def test_the_packed_mnist_needs_neither_torchvision_nor_pillow():
    script = (
        "import sys; sys.modules.update(torchvision=None, PIL=None, sklearn=None, platformdirs=None)\n"
        "from ncsn_lib.data import load_digits, load_mnist\n"
        "print(len(load_mnist('test').images))\n"
        "load_digits()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NCSN_")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "10000\n"
    assert "the digits needs sklearn" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith('install it with: pip install "ncsn_lib[data]"')


def test_mnist_of_the_folder_that_is_named_comes_first(copy, monkeypatch):
    monkeypatch.setenv("NCSN_DATA", str(copy.parents[1]))
    assert len(load_mnist("test").labels) == 10_000
    (copy / "t10k-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(OSError, match="t10k-labels-idx1-ubyte is damaged"):
        load_mnist("test")


def test_a_named_folder_without_mnist_leaves_the_repositorys(tmp_path, monkeypatch):
    monkeypatch.setenv("NCSN_DATA", str(tmp_path))
    assert len(load_mnist("test").labels) == 10_000


def test_a_damaged_file_is_named_with_both_sums(copy):
    file = copy / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    with pytest.raises(OSError, match=f"{file} is damaged: its md5 is {found}, MNIST's is {MNIST_MD5[file.name]}"):
        load_mnist("test", copy.parents[1])


def test_a_missing_file_is_named_with_its_remedy(copy):
    (copy / "train-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte is missing; download it with: python"):
        load_mnist("train", copy.parents[1])


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"MNIST is not in {tmp_path / 'nowhere'}"):
        load_mnist("train", tmp_path / "nowhere")


# --- through torchvision, on small files in the published formats


def write_cifar10(root, monkeypatch):
    """Six batches of two images each, as `cifar-10-batches-py` holds them, and their sums in place of the real ones."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    generator, sums = np.random.default_rng(0), {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        pixels = generator.integers(0, 256, (2, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": [3, 8]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    for file in folder.iterdir():
        sums[file.name] = hashlib.md5(file.read_bytes()).hexdigest()
    known = datasets_of_torchvision.CIFAR10
    monkeypatch.setattr(known, "train_list", [[name, sums[name]] for name in sums if name.startswith("data")])
    monkeypatch.setattr(known, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(known, "meta", known.meta | {"md5": sums["batches.meta"]})
    return folder


def test_cifar10_is_what_its_batches_hold(tmp_path, monkeypatch):
    folder = write_cifar10(tmp_path, monkeypatch)
    train, test = load_cifar10("train", tmp_path), load_cifar10("test", tmp_path)
    assert (train.images.shape, train.images.dtype) == ((10, 3, 32, 32), torch.uint8)
    assert test.labels.tolist() == [3, 8]
    assert len(CLASSES["cifar10"]) == 10  # torchvision reads the names from a file of the data
    stored = pickle.loads((folder / "test_batch").read_bytes())["data"]
    assert np.array_equal(test.images.numpy().reshape(2, -1), stored)


def test_a_damaged_cifar10_is_refused(tmp_path, monkeypatch):
    folder = write_cifar10(tmp_path, monkeypatch)
    (folder / "data_batch_3").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"CIFAR10 is not in .*, or damaged \(.*\); download it") as caught:
        load_cifar10("train", tmp_path)
    assert "damaged (cifar-10-batches-py/data_batch_3 is damaged); download it with: python -c" in str(caught.value)
    (folder / "test_batch").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"/data_batch_3 is damaged, .*-py/test_batch is missing\); download it"
    ):
        load_cifar10("train", tmp_path)


CELEBA_LISTS = {
    "list_eval_partition.txt": "{name} {part}",
    "identity_CelebA.txt": "{name} {person}",
    "list_bbox_celeba.txt": "{name} 95 71 226 313",
    "list_landmarks_align_celeba.txt": "{name} 69 109 106 113 77 142 73 152 108 154",
    "list_attr_celeba.txt": "{name} -1 1",
}
CELEBA_HEADS = {
    "list_bbox_celeba.txt": "7\nimage_id x_1 y_1 width height\n",
    "list_landmarks_align_celeba.txt": "7\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y a b c d\n",
    "list_attr_celeba.txt": "7\nMale Smiling\n",
}


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    """Seven JPEG faces of noise in the published format, with their lists, and their sums in place of the real ones."""
    folder, generator = tmp_path / "celeba", np.random.default_rng(0)
    (folder / "img_align_celeba").mkdir(parents=True)
    people = [
        (f"{n:06}.jpg", part, person) for n, (part, person) in enumerate(zip("0001122", "3314251", strict=True), 1)
    ]
    for name, _, _ in people:
        pixels = generator.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name)
    for name, line in CELEBA_LISTS.items():
        rows = [line.format(name=name, part=part, person=person) for name, part, person in people]
        (folder / name).write_text(CELEBA_HEADS.get(name, "") + "\n".join(rows) + "\n")
    sums = [("", hashlib.md5((folder / name).read_bytes()).hexdigest(), name) for name in CELEBA_LISTS]
    monkeypatch.setattr(datasets_of_torchvision.CelebA, "file_list", sums)
    return folder


@pytest.mark.parametrize(
    ("split", "numbers", "people"),
    [("train", [1, 2, 3], [2, 2, 0]), ("valid", [4, 5], [3, 1]), ("test", [6, 7], [4, 0]), ("all", range(1, 8), None)],
)
def test_celeba_is_cropped_resized_and_split(celeba, split, numbers, people):
    loaded = load_celeba(split, celeba.parent)
    assert (loaded.images.shape, loaded.images.dtype) == ((len(numbers), 3, 32, 32), torch.uint8)
    assert people is None or loaded.labels.tolist() == people
    for image, number in zip(loaded.images, numbers, strict=True):
        with Image.open(celeba / "img_align_celeba" / f"{number:06}.jpg") as face:
            middle = face.crop((19, 39, 159, 179)).resize((32, 32), Image.Resampling.BILINEAR)
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(middle))


def test_celeba_with_a_damaged_face_or_list(celeba):
    face = celeba / "img_align_celeba" / "000002.jpg"
    whole = face.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        face.write_bytes(content)
        with pytest.raises(OSError, match=f"{face} cannot be read .*; unpack img_align_celeba.zip again"):
            load_celeba("train", celeba.parent)
        assert len(load_celeba("test", celeba.parent).images) == 2
    face.unlink()
    with pytest.raises(OSError, match=f"{face} cannot be read"):
        load_celeba("train", celeba.parent)
    (celeba / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    told = (
        r"CelebA is not in .*, or damaged \(celeba/list_eval_partition.txt is damaged\); download it, after pip install"
    )
    with pytest.raises(FileNotFoundError, match=f"{told} gdown, with: python -c"):
        load_celeba("test", celeba.parent)


@pytest.mark.parametrize("name", ["img_align_celeba", *CELEBA_LISTS])
def test_what_is_missing_of_celeba_is_named(celeba, name):
    (celeba / name).rename(celeba / "elsewhere")
    with pytest.raises(
        FileNotFoundError, match=rf"damaged \(celeba/{name} is missing\); download it, after pip install"
    ):
        load_celeba("test", celeba.parent)


def test_celeba_by_its_name_is_kept(celeba, tmp_path, monkeypatch):
    monkeypatch.setenv("NCSN_DATA", str(tmp_path))
    monkeypatch.setenv("NCSN_CACHE", str(tmp_path / "kept"))
    first = DATASETS["celeba"]("train")
    assert torch.equal(first.images, load_celeba("train").images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets_of_torchvision.CelebA, "__init__", None)  # what is kept is not decoded again
        again = DATASETS["celeba"]("train")
    assert torch.equal(again.images, first.images)
    assert torch.equal(again.labels, first.labels)


@pytest.mark.parametrize(
    ("load", "name"),
    [(load_cifar10, "CIFAR10"), (load_fashion_mnist, "FashionMNIST"), (load_celeba, "CelebA")],
)
def test_a_data_set_that_is_not_there(load, name, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{name} is not in .* is missing.*; download it.*datasets\.{name}"):
        load("train", tmp_path)


def test_the_names_of_the_classes_are_the_published_ones():
    assert set(CLASSES) == set(DATASETS) - {"celeba"}
    assert CLASSES["fashion_mnist"] == tuple(datasets_of_torchvision.FashionMNIST.classes)
    digits = tuple(name.split(" - ")[0] for name in datasets_of_torchvision.MNIST.classes)
    assert CLASSES["digits"] == CLASSES["mnist"] == digits


@pytest.mark.usefixtures("no_data")
def test_images_are_of_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        digits, byte = load_digits("test").images, torch.tensor([51], dtype=torch.uint8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NCSN_DATA", "")
            mnist = load_mnist("test").images
        assert unit_images(byte).tolist() == [0.2]
    finally:
        torch.set_default_dtype(torch.float32)
    assert (digits.dtype, mnist.dtype) == (torch.float64, torch.float64)
    assert torch.equal(digits.float(), load_digits("test").images)


def test_fashion_mnist_is_read_from_its_idx_files(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        header = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28])  # idx: bytes, 3 dimensions, 3 x 28 x 28
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 1, 9]))
    loaded = load_fashion_mnist("train", tmp_path)
    assert np.array_equal((loaded.images[:, 0] * 255).round().numpy(), pixels)
    assert loaded.labels.tolist() == [7, 1, 9]


def test_fashion_mnist_that_is_not_what_its_archives_hold(tmp_path, monkeypatch):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, *3 * [0, 0, 0, 2]]) + bytes(8))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 1]))
    sums = []
    for file in sorted(raw.iterdir()):
        archive = raw / f"{file.name}.gz"
        archive.write_bytes(gzip.compress(file.read_bytes()))
        sums.append((archive.name, hashlib.md5(archive.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets_of_torchvision.FashionMNIST, "resources", sums)
    assert load_fashion_mnist("train", tmp_path).labels.tolist() == [7, 1]
    file = raw / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\2")
    with pytest.raises(OSError, match=rf"{file} is damaged: it is not what {file.name}.gz holds; delete it, then"):
        load_fashion_mnist("train", tmp_path)
    (raw / f"{file.name}.gz").write_bytes(b"half")
    file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 2]))
    with pytest.raises(
        OSError, match=rf"{file}.gz is damaged: its md5 is .*, Fashion-MNIST's is {dict(sums)[file.name + '.gz']}"
    ):
        load_fashion_mnist("train", tmp_path)


@pytest.mark.parametrize("damage", range(9))
def test_fashion_mnist_without_its_archives_that_is_not_as_its_header_says(damage, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    header, pixels = bytearray([0, 0, 8, 3, *3 * [0, 0, 0, 2]]), bytes(8)
    if damage < 8:
        header[damage] ^= 16
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"" if damage == 8 else header + pixels)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 1]))
    with pytest.raises(FileNotFoundError, match=f"FashionMNIST is not in {tmp_path}, or damaged; download it with"):
        load_fashion_mnist("train", tmp_path)


@pytest.mark.usefixtures("bare_wheel")
def test_mnist_in_the_usual_place(copy):
    (copy.parents[1] / "data").symlink_to(copy.parents[1])
    assert len(load_mnist("test").labels) == 10_000
    (copy / "t10k-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(OSError, match="t10k-labels-idx1-ubyte is damaged: its md5 is"):
        load_mnist("test")


@pytest.mark.usefixtures("bare_wheel")
@pytest.mark.parametrize(
    ("load", "name", "size", "address", "folder"),
    [
        (load_mnist, "MNIST", "12 MB", "https://ossci-datasets.s3", "MNIST/raw"),
        (load_fashion_mnist, "FashionMNIST", "31 MB", "https://github.com/zalandoresearch", "FashionMNIST/raw"),
        (load_cifar10, "CIFAR10", "170 MB", "https://www.cs.toronto.edu", ""),
        (load_celeba, "CelebA", "1.4 GB", "https://mmlab.ie.cuhk.edu.hk", "celeba"),
    ],
)
def test_offline_one_line_says_what_to_put_where(load, name, size, address, folder, tmp_path, monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(FileNotFoundError) as caught:
        load("train")
    said = str(caught.value)
    assert said.startswith(f"{name} cannot be downloaded (")
    assert size in said
    assert address in said
    assert f"into {tmp_path / 'data' / folder} and try again" in said
    assert "\n" not in said


@pytest.mark.usefixtures("no_data")
def test_the_usual_place_is_the_repositorys_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets_of_torchvision.CIFAR10, "__init__", None)  # whatever it would do, it fails
    with pytest.raises(FileNotFoundError, match=f"CIFAR10 .* into {PACKED_MNIST.parents[1] / 'data'} and"):
        load_cifar10()


# --- any folder or zip of images


@pytest.fixture(params=["folder", "zip"])
def pictures(request, tmp_path):
    """Two classes of colour images as PNG, as a folder or as a zip, and how to write more into it."""
    folder = tmp_path / "pictures"
    generator = np.random.default_rng(0)
    for name in ("cat/2.png", "cat/10.png", "dog/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(folder / name)
    (folder / "readme.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("nor this")

    def finish():
        if request.param == "folder":
            return folder
        with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
            for file in sorted(folder.rglob("*")):
                archive.write(file, file.relative_to(folder))
        return tmp_path / "pictures.zip"

    return folder, finish


def test_images_with_the_class_by_folder(pictures):
    folder, finish = pictures
    loaded = load_images(finish())
    assert loaded.images.dtype == torch.uint8
    assert loaded.labels.tolist() == [0, 0, 1]
    for image, name in zip(loaded.images, ("cat/10.png", "cat/2.png", "dog/1.png"), strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(folder / name)))


def test_grey_images_have_one_channel(pictures):
    folder, finish = pictures
    for file in folder.rglob("*/*.png"):
        Image.open(file).convert("L").save(file)
    assert load_images(finish()).images.shape == (3, 1, 6, 6)


def test_grey_among_colour_becomes_colour(pictures):
    folder, finish = pictures
    Image.open(folder / "dog/1.png").convert("L").save(folder / "dog/1.png")
    images = load_images(finish()).images
    assert images.shape == (3, 3, 6, 6)
    assert (images[2] == images[2, :1]).all()


def test_images_of_several_sizes(pictures):
    folder, finish = pictures
    Image.new("RGB", (9, 5), (10, 20, 30)).save(folder / "dog/2.png")
    path = finish()
    with pytest.raises(ValueError, match=r"several sizes, 6x6 and 9x5 \(at dog/2.png\); give a size"):
        load_images(path)
    images = load_images(path, size=4).images
    assert images.shape == (4, 3, 4, 4)
    assert images[3, :, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("content", [b"", b"no image", "half"])
def test_a_broken_image_is_named_or_skipped(pictures, content):
    folder, finish = pictures
    whole = (folder / "cat/2.png").read_bytes()
    (folder / "cat/2.png").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    path = finish()
    with pytest.raises(ValueError, match=r"the image cat/2\.png cannot be read"):
        load_images(path)
    with pytest.warns(UserWarning, match=r"1 image left out, which cannot be read, first cat/2\.png"):
        assert load_images(path, skip_broken=True).labels.tolist() == [0, 1]


def test_a_damaged_zip(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"a\.zip is no zip, or damaged"):
        load_images(tmp_path / "a.zip")


def test_a_zip_damaged_inside_names_the_image(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.png", b"x" * 100)
    content = (tmp_path / "a.zip").read_bytes().replace(b"x" * 100, b"y" * 100)  # its checksum is now wrong
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"the image a/1\.png cannot be read"):
        load_images(tmp_path / "a.zip")


@pytest.mark.parametrize("num", [3, 70_000])
def test_no_entry_vanishes_from_a_damaged_zip(tmp_path, num):
    """zipfile passes over a name with another ending, and over entries behind a length that is too large."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(num - 1):
            archive.writestr(f"{number}.txt", b"")
        archive.writestr("a/1.png", b"x")
    whole = path.read_bytes()
    with pytest.raises(ValueError, match=r"the image a/1\.png cannot be read"):
        load_images(path)  # whole as a zip, whatever its format: beyond 65,535 entries it is the 64-bit one
    entry = whole.rindex(b"PK\x01\x02")  # the last one's record in the list
    for position, message in [
        (entry + 46 + 6, "File name in directory"),  # the g of .png
        # A comment of 256 bytes.
        (whole[:entry].rindex(b"PK\x01\x02") + 33, "entries of its list after .* cannot be read"),
    ]:
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"a\.zip is no zip, or damaged \(.*{message}"):
            load_images(path)


def test_no_image_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no image that can be read"):
        load_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder or zip of images"):
        load_images(tmp_path / "nowhere")


# --- every kind of picture, and of folder and zip


RAMP = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)  # 257 times 0 to 255
GREYS = torch.arange(256).reshape(1, 16, 16)


def only(folder):
    """The one image of a folder, (C, H, W)."""
    return load_images(folder).images[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_that_was_held_otherwise_is_upright(orientation, tmp_path):
    upright = torch.zeros(3, 16, 32, dtype=torch.uint8)
    upright[0, :8, :16], upright[1, :8, 16:], upright[2, 8:, :16] = 255, 255, 255  # red, green; blue, black
    pixels = upright.permute(1, 2, 0).numpy()
    # How the sensor saw it, from EXIF 2.3: which side of the scene lies at the first row and the first column.
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned[orientation])).save(tmp_path / "a.png", exif=exif)
    assert torch.equal(only(tmp_path), upright)


@pytest.mark.parametrize(
    ("name", "mode", "pixels"),
    [
        ("a.png", "I;16", RAMP),
        ("a.tif", "I;16", RAMP),
        ("a.tif", "I;16B", RAMP.astype(">u2")),
        ("a.tif", "I", RAMP.astype(np.int32)),
        ("a.tif", "I", (RAMP // 257).astype(np.int32)),
        ("a.tif", "I", RAMP.astype(np.int32) * 32768),
        ("a.tif", "F", RAMP.astype(np.float32) / 65535),
        ("a.tif", "F", RAMP.astype(np.float32) / 257),
        ("a.tif", "F", RAMP.astype(np.float32)),
    ],
)
def test_more_than_8_bits_keep_their_range(name, mode, pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / name)
    with Image.open(tmp_path / name) as written:
        assert written.mode == mode
    assert torch.equal(only(tmp_path), GREYS)


def test_a_grey_map_of_16_bits(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 65535\n" + RAMP.astype(">u2").tobytes())
    assert torch.equal(only(tmp_path), GREYS)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (0.0, 1e6), (float("nan"),) * 2])
def test_numbers_that_are_no_greys(low, high, tmp_path):
    Image.fromarray(np.array([[low, high]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a\.tif cannot be read \(its values go from {low:g} to .*; scale them"):
        load_images(tmp_path)


def test_what_is_transparent_shows_the_background(tmp_path):
    """A half-transparent pixel is the mean of the two; alpha as Porter and Duff (1984) have it."""
    grey, colour, palette = (tmp_path / name for name in ("grey", "colour", "palette"))
    for folder in (grey, colour, palette):
        folder.mkdir()
    Image.fromarray(np.array([[[100, 0], [100, 51], [100, 255]]], np.uint8)).save(grey / "a.png")
    Image.fromarray(np.array([[[9, 80, 100, 0], [9, 80, 100, 51], [9, 80, 100, 255]]], np.uint8)).save(
        colour / "a.webp", lossless=True, exact=True
    )
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.save(palette / "a.png", transparency=0)
    for background, ground in [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#ff8000", (255, 128, 0))]:
        loaded = load_images(grey, background=background).images[0, :, 0].tolist()
        channels = 1 if background != "#ff8000" else 3
        assert loaded == [[g, round(0.8 * g + 20), 100] for g in ground[:channels]]
        loaded = load_images(colour, background=background).images[0, :, 0].tolist()
        assert loaded == [
            [g, pytest.approx(0.8 * g + 0.2 * c, abs=1), c] for g, c in zip(ground, (9, 80, 100), strict=True)
        ]
        loaded = load_images(palette, background=background).images[0, :, 0].tolist()
        assert loaded == [[g, c] for g, c in zip(ground, (40, 50, 60), strict=True)]


@pytest.mark.parametrize("background", ["whit", "#12", "", None])
def test_a_background_that_is_no_colour(background, tmp_path):
    with pytest.raises(ValueError, match=f"background must be a colour, .* got {background!r}"):
        load_images(tmp_path, background=background)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_every_mode_has_one_channel_or_three(mode, tmp_path):
    white = Image.new("RGB", (4, 4), "white").convert(mode)
    if mode == "LAB":
        white = Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (255, 128, 128)])
    white.save(tmp_path / "a.tif")
    image = only(tmp_path)
    assert image.shape == (1 if mode in ("1", "L", "P") else 3, 4, 4)  # white is all that the palette has
    assert image.min() >= 254


def test_every_ending_of_pillows_counts_and_of_frames_the_first(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("#0a141e", "red")]
    for ending in ("bmp", "dib", "gif", "ico", "jp2", "jfif", "pcx", "ppm", "qoi", "sgi", "TGA", "tiff", "webp"):
        lossless = {"lossless": True} if ending == "webp" else {}
        more = {"save_all": True, "append_images": frames[1:]} if ending in ("gif", "tiff", "webp") else {}
        frames[0].save(tmp_path / f"a.{ending}", **lossless, **more)
    for name in ("a.h5", "a.mpg", "a.eps", "a.txt", "a"):
        (tmp_path / name).write_bytes(b"no picture")
    loaded = load_images(tmp_path, size=4)
    assert len(loaded.images) == 13
    assert (loaded.images.int() - torch.tensor([10, 20, 30]).view(3, 1, 1)).abs().max() <= 1  # JPEG rounds
    assert sorted(loaded.others) == ["a", "a.eps", "a.h5", "a.mpg", "a.txt"]


def test_a_scan_beyond_pillows_limit(pictures, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # of 36: an error beyond twice as many, a warning before
    path = pictures[1]()
    assert load_images(path).images.shape == (3, 3, 6, 6)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_the_line_that_says_what_was_found(pictures):
    folder, finish = pictures
    path = finish()
    assert load_images(path).summary == (
        f"{path}: 3 images of 2 classes (cat, dog); passed over: 1 file of other types (.txt)"
    )
    (folder / "cat/2.png").write_bytes(b"no image")
    (folder / "readme").touch()
    path = finish()
    with pytest.warns(UserWarning, match="1 image left out"):
        summary = load_images(path, skip_broken=True).summary
    assert summary == (
        f"{path}: 2 images of 2 classes (cat, dog); passed over: 2 files of other types (.txt, no ending); "
        "left out: 1 image that cannot be read (cat/2.png)"
    )


def test_images_without_folders_are_of_one_class(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a b é.png")
    assert load_images(tmp_path).summary == f"{tmp_path}: 1 image of 1 class"


def test_links_are_followed_and_end(pictures, tmp_path):
    folder, _ = pictures
    apart = folder.rename(tmp_path / "apart")
    folder.mkdir()
    (folder / "linked").symlink_to(apart / "cat")
    (folder / "again").symlink_to(apart / "cat")
    (apart / "cat" / "back").symlink_to(folder)
    (folder / "1.png").symlink_to(apart / "dog" / "1.png")
    loaded = load_images(folder)
    assert loaded.classes == [".", "again", "linked"]  # and not back into the folder that one is in
    assert loaded.labels.tolist() == [0, 1, 1, 2, 2]
    (folder / "2.png").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"the image 2\.png cannot be read \(.*No such file"):
        load_images(folder)


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names are Unicode there")
def test_names_that_are_not_unicode(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    image = io.BytesIO()
    Image.new("L", (4, 4)).save(image, "png")
    for name, content in [(b"1\xff.png", image.getvalue()), (b"2\xff.png", b"no image")]:
        with open(folder + b"/" + name, "wb") as file:
            file.write(content)
    with pytest.raises(ValueError, match=r"the image caf\\udce9/2\\udcff.png cannot be read") as caught:
        load_images(tmp_path)
    str(caught.value).encode("utf-8")  # it can be printed
    for _ in range(2):
        with pytest.warns(UserWarning, match="left out"):
            loaded = load_images(tmp_path, skip_broken=True, cache=tmp_path.with_name(f"{tmp_path.name}-cache"))
        assert loaded.labels.tolist() == [0]
        loaded.summary.encode("utf-8")
    with pytest.warns(UserWarning, match="left out"):
        load_images(os.fsdecode(folder), skip_broken=True).summary.encode("utf-8")
    assert len(fingerprint(tmp_path)) == 16


@pytest.mark.parametrize("skip_broken", [True, False])
def test_a_folder_that_cannot_be_read_is_named(pictures, skip_broken, monkeypatch):
    folder, real = pictures[0], os.listdir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(OSError, match=f"the folder {folder / 'dog'} cannot be read \\(Permission denied\\)"):
        load_images(folder, skip_broken=skip_broken)


@pytest.fixture
def entries(tmp_path):
    """Writes a zip of names and contents, and gives its path."""

    def write(files, **options):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content, **options)
        return tmp_path / "a.zip"

    return write


def png(value=0):
    content = io.BytesIO()
    Image.new("L", (4, 4), value).save(content, "png")
    return content.getvalue()


def test_a_zip_from_windows_and_one_from_a_mac(entries):
    path = entries(
        {
            "set\\": b"",
            "set\\dog\\2.png": png(2),
            "set\\cat\\1.png": png(1),
            "./set/cat/3.png": png(3),
            "__MACOSX/set/cat/._1.png": b"its icon",
            "set/.DS_Store": b"",
        }
    )
    loaded = load_images(path)
    assert loaded.images[:, 0, 0, 0].tolist() == [1, 3, 2]
    assert loaded.labels.tolist() == [0, 0, 1]
    assert loaded.summary == f"{path}: 3 images of 2 classes (set/cat, set/dog)"


def test_a_zip_has_the_order_of_its_folder(tmp_path, entries):
    files = {name: png(number) for number, name in enumerate(["a/1.png", "a-b/1.png", "a.png", "a/b/1.png"])}
    for name, content in files.items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    one, other = load_images(tmp_path / "folder"), load_images(entries(files))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert fingerprint(tmp_path / "folder") == fingerprint(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(0, 1, "is encrypted, password required"), (2, 97, "compression method is not supported")],
)
def test_a_zip_that_python_cannot_unpack(entries, offset, value, reason):
    """By the flags and the method, which stand before each entry and in the list (APPNOTE 4.3.7, 4.3.12)."""
    path = entries({"notes.txt": b"no image", "cat/1.png": png()})
    content = bytearray(path.read_bytes())
    for signature, position in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)]:
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + position + offset] = value
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"cat/1\.png cannot be read \(.*{reason}.*; unpack the zip yourself"
    ) as caught:
        load_images(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "a.tar").write_bytes(bytes(100))
    with pytest.raises(ValueError, match=r"a\.tar is no zip, or damaged \(File is not a zip file\)"):
        load_images(tmp_path / "a.tar")


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_that_is_none(size, tmp_path):
    with pytest.raises(ValueError, match=f"size must be at least 1, got {size}"):
        load_images(tmp_path, size=size)


# --- which data these are


def test_the_fingerprint_of_a_tensor():
    x = torch.rand(1000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(x.transpose(2, 3).contiguous().transpose(2, 3))
    others = [x + 0.001, x[:-1], x.double(), x.reshape(1000, 1, 2, 8), x.flip(0), x[:, 0], x[:0], x.bfloat16()]
    for edge in (0, -1):  # the first and the last row are always looked at
        others.append(x.clone())
        others[-1][edge, 0, 0, 0] += 1
    assert len({fingerprint(other) for other in [x, *others]}) == 1 + len(others)
    assert all(len(fingerprint(other)) == 16 for other in others)
    with pytest.raises(ValueError, match=r"data must be \(N, \*D\), got a number, 3"):
        fingerprint(torch.tensor(3))


def test_the_fingerprint_of_a_folder(pictures):
    folder, finish = pictures
    first = fingerprint(finish())
    for file in folder.rglob("*.png"):
        os.utime(file, (1e9, 1e9))
    (folder / "readme.txt").write_text("another")
    assert fingerprint(finish()) == first  # times and other files do not count
    name = folder / "cat" / "2.png"
    content = name.read_bytes()
    name.write_bytes(content[:-1] + b"x")
    assert fingerprint(finish()) != first
    name.write_bytes(content)
    name.rename(folder / "cat" / "3.png")
    assert fingerprint(folder) != first


CIFAR_COPY = DATA / "cifar10-jpeg" / "test.zip"


@pytest.mark.skipif(not CIFAR_COPY.exists(), reason=f"no JPEG copy of CIFAR-10 at {CIFAR_COPY}; set NCSN_DATA")
def test_ten_thousand_jpegs_from_a_zip():
    loaded = load_images(CIFAR_COPY)
    assert loaded.images.shape == (10_000, 3, 32, 32)
    assert torch.bincount(loaded.labels).tolist() == [1000] * 10
    assert loaded.images.float().mean((0, 2, 3)).tolist() == pytest.approx([126.0, 123.7, 114.9], abs=1.0)


# --- a batch made ready


def test_dequantised_values_stay_in_their_interval_and_fill_it():
    grey = torch.randint(256, (2000, 10), generator=torch.Generator().manual_seed(0))
    spread = dequantize(grey / 255, torch.Generator().manual_seed(1))
    inside = (spread * 256 - grey).flatten()
    assert inside.min() > -1e-4  # float32 keeps 256 to 3e-5
    assert inside.max() < 1 + 1e-4
    assert stats.kstest(inside.numpy(), "uniform").pvalue > 1e-4


def test_flips_mirror_about_half():
    images = torch.rand(2000, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    flipped = random_flip(images, torch.Generator().manual_seed(1))
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)


def test_shifts_move_the_image_and_let_zeros_in():
    images = torch.zeros(3000, 1, 5, 6)
    images[:, 0, 2, 3] = 1.0
    shifted = random_shift(images, 2, torch.Generator().manual_seed(0))
    assert shifted.shape == images.shape
    assert (shifted.sum((1, 2, 3)) == 1).all()
    where = shifted[:, 0].nonzero()[:, 1:]  # (3000, 2)
    counts = torch.bincount(5 * where[:, 0] + where[:, 1] - 1, minlength=25)
    assert len(counts) == 25  # rows 0 to 4, columns 1 to 5
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4
    corner = torch.ones(50, 2, 5, 6)
    assert 0 < (random_shift(corner, 2, torch.Generator().manual_seed(1)) == 0).float().mean() < 0.64
    assert torch.equal(random_shift(images, 0), images)


def test_bytes_become_numbers_and_numbers_stay():
    assert unit_images(torch.tensor([[0, 255, 51]], dtype=torch.uint8)).tolist() == [[0.0, 1.0, pytest.approx(0.2)]]
    x = torch.rand(2, 2)
    assert unit_images(x) is x


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.0, 255.0], "got values from 0 to 255; divide by 255 or store as uint8"),
        ([3.0, 2.0], "got values from 2 to 3; divide by 255 or store as uint8"),
        ([-1.0, 1.0], r"got values from -1 to 1; use \(x \+ 1\) / 2"),
        ([-1.02, 0.4], r"got values from -1.02 to 0.4; use \(x \+ 1\) / 2"),
        ([-2.1, 2.6], r"got values from -2.1 to 2.6; scale them to \[0, 1\]"),
        ([0.0, 65535.0], r"got values from 0 to 65535; scale them to \[0, 1\]"),
        ([0.5, float("nan")], "NaN or infinite; leave those images out"),
        ([0.5, float("inf")], "NaN or infinite; leave those images out"),
        ([float("-inf"), float("inf")], "NaN or infinite; leave those images out"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_images_of_another_range(values, told, dtype):
    if dtype == torch.bfloat16:
        told = told.split(" from")[0].split(";")[0]
    with pytest.raises(ValueError, match=f"samples.npy .*{told}"):
        check_unit_range(torch.tensor(values, dtype=dtype).view(2, 1, 1, 1), "samples.npy")


def test_images_of_the_range_and_what_a_sampler_leaves():
    for images in (torch.rand(2, 3), torch.tensor([-0.2, 1.2]), torch.tensor([0, 255]).byte(), torch.zeros(0, 3)):
        check_unit_range(images, "x")


@pytest.mark.parametrize(
    ("load", "split"), [(load_digits, "valid"), (load_mnist, "all"), (load_cifar10, "all"), (load_celeba, "dev")]
)
def test_an_unknown_split(load, split):
    with pytest.raises(ValueError, match=f"split must be one of .*, got '{split}'"):
        load(split)
