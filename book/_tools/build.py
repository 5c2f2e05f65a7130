"""Build the book, strictly, into _build/html.

    python book/_tools/build.py            what changed since the last good build
    python book/_tools/build.py --fresh    everything, every chapter executed again

A warning is an error. Chapters are executed through jupyter-cache, which is keyed on their code cells alone;
so the entries of chapters whose library or stored results changed are dropped first. After a build that failed,
and when the style, the configuration or the table of contents changed, every page is written again: Sphinx
would neither repeat its warnings nor copy the changed assets otherwise.
"""

import json
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
WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL|SEVERE):")
NOISE = re.compile(r"^(reading|writing|copying|checking|loading|looking|updating|pickling|preparing|dumping)")


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
    """Run jupyter-book, show its progress, and return its exit status and the warnings it wrote."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(ROOT), "-W", "-n", "--keep-going"] + ["--all"] * everything
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, encoding="utf-8", errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    warnings = []
    for line in process.stdout:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if WARNING.search(plain):
            warnings.append(plain)
        if plain and not NOISE.match(plain):
            say("   ", plain)
    return process.wait(), warnings


def build(fresh):
    """Build; return the exit status."""
    started = time.perf_counter()
    old = json.loads(STATE.read_text()) if STATE.exists() and not fresh else {}
    STATE.unlink(missing_ok=True)  # until this build has ended well there is no last good build
    if fresh and BUILD.exists():
        shutil.rmtree(BUILD)
    new = current_state()
    stale = drop_stale_outputs(old, new)
    everything = not old or any(old.get(part) != new[part] for part in ("site", "library"))
    everything = everything or bool(stale)
    if everything:
        shutil.rmtree(HTML, ignore_errors=True)  # no asset and no page of an earlier book stays behind
    say(f"Building {'every page' if everything else 'the pages that changed'}; a warning is an error.")
    if stale:
        say("Executed again, because the library or a stored result changed:", *stale)
    status, warnings = run_sphinx(everything)
    seconds = time.perf_counter() - started
    if status or warnings:
        say(f"\nThe book did not build: {len(warnings)} warnings, exit status {status}, {seconds:.0f} s.")
        say(*(f"  {line}\n" for line in warnings))
        return status or 1
    BUILD.mkdir(exist_ok=True)
    STATE.write_text(json.dumps(new, indent=1))
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
