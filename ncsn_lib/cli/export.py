"""`python -m ncsn_lib export RECIPE`: a trained network in one file, to share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.cli.options import RunOptions, check_suffix, parse, run_folder, take_recipe
from ncsn_lib.onnx_export import export_onnx
from ncsn_lib.runs import export_run, load_run


@dataclass(frozen=True)
class ExportOptions(RunOptions):
    """Options of `export`."""

    out: Path | None = None
    """The file, its record beside it as .json: .safetensors in 16 bits, or .onnx in 32 for a browser. By default
    RECIPE.safetensors."""


def run(argv: Sequence[str]) -> int:
    """Write a trained recipe's network."""
    recipe, argv = take_recipe("export", argv)
    options, _ = parse(f"export {recipe.name}", "a trained network in one file, to share", ExportOptions(), {}, argv)
    out = options.out or Path(f"{recipe.name}.safetensors")
    check_suffix(out, (".safetensors", ".onnx"))
    folder = run_folder(options, recipe)
    trained = load_run(folder)
    made_by = folder.with_suffix(".json") if folder.suffix == ".safetensors" else folder / "run.json"
    record = json.loads(made_by.read_text()) if made_by.exists() else {}
    (export_onnx if out.suffix == ".onnx" else export_run)(trained, out, record)
    print(f"the network of step {trained.step} is in {out}, {out.stat().st_size / 1e6:.2f} MB")
    return 0
