"""The command line: `python -m ncsn_lib train digits`, `python -m ncsn_lib sample digits --out grid.png`."""

import dataclasses
import difflib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.checkpoints import CheckpointError, list_checkpoints
from ncsn_lib.data import DATASETS, load_images
from ncsn_lib.protocol import check_count
from ncsn_lib.recipes import RECIPES, Recipe
from ncsn_lib.runs import Run, check_images, load_run, sample_run, train_recipe
from ncsn_lib.training import NonFiniteLossError, TrainingState

USAGE = """\
usage: python -m ncsn_lib COMMAND [RECIPE] [OPTIONS]

  list              the recipes there are
  train RECIPE      train one; run again to go on where it was cut (--steps, --batch-size and many more)
  sample RECIPE     draw images from one that was trained

`python -m ncsn_lib COMMAND RECIPE --help` explains every option."""

SETTINGS = ("noise", "network", "training", "sampling")
SHORT = {"--steps": "--training.num-steps", "--batch-size": "--training.batch-size"}


class UserError(Exception):
    """Something the user can put right; printed in one line, without a traceback."""


@dataclass(frozen=True)
class RunOptions:
    """Options that train and sample share."""

    run_dir: Path | None = None
    """The run's folder. By default runs/RECIPE."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""


@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """Options of `train` beside the recipe's fields."""

    checkpoint_every: int = 500
    """Steps between checkpoints."""
    fresh: bool = False
    """Delete the folder's checkpoints and start anew."""
    data: Path | None = None
    """A folder or zip of images to train on, in place of the recipe's data set; they are cropped and resized to it."""
    skip_broken: bool = False
    """Leave out images of --data that cannot be read, instead of stopping at the first."""


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, or 2 for what the user can put right."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except (UserError, CheckpointError, NonFiniteLossError, ValueError, OSError) as error:
        print(f"ncsn_lib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ncsn_lib: interrupted; run the same command to go on from the last checkpoint", file=sys.stderr)
        return 130


def _dispatch(argv: list[str]) -> int:
    commands = {"list": _list, "train": _train, "sample": _sample}
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command = _choose("command", argv[0], commands)
    if argv[0] == "list":
        return command()
    if len(argv) < 2 or argv[1] in ("-h", "--help"):
        print(f"{USAGE}\n")
        _list()
        return 0 if len(argv) > 1 else 2
    return command(_choose("recipe", argv[1], RECIPES), argv[2:])


def _choose(kind: str, name: str, known: dict[str, Any]) -> Any:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    raise UserError(f"there is no {kind} {name!r}; {hint}")


def _list() -> int:
    print("recipes:")
    for recipe in RECIPES.values():
        print(f"  {recipe.name:<16}{recipe.summary}")
    return 0


def _train(recipe: Recipe, argv: list[str]) -> int:
    from tqdm.auto import tqdm

    argv = [SHORT.get(flag, flag) + rest for flag, rest in (_split(word) for word in argv)]
    options, recipe = _parse(f"train {recipe.name}", TrainOptions(), recipe, SETTINGS, argv)
    if options.data is None:
        images = DATASETS[recipe.dataset]("train").images
    else:
        # The recipe says what was trained on, so that a run does not go on with other images.
        recipe = dataclasses.replace(recipe, dataset=f"images of {options.data.name}")
        images = load_images(options.data, size=recipe.image_shape[-1], skip_broken=options.skip_broken).images
    check_images(recipe, images)  # before --fresh deletes anything
    folder, device = _folder(options, recipe), _device(options)
    check_count("checkpoint_every", options.checkpoint_every)
    saved = list_checkpoints(folder)
    if options.fresh:
        for checkpoint in saved:
            shutil.rmtree(checkpoint)
    elif saved:
        print(f"going on from {saved[-1]}")
    total = recipe.training.num_steps
    with tqdm(total=total, unit="step", desc=f"train {recipe.name} on {device}", disable=None) as bar:

        def report(state: TrainingState, loss: float) -> None:
            bar.update(state.step - bar.n)
            bar.set_postfix(loss=f"{loss:.2f}", refresh=False)

        run = train_recipe(
            recipe,
            folder,
            device=device,
            checkpoint_every=options.checkpoint_every,
            images=images,
            callback=report,
        )
    print(
        f"{run.step} steps done; the network is in {list_checkpoints(folder)[-1]}, the losses in {folder / 'loss.csv'}"
    )
    return 0


def _sample(recipe: Recipe, argv: list[str]) -> int:
    from tqdm.auto import tqdm

    run_options = [arg for arg in argv if arg not in ("-h", "--help")]
    options, _ = _parse(f"sample {recipe.name}", SampleOptions(), recipe, ("sampling",), argv)
    check_count("num", options.num)
    check_count("batch_size", options.batch_size)
    if options.out.suffix not in (".png", ".npy"):
        raise UserError(f"--out must end in .png or .npy, got {options.out}")
    run = load_run(_folder(options, recipe), _device(options))
    # The run's own settings are the defaults of its sampling, whatever the recipe says today.
    _, recipe = _parse(f"sample {recipe.name}", SampleOptions(), run.recipe, ("sampling",), run_options)
    run = Run(run.network, recipe, run.step)
    total = options.num * len(recipe.noise.sigmas()) * recipe.sampling.num_steps
    with tqdm(total=total, unit="image step", desc=f"sample {recipe.name}", disable=None) as bar:
        images = sample_run(run, options.num, seed=options.seed, batch_size=options.batch_size, callback=bar.update)
    _write_images(images, options.out)
    print(f"{options.num} images from step {run.step} are in {options.out}")
    return 0


def _write_images(images: torch.Tensor, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        import numpy as np

        np.save(out, images.numpy())
        return
    from torchvision.utils import save_image

    # Small images are enlarged, pixel by pixel, to about 64 on a side.
    enlarged = images.clamp(0, 1).repeat_interleave(factor := max(1, 64 // images.shape[-1]), dim=-1)
    enlarged = enlarged.repeat_interleave(factor, dim=-2)
    save_image(enlarged, out, nrow=round(len(images) ** 0.5), padding=4, pad_value=0.5)


def _parse(prog: str, options: Any, recipe: Recipe, groups: Sequence[str], argv: list[str]) -> tuple[Any, Recipe]:
    """Options and recipe with the overrides of the command line, a flag per field."""
    import tyro

    settings = {name: getattr(recipe, name) for name in groups}
    arguments = dataclasses.make_dataclass(
        "Arguments",
        [("run", tyro.conf.OmitArgPrefixes[type(options)])] + [(name, type(value)) for name, value in settings.items()],
    )
    parsed = tyro.cli(
        arguments,
        default=arguments(run=options, **settings),
        args=argv,
        prog=f"python -m ncsn_lib {prog}",
        description=recipe.summary,
    )
    return parsed.run, dataclasses.replace(recipe, **{name: getattr(parsed, name) for name in groups})


def _split(word: str) -> tuple[str, str]:
    """A flag, and "=value" if it carries one."""
    flag, equals, value = word.partition("=")
    return flag, equals + value


def _folder(options: RunOptions, recipe: Recipe) -> Path:
    return options.run_dir or Path("runs") / recipe.name


def _device(options: RunOptions) -> torch.device:
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=options.device).item()
        return torch.device(options.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {options.device} cannot be used here: {str(error).splitlines()[0]}") from error
