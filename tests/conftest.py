"""What all tests share."""

import runpy
import shutil
from pathlib import Path

import hypothesis
import pytest
import torch
from problems import TINY

from ncsn_lib.cli import main

pytest_plugins = ["allowed_skips"]

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


@pytest.fixture(scope="session")
def chromium():
    """A browser without a window, one for all tests."""
    browser = runpy.run_path(str(Path(__file__).resolve().parents[1] / "book" / "_tools" / "browser.py"))
    executable = browser["find_chromium"]()
    if executable is None:
        pytest.skip("no Chromium on the path, and none named by NCSN_CHROMIUM")
    with browser["chromium"](executable) as running:
        yield running
