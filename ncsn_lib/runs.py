"""A recipe carried out in a folder: train it, go on with it, load what it made."""

import contextlib
import csv
import io
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ncsn_lib.checkpoints import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
)
from ncsn_lib.checks import check_count
from ncsn_lib.data import LabelledImages, fingerprint
from ncsn_lib.distributed import ALONE, Processes
from ncsn_lib.files import claim, discard_abandoned, discard_folder, set_aside, write_beside
from ncsn_lib.provenance import provenance
from ncsn_lib.recipes import SOURCES
from ncsn_lib.records import differences
from ncsn_lib.settings import Recipe
from ncsn_lib.training import (
    Data,
    LabelledObjective,
    NonFiniteLossError,
    TrainingState,
    check_batch_size,
    check_data,
    check_shares,
    examples_of,
    training_steps,
)

KEPT_ON_DEVICE = 4 * 2**30
"""Bytes of images that are moved to the network's device as a whole; of a larger set a batch at a time is."""


class Run(NamedTuple):
    """A trained network and the recipe that made it."""

    network: nn.Module
    """The averaged network, in eval mode."""
    recipe: Recipe
    """The recipe with every override."""
    step: int
    """Training steps done."""


class Quality(NamedTuple):
    """A measure of how good a network is as it stands."""

    measure: Callable[[Run], float]
    """Measures it; the smaller the better, such as a Frechet distance."""
    every: int
    """Steps between its measurements, a multiple of those between checkpoints."""


class TrainingInterrupted(Exception):
    """Training was asked to stop; all it had done is saved."""


def train_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    images: Data | None = None,
    device: str | torch.device = "cpu",
    checkpoint_every: int = 500,
    keep: int = 2,
    accumulate: int = 1,
    processes: Processes = ALONE,
    on_gpu: bool = False,
    fresh: bool = False,
    any_images: bool = False,
    command: str = "ncsn_lib.train_recipe",
    stop: Callable[[], bool] | None = None,
    quality: Quality | None = None,
    callback: Callable[[TrainingState, float], None] | None = None,
) -> Run:
    """Train a recipe in a folder, from its last checkpoint if it has one.

    Writes a checkpoint every so many steps and one at the end; beside them `loss.csv`, `run.json` (what was run, where,
    and how many seconds the steps took), and, where a measure of quality is given, `quality.csv` and the best
    checkpoint in `best`. Whatever becomes of the files beside them, the checkpoints are written. A run that has ended,
    or that was cut, goes on with another number of steps, if they are more than it has done.

    Args:
        recipe: what to do.
        folder: where the results go; made if missing. Every process must see it.
        images: (N, C, H, W) training images, with labels if the recipe learns classes, or a data set of them; the
            recipe's own training split by default.
        device: where to train.
        checkpoint_every: steps between checkpoints.
        keep: how many checkpoints stay, the newest.
        accumulate: parts into which a process cuts its share of the batch; more need less memory.
        processes: who trains; the first one writes.
        on_gpu: lay the network out as a GPU wants it (channels last) and compile it; the first step takes minutes.
        fresh: delete the folder's checkpoints, the best one and the measurements first.
        any_images: go on with other images than the run was trained on.
        command: what is run, for `run.json`.
        stop: is asked at each step whether to save and end.
        quality: is measured at some of the checkpoints, of which the best one stays.
        callback: is called after each step with the state and the step's loss.

    Returns:
        The trained network.

    Raises:
        ValueError: the folder holds a run of other settings, or images of another shape.
        CheckpointError: a checkpoint that cannot be read or written.
        OSError: a folder that cannot be written, or in which another process trains.
        NonFiniteLossError: the loss is NaN or infinite; the message names the last good checkpoint.
        TrainingInterrupted: `stop` said so; the last checkpoint holds the step at which it did.
    """
    folder, settings = Path(folder), recipe.training
    check_every(checkpoint_every, quality)
    check_count("keep", keep)
    check_shares(settings.batch_size, processes.size, accumulate)
    images = own_images(recipe) if images is None else images
    check_images(recipe, images)
    labels = images.labels if isinstance(images, LabelledImages) else None
    examples = images.images if isinstance(images, LabelledImages) else images
    source = fingerprint(examples) if isinstance(examples, Tensor) else None
    state = TrainingState.start(recipe.build_network().to(device), recipe.training)
    with claim(folder) if processes.rank == 0 else contextlib.nullcontext():
        if processes.rank == 0:
            for place in (folder, folder / "best"):
                discard_abandoned(place, age=0.0)  # what a run that was killed left
            if fresh:
                _discard_run(folder)
        processes.wait()
        resume(state, recipe, folder, source, any_images=any_images)
        if on_gpu:
            for network in (state.network, state.ema.module):
                network.to(memory_format=torch.channels_last)
            state.network.compile()
        if isinstance(examples, Tensor) and examples.nbytes <= KEPT_ON_DEVICE:
            examples = examples.to(device)
            images = examples if labels is None else LabelledImages(examples, labels)
        origin = {"processes": processes.size, "provenance": provenance(command, device)}
        save = partial(save_checkpoint, recipe=recipe.to_dict(), images=source)
        files = _RunFiles(recipe, folder, state, save, keep, quality, origin)
        steps = training_steps(
            state, images, recipe.objective(), settings, accumulate=accumulate, processes=processes, stop=stop
        )
        try:
            for loss in steps:
                files.losses.append((state.step, loss))
                if state.step % checkpoint_every == 0 or state.step == settings.num_steps:
                    files.save(processes.rank)
                if callback is not None:
                    callback(state, loss)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(f"{error}; {describe_last(folder)}") from error
        if state.step < settings.num_steps:
            files.save(processes.rank)
            processes.wait()
            raise TrainingInterrupted(f"stopped at step {state.step}; {describe_last(folder)}")
        return Run(state.ema.module.eval(), recipe, state.step)


@dataclass
class _RunFiles:
    """What a run writes in its folder: checkpoints, and beside them tables and a record, which never cost one."""

    recipe: Recipe
    folder: Path
    state: TrainingState
    save_checkpoint: Callable[..., Path]
    keep: int
    quality: Quality | None
    origin: dict[str, Any]
    """The part of the record that does not change."""
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Those since the last checkpoint."""

    def __post_init__(self):
        self.started_at, self.begun = self.state.step, time.perf_counter()
        self.earlier: dict[str, Any] | None = None

    def save(self, rank: int) -> None:
        """Write the losses since the last checkpoint, and a checkpoint; the first process does, the others go on."""
        rows = self.losses.copy()
        self.losses.clear()
        if rank or not rows:
            return
        # Losses first: a run that is cut between the two repeats their steps, and the rows with them.
        problems = [_append_rows(self.folder / "loss.csv", ("step", "loss"), rows)]
        self._checkpoint(self.folder, self.keep)
        if self.earlier is None:
            self.earlier = read_run_record(self.folder) if self.started_at else {}
        seconds = self.earlier.get("seconds", 0.0) + time.perf_counter() - self.begun
        record = {
            "step": self.state.step,
            "seconds": round(seconds, 3),
            "counted_from_step": self.earlier.get("counted_from_step", self.started_at),
            **self.origin,
        }
        problems.append(write_beside(self.folder / "run.json", (json.dumps(record, indent=1) + "\n").encode()))
        if self.quality is not None and self.state.step % self.quality.every == 0:
            problems.append(self._measure(self.quality))
        for problem in filter(None, problems):
            warnings.warn(problem, stacklevel=2)

    def _checkpoint(self, folder: Path, keep: int) -> None:
        weights, training = self.state.ema.module.state_dict(), self.state.tensors()
        self.save_checkpoint(folder, step=self.state.step, weights=weights, training=training, keep=keep)

    def _measure(self, quality: Quality) -> str:
        """Measure the network as it stands, and keep it where it is the best so far; says what is to be warned of."""
        table, step = self.folder / "quality.csv", self.state.step
        value = quality.measure(Run(self.state.ema.module.eval(), self.recipe, step))
        if value < min((found for _, found in _rows_before(table, step)), default=math.inf):
            self._checkpoint(self.folder / "best", keep=1)
        return _append_rows(table, ("step", "quality"), [(step, value)])


def _discard_run(folder: Path) -> None:
    """Delete a run's checkpoints and measurements, and nothing else that lies in its folder."""
    for checkpoint in [*list_checkpoints(folder), *list_checkpoints(folder / "best")]:
        discard_folder(checkpoint)
    for name in ("loss.csv", "quality.csv", "run.json"):
        (folder / name).unlink(missing_ok=True)


def read_run_record(folder: Path) -> dict[str, Any]:
    """What `run.json` says of a run; nothing where it is missing or, set aside with a warning, where it was changed."""
    path = folder / "run.json"
    try:
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict) or not isinstance(record.get("seconds"), int | float):
            raise ValueError("it has no number of seconds")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        set_aside(path, error)
        return {}
    return record


def own_images(recipe: Recipe) -> LabelledImages:
    """(N, *D) and (N,) the training split of the recipe's data set; `ValueError` if there is none of that name."""
    if recipe.dataset not in SOURCES:
        raise ValueError(f"there is no data set {recipe.dataset!r}; hand the images over, or use {', '.join(SOURCES)}")
    return SOURCES[recipe.dataset]("train")


def describe_last(folder: Path) -> str:
    """In words, which checkpoint a run would go on from."""
    saved = list_checkpoints(folder)
    return f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved yet"


def check_every(checkpoint_every: int, quality: Quality | None) -> None:
    """Raise `ValueError` unless checkpoints, and measurements at some of them, can be made so often."""
    check_count("checkpoint_every", checkpoint_every)
    if quality is not None and check_count("quality_every", quality.every) % checkpoint_every:
        raise ValueError(
            f"quality_every must be a multiple of checkpoint_every, {checkpoint_every}, got {quality.every}"
        )


def check_images(recipe: Recipe, images: Data) -> None:
    """Raise `ValueError` unless a recipe can be trained on the images: of its shape, at least a batch."""
    objective = recipe.objective()
    check_data(images, objective=objective)
    if isinstance(images, LabelledImages) and isinstance(objective, LabelledObjective) and recipe.classes:
        check_count("num_classes", len(recipe.classes), minimum=int(images.labels.max()) + 1)
    images = images.images if isinstance(images, LabelledImages) else images
    if isinstance(images, Sized) and not isinstance(images, DataLoader):
        shape = tuple((images[:1] if isinstance(images, Tensor) else examples_of(images[0])[None]).shape[1:])
        if shape != recipe.image_shape:
            wanted = ", ".join(map(str, recipe.image_shape))
            raise ValueError(f"images must be (N, {wanted}), got {(len(images), *shape)}")
        check_batch_size(recipe.training.batch_size, len(images))


def resume(
    state: TrainingState, recipe: Recipe, folder: Path, source: str | None = None, *, any_images: bool = False
) -> None:
    """Set a fresh training state to the folder's last checkpoint, if there is one.

    Args:
        state: of the recipe's network; changed in place.
        recipe: what is trained; its number of steps may be another than the checkpoint's.
        folder: where the checkpoints are.
        source: the `fingerprint` of the images; None where it is not known.
        any_images: take a checkpoint that was trained on other images.

    Raises:
        ValueError: the checkpoint is of other settings, which the message names, of other images, or of more steps.
        CheckpointError: the checkpoint cannot be read.
    """
    saved = list_checkpoints(folder)
    if saved:
        checkpoint = load_checkpoint(saved[-1])
        planned = checkpoint.recipe["training"] | {"num_steps": recipe.training.num_steps}
        here = recipe.to_dict()
        there = checkpoint.recipe | {"training": planned} | ({"dataset": here["dataset"]} if any_images else {})
        different = differences(there, here)
        if different:
            raise ValueError(
                f"{checkpoint.path} is of another run: {'; '.join(different)}; "
                "choose another folder, or the same settings"
                + (", or go on with other images by `any_images`" if there["dataset"] != here["dataset"] else "")
            )
        if recipe.training.num_steps < checkpoint.step:
            raise ValueError(
                f"num_steps must be at least the {checkpoint.step} steps that {checkpoint.path} has done, "
                f"got {recipe.training.num_steps}"
            )
        if not any_images and None not in (source, checkpoint.images) and source != checkpoint.images:
            raise ValueError(
                f"{checkpoint.path} was trained on other images, {recipe.dataset} by the fingerprint "
                f"{checkpoint.images}, not {source}; choose another folder, or the same images, or go on with other "
                "ones by `any_images`"
            )
        state.load(checkpoint.step, checkpoint.weights, checkpoint.training)


def load_run(path: Path, device: str | torch.device = "cpu") -> Run:
    """The trained network in a run's folder, in one of its checkpoints, or in a model that `export_run` wrote.

    Args:
        path: a run's folder (its last checkpoint is taken), a checkpoint's, or a file `NAME.safetensors`.
        device: where to put the network.

    Returns:
        The averaged network in eval mode, its recipe and its step.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.suffix != ".safetensors":
        other = "; the authors' files are read by ncsn_lib.load_author_checkpoint" if path.suffix == ".pth" else ""
        raise CheckpointError(f"{path} is no run: name a run's folder, or a .safetensors that `export` wrote{other}")
    if path.suffix == ".safetensors":
        weights, record = load_model(path)
        if record.get("kind") != "run":
            raise CheckpointError(f"{path} is no trained recipe: its record's kind is {record.get('kind')!r}")
        return _rebuild_run(path, record["recipe"], record["step"], weights, device)
    saved = list_checkpoints(path)
    if not saved and not (path / "checkpoint.json").exists():
        raise CheckpointError(f"there is no checkpoint in {path}; train one first: python -m ncsn_lib train RECIPE")
    checkpoint = load_checkpoint(saved[-1] if saved else path)
    return _rebuild_run(checkpoint.path, checkpoint.recipe, checkpoint.step, checkpoint.weights, device)


def export_run(run: Run, path: Path, record: Mapping[str, Any]) -> None:
    """Write a trained network to share: `NAME.safetensors` in 16 bits, and its recipe and a record beside it.

    Args:
        run: the network, its recipe and its step.
        path: the file of the weights.
        record: what else is known of it, JSON-serialisable: where it comes from, how long it took.

    Raises:
        ValueError: a path of another suffix, or weights that 16 bits cannot hold.
        CheckpointError: it cannot be written.
    """
    own = {"kind": "run", "step": run.step, "recipe": run.recipe.to_dict()}
    save_model(path, run.network.state_dict(), {**record, **own})


def _rebuild_run(path: Path, fields: dict, step: int, weights: dict[str, Tensor], device: str | torch.device) -> Run:
    try:
        recipe = Recipe.from_dict(fields)
        network = recipe.build_network()
        network.load_state_dict(weights)
    except (ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} does not fit this version of ncsn_lib: {error}") from error
    return Run(network.to(device).eval(), recipe, step)


def read_rows(path: Path) -> list[tuple[int, str]]:
    """The rows (step, value) of a run's table; none where there is none yet; `ValueError` if it is another table."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file)) or [["step"]]
    if header[:1] != ["step"]:
        raise ValueError(f"its first line is {','.join(header)!r}, not step,...")
    return [(int(step), value) for step, value in rows]


def _rows_before(path: Path, step: int) -> list[tuple[int, float]]:
    """A table's rows up to a step; none where it was changed by others, when it is set aside with a warning.

    Raises:
        OSError: it cannot be set aside.
    """
    try:
        return [(row, float(value)) for row, value in read_rows(path) if row < step]
    except (OSError, ValueError, csv.Error) as error:
        set_aside(path, error)
        return []


def _append_rows(path: Path, header: tuple[str, str], rows: list[tuple[int, float]]) -> str:
    """Add steps to a run's table in place of what an interrupted run wrote of them; says what is to be warned of."""
    table = io.StringIO(newline="")
    try:
        csv.writer(table).writerows([header, *_rows_before(path, rows[0][0]), *rows])
    except OSError as error:
        return f"{path} is not as it was written, and cannot be renamed ({error}); the run goes on without it"
    return write_beside(path, table.getvalue().encode())
