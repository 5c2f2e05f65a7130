"""`python -m ncsn_lib train-classifier DATASET`."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ncsn_lib.checkpoints import MODEL_FORMAT
from ncsn_lib.classifiers import ClassifierSettings, classifier_accuracy, save_classifier, train_classifier
from ncsn_lib.cli.command import Command, DeviceOptions, UserError, check_suffix
from ncsn_lib.cli.judging import classifier_path
from ncsn_lib.cli.reading import class_names, read_folder, read_split
from ncsn_lib.cli.terminal import Progress, say
from ncsn_lib.data import DATASETS, ImageFolder, LabelledImages, fingerprint
from ncsn_lib.files import check_replaces, check_writable, record_path
from ncsn_lib.provenance import provenance
from ncsn_lib.words import counted, some


@dataclass(frozen=True)
class TrainClassifierOptions(DeviceOptions):
    """Options of `train-classifier` beside its settings."""

    data: Path | None = None
    """A folder or zip of training images, the class by folder, in place of the data set's; with --test-data."""
    test_data: Path | None = None
    """A folder or zip of test images with the same classes."""
    data_label: str | None = None
    """What the images of --data are, for the record: "CIFAR-10 (JPEG copy)". By default their file's name."""
    background: str = "white"
    """What is seen through transparent pixels: a colour by name, or as #rrggbb."""
    out: Path | None = None
    """Where the weights go, the record beside them by their name with .json behind. By default
    runs/classifiers/DATASET.safetensors."""


def run(command: Command) -> int:
    """Train a classifier of a data set, measure it on the test images, and store it."""
    command.take("dataset", DATASETS)
    name = command.words[0]
    summary = "a small classifier, to judge samples by: minutes on one core"
    options, groups = command.parse(summary, TrainClassifierOptions(), {"training": ClassifierSettings()})
    settings: ClassifierSettings = groups["training"]
    out = options.out or classifier_path(name)
    check_suffix(out, (".safetensors",))
    device = options.find_device()
    train, test, classes = read_splits(name, options)
    check_writable(out)
    check_replaces(record_path(out), format=MODEL_FORMAT)
    with Progress(command.title, settings.num_steps(len(train.images)), "steps") as progress:

        def report(step: int, loss: float) -> None:
            progress.update(step - progress.done, note=f"loss {loss:.3f}")

        classifier = train_classifier(train, settings, device=device, callback=report)
    accuracy = classifier_accuracy(classifier, test)
    record = {
        "data": data_name(name, options.data, options.data_label),
        "data_fingerprint": fingerprint(train.images),
        "classes": classes,
        "test_data": data_name(name, options.test_data, options.data_label),
        "test_accuracy": accuracy,
        "num_test_images": len(test.images),
        "settings": dataclasses.asdict(settings),
        **provenance(command.line, device),
    }
    save_classifier(out, classifier, record)
    say(f"test accuracy {accuracy:.2%} of {counted(len(test.images), 'image')}; the classifier is in {out}")
    return 0


def data_name(name: str, path: Path | None, label: str | None) -> str:
    """What the record calls images: the data set, or those of a path, by their label where there is one."""
    return name if path is None else label or f"images of {path.name}"


def read_splits(
    name: str, options: TrainClassifierOptions
) -> tuple[LabelledImages, LabelledImages, Sequence[str] | None]:
    """The training and the test images, of the same shape and classes, and the classes' names where they have some."""
    train: LabelledImages
    test: LabelledImages
    if options.data is None and options.test_data is None:
        if options.data_label is not None:
            raise UserError(f"--data-label {options.data_label!r} says what the images of --data are: give them, too")
        train, test = read_split(name, "train"), read_split(name, "test")
        names, classes = (f"{name} (train)", f"{name} (test)"), class_names(name, None)
    elif options.data is None or options.test_data is None:
        raise UserError("--data and --test-data go together: give both, or neither")
    else:
        train, test = (read_folder(path, options.background) for path in (options.data, options.test_data))
        names, classes = (str(options.data), str(options.test_data)), class_names(name, train)
        check_classes(train, test)
    for what, ours, theirs in [
        ("shape", tuple(train.images.shape[1:]), tuple(test.images.shape[1:])),
        ("number of classes", len(train.labels.unique()), len(test.labels.unique())),
    ]:
        if ours != theirs:
            raise UserError(f"{names[1]} has another {what} than {names[0]}: {theirs}, not {ours}")
    if len(train.labels.unique()) < 2:
        raise UserError(f"{names[0]} has one class; a classifier needs a folder of images for each of two or more")
    return train, test, classes


def check_classes(train: ImageFolder, test: ImageFolder) -> None:
    """Raise `UserError` unless both have folders of the same names, and so the same class by each label."""
    if list(train.classes) != list(test.classes):
        raise UserError(
            f"{test.path} has the classes {some(test.classes, 10)}, and {train.path} {some(train.classes, 10)}: "
            "give the folders of both the same names"
        )
