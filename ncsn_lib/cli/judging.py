"""What `evaluate` and `neighbours` look at: a run's samples or given images, real ones, and a classifier."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ncsn_lib.checkpoints import load_model
from ncsn_lib.checks import check_count, check_seed
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.cli.command import UserError
from ncsn_lib.cli.reading import DataOptions, class_names, given_images, read_folder, read_split
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.recipes import SOURCES
from ncsn_lib.runs import Run, load_run
from ncsn_lib.sampling import sample_run
from ncsn_lib.settings import Recipe
from ncsn_lib.words import counted, some


@dataclass(frozen=True)
class JudgingOptions(DataOptions):
    """Options of the commands that look at samples."""

    images: Path | None = None
    """Images in place of the run's samples: an array .npy (N, C, H, W) in [0, 1] or uint8, the folder that `sample`
    filled, or a folder or zip of pictures."""
    seed: int = 0
    """Seed of the samples' noise."""
    batch_size: int = 500
    """Images sampled together; fewer need less memory."""
    classifier: Path | None = None
    """A classifier's weights. By default runs/classifiers/DATASET.safetensors, where there is one."""
    any_classes: bool = False
    """Judge by a classifier whose classes have other names than the real images'."""


class Subject(NamedTuple):
    """Images to look at, or the run that will draw them."""

    source: Tensor | Run
    """The images (N, C, H, W), or the run."""
    dataset: str
    """What the run was trained on, or the recipe's data set."""
    shape: tuple[int, ...]
    """(C, H, W) of an image."""
    origin: dict[str, Any]
    """Where they come from, for the record."""


class References(NamedTuple):
    """The real images beside which samples are judged."""

    images: Tensor
    """(M, C, H, W)."""
    name: str
    """What they are called."""
    classes: Sequence[str] | None
    """The names of their classes; None where they have none."""


def find_subject(options: JudgingOptions, recipe: Recipe, num: int) -> Subject:
    """The given images, read, or the run, loaded; nothing is drawn yet."""
    check_count("num", num)
    check_count("batch_size", options.batch_size)
    check_seed("seed", options.seed)
    if options.images is not None:
        images = given_images(options.images, options.background)
        if len(images) < num:
            raise UserError(f"{options.images} holds {counted(len(images), 'image')}, fewer than --num {num}")
        origin = {"images": str(options.images), "num_images": num, "denoised": None}
        return Subject(images[:num], recipe.dataset, tuple(images.shape[1:]), origin)
    folder = options.folder(recipe)
    recipe.sampler  # noqa: B018 - raises before anything is loaded
    run = load_run(folder, options.find_device())
    origin = {
        "images": f"samples of {folder}",
        "num_images": num,
        "step": run.step,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "sampling": asdict(run.recipe.sampler),
        "denoised": getattr(run.recipe.sampler, "denoise", None),
    }
    return Subject(run, run.recipe.dataset, run.recipe.image_shape, origin)


def draw(subject: Subject, options: JudgingOptions, title: str) -> Tensor:
    """(N, C, H, W) the subject's images, drawn now where a run draws them."""
    source, num = subject.source, subject.origin["num_images"]
    if isinstance(source, Tensor):
        return source
    with Progress(title, num * source.recipe.calls_per_sample(), "calls") as progress:
        update, batch_size, classes = progress.update, options.batch_size, source.recipe.classes
        return sample_run(source, num, classes=classes, seed=options.seed, batch_size=batch_size, callback=update)


def find_references(options: JudgingOptions, subject: Subject, split: str | None) -> References:
    """Real images of the subject's shape: those of --data, or the split of the run's data set, "train" by default."""
    shape, dataset = subject.shape, subject.dataset
    if options.data is not None:
        if split is not None:
            raise UserError(f"--split {split} goes with a data set by name: give its images by --data alone")
        found = read_folder(options.data, options.background, size=shape[-1])
        references = References(found.images, f"images of {options.data.name}", class_names(dataset, found))
    elif dataset not in SOURCES:
        raise UserError(f"the run was trained on {dataset}: give them by --data")
    else:
        split = split or "train"
        images = read_split(dataset, split).images
        references = References(images, f"{dataset} ({split})", class_names(dataset, None))
    if references.images.shape[1:] != shape:
        found_shape = tuple(references.images.shape[1:])
        raise UserError(f"the images are {tuple(shape)}, but {references.name} {found_shape}: not to be compared")
    return references


def find_classifier(
    path: Path | None, dataset: str, channels: int, classes: Sequence[str] | None, *, any_classes: bool = False
) -> tuple[Classifier | None, dict[str, Any]]:
    """The classifier at `path` or, where that is None, the data set's in its usual place; None where there is none.

    Returns:
        The classifier on the CPU, and what a result says of it.

    Raises:
        UserError: a classifier of other channels, or of other classes than the real images have.
    """
    usual = classifier_path(dataset)
    if path is None and not usual.exists():
        return None, {}
    path = path or usual
    classifier, (_, record) = load_classifier(path), load_model(path)
    if classifier.channels != channels:
        raise UserError(f"{path} takes {counted(classifier.channels, 'channel')}, the images have {channels}")
    known: list[str] | None = record.get("classes")
    if not any_classes and known and classes and known != list(classes):
        raise UserError(
            f"{path} tells {some(known, 10)} apart, and the real images are {some(classes, 10)}; name another by "
            "--classifier, or judge by this one all the same with --any-classes"
        )
    say(f"judged by {path}, trained on {record.get('data', 'data that its record does not name')}")
    kept = ("data", "test_accuracy", "num_test_images")
    about = {"classifier": str(path), "sha256": record["sha256"]["weights"]}
    return classifier, about | {name: record[name] for name in kept if name in record}


def classifier_path(dataset: str) -> Path:
    """Where a data set's classifier is kept unless told otherwise."""
    return Path("runs") / "classifiers" / f"{dataset}.safetensors"
