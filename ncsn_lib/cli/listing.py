"""`python -m ncsn_lib list`: the recipes."""

from collections.abc import Sequence

from ncsn_lib.recipes import RECIPES


def run(argv: Sequence[str]) -> int:
    """Print the recipes."""
    print("recipes:")
    for recipe in RECIPES.values():
        print(f"  {recipe.name:<18}{recipe.summary}")
    return 0
