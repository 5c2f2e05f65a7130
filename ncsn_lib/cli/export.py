"""`python -m ncsn_lib export RECIPE`: a trained network in one file, to share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.cli.options import RunOptions, check_suffix, parse, run_folder, take_recipe
from ncsn_lib.runs import export_run, load_run


@dataclass(frozen=True)
class ExportOptions(RunOptions):
    """Options of `export`."""

    out: Path | None = None
    """The file: .safetensors, its record beside it as .json. By default RECIPE.safetensors."""


def run(argv: Sequence[str]) -> int:
    """Write a trained recipe's network in 16 bits."""
    recipe, argv = take_recipe("export", argv)
    options, _ = parse(f"export {recipe.name}", "a trained network in 16 bits, to share", ExportOptions(), {}, argv)
    out = options.out or Path(f"{recipe.name}.safetensors")
    check_suffix(out, (".safetensors",))
    folder = run_folder(options, recipe)
    trained = load_run(folder)
    made_by = folder / "run.json"
    export_run(trained, out, json.loads(made_by.read_text()) if made_by.exists() else {})
    print(f"the network of step {trained.step} is in {out}, {out.stat().st_size / 1e6:.2f} MB")
    return 0
