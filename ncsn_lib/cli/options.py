"""What the commands share: options, a flag for every field, and errors of one line."""

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.recipes import RECIPES, Recipe


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
    """The run's folder. By default runs/RECIPE."""


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
    import tyro

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


def run_folder(options: RunOptions, recipe: Recipe) -> Path:
    """The folder of a recipe's run."""
    return options.run_dir or Path("runs") / recipe.name


def classifier_path(dataset: str) -> Path:
    """Where a data set's classifier is kept unless told otherwise."""
    return Path("runs") / "classifiers" / f"{dataset}.safetensors"


def find_device(options: DeviceOptions) -> torch.device:
    """The device that the options name; `UserError` if it cannot be used."""
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=options.device).item()
        return torch.device(options.device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {options.device} cannot be used here: {str(error).splitlines()[0]}") from error
