"""Images as files: grids, arrays, animations; each is written whole or not at all."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ncsn_lib.extras import need
from ncsn_lib.files import remedy_of, whole_or_nothing, write_array, write_file
from ncsn_lib.sampling import to_bytes

FULL = "free some space or choose another folder"
"""What is mostly wrong where ffmpeg, which gives no reason, writes too little."""


def write_images(images: Tensor, out: str | Path, *, columns: int | None = None) -> None:
    """Write images (N, C, H, W) as a grid (.png) or as their array (.npy)."""
    out = Path(out)
    if out.suffix == ".npy":
        write_array(out, images.numpy())
        return
    _save(need("PIL.Image", "data", "a picture").fromarray(picture(images, columns)), out)


def write_animation(frames: Tensor, out: Path, *, seconds: float = 4.0, hold: float = 1.5) -> None:
    """Write states (F, N, C, H, W) as an animation of grids, .gif or .mp4, the last held for a while."""
    pictures = [picture(frame) for frame in frames]
    rate = len(pictures) / seconds
    if out.suffix == ".gif":
        image = need("PIL.Image", "data", "a picture")
        first, *rest = [image.fromarray(array) for array in pictures]
        durations = [round(1000 / rate)] * len(rest) + [round(1000 * hold)]
        _save(first, out, save_all=True, append_images=rest, duration=durations, loop=0)
        return
    _write_video(pictures + [pictures[-1]] * round(rate * hold), out, rate)


def _save(image: Any, out: Path, **options: Any) -> None:
    """Save a Pillow image in the format that the file's ending names."""
    buffer = io.BytesIO()
    image.save(buffer, format=out.suffix[1:], **options)
    write_file(out, buffer.getvalue())


def _write_video(pictures: list[np.ndarray], out: Path, rate: float) -> None:
    """Hand pictures (H, W, 3) to ffmpeg, and see that all arrived: it reports no error of its own."""
    ffmpeg = find_ffmpeg()
    height, width = pictures[0].shape[:2]
    size = (width, height)
    try:
        with whole_or_nothing(out) as unfinished:
            writer = ffmpeg.write_frames(str(unfinished), size, fps=rate, macro_block_size=4, ffmpeg_log_level="quiet")
            writer.send(None)  # starts ffmpeg
            for array in pictures:
                writer.send(np.ascontiguousarray(array))
            writer.close()
            written, _ = ffmpeg.count_frames_and_secs(str(unfinished))
            if written != len(pictures):
                raise OSError(f"{written} of {len(pictures)} frames were written")
    except (OSError, RuntimeError) as error:
        remedy = remedy_of(error) if isinstance(error, OSError) and error.errno else FULL
        raise OSError(f"could not write {out}; {remedy}") from error


def find_ffmpeg() -> Any:
    """The package imageio-ffmpeg."""
    return need("imageio_ffmpeg", "video", "an .mp4 (a .gif does not)")


def picture(images: Tensor, columns: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 grid of images (N, C, H, W), which are enlarged, pixel by pixel, to about 64 on a side."""
    utils = need("torchvision.utils", "data", "a grid of images")
    factor = max(1, 64 // images.shape[-1])
    enlarged = images.clamp(0, 1).repeat_interleave(factor, dim=-1).repeat_interleave(factor, dim=-2)
    grid = utils.make_grid(enlarged, nrow=columns or round(len(images) ** 0.5), padding=4, pad_value=0.5)
    return to_bytes(grid).transpose(1, 2, 0)
