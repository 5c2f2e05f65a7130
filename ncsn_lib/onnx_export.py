"""A trained network as an ONNX file, which runs without PyTorch: in a browser, for instance."""

import copy
import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.extras import need
from ncsn_lib.files import check_replaces, record_path, whole_or_nothing, write_result
from ncsn_lib.runs import Run

OPSET = 20
"""The version of ONNX's operators."""


def export_onnx(run: Run, path: Path, record: Mapping[str, Any]) -> None:
    """Write a trained network as `NAME.onnx` in 32 bits, and `NAME.onnx.json` with its recipe and a record.

    The graph takes `x` (B, C, H, W) and `sigma` (B,) and returns `score` (B, C, H, W), float32, for any B.

    Args:
        run: the network, its recipe and its step; a recipe of images.
        path: the file of the graph.
        record: what else is known of it, JSON-serialisable: where it comes from, how long it took.

    Raises:
        ValueError: a path of another suffix, a recipe of points, or another file in the record's place.
        ImportError: onnx or onnxscript is missing.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"the file must end in .onnx, got {path.name}")
    if len(run.recipe.image_shape) != 3:
        raise ValueError(f"the recipe {run.recipe.name} is of points {run.recipe.image_shape}; images are exported")
    check_replaces(record_path(path), kind="onnx")
    for package in ("onnx", "onnxscript"):
        need(package, "export", "an .onnx")
    sigmas = run.recipe.noise.sigmas()
    example = torch.rand(2, *run.recipe.image_shape), sigmas[:1].repeat(2)  # one image would be taken for a constant
    batch = torch.export.Dim("batch", min=1, max=4096)
    with whole_or_nothing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*axis name.*")  # both inputs have the same batch, as is meant
        torch.onnx.export(
            copy.deepcopy(run.network).cpu().eval(),
            example,
            temporary,
            dynamo=True,
            dynamic_shapes=({0: batch}, {0: batch}),
            input_names=["x", "sigma"],
            output_names=["score"],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    own = {"kind": "onnx", "step": run.step, "recipe": run.recipe.to_dict(), "sigmas": sigmas.tolist()}
    write_result(record_path(path), {**record, **own, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
