"""Build the book, strictly, into _build/html.

    python book/_tools/build.py            what changed since the last good build
    python book/_tools/build.py --fresh    everything, every chapter executed again

A warning is an error. jupyter-cache, which keeps the outputs, looks at a chapter's code alone; so what it
keeps is dropped first where the library or a stored result changed. After a build that failed, and when the
style, the configuration or the table of contents changed, every page is written again: Sphinx would neither
repeat its warnings nor copy the changed assets otherwise. All that Sphinx said is in _build/build.log.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from chapters import (
    BOOK,
    HTML,
    ROOT,
    chapter_key,
    chapters,
    command_line,
    digest,
    files_below,
    library_digest,
    say,
    use_utf8,
)
from jupyter_cache import get_cache

BUILD = ROOT / "_build"
STATE = BUILD / "state.json"
LOG = BUILD / "build.log"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL|SEVERE):")
PROGRESS = re.compile(r"Execut(ing|ed) notebook")
KERNEL = "[IPKernelApp]"  # how the kernel talks to us is no concern of the book


def current_state():
    """What this build would be made from."""
    site = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.lock", BOOK / "references.bib"]
    site += files_below(BOOK / "assets") + files_below(BOOK / "_ext", "*.py")
    return {
        "site": digest(site),
        "library": library_digest(),
        "chapters": {page.stem: chapter_key(page) for page in chapters()},
    }


def drop_stale_outputs(old, new):
    """Remove cached outputs whose inputs changed; a change of the cells is jupyter-cache's own affair."""
    folder = BUILD / ".jupyter_cache"
    if not folder.exists():
        return []
    cache = get_cache(str(folder))
    stale = [name for name, key in new["chapters"].items() if old.get("chapters", {}).get(name) != key]
    for record in cache.list_cache_records():
        if Path(record.uri).stem in stale:
            cache.remove_cache(record.pk)
    return stale


def run_sphinx(everything):
    """Run jupyter-book, show what it executes and warns of; return its exit status and the warnings."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(ROOT), "-W", "-n", "--keep-going"] + ["--all"] * everything
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    warnings = []
    with LOG.open("w", encoding="utf-8") as log:
        for line in process.stdout:
            plain = ANSI.sub("", line).rstrip()
            log.write(plain + "\n")
            if KERNEL in plain:
                continue
            if WARNING.search(plain):
                warnings.append(plain)
            if PROGRESS.search(plain) or WARNING.search(plain):
                say("   ", plain.replace(f"{ROOT}{os.sep}", ""))
    return process.wait(), warnings


def failures():
    """The end of what each chapter said that failed to execute."""
    for report in sorted(HTML.rglob("reports/**/*.err.log")):
        plain = ANSI.sub("", report.read_text(encoding="utf-8")).rstrip().splitlines()
        yield "\n".join([f"\n{report.stem.removesuffix('.err')} failed:", *plain[-20:]])


def build(fresh):
    """Build; return the exit status."""
    started = time.perf_counter()
    old = json.loads(STATE.read_text()) if STATE.exists() and not fresh else {}
    if fresh and BUILD.exists():
        shutil.rmtree(BUILD)
    new = current_state()
    stale = drop_stale_outputs(old, new)
    changed = any(old.get(part) != new[part] for part in ("site", "library"))
    everything = bool(changed or stale or not old.get("good"))
    if everything:
        shutil.rmtree(HTML, ignore_errors=True)  # no asset and no page of an earlier book stays behind
    say(f"Building {'every page' if everything else 'the pages that changed'}; a warning is an error.")
    if stale:
        say("Executed again, because the library or a stored result changed:", *stale)
    BUILD.mkdir(exist_ok=True)
    STATE.write_text(json.dumps(new | {"good": False}, indent=1))
    status, warnings = run_sphinx(everything)
    seconds = time.perf_counter() - started
    if status or warnings:
        say(*failures(), sep="\n")
        say(f"\nNot built: {len(warnings)} warnings, exit status {status}, {seconds:.0f} s. See {LOG}")
        return status or 1
    STATE.write_text(json.dumps(new | {"good": True}, indent=1))
    say(f"\nThe book is built, with 0 warnings, in {seconds:.0f} s. Open {HTML / 'index.html'}")
    return 0


def main():
    """Read the command line."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("--fresh", action="store_true", help="forget the last build and every cached output")
    return build(parser.parse_args().fresh)


if __name__ == "__main__":
    sys.exit(main())
