"""The images that a command reads; each time a line says how many there are, and from where."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.cli.command import RunOptions, UserError
from ncsn_lib.cli.terminal import say
from ncsn_lib.data import CLASSES, ImageFolder, LabelledImages, cache_folder, check_unit_range, load_images
from ncsn_lib.extras import need
from ncsn_lib.recipes import SOURCES
from ncsn_lib.settings import Recipe
from ncsn_lib.words import counted


@dataclass(frozen=True)
class DataOptions(RunOptions):
    """Options of the commands that read images beside a run."""

    data: Path | None = None
    """A folder or zip of images, in place of the data set's, cropped and resized to the recipe's."""
    background: str = "white"
    """What is seen through transparent pixels: a colour by name, or as #rrggbb."""


def read_folder(path: Path, background: str, *, quiet: bool = False, **how: Any) -> ImageFolder:
    """The images of a folder or zip; `how` is as for `load_images`."""
    found = load_images(path, background=background, **how)
    if not quiet:
        say(found.summary)
    return found


def read_split(dataset: str, split: str, *, quiet: bool = False) -> LabelledImages:
    """A split of a data set by name."""
    data = SOURCES[dataset](split)
    if not quiet:
        classes = counted(len(data.labels.unique()), "class", "classes")
        say(f"{dataset} ({split}): {counted(len(data.images), 'image')} of {classes}")
    return data


def training_images(
    recipe: Recipe, options: DataOptions, *, skip_broken: bool = False, cache: bool = True, quiet: bool = False
) -> tuple[Recipe, LabelledImages]:
    """The images that a recipe is trained on, its own or those of --data, and the recipe that says so."""
    if options.data is None:
        return recipe, read_split(recipe.dataset, "train", quiet=quiet)
    kept = cache_folder() if cache else None
    how: dict[str, Any] = {"size": recipe.image_shape[-1], "skip_broken": skip_broken, "cache": kept, "quiet": quiet}
    found = read_folder(options.data, options.background, **how)
    images = LabelledImages(_in_colours_of(recipe, found.images, options.data), found.labels)
    # The recipe says what was trained on, so that a run does not go on with other images.
    return dataclasses.replace(recipe, dataset=f"images of {options.data.name}"), images


def test_images(recipe: Recipe, data: Path | None, background: str) -> Tensor:
    """Images that a recipe was not trained on: its data set's test split, or those of a folder or zip."""
    if data is not None:
        return _in_colours_of(recipe, read_folder(data, background, size=recipe.image_shape[-1]).images, data)
    if recipe.dataset not in SOURCES:
        raise UserError(f"the run was trained on {recipe.dataset}; name images with --data")
    return read_split(recipe.dataset, "test").images


def _in_colours_of(recipe: Recipe, images: Tensor, path: Path) -> Tensor:
    """Images (N, C, H, W) with the channels that a recipe takes; grey ones get three that are alike."""
    channels = recipe.image_shape[0]
    if images.shape[1] > channels:
        raise UserError(
            f"{path} holds images of colour, and the recipe {recipe.name} takes grey ones: make them grey, or choose a "
            "recipe of colour"
        )
    return images.expand(-1, channels, -1, -1)


def class_names(dataset: str, data: ImageFolder | None) -> Sequence[str] | None:
    """The names of the classes of a data set, or of the folders of images; None where they have none."""
    if data is not None:
        return None if list(data.classes) == ["."] else list(data.classes)
    return CLASSES.get(dataset)


def given_images(path: Path, background: str) -> Tensor:
    """(N, C, H, W) images of an array .npy, of a folder that `sample` filled, or of a folder or zip of pictures."""
    if path.suffix == ".npy":
        images = _read_array(path)
    elif (path / "samples.json").exists():
        images = torch.cat([_read_array(shard) for shard in sorted(path.glob("shard-*.npy"))])
    else:
        return read_folder(path, background).images
    say(f"{path}: {counted(len(images), 'image')}")
    return images


def _read_array(path: Path) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"there is no array at {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array of numbers, or damaged ({error})") from error
    if array.ndim != 4 or not (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)):
        raise ValueError(f"{path} must hold (N, C, H, W) floating point or uint8, got {array.shape} of {array.dtype}")
    images = torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.float32))
    check_unit_range(images, str(path))
    return images


def read_mask(path: Path, shape: tuple[int, int]) -> Tensor:
    """(H, W) bool from a picture of that size: true where it is white and not erased, the pixels that are given."""
    image_module = need("PIL.Image", "data", "a mask")
    try:
        with image_module.open(path) as opened:
            image = opened.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"--mask {path} is no picture that can be read ({error})") from error
    black = image_module.new("RGBA", image.size, (0, 0, 0, 255))
    values = np.asarray(image_module.alpha_composite(black, image).convert("L"))
    if values.shape != shape:
        raise UserError(
            f"the mask must have the images' size {shape[1]}x{shape[0]}, "
            f"got {path} of {values.shape[1]}x{values.shape[0]}"
        )
    mask = torch.from_numpy(values >= 128)
    if mask.all() or not mask.any():
        kind = "white: nothing is left to complete" if mask.all() else "black: nothing is given"
        raise UserError(f"--mask {path} is all {kind}; paint given pixels white, the others black or transparent")
    return mask
