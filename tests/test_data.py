"""The images: as published, split once and for all, and damaged files refused."""

import gzip
import hashlib
import lzma
import os
import pickle
import shutil
import socket
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
    DATASETS,
    dequantize,
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
    stored = pickle.loads((folder / "test_batch").read_bytes())["data"]
    assert np.array_equal(test.images.numpy().reshape(2, -1), stored)


def test_a_damaged_cifar10_is_refused(tmp_path, monkeypatch):
    folder = write_cifar10(tmp_path, monkeypatch)
    (folder / "data_batch_3").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"CIFAR10 is not in .*, or damaged; download it with: python -c"):
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
    with pytest.raises(FileNotFoundError, match=r"CelebA is not in .*, or damaged; download it with"):
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
    with pytest.raises(FileNotFoundError, match=rf"{name} is not in .*datasets\.{name}"):
        load("train", tmp_path)


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
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(OSError, match=f"{file} is damaged: it is not as long as its header says"):
        load_fashion_mnist("train", tmp_path)
    (raw / f"{file.name}.gz").write_bytes(b"half")
    file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 2]))
    with pytest.raises(
        OSError, match=rf"{file}.gz is damaged: its md5 is .*, Fashion-MNIST's is {dict(sums)[file.name + '.gz']}"
    ):
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
        (load_fashion_mnist, "FashionMNIST", "31 MB", "http://fashion-mnist", "FashionMNIST/raw"),
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
    with pytest.warns(UserWarning, match=r"1 images cannot be read and are left out, first cat/2\.png"):
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
        (whole[:entry].rindex(b"PK\x01\x02") + 33, "entries of its list after .* cannot be read"),  # a comment of 256 bytes
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
    ("load", "split"), [(load_digits, "valid"), (load_mnist, "all"), (load_cifar10, "all"), (load_celeba, "dev")]
)
def test_an_unknown_split(load, split):
    with pytest.raises(ValueError, match=f"split must be one of .*, got '{split}'"):
        load(split)
