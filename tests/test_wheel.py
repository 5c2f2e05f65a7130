"""What pip installs is the library: all of it, nothing else, and it works far from the repository."""

import os
import subprocess
import sys

from chapters import ROOT, files_below

LIBRARY = ROOT / "ncsn_lib"


def test_the_wheel_holds_the_library_and_nothing_else(installed):
    static = LIBRARY / "labs" / "static"
    wanted = {p for p in files_below(LIBRARY) if p.suffix in (".py", ".typed") or p.parent == static}
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
