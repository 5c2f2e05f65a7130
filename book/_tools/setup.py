"""Make the project's environment in .venv, or leave it as it is where nothing changed.

Run by the Python that the system has, so it uses the standard library alone and runs on old versions too, if
only to say that they are too old: python3 book/_tools/setup.py

With NCSN_TORCH=cpu (make book TORCH=cpu) torch is taken from PyTorch's index of builds for the processor alone.
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
OLDEST, NEWEST = (3, 11), (3, 14)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GIGABYTES = {"default": 7, "cpu": 3}  # what the environment takes, with room for pip to unpack
VERSION = "import sys; print(*sys.version_info[:2])"


def venv_python():
    """The environment's own Python."""
    parts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(VENV, *parts)


def kind_of_torch():
    """Which torch is wanted: "default", as PyPI has it, or "cpu"."""
    kind = os.environ.get("NCSN_TORCH") or "default"
    if kind not in GIGABYTES:
        sys.exit("NCSN_TORCH (make TORCH=...) must be cpu or nothing, got " + kind)
    return kind


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


def version_of(python):
    """The version of a Python as (3, 12); None where it does not run, as a shim of pyenv's may not."""
    try:
        said = subprocess.check_output([python, "-c", VERSION], stderr=subprocess.DEVNULL)
        return tuple(int(part) for part in said.decode().split())
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def fits(version):
    """Whether the book runs on a version."""
    return version is not None and OLDEST <= version <= NEWEST


def find_python():
    """This Python where its version fits, else another one on the path, else a message."""
    if fits(sys.version_info[:2]):
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and fits(version_of(found)):
            return found
    sys.exit(
        f"The book needs Python 3.11, 3.12, 3.13 or 3.14; this is {sys.version.split()[0]} ({sys.executable}).\n"
        "Install one of them, or name it: make PYTHON=/path/to/python3.12 book"
    )


def make_venv():
    """Create the environment, or keep the one that is there if it works."""
    version = version_of(venv_python()) if os.path.exists(venv_python()) else None
    works = fits(version) and subprocess.call(
        [venv_python(), "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) == 0  # fmt: skip
    if works:
        return
    if os.path.exists(VENV):
        print("The environment in .venv does not work, or is of another Python; it is made anew.", flush=True)
        shutil.rmtree(VENV)
    python = find_python()
    print("Making an environment in .venv with " + python, flush=True)
    if subprocess.call([python, "-m", "venv", VENV]):
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("That failed. On Debian and Ubuntu: apt install python3-venv, then try again.")


def pip(*arguments):
    """Run pip; of what it says show the large downloads, the last step and the errors."""
    command = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check", "--no-color"]
    command += ["--progress-bar", "off", "--retries", "5", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    packages, said = 0, []
    for raw in process.stdout:
        line = raw.decode("utf-8", "replace").strip()
        said.append(line)
        packages += line.startswith("Collecting ")
        if line.startswith("Downloading ") and "MB)" in line:
            size = line.rpartition("(")[2].split()[0]
            if float(size) > 50:
                print(f"    package {packages}: {line}", flush=True)
        elif line.startswith("Installing collected packages"):
            print(f"    {packages} packages are here; installing them ...", flush=True)
    if process.wait():
        print("\n".join(line for line in said[-15:] if not line.startswith(("Collecting", "Downloading", "Using"))))
        sys.exit("The installation failed; the last that pip said stands above. What is downloaded is kept: try again.")


def main():
    """Create the environment and install into it."""
    kind, inputs = kind_of_torch(), wanted()
    if installed() == inputs:
        return
    free = shutil.disk_usage(ROOT).free / 1e9
    need = GIGABYTES[kind]
    if free < need and not os.path.exists(venv_python()):
        sys.exit(f"The environment takes {need} GB, and {free:.1f} GB are free in {ROOT}.")
    make_venv()
    print(
        f"Installing requirements.txt as locked: {need} GB, of which torch is most; two to ten minutes.\n"
        "If it is cut off, run the same command again: whole packages that were downloaded are kept.",
        flush=True,
    )
    if kind == "cpu":
        with open(os.path.join(ROOT, "requirements.txt")) as file:
            pair = [line.split()[0] for line in file if line.startswith(("torch==", "torchvision=="))]
        pip(*pair, "--index-url", CPU_INDEX)
    pip("-r", "requirements.txt", "-c", "requirements.lock")
    with open(STAMP, "w") as file:
        file.write(inputs)
    print("The environment is ready.", flush=True)


if __name__ == "__main__":
    main()
