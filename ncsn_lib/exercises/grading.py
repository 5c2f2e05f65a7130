"""Marks a folder of submissions: read here, run behind a fence, judged here."""

import csv
import hashlib
import html
import io
import json
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncsn_lib.exercises import ENTRIES, Exercise, Verdict
from ncsn_lib.exercises.judging import judge, judge_number
from ncsn_lib.exercises.observing import Observation
from ncsn_lib.exercises.sandbox import Fence, Worker
from ncsn_lib.exercises.sheets import Sheet
from ncsn_lib.files import write_file, write_result
from ncsn_lib.words import reason_of, shown

SECONDS = 60.0
"""That one submission may take."""
INSIDE = re.compile(r"\b(oracle|twin|ENTRIES|exercises\.\w+)\b")
"""What a submission names that looks into the exercises; a teacher looks at it."""


@dataclass
class Mark:
    """What one submission got.

    Args:
        name: of the submission, its file's path without the ending.
        verdicts: on each exercise of the sheet, by its id; none where the submission gave nothing.
        points: of each exercise.
        problems: why it gave nothing, or the errors of its cells.
        look: what a teacher should look at.
    """

    name: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    points: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    look: str = ""

    @property
    def total(self) -> float:
        """The sum of its points."""
        return sum(self.points.values())


def secret_seed(words: str) -> int:
    """A seed made from words, of which nobody can guess the cases."""
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:6], "big")


def submissions(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its name without the ending, hidden ones left out; a name that two share is whole.

    Raises:
        ValueError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name the one that holds the notebooks")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    if not files:
        raise ValueError(f"{folder} has no files; put there the notebooks that were handed in")
    stems = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    whole = [path.relative_to(folder).as_posix() for path in files]
    return {w if stems.count(s) > 1 else s: path for s, w, path in zip(stems, whole, files, strict=True)}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells.

    Raises:
        ValueError: it is no notebook.
    """
    import nbformat

    try:
        found = nbformat.read(path, as_version=4)
        return ["".join(cell.source) for cell in found.cells if cell.cell_type == "code"]
    except Exception as error:  # whatever a file of a stranger makes the reader raise
        raise ValueError(f"it is no notebook that can be read: {reason_of(error)}") from error


def grade(
    files: dict[str, Path],
    sheet: Sheet,
    seed: int,
    fence: Fence,
    *,
    num_workers: int = 2,
    seconds: float = SECONDS,
    callback: Callable[[Mark], None] = lambda mark: None,
) -> list[Mark]:
    """Mark submissions.

    Args:
        files: the notebooks by the submission's name.
        sheet: the exercises with their points.
        seed: of the cases; a class that does not know it cannot write answers for them.
        fence: behind which they run.
        num_workers: how many run at once.
        seconds: that one may take.
        callback: is told of each mark.

    Returns:
        The marks in the order of the files.

    Raises:
        OSError: no worker starts behind the fence.
    """
    own, workers = threading.local(), []

    def worker() -> Worker:
        if not hasattr(own, "worker"):
            own.worker = Worker(fence)  # in the thread that uses it: bubblewrap ends with the thread that began it
            workers.append(own.worker)
        return own.worker

    def mark(name: str) -> Mark:
        try:
            cells = read_cells(files[name])
        except ValueError as error:
            return Mark(name, problems=[str(error)])
        job = {"cells": cells, "ids": list(sheet.points), "seed": seed, "seconds": seconds}
        data = worker().run(job, seconds + 30)
        made = marked(name, data, sheet, seed)
        inside = sorted({found[0] for cell in cells for found in INSIDE.finditer(cell)} - {"exercises.check"})
        made.look = f"names {', '.join(inside)}: look at how it answers" if inside else ""
        return made

    marks = []
    try:
        with ThreadPoolExecutor(num_workers) as pool:
            for made in pool.map(mark, files):
                marks.append(made)
                callback(made)
    finally:
        for one in workers:
            one.close()
    return marks


def marked(name: str, data: bytes, sheet: Sheet, seed: int) -> Mark:
    """The mark of what a submission sent back, which is believed in nothing but its values."""
    import safetensors.torch

    try:
        length = int.from_bytes(data[:8], "big")
        header = json.loads(data[8 : 8 + length])
        if why := header.get("stopped"):
            return Mark(name, problems=[str(why)[:500]])
        tensors = safetensors.torch.load(data[8 + length :])
        problems = [str(problem)[:500] for problem in header["problems"][:50]]
        verdicts = {id: _verdict(id, header["answers"][id], tensors, seed) for id in sheet.points}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, safetensors.SafetensorError):
        return Mark(name, problems=["its process ended before it had answered"])
    return Mark(name, verdicts, {id: sheet.points[id] if verdicts[id] else 0.0 for id in sheet.points}, problems)


def _verdict(id: str, answer: dict[str, Any], tensors: dict[str, Any], seed: int) -> Verdict:
    entry = ENTRIES[id]
    if not isinstance(entry, Exercise):
        return judge_number(entry, answer["number"])
    failure = answer["failure"]
    if failure is not None:
        kind, words = failure
        return Verdict(id, str(words)[:500], mistake=str(kind))
    outputs = {
        str(name): [tensors[f"{id}/{name}/{number}"] for number in range(int(count))]
        for name, count in answer["outputs"].items()
    }
    changed = None if answer["changed"] is None else str(answer["changed"])
    return judge(entry, Observation(outputs, None, bool(answer["draws"]), changed), seed)


def write_marks(marks: Sequence[Mark], sheet: Sheet, folder: Path, record: dict[str, Any]) -> None:
    """Write marks.csv and marks.json, and for each submission a page and Gradescope's results.json."""
    write_file(folder / "marks.csv", table(marks, sheet).encode("utf-8-sig"))  # so a spreadsheet reads the names
    entries = [
        {
            "name": mark.name,
            "total": mark.total,
            "points": mark.points,
            "said": {id: verdict.sentence for id, verdict in mark.verdicts.items()},
            "mistakes": {id: verdict.mistake for id, verdict in mark.verdicts.items() if verdict.mistake},
            "problems": mark.problems,
            "look": mark.look,
        }
        for mark in marks
    ]
    write_result(folder / "marks.json", {"sheet": sheet.title, "points": sheet.points, "marks": entries, **record})
    for mark in marks:
        place = folder / "students" / mark.name
        write_file(place.with_name(place.name + ".html"), page(mark, sheet).encode())
        write_result(folder / "gradescope" / mark.name / "results.json", gradescope(mark, sheet))


def table(marks: Sequence[Mark], sheet: Sheet) -> str:
    """The marks as CSV: a row for each submission, a column for each exercise."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", *sheet.points, "total", "of", "remarks"])
    for mark in marks:
        points = [f"{mark.points.get(id, 0):g}" for id in sheet.points]
        remarks = "; ".join([*mark.problems, *([mark.look] if mark.look else [])])
        cells = [mark.name, *points, f"{mark.total:g}", f"{sum(sheet.points.values()):g}", remarks]
        writer.writerow([_no_formula(shown(cell)) for cell in cells])
    return out.getvalue()


def _no_formula(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


def gradescope(mark: Mark, sheet: Sheet) -> dict[str, Any]:
    """The mark as Gradescope's autograder takes it."""
    tests = [
        {
            "name": id,
            "score": mark.points.get(id, 0.0),
            "max_score": points,
            "output": mark.verdicts[id].sentence if id in mark.verdicts else "nothing to mark",
            "visibility": "visible",
        }
        for id, points in sheet.points.items()
    ]
    return {"score": mark.total, "output": "\n".join(mark.problems), "tests": tests}


def page(mark: Mark, sheet: Sheet) -> str:
    """The mark as a page for the student."""
    rows = "".join(
        f"<tr><td>{html.escape(id)}</td><td>{mark.points.get(id, 0):g} of {points:g}</td>"
        f"<td>{html.escape(mark.verdicts[id].sentence if id in mark.verdicts else 'nothing to mark')}</td></tr>\n"
        for id, points in sheet.points.items()
    )
    title, name = html.escape(sheet.title), html.escape(shown(mark.name))
    problems = "".join(f"<li>{html.escape(shown(problem))}</li>\n" for problem in mark.problems)
    whole = f"{mark.total:g} of {sum(sheet.points.values()):g} points"
    told = f"<p>What stopped:</p>\n<ul>\n{problems}</ul>\n" if problems else ""
    return PAGE.format(title=title, name=name, whole=whole, rows=rows, problems=told)


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: {name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
td, th {{ border-bottom: 1px solid; padding: 0.4rem 1rem 0.4rem 0; text-align: left; vertical-align: top; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{name}: {whole}</p>
<table>
<thead><tr><th scope="col">Exercise</th><th scope="col">Points</th><th scope="col">What was found</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
{problems}</main>
</body>
</html>
"""
