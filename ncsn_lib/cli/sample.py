"""`python -m ncsn_lib sample RECIPE`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.checks import check_count
from ncsn_lib.cli.options import RunOptions, check_suffix, load_with_settings, take_recipe
from ncsn_lib.cli.pictures import find_ffmpeg, write_animation, write_images
from ncsn_lib.sampling import sample_run, sample_trajectory
from ncsn_lib.shards import sample_to_shards


@dataclass(frozen=True)
class SampleOptions(RunOptions):
    """Options of `sample` beside the recipe's sampling settings."""

    num: int = 64
    """How many images."""
    out: Path = Path("samples.png")
    """Where they go: .png for one picture of all in a grid; .npy for the array (num, C, H, W), not clamped; .gif or
    .mp4 for the way from noise to images; a folder for any number of them, a file for each batch, which goes on where
    it was cut."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 500
    """Images sampled together; fewer need less memory."""
    bfloat16: bool = False
    """Let the network's convolutions round to 16 bits: faster."""
    frames: int = 60
    """Pictures of a .gif or .mp4."""


def run(argv: Sequence[str]) -> int:
    """Sample from a trained recipe."""
    from tqdm.auto import tqdm

    recipe, argv = take_recipe("sample", argv)
    title = f"sample {recipe.name}"
    options, trained = load_with_settings(title, recipe, SampleOptions(), argv, _check)
    how = {"seed": options.seed, "batch_size": options.batch_size, "bfloat16": options.bfloat16}
    total = options.num * trained.recipe.calls_per_sample()
    if options.out.suffix in (".gif", ".mp4"):
        frames = sample_trajectory(trained, options.num, num_frames=options.frames, seed=options.seed)
        write_animation(frames, options.out)
    else:
        with tqdm(total=total, unit="image step", desc=title, disable=None) as bar:
            if options.out.suffix == "":
                sample_to_shards(trained, options.num, options.out, callback=bar.update, **how)
            else:
                write_images(sample_run(trained, options.num, callback=bar.update, **how), options.out)
    print(f"{options.num} images from step {trained.step} are in {options.out}")
    return 0


def _check(options: SampleOptions) -> None:
    for name in ("num", "batch_size"):
        check_count(name, getattr(options, name))
    check_count("frames", options.frames, minimum=2)
    check_suffix(options.out, (".png", ".npy", ".gif", ".mp4", ""))
    if options.out.suffix == ".mp4":
        find_ffmpeg()
