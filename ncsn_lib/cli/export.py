"""`python -m ncsn_lib export RECIPE`: a trained network in one file, to share."""

from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.checkpoints import load_model
from ncsn_lib.cli.command import Command, RunOptions, check_suffix
from ncsn_lib.cli.terminal import say
from ncsn_lib.files import check_writable
from ncsn_lib.onnx_export import export_onnx
from ncsn_lib.runs import export_run, load_run, read_run_record


@dataclass(frozen=True)
class ExportOptions(RunOptions):
    """Options of `export`."""

    out: Path | None = None
    """The file, its record beside it by its name with .json behind: .safetensors in 16 bits, or .onnx in 32 for a
    browser. By default RECIPE.safetensors."""


def run(command: Command) -> int:
    """Write a trained recipe's network."""
    recipe = command.take_recipe()
    options, _ = command.parse("a trained network in one file, to share", ExportOptions(), {})
    out = options.out or Path(f"{recipe.name}.safetensors")
    check_suffix(out, (".safetensors", ".onnx"))
    folder = options.folder(recipe)
    trained = load_run(folder)
    record = load_model(folder)[1] if folder.suffix == ".safetensors" else read_run_record(folder)
    check_writable(out)
    if out.suffix == ".onnx":
        say(f"{command.title}: the network is traced, which takes up to a minute")
    (export_onnx if out.suffix == ".onnx" else export_run)(trained, out, record)
    say(f"the network of step {trained.step} is in {out}, {out.stat().st_size / 1e6:.2f} MB")
    return 0
