"""`python -m ncsn_lib interpolate RECIPE`: images between two samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ncsn_lib.checks import check_count
from ncsn_lib.cli.options import RunOptions, check_suffix, load_with_settings, take_recipe
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.sampling import interpolate_run


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


def run(argv: Sequence[str]) -> int:
    """Interpolate between samples of a trained recipe."""
    from tqdm.auto import tqdm

    recipe, argv = take_recipe("interpolate", argv)
    title = f"interpolate {recipe.name}"
    options, trained = load_with_settings(title, recipe, InterpolateOptions(), argv, _check)
    calls = trained.recipe.calls_per_sample()
    with tqdm(total=options.rows * options.num * calls, unit="image step", desc=title, disable=None) as bar:
        seeds = range(options.seed, options.seed + options.rows)
        rows = [interpolate_run(trained, options.num, seed=seed, callback=bar.update) for seed in seeds]
    images = torch.stack(rows)
    write_images(images if options.out.suffix == ".npy" else images.flatten(0, 1), options.out, columns=options.num)
    print(f"{options.rows} rows of {options.num} images are in {options.out}")
    return 0


def _check(options: InterpolateOptions) -> None:
    check_count("num", options.num, minimum=2)
    check_count("rows", options.rows)
    check_suffix(options.out, (".png", ".npy"))
