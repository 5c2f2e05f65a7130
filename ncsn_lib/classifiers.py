"""A classifier trained in a few minutes, stored, and found again: what samples are judged by offline."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from ncsn_lib.checkpoints import CheckpointError, load_model, save_model
from ncsn_lib.checks import check_count, check_not_negative, check_positive, check_seed
from ncsn_lib.data import LabelledImages, random_flip, random_shift, unit_images
from ncsn_lib.networks.classifier import Classifier


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained: AdamW, its learning rate along one cycle. All values ours, found by trying."""

    num_epochs: int = 6
    """How often each image is seen; six are enough for 99 % on MNIST."""
    batch_size: int = 128
    """Images per step."""
    learning_rate: float = 5e-3
    """AdamW's learning rate at the top of its cycle; it rises from 1/25 of that over 30 % of the steps, then falls."""
    weight_decay: float = 1e-2
    """AdamW's decay of the weights."""
    max_shift: int = 2
    """Shift each image by up to so many pixels along each side, each time it is seen."""
    flip: bool = False
    """Mirror each image left to right at even odds; right for photographs, wrong for digits."""
    bfloat16: bool = True
    """Let convolutions round to 16 bits (torch's autocast): about half the time."""
    seed: int = 0
    """Seed of the weights, the order of the images and the shifts."""

    def __post_init__(self):
        """Refuse settings that cannot train."""
        check_count("num_epochs", self.num_epochs)
        check_count("batch_size", self.batch_size, minimum=2)  # batch norm needs two
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("weight_decay", self.weight_decay)
        check_count("max_shift", self.max_shift, minimum=0)
        check_seed("seed", self.seed)

    def num_steps(self, num_images: int) -> int:
        """Optimiser steps in all; the images left over by an epoch's last whole batch wait for the next order."""
        return self.num_epochs * (num_images // self.batch_size)


def train_classifier(
    data: LabelledImages,
    settings: ClassifierSettings | None = None,
    *,
    device: str | torch.device = "cpu",
    callback: Callable[[int, float], None] | None = None,
) -> Classifier:
    """Train a classifier by cross-entropy; the weights follow from the seed, on one machine and number of threads.

    Args:
        data: images (N, C, H, W) in [0, 1] or uint8, N at least a batch, and labels (N,) from 0 to K - 1.
        settings: how; `ClassifierSettings()` by default.
        device: where to train.
        callback: is called after each step with the steps done and the step's loss.

    Returns:
        The classifier on the CPU in eval mode, its weights rounded to 16 bits, as `save_classifier` stores them.

    Raises:
        ValueError: fewer images than a batch, or another number of labels.
    """
    settings = settings or ClassifierSettings()
    check_labelled_images(data)
    if len(data.images) < settings.batch_size:
        raise ValueError(f"batch_size must be at most the {len(data.images)} images, got {settings.batch_size}")
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        classifier = Classifier(data.images.shape[1], int(data.labels.max()) + 1)
    classifier = classifier.to(device).to(memory_format=torch.channels_last).train()
    generator = torch.Generator().manual_seed(settings.seed)
    num_steps = settings.num_steps(len(data.images))
    rate, decay = settings.learning_rate, settings.weight_decay
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=num_steps)
    for step in range(num_steps):
        if step % (num_steps // settings.num_epochs) == 0:
            batches = torch.randperm(len(data.images), generator=generator).split(settings.batch_size)
        indices = batches[step % (num_steps // settings.num_epochs)]
        x = random_shift(unit_images(data.images[indices]), settings.max_shift, generator)
        x = (random_flip(x, generator) if settings.flip else x).to(device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.bfloat16):
            logits = classifier(x)
        loss = F.cross_entropy(logits.float(), data.labels[indices].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if callback is not None:
            callback(step + 1, loss.item())
    classifier = classifier.to("cpu").to(memory_format=torch.contiguous_format).eval()
    rounded = {name: v.half().float() if v.is_floating_point() else v for name, v in classifier.state_dict().items()}
    classifier.load_state_dict(rounded)
    return classifier


@torch.no_grad()
def classifier_accuracy(classifier: Classifier, data: LabelledImages, *, batch_size: int = 500) -> float:
    """The share of images whose largest logit is their label's.

    Args:
        classifier: in eval mode.
        data: images (N, C, H, W) in [0, 1] or uint8, and labels (N,).
        batch_size: images looked at together; bounds the memory.

    Returns:
        Between 0 and 1.
    """
    check_labelled_images(data)
    guesses = [classifier(unit_images(part)).argmax(1) for part in data.images.split(batch_size)]
    return (torch.cat(guesses) == data.labels).double().mean().item()


def check_labelled_images(data: LabelledImages) -> None:
    """Raise `ValueError` unless there is a label from 0 up for each of one or more images (N, C, H, W)."""
    images, labels = data
    if images.ndim != 4 or not len(images) or labels.shape != images.shape[:1]:
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"images must be (N, C, H, W) and labels (N,), N at least 1, got {shapes}")
    if labels.min() < 0:
        raise ValueError(f"labels must be at least 0, got {int(labels.min())}")


def save_classifier(path: Path, classifier: Classifier, record: dict[str, Any]) -> None:
    """Store a classifier as `NAME.safetensors` in 16 bits, with a record `NAME.safetensors.json`.

    Args:
        path: the file of the weights.
        classifier: the network.
        record: what is known of it: data, test accuracy, number of test images, where it comes from.

    Raises:
        ValueError: a path of another suffix.
        CheckpointError: it cannot be written.
    """
    own = {"kind": "classifier", "channels": classifier.channels, "num_classes": classifier.num_classes}
    save_model(path, classifier.state_dict(), {**record, **own})


def load_classifier(path: Path) -> Classifier:
    """The classifier that `save_classifier` stored; its record is what `checkpoints.load_model` returns second.

    Args:
        path: the file of the weights, `NAME.safetensors`.

    Returns:
        The classifier on the CPU, in float32 and eval mode.

    Raises:
        ValueError: a path of another suffix.
        CheckpointError: missing, damaged, or no classifier.
    """
    weights, record = load_model(path)
    if record.get("kind") != "classifier":
        raise CheckpointError(f"{path} is no classifier: its record's kind is {record.get('kind')!r}")
    classifier = Classifier(record["channels"], record["num_classes"])
    try:
        classifier.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit this version of ncsn_lib; train the classifier again") from error
    return classifier.eval()
