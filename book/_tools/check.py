"""Run every check of the project, side by side where they allow it, and stop at the first that fails.

    python book/_tools/check.py              all of them
    python book/_tools/check.py NAME ...     these, for example: lint unit

lint: ruff and mypy.   format: ruff.   drift: each notebook holds its chapter's text.   unit: the library's tests.
notebooks: nbval executes every notebook and compares.    book: the strict build, of what nbval executed.
pages: the labs, questions and every built page in a browser.

What a check prints stands in _build/checks/NAME.log while it runs, and here when it has ended.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import chain
from typing import NamedTuple
from xml.etree import ElementTree

from chapters import BUILD, ROOT, chapters, command_line, run_times, say, share_cores, use_utf8
from kernels import use_own_folders

PYTHON = sys.executable
IN_BROWSER = ("labs", "sampler_lab", "denoiser_lab", "opening", "question_pages", "slides", "reading")
RENDERED = [f"tests/test_{name}.py" for name in (*IN_BROWSER, "rendered_book")]  # what needs a browser
REPORTS = BUILD / "checks"
NUM_SLOWEST = 10


class Stage(NamedTuple):
    """A check: its command, what has to pass before it, and whether it takes every core."""

    command: list
    needs: tuple = ()
    takes_all: bool = False


class Ended(NamedTuple):
    """How a check ended."""

    status: int
    seconds: float


def pytest_command(name, *arguments):
    """A stage of pytest, spread over the cores; what it found is noted as XML."""
    return [PYTHON, "-m", "pytest", "-q", "-n", str(share_cores(4)), f"--junitxml={REPORTS / name}.xml", *arguments]


def stages():
    """The checks by name, in the order in which they are begun; after nbval the build executes no chapter."""
    seconds = {page: run_times().get(page.stem, {}).get("seconds", 0) for page in chapters()}
    slowest_first = sorted(seconds, key=lambda page: -seconds[page])
    notebooks = [page.with_suffix(".ipynb").relative_to(ROOT).as_posix() for page in slowest_first]
    nbval = [
        "--nbval",
        "--nbval-current-env",
        "--nbval-cell-timeout",
        "900",
        "--timeout",
        "0",
        "-p",
        "no:cacheprovider",
    ]
    nbval += ["-p", "keep_outputs", "--dist", "loadfile", "--no-loadscope-reorder"]  # whole notebooks, in this order
    return {
        "lint": Stage([PYTHON, "book/_tools/lint.py"]),
        "format": Stage([PYTHON, "-m", "ruff", "format", "--check", "."]),
        "drift": Stage([PYTHON, "book/_tools/refresh.py", "--check"]),
        "notebooks": Stage(pytest_command("notebooks", *nbval, *notebooks), ("lint", "format"), True),
        "book": Stage([PYTHON, "book/_tools/build.py", "--executed"], ("notebooks", "drift")),
        "unit": Stage(
            pytest_command("unit", "--dist", "worksteal", "tests", *(f"--ignore={file}" for file in RENDERED)),
            ("lint", "format"),
            True,
        ),
        "pages": Stage(pytest_command("pages", "--dist", "worksteal", *RENDERED), ("book",), True),
    }


def start(name, command):
    """Begin a check in a group of processes of its own, so that all of it can be ended."""
    say(f"{name}: {' '.join(['python', *command[1:4]])} ...")
    REPORTS.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "book" / "_tools")}  # where pytest finds keep_outputs
    if name != "unit":  # whose tests look for images there: the book is made, as for everybody, of the repository's own
        environment.pop("NCSN_DATA", None)
    with (REPORTS / f"{name}.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def end(process):
    """End a check and all that it started."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
    else:
        with suppress(ProcessLookupError):  # all of it has just ended
            os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def run(chosen):
    """Run the checks until all have ended or one has failed; how each ended, by name."""
    waiting, running, ended = dict(chosen), {}, {}

    def may_start(stage):
        ready = not any(need in chosen and need not in ended for need in stage.needs)
        return ready and not (stage.takes_all and any(chosen[name].takes_all for name in running))

    try:
        while waiting or running:
            for name in [name for name in waiting if may_start(waiting[name])]:
                if may_start(waiting[name]):  # still, after those that were started just now
                    running[name] = (start(name, waiting.pop(name).command), time.perf_counter())
            time.sleep(0.1)
            for name in [name for name, (process, _) in running.items() if process.poll() is not None]:
                process, begun = running.pop(name)
                ended[name] = Ended(process.returncode, time.perf_counter() - begun)
                show(name, ended[name])
                if process.returncode:
                    return ended
    finally:
        for process, _ in running.values():
            end(process)
    return ended


def show(name, how):
    """Print what a check printed, and how it ended."""
    say(f"\n--- {name}")
    say((REPORTS / f"{name}.log").read_text(encoding="utf-8", errors="replace").rstrip())
    say(f"{name}: {'FAILED' if how.status else 'passed'} in {how.seconds:.0f} s\n")


def read_tests(name):
    """The tests of a stage of pytest, as (seconds, name)."""
    cases = ElementTree.parse(REPORTS / f"{name}.xml").iter("testcase")
    return [(float(case.get("time")), f"{case.get('classname')}::{case.get('name')}") for case in cases]


def summary(chosen, ended):
    """A table of the stages, and the slowest tests of all of them."""
    tests = {name: read_tests(name) for name in ended if any("junitxml" in word for word in chosen[name].command)}
    say(f"{'stage':10} {'seconds':>8} {'tests':>6}")
    for name, how in ended.items():
        say(f"{name:10} {how.seconds:8.0f} {len(tests[name]) if name in tests else '':>6}")
    say(f"\nThe slowest {NUM_SLOWEST}:")
    for seconds, test in sorted(chain.from_iterable(tests.values()), reverse=True)[:NUM_SLOWEST]:
        say(f"{seconds:8.1f} s  {test}")


def main():
    """Run the checks that were named, or all."""
    use_utf8()
    parser = command_line(__doc__)
    known = stages()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names or list(known)
    for name in names:
        if name not in known:
            parser.error(f"no check called {name}; there are: {', '.join(known)}")
    started = time.perf_counter()
    use_own_folders()
    chosen = {name: known[name] for name in known if name in names}
    if "notebooks" not in chosen and "book" in chosen:
        chosen["book"].command.remove("--executed")
    ended = run(chosen)
    failed = [name for name, how in ended.items() if how.status]
    if failed:
        say(f"FAILED: {failed[0]} (exit status {ended[failed[0]].status})")
        return 1
    summary(chosen, ended)
    say(f"\nEverything passed, in {time.perf_counter() - started:.0f} s: {', '.join(ended)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
