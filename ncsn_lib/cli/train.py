"""`python -m ncsn_lib train RECIPE`, alone or in several processes under `torchrun`."""

import contextlib
import dataclasses
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncsn_lib.checkpoints import list_checkpoints, read_record
from ncsn_lib.checks import check_count
from ncsn_lib.cli.command import Command
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.cli.quality import quick_distance
from ncsn_lib.cli.reading import DataOptions, training_images
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.distributed import join_processes
from ncsn_lib.extras import need
from ncsn_lib.runs import Quality, Run, TrainingInterrupted, check_every, check_images, train_recipe
from ncsn_lib.sampling import NonFiniteSamplesError, sample_run
from ncsn_lib.settings import Recipe
from ncsn_lib.training import TrainingState, check_shares
from ncsn_lib.words import counted, reason_of

SETTINGS = ("noise", "loss", "network", "training", "sampling")
SHORT = {"--steps": "--training.num-steps", "--batch-size": "--training.batch-size", "--seed": "--training.seed"}
GRID = 64
"""Samples of a grid."""

Report = Callable[[TrainingState, float], None]


@dataclass(frozen=True)
class TrainOptions(DataOptions):
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
    any_images: bool = False
    """Go on with other images than the run was trained on."""
    skip_broken: bool = False
    """Leave out images of --data that cannot be read, instead of stopping at the first."""
    cache: bool = True
    """Keep the decoded images of --data in the folder NCSN_CACHE, or ~/.cache/ncsn_lib, for the next start."""

    def check(self, recipe: Recipe) -> None:
        """Refuse what cannot be, before anything is loaded."""
        every = self.quality_every
        check_every(self.checkpoint_every, None if every is None else Quality(lambda run: 0.0, every))
        check_count("keep", self.keep)
        if self.sample_every is not None:
            check_count("sample_every", self.sample_every)
        if self.sample_every is not None or self.quality_every is not None:
            recipe.sampler  # noqa: B018 - raises where there is none
        if self.tensorboard:
            _summary_writer()


def run(command: Command) -> int:
    """Train a recipe, or go on with it."""
    command.short = SHORT
    recipe = command.take_recipe()
    settings = {name: getattr(recipe, name) for name in SETTINGS if getattr(recipe, name) is not None}
    options, settings = command.parse(recipe.summary, TrainOptions(), settings)
    recipe = dataclasses.replace(recipe, **settings)
    options.check(recipe)
    device, folder = options.find_device(), options.folder(recipe)
    with join_processes(device.type) as processes, _stop_signal() as stop, contextlib.ExitStack() as stack:
        first = processes.rank == 0
        recipe, images = training_images(
            recipe, options, skip_broken=options.skip_broken, cache=options.cache, quiet=not first
        )
        check_images(recipe, images)  # before --fresh deletes anything
        check_shares(recipe.training.batch_size, processes.size, options.accumulate)
        quality = None
        if options.quality_every is not None and first:
            judge = quick_distance(
                recipe, images.images, device, inception=options.inception, classifier=options.classifier
            )
            quality = Quality(judge, options.quality_every)
        if first and not options.fresh:
            _say_where_it_goes_on(folder, recipe)
        reports = stack.enter_context(_reports(recipe, folder, options, command)) if first else []

        def report(state: TrainingState, loss: float) -> None:
            for each in reports:
                each(state, loss)

        try:
            done = train_recipe(
                recipe,
                folder,
                device=device,
                images=images,
                checkpoint_every=options.checkpoint_every,
                keep=options.keep,
                accumulate=options.accumulate,
                processes=processes,
                on_gpu=device.type == "cuda" if options.compile is None else options.compile,
                fresh=options.fresh,
                any_images=options.any_images,
                command=command.line,
                stop=stop,
                quality=quality,
                callback=report,
            )
        except TrainingInterrupted as interrupted:
            if first:
                say(f"ncsn_lib: {interrupted}; to go on: {command.line_to_go_on}", error=True)
            return 128 + (stop.signal or signal.SIGTERM)  # where another process got the signal, it was a cluster's
    if first:
        last = list_checkpoints(folder)[-1]
        say(f"{counted(done.step, 'step')} done; the network is in {last}, the losses in {folder / 'loss.csv'}")
    return 0


def _say_where_it_goes_on(folder: Path, recipe: Recipe) -> None:
    """From which checkpoint a run goes on and, where its number of steps is another now, what that changes."""
    saved = list_checkpoints(folder)
    if not saved:
        return
    say(f"going on from {saved[-1]}")
    record, training = read_record(saved[-1]), recipe.training
    planned, step = record["recipe"]["training"]["num_steps"], record["step"]
    if planned != training.num_steps and step < training.num_steps:
        told = f"{training.num_steps:,} steps now, {planned:,} were planned"
        if training.cosine_decay:
            before = dataclasses.replace(training, num_steps=planned).learning_rate_at(step)
            told += f": the learning rate's cosine is stretched, {before:.3g} -> {training.learning_rate_at(step):.3g}"
        say(told)


@contextlib.contextmanager
def _reports(recipe: Recipe, folder: Path, options: TrainOptions, command: Command) -> Iterator[list[Report]]:
    """What is done after each step: a bar and, if asked for, a table for TensorBoard and grids of samples."""
    saved = list_checkpoints(folder)
    done = 0 if options.fresh or not saved else int(saved[-1].name.removeprefix("step-"))
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(Progress(command.title, recipe.training.num_steps, "steps", done=done))
        begun, batch = time.perf_counter(), recipe.training.batch_size

        def progress(state: TrainingState, loss: float) -> None:
            speed = (state.step - done) * batch / (time.perf_counter() - begun)
            tell = state.step % options.checkpoint_every == 0
            bar.update(state.step - bar.done, note=f"loss {loss:.2f}, {speed:,.0f} images/s", tell=tell)

        reports: list[Report] = [progress]
        if options.tensorboard:
            writer = stack.enter_context(_summary_writer()(folder / "tensorboard"))
            reports.append(lambda state, loss: writer.add_scalar("loss", loss, state.step))
        if options.sample_every is not None:
            every = options.sample_every
            reports.append(lambda state, loss: None if state.step % every else _write_grid(recipe, folder, state))
        yield reports


def _summary_writer() -> Any:
    """What writes for TensorBoard."""
    return need("torch.utils.tensorboard", "tensorboard", "--tensorboard").SummaryWriter


def _write_grid(recipe: Recipe, folder: Path, state: TrainingState) -> None:
    """Draw a grid of samples in the run's folder; where that fails, training goes on."""
    out = folder / f"samples-{state.step:08d}.png"
    try:
        run = Run(state.ema.module.eval(), recipe, state.step)
        write_images(sample_run(run, GRID, classes=recipe.classes), out)
    except (NonFiniteSamplesError, OSError) as error:
        warnings.warn(f"{out} was not written ({reason_of(error)}); training goes on", stacklevel=2)


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
        with contextlib.suppress(OSError):  # nobody reads it: the terminal has gone
            os.write(2, b"\nstopping after this step; once more to stop at once\n")


@contextlib.contextmanager
def _stop_signal() -> Iterator[StopSignal]:
    """While it lasts, SIGTERM (preemption), SIGHUP (the terminal has gone) and Ctrl-C let training save and end."""
    stop = StopSignal()
    numbers = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    # What is ignored stays ignored, as SIGHUP is under nohup.
    taken = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop.receive) for number in taken}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
