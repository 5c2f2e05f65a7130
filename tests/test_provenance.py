"""What stands beside a stored number, and that it is written whole or not at all."""

import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import torch

import ncsn_lib
from ncsn_lib.files import write_result
from ncsn_lib.provenance import processor, provenance


def test_provenance_says_how_when_and_where():
    found = provenance("python -m ncsn_lib evaluate digits")
    assert found["command"] == "python -m ncsn_lib evaluate digits"
    assert abs((date.fromisoformat(found["date"]) - date.today()).days) <= 1  # it may be midnight in between
    assert found["machine"].startswith(processor())
    assert found["machine"].endswith(f" cores, {torch.get_num_threads()} used")
    own = {"ncsn_lib": ncsn_lib.__version__}
    assert found["versions"] == {"python": platform.python_version(), "torch": str(torch.__version__), **own}


def test_provenance_names_the_commit(tmp_path):
    """As git does, with a mark where a file is not as committed; nothing where the library is in no repository."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    shutil.copytree(Path(ncsn_lib.__file__).parent, tmp_path / "ncsn_lib", ignore=shutil.ignore_patterns("__pycache__"))
    script = "from ncsn_lib.provenance import commit; print(commit())"

    def said():
        own = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path)}}
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, **own).stdout

    assert said() == "None\n"
    subprocess.run([*git, "init", "-q"], check=True)
    assert said() == "None\n"
    (tmp_path / "other.txt").write_text("")
    subprocess.run([*git, "add", "ncsn_lib", "other.txt"], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "other.txt").write_text("changed")  # a file of others
    assert said() == f"{head[:12]}\n"
    (tmp_path / "ncsn_lib" / "py.typed").write_text("changed")
    assert said() == f"{head[:12]}+changes\n"


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a card for {device}")
    assert provenance("x", "cuda:1")["machine"].endswith(" used, a card for cuda:1")


def test_a_result_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "result.json"
    write_result(path, {"a": 1})
    with pytest.raises(TypeError):
        write_result(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
