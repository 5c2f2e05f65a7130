"""`python -m ncsn_lib sample RECIPE`."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ncsn_lib.cli.options import RunOptions, UserError, find_device, parse, run_folder, take_recipe
from ncsn_lib.protocol import check_count
from ncsn_lib.runs import load_run, sample_run


@dataclass(frozen=True)
class SampleOptions(RunOptions):
    """Options of `sample` beside the recipe's sampling settings."""

    num: int = 64
    """How many images."""
    out: Path = Path("samples.png")
    """Where they go: .png for one picture of all in a grid, .npy for the array (num, C, H, W), not clamped."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 500
    """Images sampled together; fewer need less memory."""


def run(argv: Sequence[str]) -> int:
    """Sample from a trained recipe."""
    from tqdm.auto import tqdm

    recipe, argv = take_recipe("sample", argv)
    title, run_options = f"sample {recipe.name}", [word for word in argv if word not in ("-h", "--help")]
    options, _ = parse(title, recipe.summary, SampleOptions(), {"sampling": recipe.sampling}, argv)
    check_count("num", options.num)
    check_count("batch_size", options.batch_size)
    if options.out.suffix not in (".png", ".npy"):
        raise UserError(f"--out must end in .png or .npy, got {options.out}")
    trained = load_run(run_folder(options, recipe), find_device(options))
    # The run's own settings are the defaults of its sampling, whatever the recipe says today.
    _, settings = parse(title, recipe.summary, SampleOptions(), {"sampling": trained.recipe.sampling}, run_options)
    trained = trained._replace(recipe=dataclasses.replace(trained.recipe, **settings))
    total = options.num * trained.recipe.sampling.num_calls(trained.recipe.noise.num_levels)
    with tqdm(total=total, unit="image step", desc=title, disable=None) as bar:
        images = sample_run(trained, options.num, seed=options.seed, batch_size=options.batch_size, callback=bar.update)
    write_images(images, options.out)
    print(f"{options.num} images from step {trained.step} are in {options.out}")
    return 0


def write_images(images: torch.Tensor, out: Path, *, columns: int | None = None) -> None:
    """Write images as a grid (.png) or as their array (.npy)."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        import numpy as np

        np.save(out, images.numpy())
        return
    from torchvision.utils import save_image

    # Small images are enlarged, pixel by pixel, to about 64 on a side.
    enlarged = images.clamp(0, 1).repeat_interleave(factor := max(1, 64 // images.shape[-1]), dim=-1)
    enlarged = enlarged.repeat_interleave(factor, dim=-2)
    save_image(enlarged, out, nrow=columns or round(len(images) ** 0.5), padding=4, pad_value=0.5)
