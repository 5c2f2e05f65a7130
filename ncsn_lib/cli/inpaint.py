"""`python -m ncsn_lib inpaint RECIPE`: images of which a part is given, completed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ncsn_lib.checks import check_count, check_seed
from ncsn_lib.cli.command import Command, UserError, check_suffix
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.cli.reading import DataOptions, read_mask, test_images
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.data import unit_images
from ncsn_lib.files import check_writable
from ncsn_lib.samplers.inpainting import MASKS, make_mask
from ncsn_lib.sampling import inpaint_run
from ncsn_lib.words import counted


@dataclass(frozen=True)
class InpaintOptions(DataOptions):
    """Options of `inpaint` beside the run's sampling settings."""

    mask: str = "left"
    """What is given: left, right, top or bottom (half), box (all but the middle), random (a fifth of the pixels), or a
    picture of the images' size, white where a pixel is given; what is black or erased is completed."""
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

    def check(self) -> None:
        """Refuse what cannot be, before anything is loaded."""
        check_count("num", self.num)
        check_count("completions", self.completions)
        check_seed("seed", self.seed)
        check_suffix(self.out, (".png", ".npy"))


def run(command: Command) -> int:
    """Complete images by a trained recipe."""
    options, trained = command.parse_with_run(command.take_recipe(), InpaintOptions())
    _, height, width = trained.recipe.image_shape
    mask = find_mask(options.mask, (height, width), options.seed)
    settings = trained.recipe.sampler.inpainting
    images = test_images(trained.recipe, options.data, options.background)
    generator = torch.Generator().manual_seed(options.seed)
    chosen = unit_images(images[torch.randperm(len(images), generator=generator)[: options.num]])
    known = chosen.repeat_interleave(options.completions, dim=0)
    check_writable(options.out)
    total = len(known) * settings.num_calls(trained.recipe.noise.num_levels)
    with Progress(command.title, total, "calls") as progress:
        how = {"seed": options.seed, "renoise": options.renoise, "callback": progress.update}
        done = inpaint_run(trained, known, mask, **how)
    done = done.view(len(chosen), options.completions, *known.shape[1:])
    if options.out.suffix == ".npy":
        write_images(done, options.out)
    else:
        given = torch.where(mask, chosen, 0.5)
        rows = torch.cat([chosen[:, None], given[:, None], done], dim=1)
        write_images(rows.flatten(0, 1), options.out, columns=rows.shape[1])
    each = counted(len(chosen), "image")
    say(f"{counted(options.completions, 'completion')} of each of {each}: {options.out}")
    return 0


def find_mask(name: str, shape: tuple[int, int], seed: int) -> Tensor:
    """(H, W) bool, true where a pixel is given: a mask by its name, or a picture."""
    if name in MASKS:
        return make_mask(name, shape, seed=seed)
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"--mask must be {', '.join(MASKS)} or a picture, got {name}, which is no file")
    return read_mask(path, shape)
