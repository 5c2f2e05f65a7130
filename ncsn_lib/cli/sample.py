"""`python -m ncsn_lib sample RECIPE`."""

from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.checks import check_count, check_seed
from ncsn_lib.cli.command import Command, RunOptions, check_suffix
from ncsn_lib.cli.pictures import find_ffmpeg, write_animation, write_images
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.files import check_writable
from ncsn_lib.sampling import sample_run, sample_trajectory
from ncsn_lib.shards import sample_to_shards
from ncsn_lib.words import counted


@dataclass(frozen=True)
class SampleOptions(RunOptions):
    """Options of `sample` beside the recipe's sampling settings."""

    num: int = 64
    """How many images."""
    out: Path = Path("samples.png")
    """Where they go: .png for one picture of all in a grid; .npy for the array (num, C, H, W), not clamped; .gif or
    .mp4 for the way from noise to images; a folder for any number of them, a file for each batch, which goes on where
    it was cut."""
    classes: tuple[int, ...] | None = None
    """The images' classes, in turn, where the network has learnt classes: 0 1 2 for a third each. By default it is told
    none."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 500
    """Images sampled together; fewer need less memory."""
    bfloat16: bool = False
    """Let the network's convolutions round to 16 bits: faster."""
    frames: int = 60
    """Pictures of a .gif or .mp4."""

    def check(self) -> None:
        """Refuse what cannot be, before anything is loaded."""
        check_count("num", self.num)
        check_count("batch_size", self.batch_size)
        check_count("frames", self.frames, minimum=2)
        check_seed("seed", self.seed)
        check_suffix(self.out, (".png", ".npy", ".gif", ".mp4", ""))
        if self.out.suffix == ".mp4":
            find_ffmpeg()


def run(command: Command) -> int:
    """Sample from a trained recipe."""
    options, trained = command.parse_with_run(command.take_recipe(), SampleOptions())
    if options.out.suffix:
        check_writable(options.out)
    how = {"classes": options.classes, "seed": options.seed}
    batches = {"batch_size": options.batch_size, "bfloat16": options.bfloat16}
    with Progress(command.title, options.num * trained.recipe.calls_per_sample(), "calls") as progress:
        how["callback"] = progress.update
        if options.out.suffix in (".gif", ".mp4"):
            write_animation(sample_trajectory(trained, options.num, num_frames=options.frames, **how), options.out)
        elif options.out.suffix == "":
            sample_to_shards(trained, options.num, options.out, **how, **batches)
        else:
            write_images(sample_run(trained, options.num, **how, **batches), options.out)
    say(f"{counted(options.num, 'image')} from step {trained.step}: {options.out}")
    return 0
