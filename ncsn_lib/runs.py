"""A recipe carried out in a folder: train it, go on with it, load what it made."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ncsn_lib.checkpoints import (
    Checkpoint,
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    name_last_checkpoint,
    save_checkpoint,
)
from ncsn_lib.data import DATASETS
from ncsn_lib.protocol import check_count
from ncsn_lib.recipes import Recipe
from ncsn_lib.training import NonFiniteLossError, TrainingState, check_batch_size, train


class Run(NamedTuple):
    """A trained network and the recipe that made it."""

    network: nn.Module
    """The averaged network, in eval mode."""
    recipe: Recipe
    """The recipe with every override."""
    step: int
    """Training steps done."""


def train_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    checkpoint_every: int = 500,
    images: Tensor | None = None,
    callback: Callable[[TrainingState, float], None] | None = None,
) -> Run:
    """Train a recipe in a folder, from its last checkpoint if it has one.

    Writes `loss.csv`, a checkpoint every so many steps, and one at the end.

    Args:
        recipe: what to do.
        folder: where the results go; made if missing.
        device: where to train.
        checkpoint_every: steps between checkpoints.
        images: (N, C, H, W) training images; the recipe's own training split by default.
        callback: is called after each step with the state and the step's loss.

    Returns:
        The trained network.

    Raises:
        ValueError: the folder holds a run of other settings, or images of another shape.
        CheckpointError: a checkpoint that cannot be read or written.
        NonFiniteLossError: the loss is NaN or infinite; the message names the last good checkpoint.
    """
    folder = Path(folder)
    check_count("checkpoint_every", checkpoint_every)
    state = start_or_resume(recipe, folder, device)
    if images is None:
        images = DATASETS[recipe.dataset]("train").images
    check_images(recipe, images)

    losses: list[tuple[int, float]] = []

    def save(state: TrainingState) -> None:
        # Losses first: a run that is cut between the two repeats their steps, and the rows with them.
        with name_last_checkpoint(folder, folder / "loss.csv"):
            _append_losses(folder / "loss.csv", losses)
        losses.clear()
        save_checkpoint(
            folder,
            step=state.step,
            recipe=recipe.to_dict(),
            weights=state.ema.module.state_dict(),
            training=state.tensors(),
        )

    def after_step(state: TrainingState, loss: float) -> None:
        losses.append((state.step, loss))
        if state.step % checkpoint_every == 0 or state.step == recipe.training.num_steps:
            save(state)
        if callback is not None:
            callback(state, loss)

    try:
        train(state, images.to(device), recipe.objective(), recipe.training, callback=after_step)
    except NonFiniteLossError as error:
        saved = list_checkpoints(folder)
        last = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved yet"
        raise NonFiniteLossError(f"{error}; {last}") from error
    return Run(state.ema.module.eval(), recipe, state.step)


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
    """The trained network in a run's folder, or in one of its checkpoints.

    Args:
        path: a run's folder (its last checkpoint is taken) or a checkpoint's.
        device: where to put the network.

    Returns:
        The averaged network in eval mode, its recipe and its step.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = Path(path)
    saved = list_checkpoints(path)
    if not saved and not (path / "checkpoint.json").exists():
        raise CheckpointError(f"there is no checkpoint in {path}; train one first: python -m ncsn_lib train RECIPE")
    checkpoint: Checkpoint = load_checkpoint(saved[-1] if saved else path)
    try:
        recipe = Recipe.from_dict(checkpoint.recipe)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path} does not fit this version of ncsn_lib: {error}") from error
    network = recipe.build_network()
    network.load_state_dict(checkpoint.weights)
    return Run(network.to(device).eval(), recipe, checkpoint.step)


def sample_run(
    run: Run,
    num: int,
    *,
    seed: int = 0,
    batch_size: int = 500,
    callback: Callable[[int], None] | None = None,
) -> Tensor:
    """Images from a trained network by its recipe's annealed Langevin dynamics, from uniform noise.

    Args:
        run: the network and its recipe.
        num: how many images.
        seed: of the starting points and the noise.
        batch_size: images sampled together; bounds the memory. Other sizes give other draws.
        callback: is called after each Langevin step with the number of images in the batch.

    Returns:
        (num, C, H, W) images on the CPU, in [0, 1] but for the sampler's noise: not clamped.
    """
    check_count("num", num)
    check_count("batch_size", batch_size)
    device = next(run.network.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sampling, sigmas = run.recipe.sampling, run.recipe.noise.sigmas().to(device)
    batches = []
    for start in range(0, num, batch_size):
        shape = (min(batch_size, num - start), *run.recipe.image_shape)
        samples = sampling.sample(
            run.network,
            sampling.start(shape, sigmas, generator),
            sigmas,
            lambda x: torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype),
            callback and (lambda step: callback(len(step.x))),
        )
        batches.append(samples.cpu())
    return torch.cat(batches)


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


def _append_losses(path: Path, losses: list[tuple[int, float]]) -> None:
    """Add steps to the table of losses, dropping what an interrupted run wrote of the same steps."""
    rows = [("step", "loss")]
    if path.exists() and losses:
        with path.open(newline="") as file:
            rows += [(step, loss) for step, loss in list(csv.reader(file))[1:] if int(step) < losses[0][0]]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{path.name}")
    with unfinished.open("w", newline="") as file:
        csv.writer(file).writerows(rows + losses)
    unfinished.replace(path)  # whole or not at all
