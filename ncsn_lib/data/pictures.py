"""One picture of any format, as an array of 8 bits."""

import contextlib
import functools
import io
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ncsn_lib.extras import need

GREY_MODES = ("1", "L", "LA")
WIDE_MODES = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535), "I;16": (65_535,), "I;16B": (65_535,)}
"""Pillow's modes of more than 8 bits, and the values that may be white: the first that is not exceeded is."""
LARGE = 2**26
"""Pixels, or bytes of a zip's entry, beyond which what is claimed is weighed against the file's own length."""
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


def decode(content: bytes, size: int | None, ground: tuple[int, ...], whites: dict[str, int]) -> np.ndarray:
    """(C, H, W) uint8, C = 1 if it is grey and 3 otherwise; `whites` as in `_in_8_bits`."""
    Image = pillow("Image")
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
        return picture.transpose(pillow("Image").Transpose[turn])
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
    Image, values = pillow("Image"), np.asarray(opened)
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
    image, png = pillow("Image"), pillow("PngImagePlugin")
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
    Image = pillow("Image")
    Image.init()
    return [kind for kind in Image.ID if kind not in NOT_BY_ITSELF]


@functools.cache
def _endings() -> set[str]:
    """The endings of their files' names."""
    known = pillow("Image").registered_extensions()
    return {ending for ending, kind in known.items() if kind in _formats()}


def is_image(name: str) -> bool:
    """Whether a file's name ends as those of pictures do that Pillow reads by itself."""
    return os.path.splitext(name)[1].lower() in _endings()


def pillow(module: str) -> Any:
    """A module of Pillow."""
    return need(f"PIL.{module}", "data", "reading images")
