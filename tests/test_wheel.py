"""What pip installs is the library: all of it, nothing else, and it works far from the repository."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from chapters import ROOT, files_below

LIBRARY = ROOT / "ncsn_lib"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of a wheel, unpacked; it is made of a copy of the sources, since setuptools leaves files in them."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(LIBRARY, source / "ncsn_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("tests", "book"):  # which stand beside the library, and are not to be packed
        (source / name).mkdir()
        (source / name / "__init__.py").write_text("")
    command = "from setuptools import build_meta; build_meta.build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", command], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(target)
    return target


def test_the_wheel_holds_the_library_and_nothing_else(installed):
    wanted = {p for p in files_below(LIBRARY) if p.suffix == ".py" or p.parent == LIBRARY / "labs" / "static"}
    found = {p.relative_to(installed) for p in files_below(installed)}
    own = {path for path in found if path.parts[0].endswith(".dist-info")}
    assert {path.relative_to(ROOT) for path in wanted} == found - own
    assert len(own) > 0


def test_it_is_imported_from_another_folder(installed, tmp_path):
    """The labs read their front ends as they are imported."""
    script = "import ncsn_lib.cli.train, ncsn_lib.labs; print(ncsn_lib.__file__)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(installed / "ncsn_lib" / "__init__.py")
