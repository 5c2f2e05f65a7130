"""Build the book, strictly, into _build/html.

    python book/_tools/build.py            what changed since the last good build
    python book/_tools/build.py --fresh    everything, every chapter executed again

A warning is an error. Chapters are executed first, as many at a time as there are cores, the slowest first, and their
outputs kept by jupyter-cache, where Sphinx finds them. What nbval has executed (keep_outputs.py) is not executed again.
The first chapter that fails ends the others. The cache looks at a chapter's code alone; so what it keeps is dropped
where the modules it imports or a stored result changed. After a build that failed, and when the
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
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from chapters import (
    BOOK,
    BUILD,
    EXECUTED,
    HTML,
    ROOT,
    chapter_key,
    chapters,
    command_line,
    digest,
    files_below,
    library_digest,
    run_times,
    say,
    share_cores,
    use_utf8,
)
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from kernels import ask_for_twins, chapter_client, faults, stop_all, take_outputs, use_own_folders
from myst_nb.core.read import read_myst_markdown_notebook

CACHE = BUILD / ".jupyter_cache"
STATE = BUILD / "state.json"
LOG = BUILD / "build.log"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL|SEVERE):")


def current_state():
    """What this build would be made from."""
    site = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "requirements.lock", BOOK / "references.bib"]
    site += files_below(BOOK / "assets") + files_below(BOOK / "_ext", "*.py")
    site += [BOOK / "_tools" / "items.py", *files_below(ROOT / "ncsn_lib" / "labs" / "static")]
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


def keep(cache, page, notebook, seconds):
    """Put an executed chapter where Sphinx finds it."""
    bundle = CacheBundleIn(notebook, str(page), data={"execution_seconds": seconds})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def executed_by_nbval(page, notebook):
    """Give a chapter the outputs that nbval kept, if nothing they depend on changed; the seconds, None if it did."""
    path = EXECUTED / f"{page.stem}.ipynb"
    if not path.exists():
        return None
    executed = nbformat.read(path, as_version=4)
    if executed.metadata.executed.key != chapter_key(page) or not take_outputs(notebook, executed):
        return None
    if "widgets" in executed.metadata:
        notebook.metadata.widgets = executed.metadata.widgets
    return executed.metadata.executed.seconds


def not_cached(cache):
    """The chapters that neither the cache nor nbval holds outputs of, as notebooks, the slowest first."""
    seconds = run_times()
    missing = []
    for page in chapters():
        notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"), add_source_map=True, path=page)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            if (took := executed_by_nbval(page, notebook)) is None:
                missing.append((page, notebook))
            else:
                keep(cache, page, notebook, took)
    return sorted(missing, key=lambda pair: -seconds.get(pair[0].stem, {}).get("seconds", 0))


def execute_chapters(only_executed=False):
    """Execute what is not cached, several at a time; return the name of a chapter that failed, if one did."""
    cache = get_cache(str(CACHE))
    missing = not_cached(cache)
    if not missing:
        return None
    if only_executed:
        say("\nnbval has kept no outputs of these chapters as they stand:", *(page.stem for page, _ in missing))
        return missing[0][0].stem
    workers = share_cores(len(missing))
    say(f"Executing {len(missing)} chapters, {workers} at a time ...")
    use_own_folders()
    ask_for_twins()
    clients = []

    def execute(page, notebook):
        client = chapter_client(notebook)
        clients.append(client)
        begun = time.perf_counter()
        client.execute()
        return page, notebook, time.perf_counter() - begun

    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(execute, *pair): pair[0].stem for pair in missing}
        for future in as_completed(futures):
            error = future.exception()
            problems = ANSI.sub("", str(error)).splitlines()[-20:] if error else faults(future.result()[1])
            if problems:
                say("\n".join([f"\n{futures[future]} failed:", *problems]))
                pool.shutdown(wait=False, cancel_futures=True)
                stop_all(clients, futures)
                return futures[future]
            page, notebook, seconds = future.result()
            say(f"    {page.stem}: {seconds:.0f} s")
            keep(cache, page, notebook, seconds)
    return None


def run_sphinx(everything):
    """Run jupyter-book, show what it warns of; return its exit status and the warnings."""
    collect_seldom = "import gc; gc.set_threshold(200_000, 50, 100)"  # trees of pages are large, and no garbage
    command = [sys.executable, "-c", f"{collect_seldom}; from jupyter_book.cli.main import main; main()"]
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


def build(fresh, only_executed):
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
    failed = execute_chapters(only_executed)
    say(f"Chapters: {time.perf_counter() - started:.0f} s.")
    if failed:
        say(f"\nNot built: {failed} failed.")
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
    parser.add_argument("--executed", action="store_true", help="fail where a chapter would have to be executed")
    arguments = parser.parse_args()
    return build(arguments.fresh, arguments.executed)


if __name__ == "__main__":
    sys.exit(main())
