"""What the book's tools share: where things are, which pages exist, what a chapter's outputs depend on."""

import argparse
import ast
import hashlib
import json
import os
import sys
import tempfile
from functools import cache
from itertools import chain
from pathlib import Path

import jupytext
import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
RESULTS = BOOK / "results"
RUN_TIMES = RESULTS / "run_times.json"
BUILD = ROOT / "_build"
HTML = BUILD / "html"
ONLY = "notebook-only"  # the tag of cells that a page does not have
EXECUTED = BUILD / "executed"  # notebooks as nbval executed them

# Without it the kernel's debugger writes to stderr.
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
QUIET = ["--log-level=40"]  # for kernels: of errors alone, not that they talk to us unencrypted


def pages():
    """Every source of the table of contents, in its order, as paths."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"]]
    for chapter in chain.from_iterable(part["chapters"] for part in toc["parts"]):
        names += [chapter["file"], *(section["file"] for section in chapter.get("sections", []))]
    return [ROOT / f"{name}.md" for name in names]


def chapters():
    """The pages that hold code, in the order of the book."""
    existing = [page for page in pages() if page.exists()]
    return [page for page in existing if "```{code-cell}" in page.read_text(encoding="utf-8")]


def digest(paths):
    """One SHA-256 over names and contents, so that a renamed file counts as a change."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def files_below(folder, pattern="*"):
    """All files below a folder, without caches."""
    return [p for p in folder.rglob(pattern) if p.is_file() and "__pycache__" not in p.parts]


def library_digest():
    """Changes when the library or the tested versions change; no page but the labs' is made from the labs."""
    library = [path for path in files_below(ROOT / "ncsn_lib", "*.py") if "labs" not in path.parts]
    return digest([*library, ROOT / "requirements.lock"])


def named_modules(code):
    """The modules of the library that Python code imports by name, sorted."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    places = {name: ROOT.joinpath(*name.split(".")) for name in names if name.split(".")[0] == "ncsn_lib"}
    return tuple(sorted(n for n, place in places.items() if place.is_dir() or place.with_suffix(".py").exists()))


def imported_modules(page):
    """The modules of the library that a chapter's cells import by name, sorted."""
    return named_modules("\n".join(cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code"))


def executed_files(module):
    """What an import of a module executes of the library itself: its own file, and the packages that hold it."""
    place = ROOT.joinpath(*module.split("."))
    own = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    packages = [folder / "__init__.py" for folder in place.parents if folder.is_relative_to(ROOT / "ncsn_lib")]
    return {own, *packages}


@cache
def imports_of(file):
    """The modules of the library that a file of it imports."""
    return named_modules(file.read_text(encoding="utf-8"))


def imported_files(modules):
    """The files of the library that these of its modules lead to, through whatever they import."""
    files, waiting = set(), list(modules)
    while waiting:
        for file in executed_files(waiting.pop()) - files:
            files.add(file)
            waiting += imports_of(file)
    return files


def read_results(page):
    """The stored results that a chapter names, relative to the book's folder.

    A network's weights bring their record, NAME.json its pictures NAME_*.png, and `Path("FOLDER").glob` all
    that is in the folder.
    """
    text = page.read_text(encoding="utf-8")

    def is_read(file):
        told = [file.name, file.name.replace(".safetensors.json", ".safetensors"), f'"{file.parent.as_posix()}").glob']
        if file.suffix == ".png":
            told.append(f'{file.stem.rpartition("_")[0]}.json"')
        return any(name in text for name in told)

    return sorted(
        file.as_posix() for file in (path.relative_to(BOOK) for path in files_below(RESULTS)) if is_read(file)
    )


def chapter_key(page, with_run_times=True):
    """What a chapter's outputs depend on besides its cells: the modules it imports, and the results that it names."""
    used = [BOOK / name for name in read_results(page)]
    used = [path for path in used if with_run_times or path != RUN_TIMES]
    made_from = [*imported_files(imported_modules(page)), *used, ROOT / "requirements.lock"]
    return digest(made_from)[:16]


def machine():
    """The processor's name and its cores."""
    from ncsn_lib.provenance import processor  # here, since it takes a second that most of the tools need not spend

    return f"{processor()}, {cores()} cores"


def cores():
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def share_cores(tasks):
    """How many of the tasks to run at a time; the kernels started from now on keep to their share of the cores."""
    workers = max(1, min(cores(), tasks, 4))  # a kernel takes about 1 GB
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // workers))  # threads that wait for one another waste both
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine threads that spin are ten times slower
    return workers


def run_times():
    """What was measured before, by chapter."""
    return json.loads(RUN_TIMES.read_text(encoding="utf-8")) if RUN_TIMES.exists() else {}


def write_whole(path, text):
    """Replace a file in one step: a reader sees the old one or the new one, never a part."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8",
                                     newline="\n") as part:  # fmt: skip
        part.write(text)
        part.flush()
        os.fsync(part.fileno())
    os.chmod(part.name, 0o644)
    os.replace(part.name, path)


def command_line(description):
    """Start a command line whose help keeps the lines of the module's docstring."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def say(*words, sep=" "):
    """Print at once, also into a pipe."""
    print(*words, sep=sep, flush=True)


def use_utf8():
    """Let a Windows console show Greek letters."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
