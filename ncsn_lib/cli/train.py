"""`python -m ncsn_lib train RECIPE`, alone or in several processes under `torchrun`."""

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.checkpoints import list_checkpoints
from ncsn_lib.checks import check_count
from ncsn_lib.cli.options import (
    RunOptions,
    find_device,
    load_training_images,
    parse,
    run_folder,
    take_recipe,
)
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.cli.quality import quick_distance
from ncsn_lib.distributed import Processes, join_processes
from ncsn_lib.extras import need
from ncsn_lib.files import write_result
from ncsn_lib.provenance import provenance
from ncsn_lib.runs import Quality, Run, TrainingInterrupted, check_every, check_images, train_recipe
from ncsn_lib.sampling import sample_run
from ncsn_lib.settings import Recipe
from ncsn_lib.training import TrainingState, check_shares

SETTINGS = ("noise", "loss", "network", "training", "sampling")
SHORT = {"--steps": "--training.num-steps", "--batch-size": "--training.batch-size"}


@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """Options of `train` beside the recipe's fields."""

    checkpoint_every: int = 500
    """Steps between checkpoints."""
    keep: int = 2
    """How many checkpoints stay, the newest."""
    accumulate: int = 1
    """Parts into which a process cuts its batch: more need less memory and a little more time."""
    compile: bool | None = None
    """Compile the network and lay it out for a GPU; the first step takes minutes. By default on a GPU only."""
    sample_every: int | None = None
    """Steps between grids of 64 samples, written to samples-STEP.png in the run's folder. By default none."""
    quality_every: int | None = None
    """Steps between measurements of 1,000 samples' Frechet distance from training images, a multiple of
    --checkpoint-every; the best checkpoint stays in the folder best. By default none."""
    inception: bool = False
    """Measure it in Inception's features (the FID), not in a classifier's."""
    classifier: Path | None = None
    """The classifier for it. By default runs/classifiers/DATASET.safetensors, made by train-classifier."""
    tensorboard: bool = False
    """Write the loss for TensorBoard, too, in the run's folder."""
    fresh: bool = False
    """Delete the folder's checkpoints, the best one and its measurements among them, and start anew."""
    data: Path | None = None
    """A folder or zip of images to train on, in place of the recipe's data set; they are cropped and resized to it."""
    skip_broken: bool = False
    """Leave out images of --data that cannot be read, instead of stopping at the first."""
    cache: bool = True
    """Keep the decoded images of --data in the folder NCSN_CACHE, or ~/.cache/ncsn_lib, for the next start."""


def run(argv: Sequence[str]) -> int:
    """Train a recipe, or go on with it."""
    command = shlex.join(["python", "-m", "ncsn_lib", "train", *argv])
    recipe, argv = take_recipe("train", argv)
    argv = [SHORT.get(flag, flag) + rest for flag, rest in (_split(word) for word in argv)]
    settings = {name: getattr(recipe, name) for name in SETTINGS if getattr(recipe, name) is not None}
    options, settings = parse(f"train {recipe.name}", recipe.summary, TrainOptions(), settings, argv)
    recipe = dataclasses.replace(recipe, **settings)
    _check(options, recipe)
    device = find_device(options)
    with join_processes(device.type) as processes, _stop_signal() as stop:
        recipe, images = load_training_images(recipe, options.data, options.skip_broken, options.cache)
        check_images(recipe, images)  # before --fresh deletes anything
        check_shares(recipe.training.batch_size, processes.size, options.accumulate)
        quality = None
        if options.quality_every is not None and processes.rank == 0:
            chosen = {"inception": options.inception, "classifier": options.classifier}
            quality = Quality(quick_distance(recipe, images, device, **chosen), options.quality_every)
        folder = run_folder(options, recipe)
        _prepare(folder, options.fresh, processes)
        try:
            done = _train(recipe, folder, images, device, options, processes, stop, quality, command)
        except TrainingInterrupted as interrupted:
            if processes.rank == 0:
                print(f"ncsn_lib: {interrupted}; run the same command to go on", file=sys.stderr)
            return 128 + (stop.signal or signal.SIGTERM)  # where another process got the signal, it was a cluster's
    if processes.rank == 0:
        last = list_checkpoints(folder)[-1]
        print(f"{done.step} steps done; the network is in {last}, the losses in {folder / 'loss.csv'}")
    return 0


def _check(options: TrainOptions, recipe: Recipe) -> None:
    """Every option that can be wrong, before anything is loaded."""
    every = options.quality_every
    check_every(options.checkpoint_every, None if every is None else Quality(lambda run: 0.0, every))
    check_count("keep", options.keep)
    if options.sample_every is not None:
        check_count("sample_every", options.sample_every)
    if options.sample_every is not None or options.quality_every is not None:
        recipe.sampler  # noqa: B018 - raises where there is none
    if options.tensorboard:
        _summary_writer()


def _prepare(folder: Path, fresh: bool, processes: Processes) -> None:
    """The first process deletes the old checkpoints or says from which one it goes on; the others wait for it."""
    if processes.rank == 0:
        saved = list_checkpoints(folder)
        if fresh:
            for checkpoint in [*saved, *list_checkpoints(folder / "best")]:
                shutil.rmtree(checkpoint)
            (folder / "quality.csv").unlink(missing_ok=True)
        elif saved:
            print(f"going on from {saved[-1]}")
    processes.wait()


def _train(
    recipe: Recipe,
    folder: Path,
    images: torch.Tensor,
    device: torch.device,
    options: TrainOptions,
    processes: Processes,
    stop: "StopSignal",
    quality: Quality | None,
    command: str,
) -> Run:
    """Train, with a bar, a table for TensorBoard and grids of samples where they are asked for."""
    with contextlib.ExitStack() as stack:
        callbacks: list[Callable[[TrainingState, float], None]] = []
        if processes.rank == 0:
            callbacks.append(stack.enter_context(_progress(recipe, device, options)))
            callbacks.append(stack.enter_context(_clock(recipe, folder, device, processes, options, command)))
            if options.tensorboard:
                callbacks.append(stack.enter_context(_tensorboard(folder / "tensorboard")))
            if options.sample_every is not None:
                callbacks.append(_grids(recipe, folder, options.sample_every))

        def report(state: TrainingState, loss: float) -> None:
            for callback in callbacks:
                callback(state, loss)

        return train_recipe(
            recipe,
            folder,
            device=device,
            images=images,
            checkpoint_every=options.checkpoint_every,
            keep=options.keep,
            accumulate=options.accumulate,
            processes=processes,
            on_gpu=device.type == "cuda" if options.compile is None else options.compile,
            stop=stop,
            quality=quality,
            callback=report,
        )


@contextlib.contextmanager
def _progress(recipe: Recipe, device: torch.device, options: TrainOptions) -> Iterator[Callable]:
    """A bar with loss, images/s and time left; where there is no terminal, a line at each checkpoint."""
    from tqdm.auto import tqdm

    total = recipe.training.num_steps
    with tqdm(total=total, unit="step", desc=f"train {recipe.name} on {device}", disable=None) as bar:
        begun: list[tuple[float, int]] = []

        def report(state: TrainingState, loss: float) -> None:
            begun.append((time.perf_counter(), state.step)) if not begun else None
            seconds, steps = time.perf_counter() - begun[0][0], state.step - begun[0][1]
            speed = steps * recipe.training.batch_size / seconds if steps else 0.0
            if not bar.disable:
                bar.update(state.step - bar.n)
                bar.set_postfix_str(f"loss {loss:.2f}, {speed:.0f} images/s", refresh=False)
            elif state.step % options.checkpoint_every == 0 and steps:
                left = (total - state.step) * seconds / steps / 60
                print(
                    f"step {state.step} of {total}: loss {loss:.2f}, {speed:.0f} images/s, {left:.0f} minutes left",
                    flush=True,
                )

        yield report


@contextlib.contextmanager
def _clock(
    recipe: Recipe, folder: Path, device: torch.device, processes: Processes, options: TrainOptions, command: str
) -> Iterator[Callable]:
    """Keeps `run.json`: what was run, where, and how many seconds its steps took up to the last checkpoint."""
    path = folder / "run.json"
    earlier = 0.0 if options.fresh or not path.exists() else json.loads(path.read_text())["seconds"]
    begun, reached = time.perf_counter(), 0

    def note() -> None:
        spent = {"step": reached, "seconds": round(earlier + time.perf_counter() - begun, 3)}
        write_result(path, spent | {"processes": processes.size, "provenance": provenance(command, device)})

    def report(state: TrainingState, loss: float) -> None:
        nonlocal reached
        reached = state.step
        if reached % options.checkpoint_every == 0 or reached == recipe.training.num_steps:
            note()

    try:
        yield report
    except TrainingInterrupted:  # which saved a checkpoint, too
        note()
        raise


@contextlib.contextmanager
def _tensorboard(folder: Path) -> Iterator[Callable]:
    with _summary_writer()(folder) as writer:
        yield lambda state, loss: writer.add_scalar("loss", loss, state.step)


def _summary_writer() -> Any:
    """What writes for TensorBoard."""
    return need("torch.utils.tensorboard", "tensorboard", "--tensorboard").SummaryWriter


def _grids(recipe: Recipe, folder: Path, every: int) -> Callable[[TrainingState, float], None]:
    def report(state: TrainingState, loss: float) -> None:
        if state.step % every == 0:
            network = state.ema.module.eval()
            write_images(sample_run(Run(network, recipe, state.step), 64), folder / f"samples-{state.step:08d}.png")

    return report


class StopSignal:
    """Whether the process was asked to stop, and by which signal; it is called to ask."""

    def __init__(self):
        self.signal = 0

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.signal != 0

    def receive(self, number: int, frame: object) -> None:
        """Note the signal; a second one acts as it always does."""
        self.signal = number
        signal.signal(number, signal.SIG_DFL)
        os.write(2, b"\nstopping after this step; once more to stop at once\n")


@contextlib.contextmanager
def _stop_signal() -> Iterator[StopSignal]:
    """While it lasts, SIGTERM (preemption) and Ctrl-C let training save and end."""
    stop = StopSignal()
    before = {number: signal.signal(number, stop.receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _split(word: str) -> tuple[str, str]:
    """A flag, and "=value" if it carries one."""
    flag, equals, value = word.partition("=")
    return flag, equals + value
