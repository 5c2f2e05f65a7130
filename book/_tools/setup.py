"""Make the project's environment in .venv, or leave it as it is where nothing changed.

Run by the Python that the system has, so it uses the standard library alone and runs on old versions too, if
only to say that they are too old: python3 book/_tools/setup.py
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "installed.sha256")
INPUTS = ["requirements.txt", "requirements.lock", "pyproject.toml"]
OLDEST, NEWEST = (3, 11), (3, 13)


def venv_python():
    """The environment's own Python."""
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(VENV, *parts)


def wanted():
    """A hash of what the environment is made from."""
    total = hashlib.sha256(VENV.encode())
    for name in INPUTS:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def installed():
    """The hash of what it was made from, or nothing."""
    if not (os.path.exists(STAMP) and os.path.exists(venv_python())):
        return ""
    with open(STAMP) as file:
        return file.read().strip()


def find_python():
    """This Python where its version fits, else another one on the path, else a message."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"The book needs Python 3.11, 3.12 or 3.13; this is {version} ({sys.executable}).\n"
        "Install one of them, or name it: make PYTHON=/path/to/python3.12 book"
    )


def main():
    """Create the environment and install into it."""
    if installed() == wanted():
        return
    if not os.path.exists(venv_python()):
        python = find_python()
        print("Making an environment in .venv with " + python, flush=True)
        if subprocess.call([python, "-m", "venv", VENV]):
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("That failed. On Debian and Ubuntu: apt install python3-venv, then try again.")
    print("Installing requirements.txt as locked (torch makes this some minutes and 6 GB) ...", flush=True)
    command = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += ["-r", "requirements.txt", "-c", "requirements.lock"]
    if subprocess.call(command, cwd=ROOT):
        sys.exit("The installation failed; what pip said stands above. It is tried again next time.")
    with open(STAMP, "w") as file:
        file.write(wanted())
    print("The environment is ready.", flush=True)


if __name__ == "__main__":
    main()
