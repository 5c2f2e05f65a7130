"""Write the notebook (.ipynb) beside each chapter (.md), executed.

    python book/_tools/refresh.py              chapters whose text, library or stored results changed
    python book/_tools/refresh.py NAME ...     these chapters, for example 01_score_functions
    python book/_tools/refresh.py --all        every chapter
    python book/_tools/refresh.py --check      execute nothing; fail where text and notebook differ
    python book/_tools/refresh.py --format     format the code cells of the .md with ruff, first

The .md is the source; the .ipynb is what Colab, Binder and GitHub open, and what nbval compares with. Made
again on the same machine it is the same byte for byte: cell ids come from the cells, times and widget models
are left out. Where only prose changed, the outputs are kept and nothing is executed. How long each chapter
took, where and with what is kept in book/results/run_times.json. The ledger's page is written first.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import jupytext
import ledger
import nbformat
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
    use_utf8,
    write_whole,
)
from kernels import chapter_client, take_outputs, use_own_folders
from nbclient.exceptions import CellExecutionError, CellTimeoutError

METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


def read_source(page):
    """The chapter's cells, with ids that depend on them alone."""
    notebook = jupytext.read(page)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = hashlib.sha1(f"{index}:{cell.source}".encode()).hexdigest()[:8]
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(page):
    """Run a chapter; return its notebook and the seconds it took."""
    notebook = read_source(page)
    started = time.perf_counter()
    chapter_client(notebook, store_widget_state=False).execute()
    seconds = time.perf_counter() - started
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            make_repeatable(output)
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook, seconds


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
    times = {name: entry for name, entry in run_times().items() if name in names}
    times[page.stem] = {
        "seconds": round(seconds, 1),
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "numpy", "matplotlib")}
        | {"python": ".".join(map(str, sys.version_info[:3]))},
        "date": date.today().isoformat(),
        "made_from": key,
    }
    RUN_TIMES.parent.mkdir(exist_ok=True)
    write_whole(RUN_TIMES, json.dumps(times, indent=1, sort_keys=True) + "\n")


def differences(page):
    """Say in what the chapter and its notebook differ, one line each; nothing is executed."""
    path = page.with_suffix(".ipynb")
    if not path.exists():
        return [f"{path.name} is missing"]
    source, notebook = read_source(page), nbformat.read(path, as_version=4)
    if len(source.cells) != len(notebook.cells):
        return [f"{page.name} has {len(source.cells)} cells, {path.name} has {len(notebook.cells)}"]
    found = []
    for index, (wanted, cell) in enumerate(zip(source.cells, notebook.cells, strict=True)):
        for part in ("cell_type", "source", "metadata", "id"):
            if wanted[part] != cell[part]:
                found.append(f"{path.name}: cell {index}: {part} differs from {page.name}")
                break
        if cell.cell_type == "code" and cell.execution_count is None:
            found.append(f"{path.name}: cell {index} was not executed")
    return found


def check(selected):
    """Compare every chapter with its notebook; return the exit status."""
    found = [line for page in selected for line in differences(page)]
    stems = {page.stem for page in chapters()}
    found += [f"{p.name} has no chapter" for p in sorted(BOOK.glob("*.ipynb")) if p.stem not in stems]
    for line in found:
        say("  " + line)
    if found:
        say("Run `make refresh` (python book/_tools/refresh.py) and commit what it writes.")
    else:
        say(f"{len(selected)} notebooks match their text.")
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


def keep_outputs(page):
    """Give the changed prose to a notebook whose code is unchanged; return it, or None where code changed."""
    source, old = read_source(page), nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    return source if take_outputs(source, old) else None


def outdated(page):
    """Whether the outputs are in doubt: never executed, or the library or a stored result changed since."""
    made_from = run_times().get(page.stem, {}).get("made_from")
    return not page.with_suffix(".ipynb").exists() or made_from != chapter_key(page, with_run_times=False)


def refresh(page, forced=False):
    """Write one chapter's notebook, executed where that is needed; return whether that succeeded."""
    if not forced and not outdated(page) and (notebook := keep_outputs(page)):
        write_whole(page.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
        say(f"{page.stem}: only text changed, outputs kept")
        return True
    say(f"{page.stem}: executing ...")
    key = chapter_key(page, with_run_times=False)
    try:
        notebook, seconds = execute(page)
    except (CellExecutionError, CellTimeoutError) as error:
        say(f"{page.stem}: FAILED, its notebook is left as it was\n{error}")
        return False
    write_whole(page.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
    record(page, seconds, key)
    say(f"{page.stem}: {seconds:.0f} s")
    return True


def shows_run_times(page):
    """Whether a chapter reads the run times, so that it has to follow the others."""
    return RUN_TIMES.name in page.read_text(encoding="utf-8")


def selection(names, everything):
    """The chapters to write; those that show run times come last."""
    known = {page.stem: page for page in chapters()}
    unknown = [name for name in names if Path(name).stem not in known]
    if unknown:
        sys.exit(f"no chapter called {', '.join(unknown)}; there are: {', '.join(known)}")
    if names:
        return [known[Path(name).stem] for name in names]
    wanted = [page for page in known.values() if everything or outdated(page) or differences(page)]
    return sorted(wanted, key=shows_run_times)


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
    wanted = selection(arguments.names, arguments.all)
    if not wanted:
        say("Nothing to do: every notebook is as new as its text, the library and the stored results.")
    before = RUN_TIMES.read_bytes() if RUN_TIMES.exists() else b""
    forced = arguments.all or bool(arguments.names)
    failed = [page.stem for page in wanted if not refresh(page, forced)]
    if RUN_TIMES.exists() and RUN_TIMES.read_bytes() != before:
        late = [page for page in chapters() if shows_run_times(page) and page not in wanted]
        failed += [page.stem for page in late if not refresh(page, forced=True)]
    if failed:
        say("Failed:", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
