"""Any folder or zip of images."""

import contextlib
import functools
import hashlib
import io
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.checks import check_count
from ncsn_lib.data.cache import Allocate, DecodedImages, cached_images
from ncsn_lib.extras import need
from ncsn_lib.words import counted, reason_of, shown, some

GREY_MODES = ("1", "L", "LA")
WIDE_MODES = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535), "I;16": (65_535,), "I;16B": (65_535,)}
"""Pillow's modes of more than 8 bits, and the values that may be white: the first that is not exceeded is."""
NOT_BY_ITSELF = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows, but reads with the help of another program, or not at all."""


class LabelledImages(NamedTuple):
    """Images and their classes."""

    images: Tensor
    """(N, C, H, W) float32 in [0, 1], or uint8 in 0 to 255, which `unit_images` turns into the former."""
    labels: Tensor
    """(N,) int64 class indices."""


class ImageFolder(LabelledImages):
    """The images of a folder or zip and their classes, and what became of its files."""

    path: Path = Path()
    """The folder or zip."""
    classes: Sequence[str] = ()
    """The names of the classes in the order of their indices, folders below `path`, and "." for itself."""
    others: Sequence[str] = ()
    """The names of files that are no images by their endings; hidden ones are not counted."""
    broken: Sequence[str] = ()
    """The names of images that cannot be read and are left out."""

    @property
    def summary(self) -> str:
        """How many images of which classes, where from, and the files passed over, with the reason, in one line."""
        classes = counted(len(self.classes), "class", "classes")
        told = f"{shown(self.path)}: {counted(len(self.labels), 'image')} of {classes}"
        if set(self.classes) != {"."}:
            told += f" ({some(self.classes)})"
        if self.others:
            endings = sorted({os.path.splitext(name)[1].lower() or "no ending" for name in self.others})
            told += f"; passed over: {counted(len(self.others), 'file')} of other types ({some(endings)})"
        if self.broken:
            told += f"; left out: {counted(len(self.broken), 'image')} that cannot be read ({some(self.broken)})"
        return told


class ListedFile(NamedTuple):
    """A file below a folder or in a zip."""

    name: str
    """From the folder, or in the zip, with slashes."""
    size: int
    """In bytes; -1 where it cannot be told, since the file cannot be read."""
    changed: int
    """When it, or the zip, was last changed, in nanoseconds."""
    read: Callable[[], bytes]
    """Gives what it holds, or raises."""


def load_images(
    path: str | Path,
    *,
    size: int | None = None,
    skip_broken: bool = False,
    background: str = "white",
    cache: Path | None = None,
) -> ImageFolder:
    """Every image below a folder, or in a zip, which is read without unpacking; the class is the image's folder.

    Every format counts that Pillow reads by itself; of several frames the first. Images are turned as their EXIF says.
    Those of 16 bits are divided by 257. Of whole numbers of 32 bits, white is the first of 255, 65,535 and 2^31 - 1
    that no pixel exceeds; of floating-point numbers, the first of 1, 255 and 65,535.

    Args:
        path: the folder or the zip. Images are taken in the order of their names; hidden files are passed over, and
            links followed.
        size: crop each to its central square and resize that to size x size; by default all must have one size.
        skip_broken: leave out images that cannot be read, and warn of how many; otherwise the first one raises.
        background: what is seen through transparent pixels: a colour that Pillow knows, by name or as #rrggbb.
        cache: a folder for the decoded images, see `ncsn_lib.data.cache`; None for none.

    Returns:
        images (N, C, H, W) uint8, C = 1 if all are grey and 3 otherwise, and labels (N,), the number of the image's
        folder in the order of the folders' names; its `summary` says in a line what was found.

    Raises:
        FileNotFoundError: no such folder or zip.
        ValueError: no image in it, a broken one, images of several sizes, or no such colour; the message names it.
        OSError: a folder that cannot be read, or a cache that cannot be written.
    """
    path = Path(path)
    if size is not None:
        check_count("size", size)
    try:
        ground = _pillow("ImageColor").getrgb(background)[:3]
    except (ValueError, TypeError) as error:
        raise ValueError(f"background must be a colour, like white or #ffffff, got {background!r}") from error
    with list_files(path) as files:
        pictures = [file for file in files if _is_image(file.name)]
        decode = partial(_decode_images, path, pictures, partial(_decode, size=size, ground=ground), skip_broken)
        source = state_of(path, pictures, size=size, skip_broken=skip_broken, background=background)
        decoded = cached_images(cache, f"{path.name[:40]}-{source['place']}", source, decode)
    if broken := decoded.broken:
        told = (
            f"{shown(path)}: {counted(len(broken), 'image')} left out, which cannot be read, first {shown(broken[0])}"
        )
        warnings.warn(told, stacklevel=2)
    loaded = ImageFolder(*labelled(decoded))
    loaded.path, loaded.broken = path, broken
    loaded.classes = sorted({_class(name) for name in {file.name for file in pictures} - set(broken)})
    loaded.others = [file.name for file in files if not _is_image(file.name)]
    return loaded


@contextlib.contextmanager
def list_files(path: Path) -> Iterator[list[ListedFile]]:
    """Every file below a folder or in a zip, hidden ones aside, by name; they can be read as long as the context lasts.

    Raises:
        FileNotFoundError: no such folder or zip.
        ValueError: a file that is no zip, or a damaged one.
        OSError: a folder that cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or zip of images at {shown(path)}")
    if path.is_dir():
        yield sorted(_walk(str(path)), key=lambda file: file.name.split("/"))
        return
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            _check_zip(archive)
        except (zipfile.BadZipFile, RuntimeError, ValueError, struct.error, EOFError, OSError) as error:
            raise ValueError(f"{shown(path)} is no zip, or damaged ({error}); name a whole one, or a folder") from error
        changed, listed = path.stat().st_mtime_ns, []
        for entry in archive.infolist():
            parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".")]
            if not (entry.filename.endswith(("/", "\\")) or any(map(_is_hidden, parts))):
                read = partial(_read_entry, archive, entry)
                listed.append(ListedFile("/".join(parts), entry.file_size, changed, read))
        yield sorted(listed, key=lambda file: file.name.split("/"))


def state_of(path: Path, files: Sequence[ListedFile], **settings: Any) -> dict[str, Any]:
    """What tells whether a cache is of these files as they are now, and of these settings.

    Args:
        path: the folder or zip.
        files: what was decoded; names, sizes and times of change count.
        settings: how it was decoded, JSON-serialisable.

    Returns:
        A dict that JSON gives back as it is; "place" is of the path and the settings alone.
    """
    place = _digest([f"{os.path.abspath(path)} {settings}"])[:12]
    state = _digest(f"{file.name}\0{file.size}\0{file.changed}\n" for file in files)
    # Another Pillow may decode a JPEG, or resize, to other values.
    return {"place": place, "files": state, "settings": settings, "pillow": need("PIL", "data", "images").__version__}


def fingerprint(data: Tensor | str | Path) -> str:
    """What tells data from other data, in 16 hexadecimal digits, without a look at all of it.

    Args:
        data: (N, *D) tensor of any type: shape, type and 256 rows, evenly spaced, count. Or a folder or zip: names and
            sizes of all its images, and what 64 of them, evenly spaced, hold; not when they were changed.

    Returns:
        The same for the same data on every machine; other data are noticed if one of those rows or files differs.

    Raises:
        ValueError: a tensor of no dimension; a folder or zip as in `load_images`.
    """
    if isinstance(data, Tensor):
        if not data.ndim:
            raise ValueError(f"data must be (N, *D), got a number, {data.item()}")
        rows = data.detach()[torch.from_numpy(_evenly(len(data), 256))].cpu().contiguous()
        return _digest([f"{tuple(data.shape)} {data.dtype}", rows.view(torch.uint8).numpy().tobytes()])[:16]
    with list_files(Path(data)) as files:
        pictures = [file for file in files if _is_image(file.name)]
        names = "".join(f"{file.name}\0{file.size}\n" for file in pictures)
        return _digest([names, *(pictures[index].read() for index in _evenly(len(pictures), 64))])[:16]


def labelled(decoded: DecodedImages) -> LabelledImages:
    """Decoded images as tensors."""
    return LabelledImages(torch.from_numpy(decoded.images), torch.tensor(decoded.labels))


def _walk(folder: str, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[ListedFile]:
    """The files below a folder; links are followed, but not to a folder that one is in."""
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise OSError(f"the folder {shown(folder)} cannot be read ({error.strerror}); make it readable") from error
    for name in names:
        if _is_hidden(name):
            continue
        path, state = os.path.join(folder, name), None
        with contextlib.suppress(OSError):  # a link to nothing, say: what reads it will say so
            state = os.stat(path)
        if state and stat.S_ISDIR(state.st_mode):
            yield from _walk(path, f"{prefix}{name}/", (*above, here))
        elif not state or stat.S_ISREG(state.st_mode):
            size, changed = (state.st_size, state.st_mtime_ns) if state else (-1, -1)
            yield ListedFile(prefix + name, size, changed, Path(path).read_bytes)


def _check_zip(archive: zipfile.ZipFile) -> None:
    """Raise unless a zip's list of entries is whole: zipfile itself overlooks damage by which entries vanish."""
    for entry in archive.infolist():
        if b"PK\x01\x02" in entry.comment + entry.extra:  # how a record of the list begins
            raise zipfile.BadZipFile(f"entries of its list after {shown(entry.filename)} cannot be read")
        if not _is_image(entry.filename):  # perhaps it was one, and its name is what is damaged
            with contextlib.suppress(RuntimeError):  # a password, or a compression, of what is not read
                archive.open(entry).close()  # compares the name with the one before the content


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(entry)
    except RuntimeError as error:  # a password, or a compression that Python does not know
        raise OSError(f"{error}; unpack the zip yourself and name the folder") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
        raise OSError(f"damaged in the zip: {error}") from error


def _decode_images(
    path: Path, files: Sequence[ListedFile], decode: Callable, skip_broken: bool, allocate: Allocate
) -> DecodedImages:
    """Every image of a folder or zip; the names of those that cannot be read, if they are skipped."""
    images: np.ndarray | None = None
    folders: list[str] = []
    broken: list[str] = []
    for file in files:
        try:
            array = decode(file.read())
        except Exception as error:  # files and zips, and each of Pillow's forty formats, have their own
            if not skip_broken:
                told = f"{shown(path)}: the image {shown(file.name)} cannot be read ({reason_of(error)})"
                raise ValueError(f"{told}; repair or remove it, or skip what is broken") from error
            broken.append(file.name)
            continue
        if images is None:
            images = allocate((len(files), *array.shape))
        if array.shape[1:] != images.shape[2:]:
            told = " and ".join(f"{a.shape[-1]}x{a.shape[-2]}" for a in (images, array)) + f" (at {shown(file.name)})"
            raise ValueError(f"{shown(path)} holds images of several sizes, {told}; give a size to resize them to")
        if len(array) > images.shape[1]:  # the first one of colour
            grey, images = images, allocate((len(files), *array.shape))
            images[: len(folders)] = grey[: len(folders)]
        images[len(folders)] = array  # a grey one goes to all three channels
        folders.append(_class(file.name))
    if images is None:
        raise ValueError(f"{shown(path)} holds no image that can be read; .png, .jpg and their like are looked for")
    labels = np.unique(folders, return_inverse=True)[1]
    return DecodedImages(images[: len(folders)], labels.tolist(), broken)


def _decode(content: bytes, size: int | None, ground: tuple[int, ...]) -> np.ndarray:
    """(C, H, W) uint8, C = 1 if it is grey and 3 otherwise."""
    Image = _pillow("Image")
    with _images_of_any_size(), Image.open(io.BytesIO(content)) as opened:
        picture = _in_8_bits(_pillow("ImageOps").exif_transpose(opened))
        is_grey = picture.mode in GREY_MODES
        if picture.has_transparency_data:
            is_grey &= len(set(ground)) == 1
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, (*ground, 255)), picture.convert("RGBA"))
        picture = picture.convert("L" if is_grey else "RGB")
        if size is not None:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            box = (left, top, left + side, top + side)
            picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
        array = np.asarray(picture)
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _in_8_bits(picture: Any) -> Any:
    """A picture of more than 8 bits by its values' range, which Pillow itself would cut at 255."""
    if picture.mode not in WIDE_MODES:
        return picture
    values = np.asarray(picture).astype(np.float64)
    low, high = values.min(), values.max()
    white = next((white for white in WIDE_MODES[picture.mode] if low >= 0 and high <= white), None)
    if white is None:
        raise ValueError(f"its values go from {low:g} to {high:g}; scale them to 0 to 1 or 0 to 255")
    return _pillow("Image").fromarray(np.rint(values * 255 / white).astype(np.uint8))


@contextlib.contextmanager
def _images_of_any_size() -> Iterator[None]:
    """Pillow refuses images of many pixels, for a stranger may send them; these are the user's own."""
    module = _pillow("Image")
    limit, module.MAX_IMAGE_PIXELS = module.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        module.MAX_IMAGE_PIXELS = limit


@functools.cache
def _endings() -> set[str]:
    """The endings of the names of files that Pillow reads by itself."""
    Image = _pillow("Image")
    known = Image.registered_extensions()
    return {ending for ending, kind in known.items() if kind in set(Image.OPEN) - NOT_BY_ITSELF}


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _endings()


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _class(name: str) -> str:
    return os.path.dirname(name) or "."


def _pillow(module: str) -> Any:
    return need(f"PIL.{module}", "data", "reading images")


def _evenly(total: int, count: int) -> np.ndarray:
    return np.linspace(0, total - 1, min(total, count)).astype(np.int64)


def _digest(parts: Any) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
    return total.hexdigest()
