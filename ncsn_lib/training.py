"""The training loop: it is handed a network, data and an objective, and knows none of them."""

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from ncsn_lib.checks import (
    check_count,
    check_examples,
    check_labels,
    check_not_negative,
    check_positive,
    check_probability,
    check_seed,
)
from ncsn_lib.data import LabelledImages, dequantize, random_flip, unit_images
from ncsn_lib.distributed import ALONE, Processes
from ncsn_lib.generators import step_generator
from ncsn_lib.losses import denoising_score_matching_loss, ncsn_loss, variance_weight
from ncsn_lib.protocol import NO_CLASS, ScoreFn
from ncsn_lib.records import Record
from ncsn_lib.schedules import check_sigmas

Draws = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingSettings(Record):
    """How a network is trained."""

    num_steps: int
    """Optimiser steps."""
    batch_size: int
    """Images per step."""
    learning_rate: float
    """Adam's learning rate, its largest value if it varies."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates of the gradient's mean and square."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    cosine_decay: bool = False
    """Let the learning rate fall to 0 along a cosine by the last step."""
    max_grad_norm: float | None = None
    """Scale the gradient down to this norm if it is longer; None: never."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights, reached gradually; the average is what samples."""
    dequantize: bool = False
    """Add uniform noise of one grey value to each image, each time it is seen."""
    flip: bool = False
    """Mirror each image left to right at even odds, each time it is seen."""
    bfloat16: bool = False
    """Let convolutions and matrix products of the forward and backward pass round to 16 bits (torch's autocast)."""
    seed: int = 0
    """Seed of the weights, the batches and the noise."""

    def __post_init__(self):
        """Refuse settings that cannot train."""
        for name in ("num_steps", "batch_size"):
            check_count(name, getattr(self, name))
        check_count("warmup_steps", self.warmup_steps, minimum=0)
        check_seed("seed", self.seed)
        check_positive("learning_rate", self.learning_rate)
        if self.max_grad_norm is not None:
            check_positive("max_grad_norm", self.max_grad_norm)
        for name, value in [
            ("ema_decay", self.ema_decay),
            ("betas[0]", self.betas[0]),
            ("betas[1]", self.betas[1]),
        ]:
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
        return rate * 0.5 * (1 + math.cos(math.pi * step / self.num_steps)) if self.cosine_decay else rate

    def ema_decay_at(self, step: int) -> float:
        """The decay of the moving average after a step; it rises, to forget the first ones."""
        return min(self.ema_decay, (1 + step) / (10 + step))


class Objective(Protocol):
    """What the loop minimises: draws are made apart from the loss, so that the loss is a pure function."""

    def draw(self, x: Tensor, generator: torch.Generator) -> Draws:
        """The random numbers that the loss of the batch `x` takes, one row per example."""
        ...

    def loss(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> Tensor:
        """The scalar loss of the batch."""
        ...

    def explain(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> str:
        """In words, where the loss of the batch is not finite."""
        ...


@runtime_checkable
class LabelledObjective(Objective, Protocol):
    """An objective that learns classes: the loop hands it the labels of a batch, too."""

    def draw_labelled(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> Draws:
        """What `draw` returns, for the batch `x` with the labels (B,)."""
        ...


class NCSNObjective:
    """The NCSN loss with a level per image drawn uniformly (Song & Ermon 2019, Eq. 6).

    Args:
        sigmas: (L,) decreasing noise levels, in the units of the images.
        weight: lambda(sigma), sigma^2 by default.
    """

    def __init__(self, sigmas: Tensor, weight: Callable[[Tensor], Tensor] = variance_weight):
        self.sigmas, self.weight = check_sigmas(sigmas), weight

    def draw(self, x: Tensor, generator: torch.Generator) -> Draws:
        """Levels `labels` (B,) and unit normal `noise` (B, *D)."""
        labels = torch.randint(len(self.sigmas), (len(x),), generator=generator, device=x.device)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return {"labels": labels, "noise": noise}

    def loss(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> Tensor:
        """The mean over the batch of the weighted denoising loss."""
        return ncsn_loss(score_fn, x, self.sigmas.to(x), weight=self.weight, **draws)

    def explain(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> str:
        """Names the levels at which the loss is not finite, or the images."""
        if not x.isfinite().all():
            return "the images hold values that are not finite"
        bad = []
        with torch.no_grad():
            for label in draws["labels"].unique().tolist():
                rows = draws["labels"] == label
                part = {name: value[rows] for name, value in draws.items()}
                if not self.loss(score_fn, x[rows], part).isfinite():
                    bad.append(f"{label + 1} (sigma = {self.sigmas[label]:.4g})")
        return f"noise level {', '.join(bad)} of {len(self.sigmas)}" if bad else "the sum over the batch"


class DenoisingObjective:
    """Denoising score matching at any noise levels, drawn for each image anew and weighted.

    The mean of weight(sigma) 1/2 ||s(x + sigma z, sigma) + z / sigma||^2. Karras et al. (2022), Eq. (2), weigh the
    denoiser D = x + sigma^2 s, so their lambda(sigma) ||D - x||^2 is half that with the weight lambda(sigma) sigma^4.

    Args:
        sigma: what draws the levels: maps (x, generator) to (B,) noise levels, in the units of the images. For example
            `lambda x, generator: log_normal_sigmas(x, -1.2, 1.2, generator)`.
        weight: maps (B,) levels to (B,) weights, sigma^2 by default.
    """

    def __init__(
        self,
        sigma: Callable[[Tensor, torch.Generator], Tensor],
        weight: Callable[[Tensor], Tensor] = variance_weight,
    ):
        self.sigma, self.weight = sigma, weight

    def draw(self, x: Tensor, generator: torch.Generator) -> Draws:
        """Levels `sigma` (B,) and unit normal `noise` (B, *D)."""
        sigma = self.sigma(x, generator)
        return {"sigma": sigma, "noise": torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)}

    def losses(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> Tensor:
        """(B,) weighted losses."""
        return self.weight(draws["sigma"]) * denoising_score_matching_loss(score_fn, x, **draws)

    def loss(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> Tensor:
        """The mean over the batch."""
        return self.losses(score_fn, x, draws).mean()

    def explain(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> str:
        """Names the noise levels at which the loss is not finite, or the images."""
        if not x.isfinite().all():
            return "the images hold values that are not finite"
        with torch.no_grad():
            bad = draws["sigma"][~self.losses(score_fn, x, draws).isfinite()]
        return "the noise level " + ", ".join(f"{sigma:.4g}" for sigma in bad) if len(bad) else "the sum over the batch"


class ConditionalObjective:
    """Any objective, for a network that is told the class of each example: network(x, sigma, classes).

    Now and then it is not told, at random, so that one network learns the score of each class and that of all
    together (Ho & Salimans 2022, Alg. 1).

    Args:
        objective: what is minimised.
        label_dropout: how often the class is kept back, from 0 to 1.

    Raises:
        ValueError: a dropout that is no probability.
    """

    def __init__(self, objective: Objective, label_dropout: float = 0.1):
        self.objective, self.label_dropout = objective, check_probability("label_dropout", label_dropout)

    def draw(self, x: Tensor, generator: torch.Generator) -> Draws:
        """The draws of examples without labels: NO_CLASS for each."""
        return self.draw_labelled(x, torch.full((len(x),), NO_CLASS, device=x.device), generator)

    def draw_labelled(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> Draws:
        """What the objective draws, and `classes` (B,): the labels, but for those that are kept back."""
        check_labels("labels", labels, x)
        draws = self.objective.draw(x, generator)
        dropped = torch.rand(len(x), generator=generator, device=x.device) < self.label_dropout
        return {**draws, "classes": labels.masked_fill(dropped, NO_CLASS)}

    def loss(self, score_fn: Callable[..., Tensor], x: Tensor, draws: Draws) -> Tensor:
        """The objective's loss of the network with its classes."""
        draws = dict(draws)
        return self.objective.loss(partial(score_fn, classes=draws.pop("classes")), x, draws)

    def explain(self, score_fn: Callable[..., Tensor], x: Tensor, draws: Draws) -> str:
        """Names the class of the first example whose loss is not finite, and what the objective says of it."""
        for row in range(len(x)):
            part = {name: value[row : row + 1] for name, value in draws.items()}
            if not self.loss(score_fn, x[row : row + 1], part).isfinite():
                classes = part.pop("classes")
                told = self.objective.explain(partial(score_fn, classes=classes), x[row : row + 1], part)
                return f"an example of class {classes.item()}: {told}"
        return "the sum over the batch"


class LossObjective:
    """One loss of `ncsn_lib.losses` at one noise level: explicit, implicit, sliced or denoising score matching.

    Args:
        loss: maps (score_fn, x, sigma) and its draws to (B,) losses.
        sigma: the noise level handed to it, at least 0, in the units of the examples.
        perturb: hand the loss the examples with fresh noise of that level. Without it they go in as they are, which is
            right for the denoising loss, since it adds its own noise, and for data as they are at sigma 0.
        draws: what the loss takes besides, by the name of its argument: each maps (x, generator) to a tensor.
            For example `projections=lambda x, generator: rademacher_projections(x, 1, generator)`.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        *,
        sigma: float = 0.0,
        perturb: bool = False,
        **draws: Callable[[Tensor, torch.Generator], Tensor],
    ):
        self.function, self.sigma, self.perturb = loss, check_not_negative("sigma", sigma), perturb
        self.draws = draws

    def draw(self, x: Tensor, generator: torch.Generator) -> Draws:
        """One tensor for each of the loss's draws, and the `perturbation` (B, *D) of the examples if they get one."""
        draws = {name: draw(x, generator) for name, draw in self.draws.items()}
        if self.perturb:
            unit = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            draws["perturbation"] = self.sigma * unit
        return draws

    def loss(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> Tensor:
        """The mean over the batch."""
        draws = dict(draws)
        x = x + draws.pop("perturbation", 0.0)
        return self.function(score_fn, x, x.new_full((len(x),), self.sigma), **draws).mean()

    def explain(self, score_fn: ScoreFn, x: Tensor, draws: Draws) -> str:
        """Names whatever the loss was handed that is not finite, or the loss."""
        bad = [name for name, value in {"examples": x, **draws}.items() if not value.isfinite().all()]
        return f"not finite: {', '.join(bad)}" if bad else f"the loss at sigma = {self.sigma:g}"


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient is NaN or infinite; the weights are those before the step that failed."""


@dataclass
class TrainingState:
    """Everything that changes while a network trains."""

    network: nn.Module
    ema: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def start(cls, network: nn.Module, settings: TrainingSettings) -> "TrainingState":
        """The state before the first step."""
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=settings.betas, fused=True)
        return cls(network, AveragedModel(network), optimizer)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that training needs to go on, by name, but the averaged weights."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        return tensors | {"ema.n_averaged": self.ema.n_averaged}

    def load(self, step: int, weights: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
        """Set the state to what `tensors()` and the averaged weights were at `step`."""
        self.step = step
        self.ema.module.load_state_dict(weights)
        self.ema.n_averaged.copy_(tensors["ema.n_averaged"])
        self.network.load_state_dict(
            {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        )
        state = self.optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, moment = name.split(".")
                state["state"].setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict(state)


Data = Tensor | LabelledImages | Dataset[Any] | DataLoader[Any]
"""What is trained on: a tensor (N, *D), one with labels, or torch's way of handing out examples."""
Batch = tuple[Tensor, ...]
"""The examples (B, *D) of a step, and their labels (B,) where the objective learns classes."""


def train(
    network: nn.Module | TrainingState,
    data: Data,
    objective: Objective,
    settings: TrainingSettings,
    *,
    take: Callable[[Any], Any] | None = None,
    accumulate: int = 1,
    processes: Processes = ALONE,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[TrainingState, float], None] | None = None,
) -> TrainingState:
    """Minimise an objective with Adam, keeping a moving average of the weights.

    The batch and the draws of a step, a network's own such as dropout's among them, follow from the seed and the
    step's number alone, so a run that goes on from a saved state ends with the same weights, bit for bit, as one that
    was never cut. Only a `DataLoader` chooses its batches itself: with one, a run goes on with other batches. Every
    process makes the whole batch and its draws and takes its share of them, so several processes do what one does, to
    rounding.

    Args:
        network: what is trained, in place, a module (x, sigma) -> score; or the state from which to go on.
        data: (N, *D) examples, N at least the batch size, images in [0, 1] or uint8, on the network's device or on the
            CPU, from where a batch at a time is taken; or `LabelledImages`; or a `Dataset` with a length; or a
            `DataLoader` of batches.
        objective: what to minimise; a `ConditionalObjective` needs data with labels.
        settings: how.
        take: the examples in what a data set or a loader hands out. By default that is the tensor itself, the first of
            a tuple, or the only images in a dict. For an objective that learns classes, the examples and their labels:
            by default the first two of a tuple, or the only images and the only whole numbers in a dict.
        accumulate: parts into which a process cuts its share of the batch; more need less memory.
        processes: who trains.
        stop: is asked at each step; where one process says yes, all end after that step.
        callback: is called after each step with the state and the step's loss.

    Returns:
        The state after `settings.num_steps` steps, or where it was stopped; sample with `state.ema.module`.

    Raises:
        TypeError: data of another kind, or no tensor in what they hand out.
        ValueError: fewer examples than a batch, or parts that do not divide it.
        NonFiniteLossError: the loss or its gradient is NaN or infinite; the weights are as before that step.
    """
    state = network if isinstance(network, TrainingState) else TrainingState.start(network, settings)
    steps = training_steps(
        state, data, objective, settings, take=take, accumulate=accumulate, processes=processes, stop=stop
    )
    for loss in steps:
        if callback is not None:
            callback(state, loss)
    return state


def training_steps(
    state: TrainingState,
    data: Data,
    objective: Objective,
    settings: TrainingSettings,
    *,
    take: Callable[[Any], Any] | None = None,
    accumulate: int = 1,
    processes: Processes = ALONE,
    stop: Callable[[], bool] | None = None,
) -> Iterator[float]:
    """The loop of `train`, step by step, for who wants to do something in between.

    Args:
        state: where to start; changed in place.
        data, objective, settings, take, accumulate, processes, stop: as for `train`.

    Yields:
        The loss of each step, when the state is as the step left it.
    """
    check_data(data, processes, objective)
    shares = check_shares(settings.batch_size, processes.size, accumulate)
    device = next(state.network.parameters()).device
    network = processes.wrap(state.network)
    weights = [weight for weight in state.network.parameters() if weight.requires_grad]
    taken: _Step | None = None

    state.network.train()
    labelled = isinstance(objective, LabelledObjective)
    for step, batch in enumerate(_batches(data, settings, state.step, take, labelled), state.step):
        # The batch and its draws are the same in all processes; the gradient is of this one's share, part by part.
        x, draws = draw_batch(batch, objective, settings, step, device)
        state.optimizer.zero_grad()
        loss = x.new_zeros(())
        with _own_draws(settings.seed, step, device):
            for number in range(accumulate):
                rows = slice_of(processes.rank * accumulate + number, settings.batch_size // shares)
                part = {name: value[rows] for name, value in draws.items()}
                last = number == accumulate - 1
                with contextlib.nullcontext() if last else processes.averages_later(network):
                    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
                        part_loss = objective.loss(network, x[rows], part) / accumulate
                    part_loss.backward()
                loss += part_loss.detach()

        # The step before is read only now, so that a GPU need not wait for the host.
        if taken is not None:
            yield taken.finish(state, objective, settings)
            if taken.stops:
                break

        # The step, unless its loss or gradient is not finite: fused Adam then leaves the weights alone.
        norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        if settings.max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(weights, settings.max_grad_norm, norm)
        for group in state.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(step)
        asked = float(stop is not None and stop())
        figures = processes.mean(torch.stack([loss, norm.to(loss), loss.new_full((), asked)]))
        found_inf = (~figures[:2].isfinite().all()).float()
        state.optimizer.found_inf = found_inf  # type: ignore[attr-defined]  # torch's stubs know no such attribute
        state.optimizer.step()
        taken = _Step(figures, x, draws)
    else:
        if taken is not None:
            yield taken.finish(state, objective, settings)
    state.network.eval()
    state.ema.eval()


@dataclass
class _Step:
    """A step that was taken, and whose figures are perhaps still on their way from the device."""

    figures: Tensor
    """(3,) loss, length of the gradient, above 0 if a process was asked to stop."""
    x: Tensor
    draws: Draws
    stops: bool = False

    def finish(self, state: TrainingState, objective: Objective, settings: TrainingSettings) -> float:
        """Count the step and average its weights; its loss, unless that or its gradient is not finite."""
        loss, norm, stops = self.figures.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what, where = ("loss", objective.explain(state.network, self.x, self.draws))
            if math.isfinite(loss):
                what, where = "gradient's length", self._find_bad_gradient(state.network, objective, settings)
            raise NonFiniteLossError(
                f"the {what} is {norm if math.isfinite(loss) else loss} at step {state.step}: {where}; "
                f"lower the learning rate ({settings.learning_rate}), or look at the images"
            )
        state.ema.multi_avg_fn = get_ema_multi_avg_fn(settings.ema_decay_at(state.step))
        state.ema.update_parameters(state.network)
        state.step += 1
        self.stops = stops > 0
        return loss

    def _find_bad_gradient(self, network: nn.Module, objective: Objective, settings: TrainingSettings) -> str:
        """In words, which weights have a gradient that is not finite."""
        network.zero_grad()
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=settings.bfloat16):
            loss = objective.loss(network, self.x, self.draws)
        loss.backward()
        gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
        bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
        if not bad:
            return "each weight's gradient is finite, the sum of their squares is not"
        return f"the gradient of {', '.join(bad[:3])}" + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")


def draw_batch(
    batch: Batch, objective: Objective, settings: TrainingSettings, step: int, device: torch.device
) -> tuple[Tensor, Draws]:
    """A step's examples (B, *D) as the network gets them, and the draws of its loss; the same whenever it is called."""
    generator = step_generator(settings.seed, step, device)
    examples, *labels = (part.to(device, non_blocking=True) for part in batch)
    x = unit_images(examples)
    x = dequantize(x, generator) if settings.dequantize else x
    x = random_flip(x, generator) if settings.flip else x
    if isinstance(objective, LabelledObjective):
        return x, objective.draw_labelled(x, labels[0], generator)
    return x, objective.draw(x, generator)


def check_data(data: Data, processes: Processes = ALONE, objective: Objective | None = None) -> None:
    """Raise unless so many processes can minimise the objective, if one is given, on data of this kind."""
    if isinstance(data, DataLoader):
        if processes.size > 1:
            raise ValueError("several processes need the same batches: hand over the DataLoader's data set")
    elif isinstance(data, LabelledImages):
        if len(data.images) != len(data.labels):
            raise ValueError(f"each image needs a label, got {len(data.images)} images and {len(data.labels)} labels")
    elif isinstance(data, Tensor):
        if isinstance(objective, LabelledObjective):
            raise ValueError("the objective learns classes, and a tensor has none: hand over LabelledImages(x, labels)")
    elif not (isinstance(data, Dataset) and isinstance(data, Sized)):
        raise TypeError(
            f"data must be a tensor, a Dataset with a length or a DataLoader, got {type(data).__name__}; "
            "torch.as_tensor makes a tensor of an array"
        )


def _batches(
    data: Data, settings: TrainingSettings, start: int, take: Callable[[Any], Any] | None, labelled: bool
) -> Iterator[Batch]:
    """The examples (B, *D) of each step from `start` on, and their labels if they are wanted."""
    taken = take or (labelled_examples_of if labelled else examples_of)

    def parts(item: Any) -> Batch:
        found: Any = taken(item)
        return (found[0], torch.as_tensor(found[1])) if labelled else (found,)

    if isinstance(data, DataLoader):
        for item in itertools.islice(_epochs(data), settings.num_steps - start):
            x, *labels = parts(item)
            check_examples(unit_images(x))
            if len(x) != settings.batch_size:
                raise ValueError(
                    f"the loader's batch has {len(x)} examples, the settings ask for {settings.batch_size}; "
                    f"give it batch_size={settings.batch_size} and drop_last=True"
                )
            yield x, *labels
    elif isinstance(data, Sized):
        tensors = data[: 1 + labelled] if isinstance(data, LabelledImages) else (data,)
        for step in range(start, settings.num_steps):
            indices = batch_indices(len(tensors[0]), settings.batch_size, settings.seed, step)
            if isinstance(data, Dataset):
                items = [parts(data[i]) for i in indices.tolist()]
                batch = tuple(map(torch.stack, zip(*items, strict=True)))
            else:
                batch = tuple(tensor[indices] for tensor in tensors)
            if step == start:
                check_examples(unit_images(batch[0]))
            yield batch


def _epochs(loader: DataLoader[Any]) -> Iterator[Any]:
    """What a loader hands out, again and again; `ValueError` when it hands out nothing."""
    while True:
        item = None
        for item in loader:
            yield item
        if item is None:
            raise ValueError(
                "the loader hands out no batch: drop_last=True leaves none of fewer examples than a batch, "
                "and a stream that has ended does not begin again"
            )


def examples_of(item: Any) -> Tensor:
    """The examples in what a data set or a loader hands out.

    Args:
        item: a tensor or an array; a tuple or list, of which the first is taken; or a dict, of which the only entry
            is taken that holds images: more than one number, floating point or uint8.

    Returns:
        The tensor.

    Raises:
        TypeError: none is found, or a dict has several; the message names what there is.
    """
    if isinstance(item, tuple | list) and item:
        item = item[0]
    if isinstance(item, Mapping):
        found = {name: value for name, value in item.items() if _holds_numbers(value)}
        if len(found) != 1:
            kinds = ", ".join(f"{name} ({type(value).__name__})" for name, value in item.items())
            raise TypeError(f'which entry are the examples of {kinds}? say it by take=lambda item: item["..."]')
        (item,) = found.values()
    if not _holds_numbers(item):
        raise TypeError(f"the data hand out {type(item).__name__}, not tensors: give take=, which makes a tensor of it")
    return torch.as_tensor(item)


def labelled_examples_of(item: Any) -> tuple[Tensor, Any]:
    """The examples in what a data set or a loader hands out, as by `examples_of`, and their labels.

    Args:
        item: a tuple or list of examples, labels and whatever else; or a dict, of which the only entry of whole numbers
            is taken for the labels.

    Returns:
        The examples and the labels.

    Raises:
        TypeError: none are found, or a dict has several.
    """
    if isinstance(item, Mapping):
        found = [value for value in item.values() if _is_label(value)]
        if len(found) == 1:
            return examples_of(item), found[0]
    elif isinstance(item, tuple | list) and len(item) > 1 and _is_label(item[1]):
        return examples_of(item), item[1]
    raise TypeError(
        f"the objective learns classes, and which are they in what the data hand out ({type(item).__name__})? "
        "give take=, which makes (examples, labels) of it"
    )


def _is_label(value: Any) -> bool:
    if not isinstance(value, int | np.integer | np.ndarray | Tensor):
        return False
    return torch.as_tensor(value).dtype in (torch.int64, torch.int32)


def _holds_numbers(value: Any) -> bool:
    if not isinstance(value, Tensor | np.ndarray) or value.ndim == 0:
        return False
    value = torch.as_tensor(value)
    return value.is_floating_point() or value.dtype == torch.uint8


@contextlib.contextmanager
def _own_draws(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Let what a network draws by torch's global generator follow from the step, and put that generator back."""
    own = step_generator(seed, step, device).initial_seed()
    with torch.random.fork_rng([] if device.type == "cpu" else [device]):
        (torch.default_generator.manual_seed if device.type == "cpu" else torch.cuda.manual_seed)(own)
        yield


def check_batch_size(batch_size: int, num_images: int) -> None:
    """Raise `ValueError` if a batch would take more images than there are."""
    if num_images < batch_size:
        raise ValueError(f"batch_size must be at most the number of images, {num_images}, got {batch_size}")


def check_shares(batch_size: int, num_processes: int, accumulate: int) -> int:
    """The number of equal parts of a batch; `ValueError` unless they divide it."""
    shares = num_processes * check_count("accumulate", accumulate)
    if batch_size % shares:
        raise ValueError(
            f"batch_size must be a multiple of the {num_processes} processes times the {accumulate} parts of each, "
            f"got {batch_size}; {batch_size // shares * shares or shares} would do"
        )
    return shares


def slice_of(number: int, size: int) -> slice:
    """The rows of part `number` of a batch that is cut in parts of `size`."""
    return slice(number * size, (number + 1) * size)


def batch_indices(num_images: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Which images a step sees: (batch_size,) indices from a new order of the images each epoch."""
    check_batch_size(batch_size, num_images)
    epoch, position = divmod(step, num_images // batch_size)
    return _epoch_order(num_images, seed, epoch)[slice_of(position, batch_size)]


@functools.lru_cache(maxsize=2)
def _epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng((seed, 0, epoch)).permutation(num_images))
