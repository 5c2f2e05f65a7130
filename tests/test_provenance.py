"""What stands beside a stored number, and that it is written whole or not at all."""

import json
import platform
from datetime import date

import pytest
import torch

from ncsn_lib.files import write_result
from ncsn_lib.provenance import processor, provenance


def test_provenance_says_how_when_and_where():
    found = provenance("python -m ncsn_lib evaluate digits")
    assert found["command"] == "python -m ncsn_lib evaluate digits"
    assert abs((date.fromisoformat(found["date"]) - date.today()).days) <= 1  # it may be midnight in between
    assert found["machine"].startswith(processor())
    assert found["machine"].endswith(f" cores, {torch.get_num_threads()} used")
    assert found["versions"] == {"python": platform.python_version(), "torch": str(torch.__version__)}


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
