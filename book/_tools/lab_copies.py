"""Open the chapters in JupyterLab, as copies of yours in lab/, where nothing is overwritten: make lab

    python book/_tools/lab_copies.py                  copy what is new there, and open the introduction
    python book/_tools/lab_copies.py --restore NAME   the book's NAME again (05_langevin_dynamics, say), yours beside it
    python book/_tools/lab_copies.py --no-browser     copy only

A notebook in which you have written nothing follows the book. One in which you have is left as it is; if the book has a
newer one, that is said.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import datetime

import nbformat
from chapters import BOOK, RESULTS, ROOT, command_line, say, use_utf8, write_whole

LAB = ROOT / "lab"


def text_of(path):
    """A digest of what is written in a notebook's cells; the rest changes where it is only opened and run."""
    cells = [[cell.cell_type, cell.source] for cell in nbformat.read(path, as_version=4).cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def names():
    """The notebooks of the book, relative to its folder."""
    found = sorted([*BOOK.glob("*.ipynb"), *BOOK.glob("solutions/*.ipynb")])
    return [path.relative_to(BOOK).as_posix() for path in found]


def copy(name, noted):
    """Copy a notebook, and note what it says."""
    (LAB / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(BOOK / name, LAB / name)
    noted[name] = text_of(BOOK / name)


def bring(noted):
    """Bring the reader's folder up to date; return the notebooks that both the reader and the book have changed."""
    both = []
    for name in names():
        if not (LAB / name).exists() or text_of(LAB / name) == noted.get(name):
            copy(name, noted)
        elif text_of(BOOK / name) != noted.get(name):
            both.append(name)
    no_scripts = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(RESULTS, LAB / "results", dirs_exist_ok=True, ignore=no_scripts)  # what the chapters read
    return both


def restore(name, noted):
    """Put the book's notebook in place of the reader's, which is kept; return the kept one's path."""
    path = LAB / name
    kept = path.with_name(f"{path.stem} (yours, {datetime.now():%Y-%m-%d %H.%M.%S}).ipynb")
    path.rename(kept)
    copy(name, noted)
    return kept


def main():
    """Read the command line."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("--restore", metavar="NAME", help="a notebook, by its name")
    parser.add_argument("--no-browser", action="store_true", help="open nothing")
    arguments = parser.parse_args()
    note = LAB / ".copied.json"
    noted = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    LAB.mkdir(exist_ok=True)
    both = bring(noted)
    if arguments.restore:
        name = f"{arguments.restore.removesuffix('.ipynb')}.ipynb"
        if name not in names():
            parser.error(f"no notebook called {arguments.restore}; there are: {', '.join(names())}")
        kept = restore(name, noted)
        say(f"{name} is the book's again; yours is {kept.relative_to(ROOT)}")
    write_whole(note, json.dumps(noted, indent=1))
    if both:
        newer = [name.removesuffix(".ipynb") for name in both]
        say(f"The book has newer ones than yours of: {', '.join(newer)}")
        say(f"To get one, and keep yours: make lab RESTORE={newer[0]}")
    if arguments.restore or arguments.no_browser:
        return 0
    say(f"JupyterLab opens on your copies, in {LAB}; Ctrl-C ends it.")
    options = [f"--ServerApp.root_dir={LAB}", "--LabApp.default_url=/lab/tree/intro.ipynb"]
    return subprocess.run([sys.executable, "-m", "jupyterlab", *options]).returncode


if __name__ == "__main__":
    sys.exit(main())
