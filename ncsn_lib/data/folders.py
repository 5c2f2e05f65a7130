"""Any folder or zip of images."""

import contextlib
import hashlib
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
from ncsn_lib.data.pictures import LARGE, decode, is_image, pillow
from ncsn_lib.extras import need
from ncsn_lib.words import counted, reason_of, shown, some

NO_FILE = "a socket, a pipe, a device or a folder, where a file is needed"
LOOKED_FOR = ".png, .jpg and their like are looked for"


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
        ground = pillow("ImageColor").getrgb(background)[:3]
    except (ValueError, TypeError) as error:
        raise ValueError(f"background must be a colour, like white or #ffffff, got {background!r}") from error
    with list_files(path) as files:
        pictures = _pictures(files)
        others = [file.name for file in files if not (file.again or is_image(file.name))]
        if others and not pictures:
            raise ValueError(
                f"{shown(path)} holds no image that can be read, but {_of_other_types(others)}; {LOOKED_FOR}"
            )
        decode_one = partial(decode, size=size, ground=ground)
        decode_all = partial(_decode_images, path, pictures, decode_one, skip_broken, {})
        source = state_of(path, pictures, size=size, skip_broken=skip_broken, background=background)
        decoded = cached_images(cache, f"{path.name[:40]}-{source['place']}", source, decode_all)
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
        if not is_image(entry.filename):  # perhaps it was one, and its name is what is damaged
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
    decode_one: Callable[..., np.ndarray],
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
            array = decode_one(file.read(), whites=whites)
        except Exception as error:  # files and zips, and each of Pillow's forty formats, have their own
            if not skip_broken:
                told = f"{shown(path)}: the image {shown(file.name)} cannot be read ({reason_of(error)})"
                raise ValueError(f"{told}; repair or remove it, or skip what is broken") from error
            broken.append(file.name)
            continue
        if any(whites[mode] > white for mode, white in known.items()):  # earlier ones were measured by too dark a white
            return _decode_images(path, files, decode_one, skip_broken, whites, allocate)
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


def _pictures(files: Sequence[ListedFile]) -> list[ListedFile]:
    return [file for file in files if is_image(file.name) and not file.again]


def _of_other_types(names: Sequence[str]) -> str:
    endings = sorted({os.path.splitext(name)[1].lower() or "no ending" for name in names})
    return f"{counted(len(names), 'file')} of other types ({some(endings)})"


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _class(name: str) -> str:
    """The folder that an image is in; macOS writes an accent apart from its letter, which is the same name."""
    return unicodedata.normalize("NFC", os.path.dirname(name)) or "."


def _evenly(total: int, count: int) -> np.ndarray:
    return np.linspace(0, total - 1, min(total, count)).astype(np.int64)


def _digest(parts: Any) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass"))
    return total.hexdigest()
