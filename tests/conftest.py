"""What all tests share."""

import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile

import hypothesis
import pytest
import torch
from chapters import ROOT
from problems import TINY

from ncsn_lib.cli import main

# A shell lets what it starts in the background ignore these, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["allowed_skips", "lab_pages"]  # lab_pages: the browser, and what is opened in it

# The same examples each time, and no limit on the time of one: a busy machine is no defect.
hypothesis.settings.register_profile("book", derandomize=True, deadline=None)
hypothesis.settings.load_profile("book")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """One thread for tests and fixtures of every scope: more would wait for each other, and round otherwise."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests keep decoded images in a folder of their own, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCSN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a run of the digits, four steps long; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", *TINY, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of that run for the test alone."""
    return shutil.copytree(trained, tmp_path / "digits")


def build(folder, kind):
    """Make an sdist or a wheel of a folder, in it."""
    command = f"from setuptools import build_meta; build_meta.build_{kind}('.')"
    done = subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder of a wheel, unpacked, that is made from an sdist, which is made from a copy of the sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "ncsn_lib", source / "ncsn_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("tests", "book"):  # which stand beside the library, and are not to be packed
        (source / name).mkdir()
        (source / name / "__init__.py").write_text("")
    build(source, "sdist")
    (archive,) = source.glob("*.tar.gz")
    unpacked = tmp_path_factory.mktemp("sdist")
    with tarfile.open(archive) as file:
        file.extractall(unpacked, filter="data")
    (own,) = unpacked.iterdir()
    build(own, "wheel")
    (wheel,) = own.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(target)
    return target
