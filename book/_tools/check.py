"""Run every check of the project, the cheap ones first, and stop at the first that fails.

    python book/_tools/check.py              all of them
    python book/_tools/check.py NAME ...     these, for example: lint unit

lint: ruff, style and format.   drift: each notebook holds its chapter's text.   unit: the library's tests.
book: the strict build.         pages: the labs and every built page in a browser. notebooks: nbval.
"""

import subprocess
import sys
import time

from chapters import ROOT, chapters, command_line, say, share_cores, use_utf8

PYTHON = sys.executable
LABS = ("labs", "sampler_lab", "denoiser_lab", "opening")
RENDERED = [f"tests/test_{name}.py" for name in (*LABS, "rendered_book")]  # what needs a browser


def stages():
    """The checks by name, each a list of commands."""
    notebooks = [page.with_suffix(".ipynb").relative_to(ROOT).as_posix() for page in chapters()]
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "240", "-p", "no:cacheprovider"]
    nbval += ["-n", str(share_cores(len(notebooks))), "--dist", "loadfile"]  # whole notebooks at a time
    return {
        "lint": [[PYTHON, "-m", "ruff", "check", "."], [PYTHON, "-m", "ruff", "format", "--check", "."]],
        "drift": [[PYTHON, "book/_tools/refresh.py", "--check"]],
        "unit": [[PYTHON, "-m", "pytest", "-q", "tests", *(f"--ignore={file}" for file in RENDERED)]],
        "book": [[PYTHON, "book/_tools/build.py"]],
        "pages": [[PYTHON, "-m", "pytest", "-q", *RENDERED]],
        "notebooks": [[PYTHON, "-m", "pytest", "-q", *nbval, *notebooks]] if notebooks else [],
    }


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
    for number, name in enumerate(names, 1):
        for command in known[name]:
            say(f"\n[{number}/{len(names)}] {name}: {' '.join(['python', *command[1:]])}")
            begun = time.perf_counter()
            status = subprocess.call(command, cwd=ROOT)
            if status:
                say(f"\nFAILED: {name} (exit status {status})")
                return status
            say(f"{name}: passed in {time.perf_counter() - begun:.0f} s")
    say(f"\nEverything passed, in {time.perf_counter() - started:.0f} s: {', '.join(names)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
