"""`python -m ncsn_lib train-classifier DATASET`."""

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.classifiers import ClassifierSettings, classifier_accuracy, save_classifier, train_classifier
from ncsn_lib.cli.options import DeviceOptions, UserError, choose, classifier_path, find_device, parse
from ncsn_lib.data import DATASETS, LabelledImages, load_images
from ncsn_lib.provenance import provenance


@dataclass(frozen=True)
class TrainClassifierOptions(DeviceOptions):
    """Options of `train-classifier` beside its settings."""

    data: Path | None = None
    """A folder or zip of training images, the class by folder, in place of the data set's; with --test-data."""
    test_data: Path | None = None
    """A folder or zip of test images with the same classes."""
    data_label: str | None = None
    """What the images of --data are, for the record: "CIFAR-10 (JPEG copy)". By default their file's name."""
    out: Path | None = None
    """Where the weights go, the record beside them as .json. By default runs/classifiers/DATASET.safetensors."""


def run(argv: Sequence[str]) -> int:
    """Train a classifier of a data set, measure it on the test images, and store it."""
    from tqdm.auto import tqdm

    if not argv or argv[0].startswith("-"):
        known = ", ".join(DATASETS)
        raise UserError(f"usage: python -m ncsn_lib train-classifier DATASET [OPTIONS]; the data sets: {known}")
    name = argv[0]
    choose("data set", name, DATASETS)
    title = f"train-classifier {name}"
    summary = "a small classifier, to judge samples by: minutes on one core"
    options, settings = parse(title, summary, TrainClassifierOptions(), {"training": ClassifierSettings()}, argv[1:])
    settings = settings["training"]
    out = options.out or classifier_path(name)
    if out.suffix != ".safetensors":
        raise UserError(f"--out must end in .safetensors, got {out}")
    device = find_device(options)
    train, test = read_splits(name, options)
    with tqdm(total=settings.num_steps(len(train.images)), unit="step", desc=title, disable=None) as bar:

        def report(step: int, loss: float) -> None:
            bar.update(step - bar.n)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

        classifier = train_classifier(train, settings, device=device, callback=report)
    accuracy = classifier_accuracy(classifier, test)
    record = {
        "data": data_name(name, options.data, options.data_label),
        "test_data": data_name(name, options.test_data, options.data_label),
        "test_accuracy": accuracy,
        "num_test_images": len(test.images),
        "settings": dataclasses.asdict(settings),
        **provenance(shlex.join(["python", "-m", "ncsn_lib", "train-classifier", *argv]), device),
    }
    save_classifier(out, classifier, record)
    print(f"test accuracy {accuracy:.2%} of {len(test.images)} images; the classifier is in {out}")
    return 0


def data_name(name: str, path: Path | None, label: str | None) -> str:
    """What the record calls images: the data set, or those of a path, by their label where there is one."""
    return name if path is None else label or f"images of {path.name}"


def read_splits(name: str, options: TrainClassifierOptions) -> tuple[LabelledImages, LabelledImages]:
    """The training and the test images, of the same shape and classes."""
    if options.data is None and options.test_data is None:
        if options.data_label is not None:
            raise UserError(f"--data-label {options.data_label!r} says what the images of --data are: give them, too")
        train, test = DATASETS[name]("train"), DATASETS[name]("test")
        names = (f"{name} (train)", f"{name} (test)")
    elif options.data is None or options.test_data is None:
        raise UserError("--data and --test-data go together: give both, or neither")
    else:
        train, test = load_images(options.data), load_images(options.test_data)
        names = (str(options.data), str(options.test_data))
    for what, ours, theirs in [
        ("shape", tuple(train.images.shape[1:]), tuple(test.images.shape[1:])),
        ("number of classes", len(train.labels.unique()), len(test.labels.unique())),
    ]:
        if ours != theirs:
            raise UserError(f"{names[1]} has another {what} than {names[0]}: {theirs}, not {ours}")
    if len(train.labels.unique()) < 2:
        raise UserError(f"{names[0]} has one class; a classifier needs a folder of images for each of two or more")
    return train, test
