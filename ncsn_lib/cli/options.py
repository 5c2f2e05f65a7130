"""What the commands share: options, a flag for every field, and errors of one line."""

import dataclasses
import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncsn_lib.data import cache_folder, load_images
from ncsn_lib.extras import need
from ncsn_lib.recipes import RECIPES, SOURCES
from ncsn_lib.runs import Run, load_run, own_images
from ncsn_lib.settings import Recipe


class UserError(Exception):
    """Something the user can put right; printed in one line, without a traceback."""


@dataclass(frozen=True)
class DeviceOptions:
    """Where a command computes."""

    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ...; auto takes a GPU if there is one."""


@dataclass(frozen=True)
class RunOptions(DeviceOptions):
    """Options of the commands that use a run's folder."""

    run_dir: Path | None = None
    """The run's folder, or a file NAME.safetensors that `export` wrote. By default runs/RECIPE."""


def choose(kind: str, name: str, known: dict[str, Any]) -> Any:
    """What `known` has of that name; `UserError` with the nearest name if it has none."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    raise UserError(f"there is no {kind} {name!r}; {hint}")


def take_recipe(command: str, argv: Sequence[str]) -> tuple[Recipe, list[str]]:
    """The recipe that a command's first argument names, and the other arguments."""
    if not argv or argv[0].startswith("-"):
        raise UserError(
            f"usage: python -m ncsn_lib {command} RECIPE [OPTIONS], options after the recipe; "
            f"the recipes: {', '.join(RECIPES)}"
        )
    return choose("recipe", argv[0], RECIPES), list(argv[1:])


def parse(prog: str, description: str, options: Any, settings: dict[str, Any], argv: Sequence[str]) -> tuple[Any, dict]:
    """Options, and groups of settings, with the overrides of the command line, a flag per field.

    Args:
        prog: the command as it was called.
        description: one sentence for its help.
        options: the command's own options, a dataclass with its defaults.
        settings: groups of settings by name, dataclasses with their defaults; their flags carry the group's name.
        argv: the arguments.

    Returns:
        The options and the groups, as they were given.
    """
    tyro = need("tyro", "cli", "the command line")
    arguments = dataclasses.make_dataclass(
        "Arguments",
        [("run", tyro.conf.OmitArgPrefixes[type(options)])] + [(name, type(value)) for name, value in settings.items()],
    )
    parsed = tyro.cli(
        arguments,
        default=arguments(run=options, **settings),
        args=list(argv),
        prog=f"python -m ncsn_lib {prog}",
        description=description,
    )
    return parsed.run, {name: getattr(parsed, name) for name in settings}


def load_training_images(recipe: Recipe, data: Path | None, skip_broken: bool, cache: bool) -> tuple[Recipe, Tensor]:
    """The images that a recipe is trained on, its own or those of a folder or zip, and the recipe that says so."""
    if data is None:
        return recipe, own_images(recipe)
    kept = cache_folder() if cache else None
    images = load_images(data, size=recipe.image_shape[-1], skip_broken=skip_broken, cache=kept).images
    # The recipe says what was trained on, so that a run does not go on with other images.
    return dataclasses.replace(recipe, dataset=f"images of {data.name}"), images


def load_with_settings(
    title: str, recipe: Recipe, options: Any, argv: Sequence[str], check: Callable[[Any], None]
) -> tuple[Any, Run]:
    """A command's options, checked, and the recipe's run with the sampling settings of the command line.

    The run's own settings are the defaults, whatever the recipe says today.
    """
    given, _ = parse(title, recipe.summary, options, {"sampling": recipe.sampler}, argv)
    check(given)
    trained = load_run(run_folder(given, recipe), find_device(given))
    argv = [word for word in argv if word not in ("-h", "--help")]
    _, settings = parse(title, recipe.summary, options, {"sampling": trained.recipe.sampler}, argv)
    return given, trained._replace(recipe=dataclasses.replace(trained.recipe, **settings))


def check_suffix(out: Path, known: Sequence[str]) -> None:
    """Raise `UserError` unless the file's name ends in one of these."""
    if out.suffix not in known:
        words = [suffix or "nothing (a folder)" for suffix in known]
        raise UserError(f"--out must end in {', '.join(words[:-1])}{' or ' * (len(words) > 1)}{words[-1]}, got {out}")


def load_test_images(recipe: Recipe, data: Path | None) -> Tensor:
    """Images that a recipe was not trained on: its data set's test split, or those of a folder or zip."""
    if data is None:
        if recipe.dataset not in SOURCES:
            raise UserError(f"the run was trained on {recipe.dataset}; name images with --data")
        return SOURCES[recipe.dataset]("test").images
    return load_images(data, size=recipe.image_shape[-1]).images


def run_folder(options: RunOptions, recipe: Recipe) -> Path:
    """The folder of a recipe's run."""
    return options.run_dir or Path("runs") / recipe.name


def classifier_path(dataset: str) -> Path:
    """Where a data set's classifier is kept unless told otherwise."""
    return Path("runs") / "classifiers" / f"{dataset}.safetensors"


def find_device(options: DeviceOptions) -> torch.device:
    """The device that the options name; `UserError` if it cannot be used."""
    if options.device == "auto":
        return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=options.device).item()
        return torch.device(options.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {options.device} cannot be used here: {str(error).splitlines()[0]}") from error
