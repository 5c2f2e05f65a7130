"""Any folder or zip of images."""

import contextlib
import functools
import hashlib
import io
import os
import stat
import struct
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import filterfalse
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
LARGE = 2**26
"""Pixels, or bytes of a zip's entry, beyond which what is claimed is weighed against the file's own length."""
NO_FILE = "a socket, a pipe, a device or a folder, where a file is needed"
LOOKED_FOR = ".png, .jpg and their like are looked for"
PNG_GREY_AND_ALPHA = 4  # how its header says so
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes a picture upright, by the orientation that EXIF has for it."""
NOT_BY_ITSELF = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows, but reads with the help of another program, or not at all."""


class LabelledImages(NamedTuple):
    """Images and their classes."""

    images: Tensor
    """(N, C, H, W) of torch's default dtype in [0, 1], or uint8 in 0 to 255, which `unit_images` turns into those."""
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
    again: Sequence[str] = ()
    """The names of links to folders that are read in another place, and are not followed."""
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
            told += f"; passed over: {_of_other_types(self.others)}"
        if self.again:
            told += f"; not followed: {counted(len(self.again), 'link')} to folders that are read ({some(self.again)})"
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
    again: bool = False
    """Whether it is no file but a link to a folder that is read in another place."""


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
    Greys of 16 bits are divided by 257; of colours of 16 bits the upper 8 are kept. Of whole numbers of 32 bits, white
    is the first of 255, 65,535 and 2^31 - 1 that no pixel of all these images exceeds; of floating-point numbers, the
    first of 1, 255 and 65,535.

    Args:
        path: the folder or the zip. Images are taken in the order of their names; hidden files are passed over, and
            links followed, unless to a folder that is read anyway. Of a zip's entries of one name the last counts.
        size: crop each to its central square and resize that to size x size; by default all must have one size.
        skip_broken: leave out images that cannot be read, and warn of how many; otherwise the first one raises.
        background: what is seen through transparent pixels: a colour that Pillow knows, by name or as #rrggbb.
        cache: a folder for the decoded images, see `ncsn_lib.data.cache`; None for none.

    Returns:
        images (N, C, H, W) uint8, C = 1 if all are stored as grey and 3 otherwise, and labels (N,), the number of the
        image's folder in the order of the folders' names; its `summary` says in a line what was found.

    Raises:
        FileNotFoundError: no such folder or zip.
        ValueError: no image in it, a broken one, images of several sizes, or no such colour; the message names it.
        OSError: a folder that cannot be read.
    """
    path = Path(path)
    if size is not None:
        check_count("size", size)
    try:
        ground = _pillow("ImageColor").getrgb(background)[:3]
    except (ValueError, TypeError) as error:
        raise ValueError(f"background must be a colour, like white or #ffffff, got {background!r}") from error
    with list_files(path) as files:
        pictures = _pictures(files)
        others = [file.name for file in files if not (file.again or _is_image(file.name))]
        if others and not pictures:
            raise ValueError(
                f"{shown(path)} holds no image that can be read, but {_of_other_types(others)}; {LOOKED_FOR}"
            )
        decode = partial(_decode_images, path, pictures, partial(_decode, size=size, ground=ground), skip_broken, {})
        source = state_of(path, pictures, size=size, skip_broken=skip_broken, background=background)
        decoded = cached_images(cache, f"{path.name[:40]}-{source['place']}", source, decode)
    if broken := decoded.broken:
        told = (
            f"{shown(path)}: {counted(len(broken), 'image')} left out, which cannot be read, first {shown(broken[0])}"
        )
        warnings.warn(told, stacklevel=2)
    loaded = ImageFolder(*labelled(decoded))
    loaded.path, loaded.broken, loaded.others = path, broken, others
    loaded.again = [file.name for file in files if file.again]
    loaded.classes = sorted({_class(name) for name in {file.name for file in pictures} - set(broken)})
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
    if not path.is_file():
        raise ValueError(f"{shown(path)} is {NO_FILE}; name a zip or a folder")
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            _check_zip(archive)
        except (zipfile.BadZipFile, RuntimeError, ValueError, struct.error, EOFError, OSError) as error:
            raise ValueError(f"{shown(path)} is no zip, or damaged ({error}); name a whole one, or a folder") from error
        changed, listed = path.stat().st_mtime_ns, {}
        for entry in archive.infolist():
            parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
            if parts and not (entry.filename.endswith(("/", "\\")) or any(map(_is_hidden, parts))):
                name, read = "/".join(parts), partial(_read_entry, archive, entry)
                listed[name] = ListedFile(name, entry.file_size, changed, read)  # what unpacking would leave
        yield sorted(listed.values(), key=lambda file: file.name.split("/"))


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
            sizes of all its images, and what 64 of them, evenly spaced, hold, if they can be read; not when they were
            changed.

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
        pictures = _pictures(files)
        parts: list[str | bytes] = ["".join(f"{file.name}\0{file.size}\n" for file in pictures)]
        for index in _evenly(len(pictures), 64):
            with contextlib.suppress(OSError):  # whoever loads them says what cannot be read, or skips it
                parts.append(pictures[index].read())
        return _digest(parts)[:16]


def labelled(decoded: DecodedImages) -> LabelledImages:
    """Decoded images as tensors."""
    return LabelledImages(torch.from_numpy(decoded.images), torch.tensor(decoded.labels))


def _walk(root: str) -> Iterator[ListedFile]:
    """The files below a folder, then those behind links; links may lead in circles."""
    inside: set[str] = set()
    links: list[tuple[str, str]] = []
    yield from _below(root, "", inside, links)
    for link in links:
        seen, onward = set(inside), [link]
        while onward:
            yield from _below(*onward.pop(), seen, onward)


def _below(top: str, prefix: str, seen: set[str], links: list[tuple[str, str]]) -> Iterator[ListedFile]:
    """The files below a folder without a link between; folders go to `seen`, and links to folders to `links`."""
    waiting = [(top, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        if (here := os.path.realpath(folder)) in seen:
            yield ListedFile(prefix[:-1], -1, -1, partial(_refuse, NO_FILE), again=True)
            continue
        seen.add(here)
        try:
            names = os.listdir(folder)
        except OSError as error:
            raise OSError(f"the folder {shown(folder)} cannot be read ({error.strerror}); make it readable") from error
        for name in filterfalse(_is_hidden, names):
            path, state = os.path.join(folder, name), None
            with contextlib.suppress(OSError):  # a link to nothing, say: what reads it will say so
                state = os.stat(path)
            if state and stat.S_ISDIR(state.st_mode):
                (links if os.path.islink(path) else waiting).append((path, f"{prefix}{name}/"))
            elif state and not stat.S_ISREG(state.st_mode):
                yield ListedFile(prefix + name, -1, -1, partial(_refuse, NO_FILE))
            else:
                size, changed = (state.st_size, state.st_mtime_ns) if state else (-1, -1)
                yield ListedFile(prefix + name, size, changed, Path(path).read_bytes)


def _refuse(reason: str) -> bytes:
    raise OSError(f"it is {reason}")


def _check_zip(archive: zipfile.ZipFile) -> None:
    """Raise unless a zip's list of entries is whole: zipfile itself overlooks damage by which entries vanish."""
    for entry in archive.infolist():
        if b"PK\x01\x02" in entry.comment + entry.extra:  # how a record of the list begins
            raise zipfile.BadZipFile(f"entries of its list after {shown(entry.filename)} cannot be read")
        if not _is_image(entry.filename):  # perhaps it was one, and its name is what is damaged
            with contextlib.suppress(RuntimeError):  # a password, or a compression, of what is not read
                archive.open(entry).close()  # compares the name with the one before the content


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > max(LARGE, 100 * entry.compress_size):
        sizes = f"{entry.compress_size:,} bytes in the zip that claim to be {entry.file_size:,}"
        raise OSError(f"{sizes}; unpack the zip yourself and name the folder")
    try:
        with archive.open(entry) as stream:
            return stream.read(entry.file_size)  # without a size it unpacks whatever there is
    except RuntimeError as error:  # a password, or a compression that Python does not know
        raise OSError(f"{error}; unpack the zip yourself and name the folder") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
        raise OSError(f"damaged in the zip: {error}") from error


def _decode_images(
    path: Path,
    files: Sequence[ListedFile],
    decode: Callable,
    skip_broken: bool,
    whites: dict[str, int],
    allocate: Allocate,
) -> DecodedImages:
    """Every image of a folder or zip; the names of those that cannot be read, if they are skipped."""
    images: np.ndarray | None = None
    folders: list[str] = []
    broken: list[str] = []
    for file in files:
        known = dict(whites)
        try:
            array = decode(file.read(), whites=whites)
        except Exception as error:  # files and zips, and each of Pillow's forty formats, have their own
            if not skip_broken:
                told = f"{shown(path)}: the image {shown(file.name)} cannot be read ({reason_of(error)})"
                raise ValueError(f"{told}; repair or remove it, or skip what is broken") from error
            broken.append(file.name)
            continue
        if any(whites[mode] > white for mode, white in known.items()):  # earlier ones were measured by too dark a white
            return _decode_images(path, files, decode, skip_broken, whites, allocate)
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
        told = f", of {counted(len(broken), 'image')} ({some(broken)})" if broken else f"; {LOOKED_FOR}"
        raise ValueError(f"{shown(path)} holds no image that can be read{told}")
    labels = np.unique(folders, return_inverse=True)[1]
    return DecodedImages(images[: len(folders)], labels.tolist(), broken)


def _decode(content: bytes, size: int | None, ground: tuple[int, ...], whites: dict[str, int]) -> np.ndarray:
    """(C, H, W) uint8, C = 1 if it is grey and 3 otherwise; `whites` as in `_in_8_bits`."""
    Image = _pillow("Image")
    with _within_limits(content), Image.open(io.BytesIO(content), formats=_formats()) as opened:
        opened.load()
        _check_what_pillow_overlooks(opened, content)
        _scale_transparency(opened, content)
        picture = _upright(_in_8_bits(opened, whites), opened)
        is_grey = picture.mode in GREY_MODES or (opened.format == "PNG" and content[25] == PNG_GREY_AND_ALPHA)
        if picture.mode in ("P", "PA"):
            red, green, blue = picture.convert("RGB").split()
            is_grey = red == green == blue
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


def _check_what_pillow_overlooks(opened: Any, content: bytes) -> None:
    """Raise where Pillow gives other pixels than were meant, without a word."""
    if opened.format == "PCX" and opened.mode == "L" and content[-769:-768] != b"\x0c":  # numbers of colours as greys
        raise ValueError("its palette is cut off")
    if opened.format == "JPEG2000" and b"\xff\xd9" not in content:  # which its stream ends with, and holds nowhere else
        raise ValueError("it is cut off")
    if opened.format == "FITS" and (
        b"BZERO   =" in content or (opened.mode == "I;16" and np.asarray(opened).max() > 32_767)
    ):
        raise ValueError("its numbers have a sign or an offset, which are not understood; save it in another format")


def _upright(picture: Any, opened: Any) -> Any:
    """A picture turned as the EXIF of its file says; of damaged EXIF there is nothing to go by."""
    try:
        turn = TURNS.get(opened.getexif().get(0x0112))
    except Exception:  # Pillow's parsers of EXIF and XMP have many
        turn = None
    if turn:
        return picture.transpose(_pillow("Image").Transpose[turn])
    return picture.copy()  # which has a palette, where what Pillow gives for an ICNS has lost it


def _scale_transparency(opened: Any, content: bytes) -> None:
    """Have the transparent grey or colour of a PNG in 8 bits, where Pillow scales all the others alone."""
    clear = opened.info.get("transparency")
    if opened.format == "PNG" and opened.mode == "L" and clear is not None:
        opened.info["transparency"] = clear * 255 // (2 ** content[24] - 1)  # the bits that it is stored in
    elif opened.format == "PNG" and opened.mode == "RGB" and clear is not None and content[24] == 16:
        opened.info["transparency"] = tuple(value >> 8 for value in clear)


def _in_8_bits(opened: Any, whites: dict[str, int]) -> Any:
    """A picture of more than 8 bits by its values' range, which Pillow itself would cut at 255.

    Where the format does not say which value is white, `whites` has it for each mode: the largest that one needed.
    """
    if opened.mode not in WIDE_MODES:
        return opened
    Image, values = _pillow("Image"), np.asarray(opened)
    low, high = values.min(), values.max()
    tags = getattr(opened, "tag_v2", {}) if opened.mode.startswith("I;16") else {}  # a TIFF's
    stated = 65_535 if opened.format == "PPM" and opened.mode == "I" else 2 ** tags[258][0] - 1 if 258 in tags else 0
    possible = (stated,) if stated else WIDE_MODES[opened.mode]
    white = next((white for white in possible if low >= 0 and high <= white), None)
    if white is None:
        raise ValueError(f"its values go from {low:g} to {high:g}; scale them to 0 to 1 or 0 to 255")
    if not stated:
        white = whites[opened.mode] = max(white, whites.get(opened.mode, 0))
    dark = white - values if tags.get(262) == 0 else values  # where 0 is white
    narrow = Image.fromarray(np.rint(dark.astype(np.float32) * (255 / white)).astype(np.uint8))
    if (clear := opened.info.get("transparency")) is not None:
        narrow.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return narrow


@contextlib.contextmanager
def _within_limits(content: bytes) -> Iterator[None]:
    """Pillow refuses many pixels, or much text, for a stranger may send them; here they must fit the file's length.

    A header may claim any size, and ten thousand pixels to a byte are more than deflate packs. Pillow's warnings are of
    what lies beside the pixels, and name no file.
    """
    image, png = _pillow("Image"), _pillow("PngImagePlugin")
    kept = image.MAX_IMAGE_PIXELS, png.MAX_TEXT_CHUNK, png.MAX_TEXT_MEMORY
    image.MAX_IMAGE_PIXELS = max(LARGE, 10_000 * len(content)) // 2  # twice as many are refused
    png.MAX_TEXT_CHUNK = png.MAX_TEXT_MEMORY = LARGE // 4
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        image.MAX_IMAGE_PIXELS, png.MAX_TEXT_CHUNK, png.MAX_TEXT_MEMORY = kept


@functools.cache
def _formats() -> list[str]:
    """The formats that Pillow reads by itself, in the order in which it tries them."""
    Image = _pillow("Image")
    Image.init()
    return [kind for kind in Image.ID if kind not in NOT_BY_ITSELF]


@functools.cache
def _endings() -> set[str]:
    """The endings of their files' names."""
    known = _pillow("Image").registered_extensions()
    return {ending for ending, kind in known.items() if kind in _formats()}


def _pictures(files: Sequence[ListedFile]) -> list[ListedFile]:
    return [file for file in files if _is_image(file.name) and not file.again]


def _of_other_types(names: Sequence[str]) -> str:
    endings = sorted({os.path.splitext(name)[1].lower() or "no ending" for name in names})
    return f"{counted(len(names), 'file')} of other types ({some(endings)})"


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _endings()


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _class(name: str) -> str:
    """The folder that an image is in; macOS writes an accent apart from its letter, which is the same name."""
    return unicodedata.normalize("NFC", os.path.dirname(name)) or "."


def _pillow(module: str) -> Any:
    return need(f"PIL.{module}", "data", "reading images")


def _evenly(total: int, count: int) -> np.ndarray:
    return np.linspace(0, total - 1, min(total, count)).astype(np.int64)


def _digest(parts: Any) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
    return total.hexdigest()
