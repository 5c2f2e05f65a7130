"""A recipe carried out in a folder: train it, go on with it, load what it made."""

import csv
import io
from collections.abc import Callable, Mapping, Sized
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
    name_last_checkpoint,
    save_checkpoint,
    save_model,
)
from ncsn_lib.checks import check_count
from ncsn_lib.data import fingerprint
from ncsn_lib.distributed import ALONE, Processes
from ncsn_lib.files import write_file
from ncsn_lib.recipes import SOURCES
from ncsn_lib.records import differences
from ncsn_lib.settings import Recipe
from ncsn_lib.training import (
    Data,
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
    stop: Callable[[], bool] | None = None,
    quality: Quality | None = None,
    callback: Callable[[TrainingState, float], None] | None = None,
) -> Run:
    """Train a recipe in a folder, from its last checkpoint if it has one.

    Writes `loss.csv`, a checkpoint every so many steps, and one at the end; and `quality.csv` and the best checkpoint
    in `best`, where a measure of quality is given.

    Args:
        recipe: what to do.
        folder: where the results go; made if missing. Every process must see it.
        images: (N, C, H, W) training images, or a data set of them; the recipe's own training split by default.
        device: where to train.
        checkpoint_every: steps between checkpoints.
        keep: how many checkpoints stay, the newest.
        accumulate: parts into which a process cuts its share of the batch; more need less memory.
        processes: who trains; the first one writes.
        on_gpu: lay the network out as a GPU wants it (channels last) and compile it; the first step takes minutes.
        stop: is asked at each step whether to save and end.
        quality: is measured at some of the checkpoints, of which the best one stays.
        callback: is called after each step with the state and the step's loss.

    Returns:
        The trained network.

    Raises:
        ValueError: the folder holds a run of other settings, or images of another shape.
        CheckpointError: a checkpoint that cannot be read or written.
        NonFiniteLossError: the loss is NaN or infinite; the message names the last good checkpoint.
        TrainingInterrupted: `stop` said so; the last checkpoint holds the step at which it did.
    """
    folder, settings = Path(folder), recipe.training
    check_every(checkpoint_every, quality)
    check_count("keep", keep)
    check_shares(settings.batch_size, processes.size, accumulate)
    images = own_images(recipe) if images is None else images
    check_images(recipe, images)
    source = fingerprint(images) if isinstance(images, Tensor) else None
    state = start_or_resume(recipe, folder, device, source)
    if on_gpu:
        for network in (state.network, state.ema.module):
            network.to(memory_format=torch.channels_last)
        state.network.compile()
    if isinstance(images, Tensor) and images.nbytes <= KEPT_ON_DEVICE:
        images = images.to(device)
    steps = training_steps(
        state, images, recipe.objective(), settings, accumulate=accumulate, processes=processes, stop=stop
    )
    losses: list[tuple[int, float]] = []
    try:
        for loss in steps:
            losses.append((state.step, loss))
            if state.step % checkpoint_every == 0 or state.step == settings.num_steps:
                if processes.rank == 0:
                    _save(recipe, folder, state, losses, source, keep, quality)
                losses.clear()
            if callback is not None:
                callback(state, loss)
    except NonFiniteLossError as error:
        raise NonFiniteLossError(f"{error}; {describe_last(folder)}") from error
    if state.step < settings.num_steps:
        if losses and processes.rank == 0:
            _save(recipe, folder, state, losses, source, keep, quality)
        processes.wait()
        raise TrainingInterrupted(f"stopped at step {state.step}; {describe_last(folder)}")
    return Run(state.ema.module.eval(), recipe, state.step)


def _save(
    recipe: Recipe,
    folder: Path,
    state: TrainingState,
    losses: list[tuple[int, float]],
    source: str | None,
    keep: int,
    quality: Quality | None,
) -> None:
    """Write the losses since the last checkpoint, a checkpoint, and the best one if this is it."""
    # Losses first: a run that is cut between the two repeats their steps, and the rows with them.
    with name_last_checkpoint(folder, folder / "loss.csv"):
        _append_rows(folder / "loss.csv", ("step", "loss"), losses)
    weights, training = state.ema.module.state_dict(), state.tensors()
    fields = recipe.to_dict()
    save = partial(save_checkpoint, step=state.step, recipe=fields, weights=weights, training=training, images=source)
    save(folder, keep=keep)
    if quality is not None and state.step % quality.every == 0:
        value = quality.measure(Run(state.ema.module.eval(), recipe, state.step))
        if value < min((float(value) for _, value in read_rows(folder / "quality.csv")), default=float("inf")):
            save(folder / "best", keep=1)
        _append_rows(folder / "quality.csv", ("step", "quality"), [(state.step, value)])


def own_images(recipe: Recipe) -> Tensor:
    """(N, *D) the training split of the recipe's data set; `ValueError` if there is none of that name."""
    if recipe.dataset not in SOURCES:
        raise ValueError(f"there is no data set {recipe.dataset!r}; hand the images over, or use {', '.join(SOURCES)}")
    return SOURCES[recipe.dataset]("train").images


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
    check_data(images)
    if isinstance(images, Sized) and not isinstance(images, DataLoader):
        shape = tuple((images[:1] if isinstance(images, Tensor) else examples_of(images[0])[None]).shape[1:])
        if shape != recipe.image_shape:
            wanted = ", ".join(map(str, recipe.image_shape))
            raise ValueError(f"images must be (N, {wanted}), got {(len(images), *shape)}")
        check_batch_size(recipe.training.batch_size, len(images))


def start_or_resume(
    recipe: Recipe, folder: Path, device: str | torch.device = "cpu", source: str | None = None
) -> TrainingState:
    """The training state of the folder's last checkpoint, or a fresh one where there is none.

    Args:
        recipe: what is trained.
        folder: where its checkpoints are.
        device: where to train.
        source: the `fingerprint` of the images; None where it is not known.

    Returns:
        The state, its network on the device.

    Raises:
        ValueError: the checkpoint is of other settings, which the message names, or of other images.
        CheckpointError: the checkpoint cannot be read.
    """
    state = TrainingState.start(recipe.build_network().to(device), recipe.training)
    saved = list_checkpoints(folder)
    if saved:
        checkpoint = load_checkpoint(saved[-1])
        different = differences(checkpoint.recipe, recipe.to_dict())
        if different:
            raise ValueError(
                f"{checkpoint.path} is of another run: {'; '.join(different)}; "
                "choose another folder, or the same settings"
            )
        if None not in (source, checkpoint.images) and source != checkpoint.images:
            raise ValueError(
                f"{checkpoint.path} was trained on other images, {checkpoint.images}, not {source}; choose another "
                "folder, or the same images"
            )
        state.load(checkpoint.step, checkpoint.weights, checkpoint.training)
    return state


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
    """Write a trained network to share: `NAME.safetensors` in 16 bits, and `NAME.json` with its recipe and a record.

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
    """The rows (step, value) of a run's table; none where there is no table yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [(int(step), value) for step, value in list(csv.reader(file))[1:]]


def _append_rows(path: Path, header: tuple[str, str], rows: list[tuple[int, float]]) -> None:
    """Add steps to a run's table, dropping what an interrupted run wrote of the same steps."""
    kept = [row for row in read_rows(path) if not rows or row[0] < rows[0][0]]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([header, *kept, *rows])
    write_file(path, table.getvalue().encode())
