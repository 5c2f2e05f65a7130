"""What all tests share."""

import shutil

import hypothesis
import pytest
import torch
from problems import TINY

from ncsn_lib.cli import main

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
