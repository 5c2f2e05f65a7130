"""A network as an ONNX file, against PyTorch, run by onnxruntime."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from problems import small_recipe, without_repetitions

from ncsn_lib.cli import main
from ncsn_lib.files import record_path
from ncsn_lib.onnx_export import export_onnx
from ncsn_lib.recipes import MNIST, TOY
from ncsn_lib.runs import Run, load_run
from ncsn_lib.settings import NCSNSettings

MODEL = Path(__file__).resolve().parents[1] / "book" / "results" / "models" / "mnist_small_wide.safetensors"


def compare(run, path, sigmas, batches=(1, 3)):
    """Each network's score of the same images, by both; float32 and another order of sums leave some 1e-5."""
    session = onnxruntime.InferenceSession(str(path))
    for batch in batches:
        for value in sigmas:
            x, sigma = torch.rand(batch, *run.recipe.image_shape), torch.full((batch,), value)
            with torch.no_grad():
                wanted = run.network(x, sigma)
            (score,) = session.run(["score"], {"x": x.numpy(), "sigma": sigma.numpy()})
            np.testing.assert_allclose(score, wanted.numpy(), rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_the_stored_model_by_the_command(tmp_path):
    out = tmp_path / "wide.onnx"
    assert main(["export", "mnist_small_wide", "--run-dir", str(MODEL), "--out", str(out)]) == 0
    run = load_run(MODEL)
    compare(run, out, (12.0, 0.7, 0.06))
    record = json.loads(record_path(out).read_text())
    assert record["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert record["kind"] == "onnx"
    assert record["recipe"] == run.recipe.to_dict()
    assert record["provenance"]["command"].startswith("python -m ncsn_lib train mnist_small_wide")
    np.testing.assert_allclose(record["sigmas"], run.recipe.noise.sigmas().numpy(), rtol=1e-6)


def test_the_papers_network(tmp_path):
    """In one part of each kind, since the optimiser's time grows with the square of their number."""
    recipe = dataclasses.replace(MNIST, network=NCSNSettings(ngf=8))
    run = Run(without_repetitions(recipe.build_network()).eval(), recipe, 0)
    export_onnx(run, tmp_path / "ncsn.onnx", {})
    compare(run, tmp_path / "ncsn.onnx", recipe.noise.sigmas()[[0, 4, 9]].tolist(), batches=(2,))


def test_without_onnx(tmp_path, monkeypatch):
    recipe = small_recipe()
    monkeypatch.setitem(sys.modules, "onnx", None)  # what Python does with a missing module
    with pytest.raises(ImportError, match=r'an \.onnx needs onnx .*pip install "ncsn_lib\[export\]"'):
        export_onnx(Run(recipe.build_network(), recipe, 0), tmp_path / "a.onnx", {})


def test_what_cannot_be_exported(tmp_path):
    recipe = small_recipe()
    with pytest.raises(ValueError, match=r"must end in \.onnx, got a\.pt"):
        export_onnx(Run(recipe.build_network(), recipe, 0), tmp_path / "a.pt", {})
    with pytest.raises(ValueError, match="toy is of points"):
        export_onnx(Run(TOY.build_network(), TOY, 0), tmp_path / "a.onnx", {})
