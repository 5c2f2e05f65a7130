"""What `evaluate` and `neighbours` look at: a run's samples or given images, real ones, and a classifier."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.checkpoints import load_model
from ncsn_lib.checks import check_count
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.cli.options import RunOptions, UserError, classifier_path, find_device, run_folder
from ncsn_lib.data import load_images
from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.recipes import SOURCES
from ncsn_lib.runs import Run, load_run
from ncsn_lib.sampling import sample_run
from ncsn_lib.settings import Recipe


@dataclass(frozen=True)
class JudgingOptions(RunOptions):
    """Options of the commands that look at samples."""

    images: Path | None = None
    """Images in place of the run's samples: an array .npy (N, C, H, W) in [0, 1] or uint8, or a folder or zip."""
    seed: int = 0
    """Seed of the samples' noise."""
    batch_size: int = 500
    """Images sampled together; fewer need less memory."""
    data: Path | None = None
    """A folder or zip of real images, in place of the data set's; what a run was trained on by `train --data`."""
    classifier: Path | None = None
    """A classifier's weights. By default runs/classifiers/DATASET.safetensors, where there is one."""


class Subject(NamedTuple):
    """Images to look at, or the run that will draw them."""

    source: Tensor | Run
    """The images (N, C, H, W), or the run."""
    origin: dict[str, Any]
    """Where they come from, for the record."""


def find_subject(options: JudgingOptions, recipe: Recipe, num: int) -> Subject:
    """The given images, read, or the run, loaded; nothing is drawn yet."""
    check_count("num", num)
    check_count("batch_size", options.batch_size)
    if options.images is not None:
        images = read_images(options.images)
        if len(images) < num:
            raise UserError(f"{options.images} holds {len(images)} images, fewer than --num {num}")
        return Subject(images[:num], {"images": str(options.images), "num_images": num, "denoised": None})
    folder = run_folder(options, recipe)
    recipe.sampler  # noqa: B018 - raises before anything is loaded
    run = load_run(folder, find_device(options))
    origin = {
        "images": f"samples of {folder}",
        "num_images": num,
        "step": run.step,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "sampling": asdict(run.recipe.sampler),
        "denoised": getattr(run.recipe.sampler, "denoise", None),
    }
    return Subject(run, origin)


def draw(subject: Subject, options: JudgingOptions, title: str) -> Tensor:
    """(N, C, H, W) the subject's images, drawn now where a run draws them."""
    from tqdm.auto import tqdm

    source, num = subject.source, subject.origin["num_images"]
    if isinstance(source, Tensor):
        return source
    total = num * source.recipe.calls_per_sample()
    with tqdm(total=total, unit="image step", desc=title, disable=None) as bar:
        return sample_run(source, num, seed=options.seed, batch_size=options.batch_size, callback=bar.update)


def read_images(path: Path) -> Tensor:
    """(N, C, H, W) images of an array .npy, floating point or uint8, or of a folder or zip of pictures, uint8."""
    if path.suffix != ".npy":
        return load_images(path).images
    if not path.is_file():
        raise FileNotFoundError(f"there is no array at {path}")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array of numbers, or damaged ({error})") from error
    if array.ndim != 4 or not (array.dtype == np.uint8 or np.issubdtype(array.dtype, np.floating)):
        raise ValueError(f"{path} must hold (N, C, H, W) floating point or uint8, got {array.shape} of {array.dtype}")
    images = torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.float32))
    if not torch.isfinite(images).all():
        raise ValueError(f"{path} holds values that are not finite numbers")
    return images


def find_references(options: JudgingOptions, recipe: Recipe, subject: Subject, split: str | None) -> tuple[Tensor, str]:
    """Real images (M, C, H, W) of the subject's shape, and what they are called.

    Without --data they are the split of the data set by name that the run was trained on, "train" by default.
    """
    source = subject.source
    dataset = source.recipe.dataset if isinstance(source, Run) else recipe.dataset
    shape = source.recipe.image_shape if isinstance(source, Run) else tuple(source.shape[1:])
    if options.data is not None:
        if split is not None:
            raise UserError(f"--split {split} goes with a data set by name: give its images by --data alone")
        references, name = load_images(options.data, size=shape[-1]).images, f"images of {options.data.name}"
    elif dataset not in SOURCES:
        raise UserError(f"the run was trained on {dataset}: give them by --data")
    else:
        split = split or "train"
        references, name = SOURCES[dataset](split).images, f"{dataset} ({split})"
    if references.shape[1:] != shape:
        raise UserError(f"the images are {tuple(shape)}, but {name} {tuple(references.shape[1:])}: not to be compared")
    return references, name


def find_classifier(
    options: JudgingOptions, recipe: Recipe, references: Tensor
) -> tuple[Classifier | None, dict[str, Any]]:
    """The classifier that the options name or that is in its usual place, with its record; None where there is none."""
    path = options.classifier or classifier_path(recipe.dataset)
    if options.classifier is None and not path.exists():
        return None, {}
    classifier, (_, record) = load_classifier(path), load_model(path)
    if classifier.channels != references.shape[1]:
        raise UserError(f"{path} takes {classifier.channels} channels, the images have {references.shape[1]}")
    kept = ("data", "test_accuracy", "num_test_images")
    about = {"classifier": str(path), "sha256": record["sha256"]["weights"]}
    return classifier.to(find_device(options)), about | {name: record[name] for name in kept if name in record}
