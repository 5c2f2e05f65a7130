"""Any folder or zip of images."""

import hashlib
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.data.cache import Allocate, DecodedImages, cached_images, fingerprint

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


class LabelledImages(NamedTuple):
    """Images and their classes."""

    images: Tensor
    """(N, C, H, W) float32 in [0, 1], or uint8 in 0 to 255, which `unit_images` turns into the former."""
    labels: Tensor
    """(N,) int64 class indices."""


def load_images(
    path: str | Path, *, size: int | None = None, skip_broken: bool = False, cache: Path | None = None
) -> LabelledImages:
    """Every image below a folder, or in a zip, which is read without unpacking; the class is the image's folder.

    Args:
        path: the folder or the zip. Images are taken in the order of their names; hidden files are passed over.
        size: crop each to its central square and resize that to size x size; by default all must have one size.
        skip_broken: leave out images that cannot be read, and warn of how many; otherwise the first one raises.
        cache: a folder for the decoded images, see `ncsn_lib.data.cache`; None for none.

    Returns:
        images (N, C, H, W) uint8, C = 1 if all are grey and 3 otherwise, and labels (N,), the number of the image's
        folder in the order of the folders' names.

    Raises:
        FileNotFoundError: no such folder or zip.
        ValueError: no image in it, a broken one, or images of several sizes; the message names the image.
        OSError: a cache that cannot be written.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or zip of images at {path}")
    source = {}
    if cache:
        files = [path / name for name in _image_names(path)] if path.is_dir() else [path]
        source = fingerprint(files, size=size, skip_broken=skip_broken, pillow=_pillow_version())
    name = f"{path.name}-{_short_hash(f'{path.absolute().as_posix()} {size} {skip_broken}')}"
    decoded = cached_images(cache, name, source, partial(_decode_images, path, size, skip_broken))
    broken = decoded.broken
    if broken:
        warnings.warn(f"{path}: {len(broken)} images cannot be read and are left out, first {broken[0]}", stacklevel=2)
    return _labelled(decoded)


def _labelled(decoded: DecodedImages) -> LabelledImages:
    return LabelledImages(torch.from_numpy(decoded.images), torch.tensor(decoded.labels))


def _decode_images(path: Path, size: int | None, skip_broken: bool, allocate: Allocate) -> DecodedImages:
    """Every image of a folder or zip; the names of those that cannot be read, if they are skipped."""
    names = _image_names(path)
    images, folders, broken = None, [], []
    for name, content in _image_contents(path, names):
        try:
            array = _decode(content, size)
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises of broken images
            if not skip_broken:
                raise ValueError(f"{path}: the image {name} cannot be read ({error}); repair it, or skip it") from error
            broken.append(name)
            continue
        if images is None:
            images = allocate((len(names), *array.shape))
        if array.shape[1:] != images.shape[2:]:
            sizes = " and ".join(f"{a.shape[-1]}x{a.shape[-2]}" for a in (images, array))
            raise ValueError(
                f"{path} holds images of several sizes, {sizes} (at {name}); give a size to resize them to"
            )
        if len(array) > images.shape[1]:  # the first one of colour
            grey, images = images, allocate((len(names), *array.shape))
            images[: len(folders)] = grey[: len(folders)]
        images[len(folders)] = array  # a grey one goes to all three channels
        folders.append(str(Path(name).parent))
    if images is None:
        raise ValueError(f"{path} holds no image that can be read; {', '.join(IMAGE_SUFFIXES)} are looked for")
    if broken:
        every, images = images, allocate((len(folders), *images.shape[1:]))
        images[:] = every[: len(folders)]
    classes = {folder: label for label, folder in enumerate(sorted(set(folders)))}
    return DecodedImages(images, [classes[folder] for folder in folders], broken)


def _is_image(name: str) -> bool:
    parts = Path(name).parts
    return name.lower().endswith(IMAGE_SUFFIXES) and not any(part.startswith((".", "__MACOSX")) for part in parts)


def _image_names(path: Path) -> list[str]:
    """The names of the images below a folder or in a zip, sorted."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return [name for name in (file.relative_to(path).as_posix() for file in files) if _is_image(name)]
    with _open_zip(path) as archive:
        return sorted(filter(_is_image, archive.namelist()))


def _image_contents(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each image."""
    if path.is_dir():
        yield from ((name, (path / name).read_bytes()) for name in names)
        return
    with _open_zip(path) as archive:
        for name in names:
            try:
                content = archive.read(name)
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError):
                content = b""  # damaged inside the zip: an image that cannot be read
            yield name, content


def _open_zip(path: Path) -> zipfile.ZipFile:
    """A zip whose list of entries is whole: zipfile itself overlooks damage by which entries vanish from it."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as error:
        raise ValueError(f"{path} is no zip, or damaged ({error})") from error
    try:
        missing = _num_entries(path) - len(archive.infolist())
        if missing % 65_536:
            raise zipfile.BadZipFile(f"{missing} entries of its list cannot be read")
        for entry in archive.infolist():
            if not _is_image(entry.filename):  # perhaps it was one, and its name is what is damaged
                archive.open(entry).close()  # compares the name with the one before the content
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        archive.close()
        raise ValueError(f"{path} is no zip, or damaged ({error})") from error
    return archive


def _num_entries(path: Path) -> int:
    """The number of entries that a zip says it has, at its end; beyond 65,535 in the record of the 64-bit format."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557 - 76))  # the end record, the longest comment, the 64-bit records
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    large = end - 76
    if large >= 0 and tail[large : large + 4] == b"PK\x06\x06":
        return int.from_bytes(tail[large + 32 : large + 40], "little")
    return int.from_bytes(tail[end + 10 : end + 12], "little")


def _decode(content: bytes, size: int | None) -> np.ndarray:
    """(C, H, W) uint8, C = 1 if it is grey and 3 otherwise."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
        if size is not None:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            box = (left, top, left + side, top + side)
            picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
        array = np.asarray(picture)
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pillow_version() -> str:
    """The version of Pillow: another one may decode a JPEG, or resize, to other values."""
    import PIL

    return PIL.__version__


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
