"""Hundreds of odd and damaged images: each gives the pixels that were written, or one line that names the file.

What is right is computed by numpy from the array that was written, not by the library.
"""

import io
import os
import random
import re
import socket
import stat
import struct
import sys
import time
import unicodedata
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from ncsn_lib.data import fingerprint, load_images
from ncsn_lib.data.pictures import _endings

SIZES = [(1, 1), (1, 7), (17, 3), (64, 48)]  # width, height


class Picture(NamedTuple):
    """A picture of Pillow's, and what it shows on white: (C, H, W) in 0 to 255, within a tolerance."""

    picture: Image.Image
    shown: np.ndarray
    tolerance: int = 0


def on_white(colours, alpha):
    """Colours (H, W, C) through alpha (H, W, 1), as Porter and Duff (1984) have it."""
    return (colours * (alpha / 255.0) + 255 * (1 - alpha / 255.0)).round()


def make(mode, width, height):
    """A picture of noise; its alpha is 0 or 255, at which no rounding differs."""
    generator = np.random.default_rng(width)

    def noise(channels, high=256):
        return generator.integers(0, high, (height, width, channels), dtype=np.uint8)

    def of(mode, array, shown, tolerance=0):
        picture = Image.frombytes(mode, (width, height), np.ascontiguousarray(array).tobytes())
        return Picture(picture, np.asarray(shown).transpose(2, 0, 1), tolerance)

    clear = noise(1, 2) * 255
    if mode == "1":
        grey = noise(1, 2) * 255
        return Picture(Image.fromarray(grey[..., 0] > 0), grey.transpose(2, 0, 1))
    if mode in ("L", "RGB"):
        colours = noise(len(mode))
        return of(mode, colours, colours)
    if mode in ("LA", "RGBA"):
        colours = noise(len(mode) - 1)
        return of(mode, np.concatenate([colours, clear], 2), on_white(colours, clear))
    if mode in ("P", "PA"):
        palette = generator.integers(0, 256, (256, 3), dtype=np.uint8)
        palette[:, 2] = 255 - palette[:, 0] // 2  # in colour, even where one alone is used
        palette[:, 0] //= 4
        indices = noise(1)
        if mode == "P":
            made = of("P", indices, palette[indices[..., 0]])
        else:
            made = of("PA", np.concatenate([indices, clear], 2), on_white(palette[indices[..., 0]], clear))
        made.picture.putpalette(palette.tobytes())
        return made
    if mode == "RGBX":
        colours = noise(4)
        return of(mode, colours, colours[..., :3])
    if mode == "CMYK":
        inks = noise(4)
        return of(mode, inks, (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255, 1)
    if mode == "YCbCr":
        colours = noise(3)
        y, blue, red = (colours.astype(float) - [0, 128, 128]).transpose(2, 0, 1)
        shown = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], 2)  # JFIF 1.02
        return of(mode, colours, shown.clip(0, 255), 1)
    if mode == "LAB":  # greys alone: colours depend on how the two profiles are adapted to one another
        lightness = noise(1)
        luminance = lightness.astype(float) / 2.55
        linear = np.where(luminance > 8, ((luminance + 16) / 116) ** 3, luminance / 903.3)
        grey = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255
        lab = np.concatenate([lightness, np.zeros_like(lightness), np.zeros_like(lightness)], 2)
        return of(mode, lab, np.repeat(grey, 3, 2), 2)
    if mode == "F":
        values = generator.random((height, width, 1), dtype=np.float32)
        values[0, 0] = 0.99
        return of(mode, values, (values.astype(float) * 255).round())
    values = generator.integers(0, 65536, (height, width, 1), dtype=np.uint16)
    values[0, 0] = 65_000
    array = {"I": values.astype(np.int32), "I;16": values, "I;16B": values.astype(">u2")}[mode]
    return of(mode, array, (values / 257).round())


def gradient(mode, width, height):
    """A smooth picture, of which a lossy format keeps nearly everything."""
    y, x = np.mgrid[:height, :width].astype(float)
    channels = [60 + 2 * x, 60 + 2 * y, 200 - x - y][: len(mode)]
    array = np.stack(channels, 2).round().astype(np.uint8)
    return Picture(Image.fromarray(array if len(mode) > 1 else array[..., 0], mode), array.transpose(2, 0, 1))


LOSSLESS = {
    "bmp": "1 L P RGB",
    "dib": "1 L P RGB",
    "blp": "P",
    "pcx": "1 L P RGB",
    "dds": "L LA RGB RGBA",
    "gif": "1 L P",
    "png": "1 L LA P RGB RGBA I;16 I;16B",
    "jp2": "L LA RGB RGBA I;16",
    "ico": "1 L LA P RGB RGBA I;16",
    "im": "1 L LA P PA RGB RGBA RGBX CMYK YCbCr I I;16 F",
    "msp": "1",
    "ppm": "1 L RGB I F",
    "qoi": "RGB RGBA",
    "sgi": "L RGB RGBA",
    "tga": "1 L LA P RGB RGBA",
    "tif": "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I I;16 I;16B F",
    "webp": "RGB RGBA",
    "xbm": "1",
}
CASES = [(ending, mode) for ending, modes in LOSSLESS.items() for mode in modes.split()]
LOSSY = [
    *[(ending, mode, 6) for ending in ("jpg", "webp", "avif") for mode in ("L", "RGB")],
    ("jpg", "CMYK", 6),
]
RAW_WEBP = {"lossless": True, "exact": True}


def options_of(ending, size):
    return RAW_WEBP if ending == "webp" else {"sizes": [size]} if ending == "ico" else {}


def saved(ending, picture, **options):
    """What a file of that ending holds."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some formats are on their way out
        picture.save(content, Image.registered_extensions()[f".{ending}"], **options)
    return content.getvalue()


def only(folder, name, content, **options):
    """The one image of a folder, (C, H, W)."""
    (folder / name).write_bytes(content)
    try:
        return load_images(folder, **options).images[0].numpy()
    finally:
        (folder / name).unlink()


def refused(name, path, **options):
    """What is said of a file, in one line that names it."""
    with pytest.raises((ValueError, OSError)) as caught:
        load_images(path, **options)
    told = str(caught.value)
    assert len(told.splitlines()) == 1
    assert name in told
    return told


@pytest.mark.parametrize(("ending", "mode"), CASES)
def test_every_mode_of_every_format(ending, mode, tmp_path):
    for size in SIZES:
        made = make(mode, *size)
        found = only(tmp_path, f"a.{ending}", saved(ending, made.picture, **options_of(ending, size)))
        assert found.shape == (1 if len(made.shown) == 1 and ending != "webp" else 3, *size[::-1])
        assert np.abs(found - made.shown).max() <= made.tolerance + 0.5 * (made.tolerance > 0)


@pytest.mark.parametrize(("ending", "mode", "tolerance"), LOSSY)
def test_lossy_formats_keep_what_is_smooth(ending, mode, tolerance, tmp_path):
    for size in SIZES:
        made = gradient("RGB" if mode == "CMYK" else mode, *size)
        picture = made.picture.convert("CMYK") if mode == "CMYK" else made.picture
        found = only(tmp_path, f"a.{ending}", saved(ending, picture, quality=95))
        assert len(found) == (1 if mode == "L" and ending != "webp" else 3)
        assert np.abs(found - made.shown.astype(int)).max() <= tolerance


def test_every_ending_that_pillow_writes(tmp_path):
    """The same picture under each, and each under the wrong one: what it is stands in the file."""
    made, smooth, count = make("RGB", 64, 48), gradient("RGB", 64, 48), 0
    for ending in sorted(_endings()):
        kind = Image.registered_extensions()[ending]
        if kind not in Image.SAVE or kind in ("MSP", "XBM", "BLP", "GIF", "ICO", "ICNS"):  # of other modes, or sizes
            continue
        lossy = kind in ("JPEG", "AVIF", "WEBP") or ending == ".pfm"
        if ending == ".pfm":
            content = saved("pfm", Image.fromarray(smooth.shown[0] / np.float32(255)))
        else:
            content = saved(ending[1:], (smooth if lossy else made).picture, **({"quality": 95} if lossy else {}))
        expected = smooth.shown[:1] if ending == ".pfm" else (smooth if lossy else made).shown
        for name in (f"a{ending}", f"A{ending.upper()}", "a.jpg", "a.gif"):
            found = only(tmp_path, name, content)
            assert np.abs(found.astype(int) - expected).max() <= (6 if lossy else 0)
            count += 1
    assert count >= 100


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "group4", "zstd"])
def test_compressed_tiffs(compression, tmp_path):
    for mode in ["1"] if compression == "group4" else ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"]:
        made = make(mode, 64, 48)
        found = only(tmp_path, "a.tif", saved("tif", made.picture, compression=compression))
        assert np.abs(found - made.shown).max() <= 1.5 * (made.tolerance > 0)


# --- what formats say of greys


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(chunk(*each) for each in [*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + header + body


def tiff(width, height, bits, photometric, pixels, sample_format=1):
    """An uncompressed TIFF of greys (TIFF 6.0, section 4)."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 134), (277, 1), (278, height)]
    tags += [(279, len(pixels)), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        # PNG: the transparent grey is given in the picture's own bits.
        (png(8, 1, 1, 0, b"\0\xaa", (b"tRNS", b"\0\0")), [[255] * 8]),
        (png(4, 1, 2, 0, b"\0\x1b", (b"tRNS", b"\0\1")), [[0, 255, 170, 255]]),
        (png(4, 1, 4, 0, b"\0\x05\xfa", (b"tRNS", b"\0\5")), [[0, 255, 255, 170]]),
        (png(3, 1, 8, 0, b"\0\5\6\7", (b"tRNS", b"\0\5")), [[255, 6, 7]]),
        (png(2, 1, 16, 0, b"\0\1\2\x80\x80", (b"tRNS", b"\1\2")), [[255, 128]]),
        (png(2, 1, 16, 0, b"\0\1\2\x80\x80"), [[1, 128]]),
        (png(2, 1, 8, 2, b"\0\1\2\3\4\5\6", (b"tRNS", b"\0\1\0\2\0\3")), [[255, 4], [255, 5], [255, 6]]),
        (png(2, 1, 16, 2, b"\0\1\1\2\2\3\3\4\4\5\5\6\6", (b"tRNS", b"\1\1\2\2\3\3")), [[255, 4], [255, 5], [255, 6]]),
        (png(2, 1, 16, 4, b"\0\x64\x64\xff\xff\x64\x64\0\0"), [[100, 255]]),  # grey and alpha, of 16 bits each
        (png(2, 1, 16, 6, b"\0\1\1\2\2\3\3\xff\xff\1\1\2\2\3\3\0\0"), [[1, 255], [2, 255], [3, 255]]),
        (png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", b"\7\7\7\x09\x09\x09")), [[7, 9]]),  # a palette of greys is grey
        (png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", b"\7\7\7\x09\x09\x09"), (b"tRNS", b"\0")), [[255, 9]]),
        (png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", b"\7\7\7\1\2\3")), [[7, 1], [7, 2], [7, 3]]),
        # TIFF: 0 is white in the first of each pair, and bits need not be a byte's.
        (tiff(3, 1, 8, 0, bytes([0, 1, 255])), [[255, 254, 0]]),
        (tiff(3, 1, 8, 1, bytes([0, 1, 255])), [[0, 1, 255]]),
        (tiff(3, 1, 16, 0, struct.pack("<3H", 0, 257, 65535)), [[255, 254, 0]]),
        (tiff(3, 1, 16, 1, struct.pack("<3H", 0, 257, 65535)), [[0, 1, 255]]),
        (tiff(4, 1, 12, 1, b"\xff\xf0\0\x80\x08\0"), [[255, 0, 128, 128]]),
        (tiff(2, 1, 4, 1, b"\x5f"), [[85, 255]]),
        # Grey maps: what is white stands in the header, however dark the picture is.
        (b"P5 3 1 65535\n" + struct.pack(">3H", 0, 100, 255), [[0, 0, 1]]),
        (b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023), [[0, 128, 255]]),
        (b"P5 3 1 15\n" + bytes([0, 7, 15]), [[0, 119, 255]]),
        (b"P2 3 1 255\n0 7 255\n", [[0, 7, 255]]),
        (b"Pf\n2 1\n-1.0\n" + struct.pack("<2f", 0.5, 1), [[128, 255]]),
    ],
)
def test_greys_are_what_the_format_says(content, shown, tmp_path):
    assert only(tmp_path, "a.png", content)[:, 0].tolist() == shown


def fits(bits, pixels, *more):
    """A FITS of 2 x 1 numbers (FITS 4.0, section 4.4.1)."""
    known = {"SIMPLE": "T", "BITPIX": bits, "NAXIS": 2, "NAXIS1": 2, "NAXIS2": 1, **dict(more)}
    cards = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in known.items()) + "END"
    return cards.ljust(2880).encode() + pixels.ljust(2880, b"\0")


def test_fits_and_its_numbers_with_a_sign(tmp_path):
    for content in (fits(8, b"\5\6"), fits(16, struct.pack(">2h", 5 * 257, 6 * 257))):
        assert only(tmp_path, "a.fits", content).tolist() == [[[5, 6]]]
    for content in (fits(16, struct.pack(">2h", -5, 6)), fits(16, struct.pack(">2h", 5, 6), ("BZERO", 32768))):
        (tmp_path / "a.fits").write_bytes(content)
        assert "have a sign or an offset" in refused("a.fits", tmp_path)


def test_a_picture_cut_anywhere(tmp_path):
    """JPEG 2000 of any length is a picture to Pillow at one place, and PCX at many."""
    for ending, mode in (("jp2", "L"), ("jp2", "RGB"), ("pcx", "P")):
        content = saved(ending, make(mode, 17, 3).picture)
        whole = only(tmp_path, f"a.{ending}", content)
        for length in range(len(content)):
            try:
                found = only(tmp_path, f"a.{ending}", content[:length])
            except ValueError:
                continue
            assert np.array_equal(found, whole)


@pytest.mark.parametrize(("mode", "whites"), [("I", (200, 60_000, 2**30)), ("F", (1, 255, 65_535))])
def test_white_is_that_of_all_the_images(mode, whites, tmp_path):
    """A dark picture among others is dark."""
    kind = np.int32 if mode == "I" else np.float32
    for number, white in enumerate(whites):
        Image.fromarray(np.array([[0, white]], kind)).save(tmp_path / f"{number}.tif")
    top = 2**31 - 1 if mode == "I" else 65_535
    for cache in (None, tmp_path / ".cache"):
        found = load_images(tmp_path, cache=cache).images[:, 0, 0, 1].tolist()
        assert found == [round(255 * white / top) for white in whites]
    (tmp_path / "2.tif").unlink()
    (tmp_path / "1.tif").unlink()
    assert load_images(tmp_path).images[0, 0, 0, 1] == round(255 * whites[0] / (255 if mode == "I" else 1))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_orientation_in_every_format_and_damaged_exif(ending, tmp_path):
    made = gradient("RGB", 32, 16)
    turned = {  # how the sensor saw it, from EXIF 2.3
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    upright = made.shown.transpose(1, 2, 0)
    for orientation in range(10):  # 0 and 9 say nothing
        seen = Image.fromarray(np.ascontiguousarray(turned.get(orientation, turned[1])(upright)))
        exif = Image.Exif()
        exif[0x0112] = orientation
        quality = {"quality": 95} if ending in ("jpg", "avif") else options_of(ending, None)
        found = only(tmp_path, f"a.{ending}", saved(ending, seen, exif=exif, **quality))
        assert np.abs(found.astype(int) - made.shown).max() <= (6 if ending in ("jpg", "avif") else 0)
    if ending not in ("tif", "avif"):  # whose own tags these are
        for damaged in (
            b"garbage",
            b"Exif\0\0II*\0\xff\xff\xff\xff",
            b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03\0\0",
        ):
            found = only(tmp_path, f"a.{ending}", saved(ending, made.picture, exif=damaged, **quality))
            assert np.abs(found.astype(int) - made.shown).max() <= (6 if ending in ("jpg", "avif") else 0)


@pytest.mark.parametrize("ending", ["gif", "webp", "apng", "tif", "avif", "png"])
def test_of_several_frames_the_first(ending, tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("#0a141e", "red", "blue")]
    content = saved(ending, frames[0], save_all=True, append_images=frames[1:], **options_of(ending, None))
    assert np.abs(only(tmp_path, f"a.{ending}", content)[:, 5, 5].astype(int) - [10, 20, 30]).max() <= 3


# --- damage


def damaged(content, generator, other):
    """(how, content): cut at several places, of another type, and with flipped bits."""
    length = len(content)
    for part in sorted({0, 1, 7, 20, length // 4, length // 2, 3 * length // 4, length - 30, length - 5, length - 1}):
        if 0 <= part < length:
            yield "cut", content[:part]
    yield "other", b"a text, and no picture\n" * 20
    yield "other", other
    for _ in range(6):
        position, changed = generator.randrange(length), bytearray(content)
        changed[position] ^= 1 << generator.randrange(8)
        yield "flipped", bytes(changed)


@pytest.mark.parametrize(("ending", "mode"), [*CASES, *(case[:2] for case in LOSSY if case[1] != "CMYK")])
def test_damaged_pictures(ending, mode, tmp_path):
    """A cut file is refused, or nothing of its pixels was cut.

    A flipped bit is noticed where the format has a checksum, as PNG does; elsewhere other pixels are as good.
    """
    size = (17, 3)
    picture = make(mode, *size).picture if (ending, mode) in CASES else gradient(mode, *size).picture
    content = saved(ending, picture, **options_of(ending, size))
    whole, generator = only(tmp_path, f"a.{ending}", content), random.Random(0)
    for how, bad in damaged(content, generator, b"\x89PNG\r\n\x1a\n" + bytes(50)):
        (tmp_path / f"a.{ending}").write_bytes(bad)
        try:
            found = load_images(tmp_path).images[0].numpy()
        except (ValueError, OSError):
            refused(f"a.{ending}", tmp_path)
            with pytest.raises(ValueError, match="holds no image that can be read, of 1 image"):
                load_images(tmp_path, skip_broken=True)
        else:
            assert how != "other"
            assert how == "flipped" or np.array_equal(found, whole)
            assert ending != "png" or np.array_equal(found, whole)


@pytest.fixture
def peak():
    """The most memory that this process has used since the last call, in bytes; Linux alone tells."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("only Linux tells")

    def read():
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        Path("/proc/self/clear_refs").write_text("5")
        return int(found[1]) * 1024

    read()
    return read


BIG = 2**30
HUGE = {
    "png": lambda w, h: png(w, h, 8, 2, b"\0" * 1000),
    "bmp": lambda w, h: (
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 10**6, 0, 54, 40, w, h, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99)
    ),
    "ppm": lambda w, h: f"P6 {w} {h} 255\n".encode() + bytes(99),
    "tif": lambda w, h: tiff(w, h, 8, 1, bytes(99)),
    "qoi": lambda w, h: b"qoif" + struct.pack(">IIBB", w, h, 3, 0) + bytes(99),
    "dds": lambda w, h: saved("dds", Image.new("RGB", (4, 4)))[:12] + struct.pack("<II", h, w) + bytes(150),
}


@pytest.mark.parametrize("ending", HUGE)
@pytest.mark.parametrize("size", [(BIG, BIG), (1, BIG), (BIG, 1), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_claims_any_size(ending, size, tmp_path, peak):
    (tmp_path / f"a.{ending}").write_bytes(HUGE[ending](*size))
    before, start = peak(), time.perf_counter()
    refused(f"a.{ending}", tmp_path)
    assert time.perf_counter() - start < 2
    assert peak() < before + 2**28


def test_an_icon_with_a_picture_that_claims_any_size(tmp_path, peak):
    inner = HUGE["png"](BIG, BIG)
    head = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22)
    (tmp_path / "a.ico").write_bytes(head + inner)
    before = peak()
    refused("a.ico", tmp_path)
    assert peak() < before + 2**28


def test_a_large_plan_of_two_colours(tmp_path):
    """Twenty thousand by twelve thousand pixels, of which hardly anything is stored."""
    width, height = 20_000, 12_000
    content = png(width, height, 1, 0, (b"\0" + b"\xf0" * (width // 8)) * height)
    start = time.perf_counter()
    found = only(tmp_path, "a.png", content, size=4)
    assert time.perf_counter() - start < 15
    assert (np.abs(found.astype(int) - 127) <= 1).all()


# --- names, links, and what is no file


GREY = saved("png", Image.fromarray(np.array([[1, 2], [3, 4]], np.uint8)))
SHOWN = [[[1, 2], [3, 4]]]


def grey(value):
    return saved("png", Image.new("L", (2, 2), value))


NAMES = [
    b"new\nline",
    b"carriage\rreturn",
    b"separator\xe2\x80\xa8of lines",
    b"next\xc2\x85line",
    b"escape\x1b[31m",
    b"no\xff\xfeunicode",
    b"-dash",
    b"--out=x",
    b" blank ",
    b"x" * 240,
    b"100%s{0}",
    b"back\\slash",
    "é".encode(),
    unicodedata.normalize("NFD", "é").encode(),
    "日本語🙂".encode(),
    b"'quotes\"",
    b"*?[a]",
]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES)
def test_odd_names(name, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    file = Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".png"))
    file.write_bytes(GREY)
    for path, cache in ((tmp_path, None), (folder, tmp_path / ".cache"), (folder, tmp_path / ".cache")):
        loaded = load_images(path, cache=cache)
        assert loaded.images[0].tolist() == SHOWN
        assert len(loaded.summary.splitlines()) == 1
        loaded.summary.encode()
    file.write_bytes(b"no picture")
    told = refused("cannot be read", folder)
    told.encode()
    shown = name.decode("utf-8", "surrogateescape").encode("unicode_escape").decode()
    assert name.isascii() is False or shown.replace("\\\\", "\\") in told
    with pytest.raises(ValueError, match="no zip") as caught:
        load_images(file)
    assert len(str(caught.value).splitlines()) == 1


def test_the_same_name_in_two_normal_forms_is_one_class(tmp_path):
    for form in ("NFC", "NFD"):
        folder = tmp_path / unicodedata.normalize(form, "café")
        folder.mkdir(exist_ok=True)
        (folder / f"{form}.png").write_bytes(GREY)
    loaded = load_images(tmp_path)
    assert loaded.classes == [unicodedata.normalize("NFC", "café")]
    assert loaded.labels.tolist() == [0, 0]


@pytest.mark.skipif(os.name != "posix", reason="as POSIX has them")
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a device", "link to itself", "link to nothing"])
def test_what_is_no_file_is_said_and_not_waited_for(kind, tmp_path, monkeypatch):
    (tmp_path / "b.png").write_bytes(GREY)
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    for name in ("a.png", "c"):
        path = tmp_path / name
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(name)
        elif kind == "device":
            try:
                os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # of zeros without end
            except PermissionError:
                pytest.skip("needs root")
        else:
            path.symlink_to(
                {"link to a device": "/dev/zero", "link to itself": name, "link to nothing": "nowhere"}[kind]
            )
    refused("a.png", tmp_path)
    with pytest.warns(UserWarning, match="1 image left out, which cannot be read, first a.png"):
        loaded = load_images(tmp_path, skip_broken=True)
    assert loaded.images.tolist() == [SHOWN]
    assert loaded.others == ["c"]
    assert len(fingerprint(tmp_path)) == 16
    if kind not in ("link to itself", "link to nothing"):
        assert "is a socket, a pipe, a device" in refused("a.png", tmp_path / "a.png")


def test_links_in_circles(tmp_path):
    """Nine folders, each with links to all the others: followed in every order they would be a million."""
    for place in ("inside", "outside"):
        root = tmp_path / place
        classes = [(root if place == "inside" else tmp_path / "apart") / f"{number}" for number in range(9)]
        for number, folder in enumerate(classes):
            folder.mkdir(parents=True)
            (folder / "1.png").write_bytes(grey(number))
            for other in classes:
                (folder / f"to{other.name}").symlink_to(other)
            (folder / "up").symlink_to(tmp_path / place)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "first").symlink_to(tmp_path / "apart" / "0")
    start = time.perf_counter()
    loaded = load_images(tmp_path / "inside")
    assert loaded.images[:, 0, 0, 0].tolist() == list(range(9))
    assert loaded.classes == list("012345678")
    assert len(loaded.again) == 90
    assert "; not followed: 90 links to folders that are read (0/to0, 0/to1, " in loaded.summary
    assert sorted(load_images(tmp_path / "outside").images[:, 0, 0, 0].tolist()) == list(range(9))
    assert time.perf_counter() - start < 5


def test_folders_deeper_than_functions_can_call_one_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(400):
        os.mkdir("d")
        os.chdir("d")
    Path("a.png").write_bytes(GREY)
    os.chdir(tmp_path)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        loaded = load_images(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert loaded.images.tolist() == [SHOWN]
    assert loaded.classes == ["/".join("d" * 400)]


def test_a_path_that_is_none(tmp_path):
    for path in (tmp_path / ("x" * 300), tmp_path / "no\nwhere", tmp_path / "a" / "b", "null\0byte", ""):
        with pytest.raises((OSError, ValueError)) as caught:
            load_images(path)
        assert len(str(caught.value).splitlines()) == 1
    for file in ("a.png", "a.tar", "a.zip"):
        (tmp_path / file).write_bytes(GREY)
        assert "is no zip, or damaged" in refused(file, tmp_path / file)


def test_a_folder_of_other_files_says_what_they_are(tmp_path):
    for name in ("a.npy", "b.npy", "c.zip", "d"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"but 4 files of other types \(\.npy, \.zip, no ending\); \.png, \.jpg and"):
        load_images(tmp_path)


@pytest.mark.parametrize("ending", ["eps", "wmf", "grib", "h5", "bufr", "mpg"])
def test_a_picture_that_another_program_would_draw_is_not_handed_to_it(ending, tmp_path):
    starts = {
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "wmf": b"\xd7\xcd\xc6\x9a\0\0",
    }
    starts |= {"grib": b"GRIB\0\0\0\x01", "h5": b"\x89HDF\r\n\x1a\n", "bufr": b"BUFR", "mpg": b"\0\0\1\xb3\1\1\1\1"}
    (tmp_path / "a.png").write_bytes(starts[ending] + bytes(60))
    assert "cannot identify image file" in refused("a.png", tmp_path)


# --- zips


@pytest.fixture
def zipped(tmp_path):
    """Writes a zip of (name, content), and gives its path."""

    def write(*entries, path=tmp_path / "a.zip", **options):
        with zipfile.ZipFile(path, "w", **options) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are twice
            for name, content in entries:
                archive.writestr(name, content)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("cat/1.png", "cat"),
        ("cat\\1.png", "cat"),
        ("./cat/1.png", "cat"),
        ("/cat/1.png", "cat"),
        ("../../cat/1.png", "cat"),
        ("..\\cat\\1.PNG", "cat"),
        ("a/../cat/1.png", "a/cat"),
        ("cat//1.png", "cat"),
        ("1.png", "."),
        ("日本/1.png", "日本"),
        ("new\nline/1.png", "new\nline"),
        (unicodedata.normalize("NFD", "é/1.png"), "é"),
        ("x" * 200 + "/1.png", "x" * 200),
        ("CAT/1.Png", "CAT"),
    ],
)
def test_names_in_a_zip(name, kept, zipped):
    path = zipped((name, GREY))
    loaded = load_images(path)
    assert loaded.images.tolist() == [SHOWN]
    assert loaded.classes == [kept]
    assert len(loaded.summary.splitlines()) == 1
    assert load_images(path, cache=path.parent / "cache").images.tolist() == [SHOWN]


def test_an_entry_that_is_twice_in_a_zip_is_what_unpacking_leaves(zipped):
    loaded = load_images(
        zipped(("a/1.png", grey(1)), ("a/2.png", grey(2)), ("a/1.png", grey(3)), ("a\\2.png", grey(4)))
    )
    assert loaded.images[:, 0, 0, 0].tolist() == [3, 4]


def test_a_zip_of_the_64_bit_format_and_every_compression(zipped):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = zipped(("cat/0.png", grey(7)), compression=method)
        with zipfile.ZipFile(path, "a", method) as archive, archive.open("cat/1.png", "w", force_zip64=True) as entry:
            entry.write(grey(9))
        assert load_images(path).images[:, 0, 0, 0].tolist() == [7, 9]


def test_a_zip_in_a_zip_and_an_empty_one(zipped, tmp_path):
    inner = zipped(("1.png", GREY)).read_bytes()
    path = zipped(("inner.zip", inner), ("1.png", GREY), path=tmp_path / "b.zip")
    assert load_images(path).summary == f"{path}: 1 image of 1 class; passed over: 1 file of other types (.zip)"
    for path in (zipped(("inner.zip", inner), path=tmp_path / "c.zip"), zipped(path=tmp_path / "d.zip")):
        assert "holds no image that can be read" in refused(path.name, path)


@pytest.mark.parametrize("kind", ["tar", "gzip", "rar", "7z", "text", "empty", "cut", "without its list"])
def test_other_archives_named_zip(kind, zipped, tmp_path):
    whole = zipped(("1.png", GREY), ("2.png", GREY)).read_bytes()
    contents = {
        "tar": b"1.png".ljust(257, b"\0") + b"ustar\0" + bytes(761),
        "gzip": b"\x1f\x8b\x08" + bytes(30),
        "rar": b"Rar!\x1a\x07\x01\0" + bytes(50),
        "7z": b"7z\xbc\xaf\x27\x1c" + bytes(50),
        "text": b"<html>404</html>\n",
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "without its list": whole[: whole.index(b"PK\1\2")],
    }
    (tmp_path / "b.zip").write_bytes(contents[kind])
    assert "is no zip, or damaged (" in refused("b.zip", tmp_path / "b.zip")


def patch_sizes(path, unpacked):
    """Have the one entry of a zip claim another size, before its content and in the list (APPNOTE 4.3.7, 4.3.12)."""
    content = bytearray(path.read_bytes())
    for signature, position in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", content, content.index(signature) + position, unpacked)
    path.write_bytes(content)


def test_an_entry_that_lies_about_its_size(zipped, peak):
    path = zipped(("cat/1.png", GREY + bytes(2**27)), compression=zipfile.ZIP_DEFLATED)  # a bomb: nearly all is nothing
    assert path.stat().st_size < 10**6
    before, start = peak(), time.perf_counter()
    assert re.search("bytes in the zip that claim to be 134,21.*; unpack the zip yourself", refused("cat/1.png", path))
    for unpacked in (0, 10, 3 * 2**30, 2**32 - 2):
        patch_sizes(path, unpacked)
        refused("cat/1.png", path)
    assert time.perf_counter() - start < 2
    assert peak() < before + 2**27


def test_a_zip_damaged_anywhere(zipped, tmp_path):
    path = zipped(*[(f"{'ab'[number // 3]}/{number}.png", grey(number)) for number in range(6)])
    whole, generator, num_refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        changed = bytearray(whole)
        changed[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        path.write_bytes(changed)
        try:
            loaded = load_images(path)
        except (ValueError, OSError):
            refused("a.zip", path)
            num_refused += 1
        else:
            assert sorted(loaded.images[:, 0, 0, 0].tolist()) == list(range(6))
    assert num_refused > 75


def test_text_in_a_picture_is_no_matter(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("notes", "x" * 3_000_000, zip=True)
    assert only(tmp_path, "a.png", saved("png", Image.new("L", (2, 2), 5), pnginfo=notes)).tolist() == [[[5, 5]] * 2]


def test_a_class_of_every_mode_of_every_format(tmp_path):
    for number, (ending, mode) in enumerate(CASES):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        made = make(mode, 64, 48)
        (folder / f"a.{ending}").write_bytes(saved(ending, made.picture, **options_of(ending, (64, 48))))
    loaded = load_images(tmp_path)
    assert loaded.images.shape == (len(CASES), 3, 48, 64)
    assert torch.equal(loaded.labels, torch.arange(len(CASES)))
