"""Checkpoints: written whole or not at all, checked before they are believed, never unpickled.

A checkpoint is a folder `step-00001200` with three files: `network.safetensors` (the averaged weights, the ones to
sample from and to share), `training.safetensors` (everything else that training needs to go on), and
`checkpoint.json` (step, recipe, versions, and the SHA-256 of all three).

A model to share is two files, `NAME.safetensors` with the weights in 16 bits and `NAME.safetensors.json` with what is
known of it, and the SHA-256 of both.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncsn_lib.files import (
    check_replaces,
    discard_abandoned,
    discard_folder,
    record_path,
    remedy_of,
    whole_or_nothing,
    write_file,
)
from ncsn_lib.words import reason_of

FORMAT = "ncsn_lib checkpoint 1"
MODEL_FORMAT = "ncsn_lib model 1"
WEIGHTS, TRAINING, RECORD = "network.safetensors", "training.safetensors", "checkpoint.json"
OWN_NAME = re.compile(r"step-\d{8,}")
"""The names of checkpoints; nothing else in a run's folder is ever deleted."""


class CheckpointError(Exception):
    """A checkpoint could not be written or read; the message names the file and the remedy."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    step: int
    """Training steps done."""
    recipe: dict[str, Any]
    """The recipe's fields, as JSON has them."""
    weights: dict[str, Tensor]
    """The averaged network's state dict."""
    training: dict[str, Tensor]
    """The tensors that training needs to go on."""
    path: Path
    """The folder it was read from."""
    images: str | None = None
    """What tells the images that it was trained on from others."""


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    recipe: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    training: Mapping[str, Tensor],
    images: str | None = None,
    keep: int = 2,
) -> Path:
    """Write a checkpoint atomically and delete all but the newest `keep`.

    The files are written to a temporary folder beside the target and flushed to disk before one rename makes them
    a checkpoint, so that a cut at any moment leaves the earlier ones whole.

    Args:
        folder: the run's folder; made if missing.
        step: training steps done.
        recipe: the recipe's fields, JSON-serialisable.
        weights: the averaged network's state dict.
        training: the tensors that training needs to go on.
        images: what tells the images that it was trained on from others, by `ncsn_lib.data.fingerprint`.
        keep: how many checkpoints stay.

    Returns:
        The checkpoint's folder, `folder / "step-00001200"`.

    Raises:
        CheckpointError: the disk is full or not writable; nothing that was there before is lost.
    """
    from safetensors.torch import save

    target = folder / f"step-{step:08d}"
    files = {WEIGHTS: save(_contiguous(weights)), TRAINING: save(_contiguous(training))}
    record: dict[str, Any] = {
        "format": FORMAT,
        "step": step,
        "recipe": dict(recipe),
        "images": images,
        "torch": torch.__version__,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    record["sha256"][RECORD] = _record_hash(record)
    files[RECORD] = (json.dumps(record, indent=2) + "\n").encode()
    with name_last_checkpoint(folder, target):
        discard_abandoned(folder, kind="step-", age=0.0)
        with whole_or_nothing(target) as temporary:
            temporary.mkdir()
            for name, content in files.items():
                (temporary / name).write_bytes(content)
        for old in list_checkpoints(folder)[:-keep]:
            discard_folder(old)
    return target


@contextlib.contextmanager
def name_last_checkpoint(folder: Path, target: Path) -> Iterator[None]:
    """Turn an error of writing `target` into a `CheckpointError` that says which checkpoint in `folder` is left."""
    try:
        yield
    except OSError as error:
        last = list_checkpoints(folder)
        raise CheckpointError(
            f"could not save {target}: {error.strerror or error}; {remedy_of(error)}. "
            + (f"The last good checkpoint is {last[-1]}" if last else "There is no earlier checkpoint")
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, every byte of it checked against its SHA-256 before use.

    Args:
        path: the checkpoint's folder.

    Returns:
        The checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: missing, damaged, cut short, of another version, or not a checkpoint of this library.
    """
    from safetensors.torch import load

    path = Path(path)
    record = read_record(path)
    tensors = {}
    for name in (WEIGHTS, TRAINING):
        content = _read(path / name, path)
        if hashlib.sha256(content).hexdigest() != record["sha256"][name]:
            raise CheckpointError(f"{path / name} is damaged: its SHA-256 is not the recorded one{_other(path)}")
        tensors[name] = load(content)
    return Checkpoint(record["step"], record["recipe"], tensors[WEIGHTS], tensors[TRAINING], path, record.get("images"))


def save_model(path: Path, weights: Mapping[str, Tensor], record: Mapping[str, Any], *, exact: bool = False) -> None:
    """Write a model to share: its weights in 16 bits, and beside them a record of what is known of it.

    Each file is replaced whole or not at all. A cut between the two leaves a pair that does not fit, which
    `load_model` refuses.

    Args:
        path: the file of the weights, `NAME.safetensors`; the record goes to `NAME.safetensors.json`. A missing folder
            is made.
        weights: a state dict. Floating-point tensors are rounded to float16, the others stay as they are.
        record: what is known of the model, JSON-serialisable.
        exact: leave the weights as they are.

    Raises:
        ValueError: another suffix, a weight that float16 cannot hold, above 65,504 or not finite, or a file in the
            record's place that is no record of a model.
        CheckpointError: the disk is full or not writable.
    """
    from safetensors.torch import save

    path = _model_path(path)
    check_replaces(record_path(path), format=MODEL_FORMAT)
    kept = dict(weights)
    for name, value in weights.items():
        if value.is_floating_point() and not exact:
            kept[name] = value.half()
            if not kept[name].isfinite().all():
                raise ValueError(f"the weights {name} hold a value that float16 cannot: {value.abs().max():g}")
    content = save(_contiguous(kept))
    entry = {**record, "format": MODEL_FORMAT, "sha256": {"weights": hashlib.sha256(content).hexdigest()}}
    entry["sha256"]["record"] = _record_hash(entry, "record")
    files = {path: content, record_path(path): (json.dumps(entry, indent=2) + "\n").encode()}
    try:
        for file, data in files.items():
            write_file(file, data)
    except OSError as error:
        raise CheckpointError(f"could not save {path}: {error.strerror or error}; {remedy_of(error)}") from error


def load_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_model` wrote, every byte of it checked against its SHA-256 before use.

    Args:
        path: the file of the weights, `NAME.safetensors`, with `NAME.safetensors.json` beside it.

    Returns:
        The weights by name, those of 16 bits as float32, on the CPU; and the record.

    Raises:
        ValueError: another suffix.
        CheckpointError: missing, damaged, of another version, or no model of this library.
    """
    from safetensors.torch import load

    path = _model_path(path)
    remedy, file = "; fetch or make both files again", record_path(path)
    record = _parse_record(_read(file), file, MODEL_FORMAT, remedy)
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != record["sha256"].get("weights"):
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the recorded one{remedy}")
    halves = (torch.float16, torch.bfloat16)
    weights = {name: value.float() if value.dtype in halves else value for name, value in load(content).items()}
    return weights, record


def save_network(network: nn.Module, path: str | Path, **settings: Any) -> None:
    """Store any network with what builds it again, as `NAME.safetensors` and `NAME.safetensors.json`.

    Args:
        network: any module; its weights are stored as they are.
        path: the file of the weights.
        settings: the arguments of the call that builds it, JSON-serialisable; `load_network` makes that call.

    Raises:
        TypeError: settings that JSON does not hold.
        ValueError: a path of another suffix.
        CheckpointError: it cannot be written.
    """
    save_model(Path(path), network.state_dict(), {"kind": "network", "settings": settings}, exact=True)


def load_network(path: str | Path, build: Callable[..., nn.Module], device: str | torch.device = "cpu") -> nn.Module:
    """The network that `save_network` stored.

    Args:
        path: the file of the weights.
        build: its class, or what else builds it from the stored settings.
        device: where to put it.

    Returns:
        The network in eval mode.

    Raises:
        ValueError: a path of another suffix.
        CheckpointError: missing, damaged, no network, or one that does not fit what `build` makes.
    """
    weights, record = load_model(Path(path))
    if record.get("kind") != "network":
        raise CheckpointError(f"{path} is no network that save_network wrote: its kind is {record.get('kind')!r}")
    try:
        network = build(**record["settings"])
        network.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} does not fit the network that is built for it: {reason_of(error)}") from error
    return network.to(device).eval()


def _model_path(path: Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a model's file must end in .safetensors, got {path}")
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, oldest first."""
    own = (path for path in Path(folder).glob("step-*") if OWN_NAME.fullmatch(path.name) and path.is_dir())
    return sorted(own, key=lambda path: int(path.name.removeprefix("step-")))


def read_record(path: Path) -> dict[str, Any]:
    """A checkpoint's record, step and recipe among its entries, without its tensors; errors as of `load_checkpoint`."""
    return _parse_record(_read(path / RECORD, path), path / RECORD, FORMAT, _other(path), RECORD)


def _parse_record(content: bytes, file: Path, form: str, remedy: str, own: str = "record") -> dict[str, Any]:
    """The record in a JSON file, of the given format and with its own SHA-256 under the name `own`."""
    try:
        record = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged: it is not JSON{remedy}") from error
    if not isinstance(record, dict) or "format" not in record:
        raise CheckpointError(f"{file} is no {form.split()[1]} of ncsn_lib: it has no format{remedy}")
    if record["format"] != form:
        told = f"{file} has format {record['format']!r}, this version reads {form!r}"
        is_newer = re.fullmatch(form.rstrip("0123456789") + r"\d+", str(record["format"]))
        raise CheckpointError(told + ("; read it with the version of ncsn_lib that wrote it" if is_newer else remedy))
    hashes = record.get("sha256")
    if not isinstance(hashes, dict) or hashes.get(own) != _record_hash(record, own):
        raise CheckpointError(f"{file} is damaged: its SHA-256 is not the recorded one{remedy}")
    return record


def _record_hash(record: Mapping[str, Any], own: str = RECORD) -> str:
    """SHA-256 of the record without its own hash."""
    hashes = {name: value for name, value in record["sha256"].items() if name != own}
    return hashlib.sha256(json.dumps({**record, "sha256": hashes}, sort_keys=True).encode()).hexdigest()


def _read(path: Path, checkpoint: Path | None = None) -> bytes:
    """A file's content; where it is missing from a checkpoint, the message says from which one to go on."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        remedy = _other(checkpoint) if checkpoint else "; a model is two files, fetch or make both again"
        raise CheckpointError(f"cannot read {path}: {error.strerror}{remedy}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; make it readable, or copy it here") from error


def _other(path: Path) -> str:
    """What to do about a checkpoint that cannot be used."""
    earlier = [other for other in list_checkpoints(path.parent) if other.name < path.name]
    if earlier:
        return f". Delete {path} to go on from the one before it, {earlier[-1]}"
    return f". There is none before it in {path.parent}: train again"


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
