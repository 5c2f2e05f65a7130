"""Sheets: some exercises as one notebook to hand out, and the file by which it is marked."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncsn_lib.exercises import ENTRIES, Exercise, Question
from ncsn_lib.exercises.worker import variable
from ncsn_lib.words import some


@dataclass(frozen=True)
class Sheet:
    """Some exercises with their points.

    Args:
        title: of the sheet.
        points: of each exercise, by its id, in the order of the sheet.
    """

    title: str
    points: dict[str, float]


def make_sheet(title: str, ids: Sequence[str]) -> Sheet:
    """A sheet whose exercises count one point each.

    Raises:
        ValueError: an id that no exercise has, or that stands twice.
    """
    return _checked(Sheet(title, dict.fromkeys(ids, 1.0)), len(ids))


def read_sheet(path: Path) -> Sheet:
    """Read a sheet's TOML file: a `title`, and a table `points`.

    Raises:
        ValueError: no such file, no TOML, an unknown id, or points that are no positive number.
    """
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} is no sheet that can be read: {error}") from error
    points = stored.get("points")
    if not isinstance(points, dict) or not points:
        raise ValueError(f"{path} has no table [points]; a sheet lists there each exercise with its points")
    for id, value in points.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise ValueError(f"{path}: the points of {id} must be a positive number, got {value!r}")
    return _checked(Sheet(str(stored.get("title", path.stem)), points), len(points))


def _checked(sheet: Sheet, number: int) -> Sheet:
    unknown = [id for id in sheet.points if id not in ENTRIES]
    if unknown:
        raise ValueError(f"there is no exercise {some(unknown)}; ncsn_lib.exercises.ENTRIES has all ids")
    if not sheet.points or len(sheet.points) < number:
        raise ValueError("a sheet has at least one exercise, and each once")
    return sheet


def toml(sheet: Sheet) -> str:
    """The sheet as its TOML file."""
    lines = [f"title = {json.dumps(sheet.title)}", "", "[points]"]
    return "\n".join([*lines, *(f"{id} = {value:g}" for id, value in sheet.points.items())]) + "\n"


def notebook(sheet: Sheet, first_cell: str = "") -> Any:
    """The sheet as a notebook: each exercise's goal, its stub, and the cell that checks it.

    Args:
        sheet: what is asked.
        first_cell: a cell that brings the library where it is missing; none by default.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = [new_markdown_cell(f"# {sheet.title}\n\n{INSTRUCTIONS}")]
    cells += [new_code_cell(first_cell)] if first_cell else []
    cells += [new_code_cell("import math\n\nimport torch\n\nfrom ncsn_lib.exercises import check, hint, progress")]
    for number, (id, points) in enumerate(sheet.points.items(), start=1):
        entry = ENTRIES[id]
        count = f"{points:g} point{'' if points == 1 else 's'}"
        text = f"## {number}. {id}\n\n{entry.goal}\n\n*{entry.grade}, about {entry.minutes} minutes, {count}*"
        cells += [new_markdown_cell(text), new_code_cell(stub(entry)), new_code_cell(call(entry))]
    made = new_notebook(cells=cells)
    for position, cell in enumerate(made.cells):
        cell.id = f"cell-{position}"  # the same whenever it is made
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return made


INSTRUCTIONS = """\
Write each function in place of its stub, then run the cell below it: it says whether the answer is right, and if not,
in which way it is wrong. Keep the names. `hint("ID")` helps to begin, `progress()` counts."""


def stub(entry: Exercise | Question) -> str:
    """What stands where an answer is to be written."""
    if isinstance(entry, Exercise):
        return entry.stub.strip()
    choices = f"  # one of {', '.join(map(repr, entry.choices))}" if entry.choices else "  # a number"
    return f"{variable(entry.id)} = None{choices}"


def call(entry: Exercise | Question) -> str:
    """The cell that checks an answer."""
    name = entry.function if isinstance(entry, Exercise) else variable(entry.id)
    return f'check("{entry.id}", {name})'


def write_sheet(sheet: Sheet, folder: Path, name: str, first_cell: str = "") -> tuple[Path, Path]:
    """Write NAME.ipynb to hand out and NAME.toml to mark by; returns the two paths."""
    import nbformat

    folder.mkdir(parents=True, exist_ok=True)
    handed_out, marked_by = folder / f"{name}.ipynb", folder / f"{name}.toml"
    nbformat.write(notebook(sheet, first_cell), handed_out)
    marked_by.write_text(toml(sheet), encoding="utf-8")
    return handed_out, marked_by


def write_otter(sheet: Sheet, folder: Path) -> list[Path]:
    """Write a test for otter-grader for each exercise of a sheet, which calls `check`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for id, points in sheet.points.items():
        entry = ENTRIES[id]
        code = f">>> from ncsn_lib.exercises import check\n>>> {call(entry)}\n{id}: right."
        suite = {"cases": [{"code": code, "hidden": False, "locked": False}], "scored": True, "type": "doctest"}
        test = {"name": id, "points": points, "suites": [suite | {"setup": "", "teardown": ""}]}
        paths.append(folder / f"{variable(id)}.py")
        paths[-1].write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n", encoding="utf-8")
    return paths
