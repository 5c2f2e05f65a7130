"""Write the notebooks of the chapters: book/NAME.ipynb, and book/solutions/NAME.ipynb with its solutions, executed.

    python book/_tools/refresh.py              chapters whose text, library or stored results changed
    python book/_tools/refresh.py NAME ...     these chapters, for example 01_score_functions
    python book/_tools/refresh.py --all        every chapter
    python book/_tools/refresh.py --check      execute nothing; fail where text and notebooks differ
    python book/_tools/refresh.py --format     format the code cells of the .md with ruff, first

The .md is the source; a notebook is what JupyterLab, Colab and GitHub open, and what nbval compares with (plain.py).
Made again on the same machine it is the same byte for byte: cell ids come from the cells, times and widget models
are left out. Where only prose changed, the outputs are kept and nothing is executed. How long each chapter
took, where and with what is kept in book/results/run_times.json. The ledger's page is written first.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from threading import Lock

import jupytext
import ledger
import nbformat
from address import configured
from chapters import (
    BOOK,
    ROOT,
    RUN_TIMES,
    chapter_key,
    chapters,
    command_line,
    machine,
    run_times,
    say,
    share_cores,
    use_utf8,
    write_whole,
)
from kernels import chapter_client, code_cells, take_outputs, use_own_folders
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from plain import METADATA, make_notebooks
from references import read_references

SOLUTIONS = BOOK / "solutions"
RECORDING = Lock()  # chapters end side by side
WIDGET = "application/vnd.jupyter.widget-view+json"


def places(page):
    """Where the notebooks of a chapter are: its own, and that of its solutions."""
    return [page.with_suffix(".ipynb"), SOLUTIONS / f"{page.stem}.ipynb"]


def made_notebooks(page, references):
    """The notebooks that a chapter should have, not executed, by their paths."""
    notebooks = make_notebooks(page, references, configured())
    return {path: notebook for path, notebook in zip(places(page), notebooks, strict=True) if notebook}


def execute(notebooks):
    """Run a chapter and then its solutions, in one kernel; return the seconds it took."""
    cells = [cell for notebook in notebooks.values() for cell in notebook.cells]
    started = time.perf_counter()
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    chapter_client(notebook, store_widget_state=False).execute()
    seconds = time.perf_counter() - started
    for notebook in notebooks.values():
        for number, cell in enumerate(code_cells(notebook), 1):
            cell.execution_count = number
            for output in cell.outputs:
                make_repeatable(output)
    return seconds


def make_repeatable(output):
    """Take out of one output what differs from run to run: widget models, and the ids matplotlib draws."""
    data = output.get("data", {})
    data.pop(WIDGET, None)
    if "text/html" in data:
        ids = dict.fromkeys(re.findall(r"_anim_img([0-9a-f]{32})", data["text/html"]))
        for number, old in enumerate(ids):
            data["text/html"] = data["text/html"].replace(old, f"{number:032x}")


def record(page, seconds, key):
    """Keep how long a chapter took, on which machine, with which versions, on which day."""
    names = {chapter.stem for chapter in chapters()}
    entry = {
        "seconds": round(seconds, 1),
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "numpy", "matplotlib")}
        | {"python": ".".join(map(str, sys.version_info[:3]))},
        "date": date.today().isoformat(),
        "made_from": key,
    }
    with RECORDING:
        times = {name: old for name, old in run_times().items() if name in names} | {page.stem: entry}
        write_whole(RUN_TIMES, json.dumps(times, indent=1, sort_keys=True) + "\n")


def differences(page, references):
    """Say in what the chapter and its notebooks differ, one line each; nothing is executed."""
    wanted, found = made_notebooks(page, references), []
    for path in places(page):
        name = path.relative_to(BOOK).as_posix()
        if path.exists() != (path in wanted):
            found.append(f"{name} is missing" if path in wanted else f"{name} has no solutions to show")
        elif path in wanted:
            found += [f"{name}: {what}" for what in cell_differences(wanted[path], nbformat.read(path, as_version=4))]
    return found


def cell_differences(wanted, notebook):
    """In what a notebook differs from the one that it should be."""
    nothing = dict.fromkeys(("cell_type", "source", "metadata", "id"))
    for number, (should, cell) in enumerate(zip_longest(wanted.cells, notebook.cells, fillvalue=nothing)):
        for part in nothing:
            if should[part] != cell[part]:
                yield f"cell {number}: {part} differs from the chapter's text"
                break
        if cell["cell_type"] == "code" and cell.execution_count is None:
            yield f"cell {number} was not executed"


def check(selected):
    """Compare every chapter with its notebooks; return the exit status."""
    references = read_references()
    found = [line for page in selected for line in differences(page, references)]
    known = {path for page in chapters() for path in places(page)}
    strays = {*BOOK.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")} - known
    found += [f"{path.relative_to(BOOK).as_posix()} has no chapter" for path in sorted(strays)]
    for line in found:
        say("  " + line)
    if found:
        say("Run `make refresh` (python book/_tools/refresh.py) and commit what it writes.")
    else:
        say(f"The notebooks of {len(selected)} chapters match their text.")
    return 1 if found else 0


def format_cells(page):
    """Format a chapter's code cells in place, as ruff formats the notebook; keep all else to the byte."""
    notebook = jupytext.read(page)
    before = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{page.stem}.ipynb"
        nbformat.write(notebook, copy)
        ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--config", str(ROOT / "pyproject.toml")]
        subprocess.run([*ruff, str(copy)], check=True)
        formatted = nbformat.read(copy, as_version=4)
    after = [cell.source for cell in formatted.cells if cell.cell_type == "code"]
    text = page.read_text(encoding="utf-8")
    for old, new in zip(before, after, strict=True):
        if old != new and old.strip():
            text = text.replace(f"{old}\n```", f"{new}\n```", 1)
    if text != page.read_text(encoding="utf-8"):
        say(f"{page.name}: code formatted")
        write_whole(page, text)


def keep_outputs(notebooks):
    """Give notebooks the outputs that their files hold; whether those have the same code in the same cells."""
    return all(
        path.exists() and take_outputs(new, nbformat.read(path, as_version=4)) for path, new in notebooks.items()
    )


def describe(notebook):
    """Give each figure its cell's alternative text, where front ends look for it."""
    for cell in code_cells(notebook):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        for output in cell.outputs if alt else []:
            if "image/png" in output.get("data", {}):
                output.metadata.setdefault("image/png", {})["alt"] = alt


def outdated(page):
    """Whether the outputs are in doubt: never executed, or the library or a stored result changed since."""
    return run_times().get(page.stem, {}).get("made_from") != chapter_key(page, with_run_times=False)


def write(notebooks):
    """Write the notebooks of a chapter."""
    for path, notebook in notebooks.items():
        describe(notebook)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, nbformat.writes(notebook) + "\n")


def refresh(page, references, forced=False):
    """Write one chapter's notebooks, executed where that is needed; return whether that succeeded."""
    notebooks = made_notebooks(page, references)
    if not forced and not outdated(page) and keep_outputs(notebooks):
        write(notebooks)
        say(f"{page.stem}: only text changed, outputs kept")
        return True
    say(f"{page.stem}: executing ...")
    key = chapter_key(page, with_run_times=False)
    new = {path: notebook for path, notebook in notebooks.items() if not path.exists()}
    write(new)  # the first cell of the solutions looks for the chapter's notebook
    try:
        seconds = execute(notebooks)
    except (CellExecutionError, CellTimeoutError) as error:
        for path in new:
            path.unlink()
        say(f"{page.stem}: FAILED, its notebooks are left as they were\n{error}")
        return False
    write(notebooks)
    record(page, seconds, key)
    say(f"{page.stem}: {seconds:.0f} s")
    return True


def refresh_all(wanted, references, forced):
    """Refresh chapters, several at a time, the slowest first; return the names of those that failed."""
    seconds = run_times()
    wanted = sorted(wanted, key=lambda page: -seconds.get(page.stem, {}).get("seconds", 0))
    with ThreadPoolExecutor(share_cores(max(1, len(wanted)))) as pool:
        done = pool.map(lambda page: refresh(page, references, forced), wanted)
        return [page.stem for page, good in zip(wanted, done, strict=True) if not good]


def shows_run_times(page):
    """Whether a chapter reads the run times, so that it has to follow the others."""
    return RUN_TIMES.name in page.read_text(encoding="utf-8")


def selection(names, everything, references):
    """The chapters to write."""
    known = {page.stem: page for page in chapters()}
    unknown = [name for name in names if Path(name).stem not in known]
    if unknown:
        sys.exit(f"no chapter called {', '.join(unknown)}; there are: {', '.join(known)}")
    if names:
        return [known[Path(name).stem] for name in names]
    return [page for page in known.values() if everything or outdated(page) or differences(page, references)]


def main():
    """Read the command line."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("names", nargs="*", help="chapters, by file name")
    parser.add_argument("--all", action="store_true", help="every chapter")
    parser.add_argument("--check", action="store_true", help="execute nothing, fail on drift")
    parser.add_argument("--format", action="store_true", help="format the code cells of the sources first")
    arguments = parser.parse_args()
    if arguments.check:
        return check(chapters())
    use_own_folders()
    ledger.write()
    if arguments.format:
        for page in chapters():
            format_cells(page)
    references = read_references()
    wanted = selection(arguments.names, arguments.all, references)
    if not wanted:
        say("Nothing to do: every notebook is as new as its text, the library and the stored results.")
    before = RUN_TIMES.read_bytes() if RUN_TIMES.exists() else b""
    forced = arguments.all or bool(arguments.names)
    early = [page for page in wanted if not shows_run_times(page)]
    failed = refresh_all(early, references, forced)
    changed = RUN_TIMES.exists() and RUN_TIMES.read_bytes() != before
    late = [page for page in chapters() if shows_run_times(page) and (changed or page in wanted)]
    failed += refresh_all(late, references, forced or changed)
    if failed:
        say("Failed:", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
