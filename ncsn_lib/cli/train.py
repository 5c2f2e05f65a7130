"""`python -m ncsn_lib train RECIPE`."""

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.checkpoints import list_checkpoints
from ncsn_lib.cli.options import RunOptions, find_device, parse, run_folder, take_recipe
from ncsn_lib.data import DATASETS, load_images
from ncsn_lib.image_cache import cache_folder
from ncsn_lib.protocol import check_count
from ncsn_lib.runs import check_images, train_recipe
from ncsn_lib.training import TrainingState

SETTINGS = ("noise", "network", "training", "sampling")
SHORT = {"--steps": "--training.num-steps", "--batch-size": "--training.batch-size"}


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
    cache: bool = True
    """Keep the decoded images of --data in the folder NCSN_CACHE, or ~/.cache/ncsn_lib, for the next start."""


def run(argv: Sequence[str]) -> int:
    """Train a recipe, or go on with it."""
    from tqdm.auto import tqdm

    recipe, argv = take_recipe("train", argv)
    argv = [SHORT.get(flag, flag) + rest for flag, rest in (_split(word) for word in argv)]
    settings = {name: getattr(recipe, name) for name in SETTINGS}
    options, settings = parse(f"train {recipe.name}", recipe.summary, TrainOptions(), settings, argv)
    recipe = dataclasses.replace(recipe, **settings)
    if options.data is None:
        images = DATASETS[recipe.dataset]("train").images
    else:
        # The recipe says what was trained on, so that a run does not go on with other images.
        recipe = dataclasses.replace(recipe, dataset=f"images of {options.data.name}")
        kept = cache_folder() if options.cache else None
        size = recipe.image_shape[-1]
        images = load_images(options.data, size=size, skip_broken=options.skip_broken, cache=kept).images
    check_images(recipe, images)  # before --fresh deletes anything
    folder, device = run_folder(options, recipe), find_device(options)
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

        done = train_recipe(
            recipe,
            folder,
            device=device,
            checkpoint_every=options.checkpoint_every,
            images=images,
            callback=report,
        )
    last = list_checkpoints(folder)[-1]
    print(f"{done.step} steps done; the network is in {last}, the losses in {folder / 'loss.csv'}")
    return 0


def _split(word: str) -> tuple[str, str]:
    """A flag, and "=value" if it carries one."""
    flag, equals, value = word.partition("=")
    return flag, equals + value
