"""Ruff's rules, of everything, and mypy's, of the library: python book/_tools/lint.py."""

import subprocess
import sys

from chapters import ROOT

if __name__ == "__main__":
    commands = [["ruff", "check", "."], ["mypy"]]
    sys.exit(max([subprocess.call([sys.executable, "-m", *command], cwd=ROOT) for command in commands]))
