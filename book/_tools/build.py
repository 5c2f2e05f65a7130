"""Build the book, strictly, into _build/html.

    python book/_tools/build.py            what changed since the last good build
    python book/_tools/build.py --fresh    everything, every chapter executed again

A warning is an error. Chapters are executed first, as many at a time as there are cores, the slowest first, and their
outputs kept by jupyter-cache, where Sphinx finds them. The cache looks at a chapter's code alone; so what it keeps is
dropped where the library or a stored result changed. After a build that failed, and when the
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chapters import (
    BOOK,
    HTML,
    QUIET,
    ROOT,
    RUN_TIMES,
    chapter_key,
    chapters,
    command_line,
    digest,
    files_below,
    library_digest,
    say,
    share_cores,
    use_utf8,
)
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import read_myst_markdown_notebook

BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
TIMEOUT = 600  # seconds, for a cell
STATE = BUILD / "state.json"
LOG = BUILD / "build.log"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL|SEVERE):")


def current_state():
    """What this build would be made from."""
    site = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.lock", BOOK / "references.bib"]
    site += files_below(BOOK / "assets") + files_below(BOOK / "_ext", "*.py")
    site += files_below(ROOT / "ncsn_lib" / "labs" / "static")
    return {
        "site": digest(site),
        "library": library_digest(),
        "chapters": {page.stem: chapter_key(page) for page in chapters()},
    }


def drop_stale_outputs(old, new):
    """Remove cached outputs whose inputs changed; a change of the cells is jupyter-cache's own affair."""
    if not CACHE.exists():
        return []
    cache = get_cache(str(CACHE))
    stale = [name for name, key in new["chapters"].items() if old.get("chapters", {}).get(name) != key]
    for record in cache.list_cache_records():
        if Path(record.uri).stem in stale:
            cache.remove_cache(record.pk)
    return stale


def not_cached(cache):
    """The chapters that the cache holds no outputs of, as notebooks, the slowest first."""
    seconds = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    missing = []
    for page in chapters():
        notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"), add_source_map=True, path=page)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            missing.append((page, notebook))
    return sorted(missing, key=lambda pair: -seconds.get(pair[0].stem, {}).get("seconds", 0))


def execute_chapters():
    """Execute what is not cached, several at a time; return the names of the chapters that failed."""
    cache = get_cache(str(CACHE))
    missing = not_cached(cache)
    if not missing:
        return []
    workers = share_cores(len(missing))
    say(f"Executing {len(missing)} chapters, {workers} at a time ...")
    failed = []

    def execute(pair):
        page, notebook = pair
        return page, single_nb_execution(
            notebook, cwd=str(BOOK), timeout=TIMEOUT, allow_errors=False, extra_arguments=QUIET
        )

    with ThreadPoolExecutor(workers) as pool:
        for page, result in pool.map(execute, missing):
            if result.err is not None:
                failed.append(page.stem)
                say("\n".join([f"\n{page.stem} failed:", *ANSI.sub("", str(result.err)).splitlines()[-20:]]))
                continue
            say(f"    {page.stem}: {result.time:.0f} s")
            bundle = CacheBundleIn(result.nb, str(page), data={"execution_seconds": result.time})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return failed


def run_sphinx(everything):
    """Run jupyter-book, show what it warns of; return its exit status and the warnings."""
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
            if WARNING.search(plain):
                warnings.append(plain)
                say("   ", plain.replace(f"{ROOT}{os.sep}", ""))
    return process.wait(), warnings


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
    failed = execute_chapters()
    say(f"Chapters: {time.perf_counter() - started:.0f} s.")
    if failed:
        say("\nNot built. Failed:", *failed)
        return 1
    status, warnings = run_sphinx(everything)
    seconds = time.perf_counter() - started
    if status or warnings:
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
