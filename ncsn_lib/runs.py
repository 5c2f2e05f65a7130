"""A recipe carried out in a folder: train it, go on with it, load what it made."""

import csv
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncsn_lib.checkpoints import (
    Checkpoint,
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_model,
    name_last_checkpoint,
    save_checkpoint,
    save_model,
)
from ncsn_lib.checks import check_count
from ncsn_lib.distributed import ALONE, Processes
from ncsn_lib.files import write_file
from ncsn_lib.recipes import SOURCES, Recipe
from ncsn_lib.training import NonFiniteLossError, TrainingState, check_batch_size, check_shares, train

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


class TrainingInterrupted(Exception):
    """Training was asked to stop; all it had done is saved."""


def train_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    images: Tensor | None = None,
    checkpoint_every: int = 500,
    keep: int = 2,
    accumulate: int = 1,
    processes: Processes = ALONE,
    on_gpu: bool = False,
    stop: Callable[[], bool] = lambda: False,
    quality: Callable[[Run], float] | None = None,
    quality_every: int | None = None,
    callback: Callable[[TrainingState, float], None] | None = None,
) -> Run:
    """Train a recipe in a folder, from its last checkpoint if it has one.

    Writes `loss.csv`, a checkpoint every so many steps, and one at the end; and `quality.csv` and the best checkpoint
    in `best`, where a measure of quality is given.

    Args:
        recipe: what to do.
        folder: where the results go; made if missing. Every process must see it.
        device: where to train.
        images: (N, C, H, W) training images; the recipe's own training split by default.
        checkpoint_every: steps between checkpoints.
        keep: how many checkpoints stay, the newest.
        accumulate: parts into which a process cuts its share of the batch; more need less memory.
        processes: who trains; the first one writes.
        on_gpu: lay the network out as a GPU wants it (channels last) and compile it; the first step takes minutes.
        stop: is asked at each step whether to save and end.
        quality: a number for the network as it stands, the smaller the better, such as a Frechet distance.
        quality_every: steps between its measurements, a multiple of `checkpoint_every`; at each checkpoint by default.
        callback: is called after each step with the state and the step's loss.

    Returns:
        The trained network.

    Raises:
        ValueError: the folder holds a run of other settings, or images of another shape.
        CheckpointError: a checkpoint that cannot be read or written.
        NonFiniteLossError: the loss is NaN or infinite; the message names the last good checkpoint.
        TrainingInterrupted: `stop` said so; the last checkpoint holds the step at which it did.
    """
    folder = Path(folder)
    quality_every = checkpoint_every if quality_every is None else quality_every
    check_every(checkpoint_every, quality_every)
    check_count("keep", keep)
    check_shares(recipe.training.batch_size, processes.size, accumulate)
    if images is None:
        images = SOURCES[recipe.dataset]("train").images
    check_images(recipe, images)
    state = start_or_resume(recipe, folder, device)
    if on_gpu:
        for network in (state.network, state.ema.module):
            network.to(memory_format=torch.channels_last)
        state.network.compile()
    if images.nbytes <= KEPT_ON_DEVICE:
        images = images.to(device)

    losses: list[tuple[int, float]] = []

    def save(state: TrainingState) -> None:
        # Losses first: a run that is cut between the two repeats their steps, and the rows with them.
        with name_last_checkpoint(folder, folder / "loss.csv"):
            _append_rows(folder / "loss.csv", ("step", "loss"), losses)
        losses.clear()
        contents = {
            "step": state.step,
            "recipe": recipe.to_dict(),
            "weights": state.ema.module.state_dict(),
            "training": state.tensors(),
        }
        save_checkpoint(folder, keep=keep, **contents)
        if quality is not None and state.step % quality_every == 0:
            value = quality(Run(state.ema.module.eval(), recipe, state.step))
            if value < min((float(value) for _, value in read_rows(folder / "quality.csv")), default=float("inf")):
                save_checkpoint(folder / "best", keep=1, **contents)
            _append_rows(folder / "quality.csv", ("step", "quality"), [(state.step, value)])

    def after_step(state: TrainingState, loss: float) -> None:
        if processes.rank == 0:
            losses.append((state.step, loss))
            if state.step % checkpoint_every == 0 or state.step == recipe.training.num_steps:
                save(state)
        if callback is not None:
            callback(state, loss)

    try:
        train(
            state,
            images,
            recipe.objective(),
            recipe.training,
            accumulate=accumulate,
            processes=processes,
            stop=stop,
            callback=after_step,
        )
    except NonFiniteLossError as error:
        raise NonFiniteLossError(f"{error}; {describe_last(folder)}") from error
    if state.step < recipe.training.num_steps:
        if losses:
            save(state)
        processes.wait()
        raise TrainingInterrupted(f"stopped at step {state.step}; {describe_last(folder)}")
    return Run(state.ema.module.eval(), recipe, state.step)


def describe_last(folder: Path) -> str:
    """In words, which checkpoint a run would go on from."""
    saved = list_checkpoints(folder)
    return f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved yet"


def check_every(checkpoint_every: int, quality_every: int) -> None:
    """Raise `ValueError` unless checkpoints, and measurements at some of them, can be made so often."""
    check_count("checkpoint_every", checkpoint_every)
    if check_count("quality_every", quality_every) % checkpoint_every:
        raise ValueError(
            f"quality_every must be a multiple of checkpoint_every, {checkpoint_every}, got {quality_every}"
        )


def check_images(recipe: Recipe, images: Tensor) -> None:
    """Raise `ValueError` unless a recipe can be trained on the images: (N, C, H, W) of its shape, at least a batch."""
    if images.shape[1:] != recipe.image_shape:
        raise ValueError(f"images must be (N, {', '.join(map(str, recipe.image_shape))}), got {tuple(images.shape)}")
    check_batch_size(recipe.training.batch_size, len(images))


def start_or_resume(recipe: Recipe, folder: Path, device: str | torch.device = "cpu") -> TrainingState:
    """The training state of the folder's last checkpoint, or a fresh one where there is none.

    Raises:
        ValueError: the checkpoint is of other settings; the message names them.
        CheckpointError: the checkpoint cannot be read.
    """
    state = TrainingState.start(recipe.build_network().to(device), recipe.training)
    saved = list_checkpoints(folder)
    if saved:
        checkpoint = load_checkpoint(saved[-1])
        differences = _differences(checkpoint.recipe, recipe.to_dict())
        if differences:
            raise ValueError(
                f"{checkpoint.path} is of another run: {'; '.join(differences)}; "
                "choose another folder, or the same settings"
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
    checkpoint: Checkpoint = load_checkpoint(saved[-1] if saved else path)
    return _rebuild_run(checkpoint.path, checkpoint.recipe, checkpoint.step, checkpoint.weights, device)


def full_is_wanted() -> bool:
    """Whether NCSN_FULL=1 asks for the paper's own experiments in place of what the book stores.

    Raises:
        ValueError: NCSN_FULL is neither 0 nor 1.
    """
    wish = os.environ.get("NCSN_FULL", "0")
    if wish not in ("0", "1"):
        raise ValueError(f"NCSN_FULL must be 0 or 1, got {wish!r}")
    return wish == "1"


class AnyDevice(nn.Module):
    """A network that takes tensors of any device, computes on its own, and answers where they came from."""

    def __init__(self, network: nn.Module):
        """Wrap a network (x, sigma) -> score."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, *D) score on the device of `x` (B, *D); `sigma` is (B,)."""
        home = next(self.network.parameters()).device
        return self.network(x.to(home), sigma.to(home)).to(x.device)


def full_or_small_run(full: Recipe, small: Path, runs: Path, device: str | torch.device = "cuda") -> Run:
    """The run that a chapter shows: the small one stored with the book or, with NCSN_FULL=1, the paper's own.

    Args:
        full: the paper's recipe. With NCSN_FULL=1 it is trained in `runs`/NAME, or gone on with; that takes hours.
        small: the stored network that stands in for it, `NAME.safetensors`.
        runs: the folder of the runs.
        device: where the paper's network is trained and computes; it takes tensors of the CPU, too.

    Raises:
        ValueError: NCSN_FULL is neither 0 nor 1, or there is no such device.
        CheckpointError: a run that cannot be read.
    """
    if not full_is_wanted():
        return load_run(small)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError("NCSN_FULL=1 trains the paper's networks and wants a GPU; there is none: leave it unset")
    folder = Path(runs) / full.name
    train_recipe(full, folder, device=device, on_gpu=torch.device(device).type == "cuda")
    run = load_run(folder, device)
    return run._replace(network=AnyDevice(run.network).eval())


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
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit this version of ncsn_lib: {error}") from error
    return Run(network.to(device).eval(), recipe, step)


def _differences(saved: dict, wanted: dict, where: str = "") -> list[str]:
    """In words, the fields in which two recipes differ."""
    words = []
    for name in sorted(saved.keys() | wanted.keys()):
        old, new = saved.get(name), wanted.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            words += _differences(old, new, f"{where}{name}.")
        elif old != new:
            words.append(f"{where}{name} is {old!r} there and {new!r} here")
    return words


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
