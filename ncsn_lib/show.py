"""Show in a chapter what the library and the stored results own: sources, recipes side by side, a run's figures."""

import ast
import base64
import html
import inspect
import json
import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncsn_lib.extras import need
from ncsn_lib.runs import Run, load_run, train_recipe
from ncsn_lib.settings import Recipe

CONSTANTS = {
    "$\\sigma_1$, $\\sigma_L$": lambda r: f"{r.noise.sigma_max:g}, {r.noise.sigma_min:g}",
    "$L$": lambda r: r.noise.num_levels,
    "network": lambda r: type(r.network).__name__.removesuffix("Settings"),
    "parameters": lambda r: f"{r.size()[0]:,}",
    "steps × batch": lambda r: f"{r.training.num_steps:,} × {r.training.batch_size}",
    "learning rate": lambda r: f"{r.training.learning_rate:g}" + ", cosine" * r.training.cosine_decay,
    "Adam's $\\beta$": lambda r: r.training.betas,
    "longest gradient": lambda r: r.training.max_grad_norm or "any",
    "averaged weights": lambda r: r.training.ema_decay or "no",
    "dequantised": lambda r: "yes" if r.training.dequantize else "no",
    "mirrored at random": lambda r: "yes" if r.training.flip else "no",
    "trained in": lambda r: "bfloat16 (autocast)" if r.training.bfloat16 else "float32",
    "sampler": lambda r: "annealed Langevin" if hasattr(r.sampling, "eps") else "consistent",
    "$\\epsilon$": lambda r: f"{r.sampling.eps:g}" if hasattr(r.sampling, "eps") else "–",
    "$T$": lambda r: getattr(r.sampling, "num_steps", "–"),
    "calls a sample": lambda r: r.calls_per_sample(),
}
"""The constants of a recipe of images, as a table shows them."""
NARROW = "overflow-wrap: anywhere"
"""A style by which commands and paths fit a phone."""


def show_source(thing: Any, *, docstring: bool = False) -> Any:
    """The source of a function or class, as a highlighted code block in a notebook.

    Args:
        thing: a function, method or class of the library.
        docstring: keep its docstring; without it the lines that compute are left.

    Returns:
        An `IPython.display.Code` object, displayed when it ends a cell.
    """
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    source = source if docstring else without_docstring(source)
    return need("IPython.display", "plot", "a source").Code(source, language="python")


def without_docstring(source: str) -> str:
    """The source of one definition without the docstring of its outermost `def` or `class`."""
    definition = ast.parse(source).body[0]
    if not isinstance(definition, ast.FunctionDef | ast.ClassDef) or ast.get_docstring(definition) is None:
        return source
    docstring, lines = definition.body[0], source.splitlines()
    del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines) + "\n"


def recipe_table(columns: Mapping[str, Recipe]) -> Any:
    """Recipes side by side, constant by constant, as a table in a notebook.

    Args:
        columns: the recipes, each by what is written above its column.

    Returns:
        An `IPython.display.Markdown` object.
    """
    recipes = columns.values()
    rows = [["constant", *columns], ["---"] * (1 + len(columns))]
    rows += [[name, *(f"{value(recipe)}" for recipe in recipes)] for name, value in CONSTANTS.items()]
    return need("IPython.display", "plot", "a table").Markdown("\n".join("| " + " | ".join(row) + " |" for row in rows))


def show_result(path: str | Path, *commands: str, picture: str = "", caption: str = "", alt: str = "") -> Any:
    """A figure of a stored run with where it comes from; where the run is not stored yet, how to make it.

    `book/results/paper_run.py RECIPE` writes `RECIPE.json` and the pictures `RECIPE_PICTURE.png` beside it. With
    NCSN_FULL=1 a result that is missing is made first, by its commands; on a GPU that takes hours.

    Args:
        path: the result, `book/results/RECIPE.json`.
        commands: what makes it, in order, from the folder that holds `book`; none where the page has said so before.
        picture: which of its pictures; without one its figures are shown as a table.
        caption: what is seen.
        alt: the same for who cannot see it; needed with a picture.

    Returns:
        An `IPython.display.HTML` object: the figure, or a note "not run yet" with the commands.

    Raises:
        ValueError: a picture without alternative text.
        FileNotFoundError: a result that lacks the picture.
        RuntimeError: with NCSN_FULL=1, a command that fails.
    """
    display = need("IPython.display", "plot", "a result")
    path = Path(path)
    if picture and not alt:
        raise ValueError(f"alt must say what the picture {picture!r} shows, got {alt!r}")
    if not path.exists() and full_is_wanted():
        for command in commands:
            program, *words = shlex.split(command)
            program = sys.executable if program == "python" else program
            status = subprocess.run([program, *words], cwd=path.resolve().parents[2]).returncode
            if status:
                raise RuntimeError(f"{command} ended with status {status}; NCSN_FULL=0 shows the page without it")
    if not path.exists():
        lines = "".join(f"<li><code>{html.escape(command)}</code></li>" for command in commands)
        how = f" It is made by</p><ol>{lines}</ol>" if commands else "</p>"
        return display.HTML(
            f'<div class="admonition note" style="{NARROW}">'
            f'<p class="admonition-title">{html.escape(path.stem)}: not run yet</p>'
            f"<p>Nothing on this page is of this run.{how}</div>"
        )
    result = json.loads(path.read_text())
    shown = _figures_table(result) if not picture else ""
    if picture:
        png = base64.b64encode(path.with_name(f"{path.stem}_{picture}.png").read_bytes()).decode()
        # Enlarged by whole pixels, as the other figures of images are.
        style = "width: 100%; max-width: 36rem; image-rendering: pixelated"
        shown = f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/png;base64,{png}"/>'
    origin = f"{html.escape(caption)} {_origin(result)}"
    return display.HTML(f'<figure>{shown}<figcaption style="{NARROW}">{origin}</figcaption></figure>')


def _origin(result: Mapping[str, Any]) -> str:
    """A stored run's data, steps, command, date and machine, in a sentence."""
    made = result["provenance"]
    return (
        f"<small>{html.escape(result['recipe'])} at step {result['step']:,} on {html.escape(result['data'])}, "
        f"by <code>{html.escape(made['command'])}</code>, {made['date']}, {html.escape(made['machine'])}.</small>"
    )


def _figures_table(result: Mapping[str, Any]) -> str:
    """What the classifier made of a stored run's samples and of real images; of faces, how near training images are."""
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    if "judged" not in result:
        head = ("", "images", "median distance to the nearest training image", "nearer than 99 % of test images")
        near = {name: (row["num"], row["in_pixels"]) for name, row in result["statistics"]["nearest"].items()}
        rows = [(name, f"{n:,}", f"{row['0.5']:.2f}", f"{row['copy_rate']:.1%}") for name, (n, row) in near.items()]
        return _table(head, rows)
    head = ("", "images", "sure", "rarest and commonest class", "Frechet distance, classifier's features")
    rows = [
        (
            row["name"],
            f"{row['num_images']:,}",
            f"{row['sure_share']:.1%}",
            f"{min(row['class_shares']):.3f}, {max(row['class_shares']):.3f}",
            f"{row['feature_distance']:.2f}",
        )
        for row in result["judged"]["rows"]
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [f"<tr>{''.join(f'<th>{word}</th>' if word else '<td></td>' for word in head)}</tr>"]
    cells += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f'<div style="overflow-x: auto"><table class="table">{"".join(cells)}</table></div>'


def full_is_wanted() -> bool:
    """Whether NCSN_FULL=1 asks for the paper's own experiments in place of what the book stores.

    Raises:
        ValueError: NCSN_FULL is neither 0 nor 1.
    """
    wish = os.environ.get("NCSN_FULL", "0")
    if wish not in ("0", "1"):
        raise ValueError(f"NCSN_FULL must be 0 or 1, got {wish!r}")
    return wish == "1"


class AnyDevice(nn.Module):
    """A network that takes tensors of any device, computes on its own, and answers where they came from."""

    def __init__(self, network: nn.Module):
        """Wrap a network (x, sigma) -> score."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, *D) score on the device of `x` (B, *D); `sigma` is (B,)."""
        home = next(self.network.parameters()).device
        return self.network(x.to(home), sigma.to(home)).to(x.device)


def full_or_small_run(full: Recipe, small: Path, runs: Path, device: str | torch.device = "cuda") -> Run:
    """The run that a chapter shows: the small one stored with the book or, with NCSN_FULL=1, the paper's own.

    Args:
        full: the paper's recipe. With NCSN_FULL=1 it is trained in `runs`/NAME, or gone on with; that takes hours.
        small: the stored network that stands in for it, `NAME.safetensors`.
        runs: the folder of the runs.
        device: where the paper's network is trained and computes; it takes tensors of the CPU, too.

    Raises:
        ValueError: NCSN_FULL is neither 0 nor 1, or there is no such device.
        CheckpointError: a run that cannot be read.
    """
    if not full_is_wanted():
        return load_run(small)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError("NCSN_FULL=1 trains the paper's networks and wants a GPU; there is none: leave it unset")
    folder = Path(runs) / full.name
    train_recipe(full, folder, device=device, on_gpu=torch.device(device).type == "cuda")
    run = load_run(folder, device)
    return run._replace(network=AnyDevice(run.network).eval())
