"""`python -m ncsn_lib inpaint RECIPE`: images of which a part is given, completed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ncsn_lib.checks import check_count
from ncsn_lib.cli.options import (
    RunOptions,
    UserError,
    check_suffix,
    load_test_images,
    load_with_settings,
    take_recipe,
)
from ncsn_lib.cli.pictures import read_mask, write_images
from ncsn_lib.data import unit_images
from ncsn_lib.samplers.inpainting import MASKS, make_mask
from ncsn_lib.sampling import inpaint_run


@dataclass(frozen=True)
class InpaintOptions(RunOptions):
    """Options of `inpaint` beside the run's sampling settings."""

    data: Path | None = None
    """A folder or zip with the images, in place of the recipe's test split."""
    mask: str = "left"
    """What is given: left, right, top or bottom (half), box (all but the middle), random (a fifth of the pixels), or a
    PNG of the images' size, white where a pixel is given."""
    num: int = 8
    """How many images, one a row."""
    completions: int = 5
    """How many completions of each."""
    renoise: bool = False
    """Draw the given pixels' noise anew at every step (the authors in 2020), not once a level (2019)."""
    out: Path = Path("inpainting.png")
    """Where they go: .png for a row for each image (the image, what is given of it, the completions), .npy for the
    completions (num, completions, C, H, W)."""
    seed: int = 0
    """Seed of the choice of images, the random mask and the noise."""


def run(argv: Sequence[str]) -> int:
    """Complete images by a trained recipe."""
    from tqdm.auto import tqdm

    recipe, argv = take_recipe("inpaint", argv)
    title = f"inpaint {recipe.name}"
    options, trained = load_with_settings(title, recipe, InpaintOptions(), argv, _check)
    _, height, width = trained.recipe.image_shape
    mask = find_mask(options.mask, (height, width), options.seed)
    images = load_test_images(trained.recipe, options.data)
    generator = torch.Generator().manual_seed(options.seed)
    chosen = unit_images(images[torch.randperm(len(images), generator=generator)[: options.num]])
    known = chosen.repeat_interleave(options.completions, dim=0)
    settings = trained.recipe.sampler.inpainting
    total = len(known) * settings.num_calls(trained.recipe.noise.num_levels)
    with tqdm(total=total, unit="image step", desc=title, disable=None) as bar:
        done = inpaint_run(trained, known, mask, seed=options.seed, renoise=options.renoise, callback=bar.update)
    done = done.view(len(chosen), options.completions, *known.shape[1:])
    if options.out.suffix == ".npy":
        write_images(done, options.out)
    else:
        given = torch.where(mask, chosen, 0.5)
        rows = torch.cat([chosen[:, None], given[:, None], done], dim=1)
        write_images(rows.flatten(0, 1), options.out, columns=rows.shape[1])
    print(f"{options.completions} completions of each of {len(chosen)} images are in {options.out}")
    return 0


def find_mask(name: str, shape: tuple[int, int], seed: int) -> Tensor:
    """(H, W) bool, true where a pixel is given: a mask by its name, or a picture."""
    if name in MASKS:
        return make_mask(name, shape, seed=seed)
    if not Path(name).is_file():
        raise UserError(f"--mask must be {', '.join(MASKS)} or a PNG, got {name}, which is no file")
    return read_mask(Path(name), shape)


def _check(options: InpaintOptions) -> None:
    check_count("num", options.num)
    check_count("completions", options.completions)
    check_suffix(options.out, (".png", ".npy"))
