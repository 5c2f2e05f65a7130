"""What the book's tools share: where things are, which pages exist, what a chapter's outputs depend on."""

import argparse
import hashlib
import os
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
RESULTS = BOOK / "results"
RUN_TIMES = RESULTS / "run_times.json"
HTML = ROOT / "_build" / "html"

# Without it the kernel's debugger writes to stderr.
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
QUIET = ["--log-level=40"]  # for kernels: of errors alone, not that they talk to us unencrypted


def pages():
    """Every source of the table of contents, in its order, as paths."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"]]
    names += [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
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
    """Changes when the library or the tested versions change; no chapter's cell imports the labs."""
    library = [path for path in files_below(ROOT / "ncsn_lib", "*.py") if "labs" not in path.parts]
    return digest([*library, ROOT / "requirements.lock"])


def chapter_key(page, with_run_times=True):
    """What a chapter's outputs depend on besides its cells: the library, and the results that it names."""
    text = page.read_text(encoding="utf-8")
    used = [p for p in files_below(RESULTS) if p.name in text and (with_run_times or p != RUN_TIMES)]
    return hashlib.sha256((library_digest() + digest(used)).encode()).hexdigest()[:16]


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
    return workers


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
