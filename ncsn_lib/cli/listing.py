"""`python -m ncsn_lib list`: the recipes, their size, their cost, and what they reproduce."""

from ncsn_lib.cli.command import Command, UserError
from ncsn_lib.cli.terminal import say
from ncsn_lib.recipes import RECIPES
from ncsn_lib.settings import Recipe


def run(command: Command) -> int:
    """Print the recipes; whatever else was asked for is refused."""
    if command.words[:1] in (["-h"], ["--help"]):
        say(f"usage: {command.program}: the recipes, their size, their cost, and what they reproduce")
        return 0
    if command.words:
        raise UserError(f"{command.program} takes no options, got {' '.join(command.words)}")
    rows = [("recipe", "parameters", "steps x batch", "training", "one sample", "reproduces")]
    rows += [(recipe.name, *describe(recipe), recipe.reproduces) for recipe in RECIPES.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say(
        "\nTraining and sampling are counted in floating-point operations. `python -m benchmarks` measures how many a "
        "second a\nmachine does; `python -m ncsn_lib train RECIPE --help` shows a recipe's settings."
    )
    return 0


def describe(recipe: Recipe) -> tuple[str, str, str, str]:
    """In words: parameters, steps x batch, operations of the training and of one sample; nothing is computed."""
    training, (parameters, call) = recipe.training, recipe.size()
    sample = "" if recipe.sampling is None else in_words(call * recipe.calls_per_sample())
    return (
        f"{parameters:,}",
        f"{training.num_steps:,} x {training.batch_size}",
        in_words(recipe.training_operations()),
        sample,
    )


def in_words(operations: float) -> str:
    """A number of operations with its unit."""
    for unit, size in [("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9)]:
        if operations >= size:
            return f"{operations / size:.3g} {unit}FLOP"
    return f"{operations / 1e6:.3g} MFLOP"
