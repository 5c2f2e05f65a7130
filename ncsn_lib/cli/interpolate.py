"""`python -m ncsn_lib interpolate RECIPE`: images between two samples."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ncsn_lib.checks import check_count, check_seed
from ncsn_lib.cli.command import Command, RunOptions, check_suffix
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.files import check_writable
from ncsn_lib.sampling import interpolate_run
from ncsn_lib.words import counted


@dataclass(frozen=True)
class InterpolateOptions(RunOptions):
    """Options of `interpolate` beside the run's sampling settings."""

    num: int = 8
    """Images from the one sample to the other, both included."""
    rows: int = 4
    """How many pairs of samples, one a row."""
    out: Path = Path("interpolation.png")
    """Where they go: .png or .npy (rows, num, C, H, W)."""
    seed: int = 0
    """Seed of the first pair; each further one has the next."""

    def check(self) -> None:
        """Refuse what cannot be, before anything is loaded."""
        check_count("num", self.num, minimum=2)
        check_count("rows", self.rows)
        check_seed("seed", self.seed)
        check_suffix(self.out, (".png", ".npy"))


def run(command: Command) -> int:
    """Interpolate between samples of a trained recipe."""
    options, trained = command.parse_with_run(command.take_recipe(), InterpolateOptions())
    check_writable(options.out)
    total = options.rows * options.num * trained.recipe.calls_per_sample()
    with Progress(command.title, total, "calls") as progress:
        seeds = range(options.seed, options.seed + options.rows)
        rows = [interpolate_run(trained, options.num, seed=seed, callback=progress.update) for seed in seeds]
    images = torch.stack(rows)
    write_images(images if options.out.suffix == ".npy" else images.flatten(0, 1), options.out, columns=options.num)
    say(f"{counted(options.rows, 'row')} of {options.num} images: {options.out}")
    return 0
