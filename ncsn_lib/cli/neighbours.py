"""`python -m ncsn_lib neighbours RECIPE`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncsn_lib.checks import check_count
from ncsn_lib.cli.command import Command, UserError, check_suffix
from ncsn_lib.cli.judging import JudgingOptions, draw, find_classifier, find_references, find_subject
from ncsn_lib.cli.pictures import write_images
from ncsn_lib.cli.terminal import say
from ncsn_lib.data import unit_images
from ncsn_lib.files import check_replaces, check_writable, record_path, write_result
from ncsn_lib.metrics.classes import classify_images
from ncsn_lib.metrics.neighbours import nearest_neighbours
from ncsn_lib.provenance import provenance
from ncsn_lib.runs import Run
from ncsn_lib.words import counted


@dataclass(frozen=True)
class NeighboursOptions(JudgingOptions):
    """Options of `neighbours`."""

    num: int = 8
    """How many images; each is a row of the picture."""
    k: int = 5
    """How many nearest training images of each."""
    out: Path = Path("neighbours.png")
    """The picture; the distances go beside it, by its name with .json behind."""


def run(command: Command) -> int:
    """Show samples beside the nearest training images: is a sample new, or a copy?"""
    recipe = command.take_recipe()
    options, _ = command.parse("samples beside the nearest training images", NeighboursOptions(), {})
    check_suffix(options.out, (".png",))
    check_count("k", options.k)
    record = record_path(options.out)
    check_replaces(record, kind="neighbours")
    subject = find_subject(options, recipe, options.num)
    references, name, classes = find_references(options, subject, None)
    if isinstance(subject.source, Run) and options.data is not None and name != subject.dataset:
        raise UserError(f"the run was trained on {subject.dataset}, not on {name}")
    if options.k > len(references):
        raise UserError(f"--k must be at most the number of training images, {len(references)}, got {options.k}")
    classifier, about = find_classifier(
        options.classifier, subject.dataset, subject.shape[0], classes, any_classes=options.any_classes
    )
    for path in (options.out, record):
        check_writable(path)
    images = unit_images(draw(subject, options, command.title)).clamp(0, 1)
    references = unit_images(references)
    result: dict[str, Any] = {"kind": "neighbours", "recipe": recipe.name, **subject.origin}
    result |= {"training_images": name, "num_training_images": len(references), "k": options.k}
    distances, indices = nearest_neighbours(images, references, options.k)
    result["in_pixels"] = {"indices": indices.tolist(), "distances": distances.tolist()}
    rows = [images[:, None], references[indices]]  # (N, 1, C, H, W), (N, k, C, H, W)
    said = f"nearest in pixels at {distances[:, 0].min():.3g} to {distances[:, 0].max():.3g}"
    if classifier is not None:
        classifier = classifier.to(options.find_device())
        features, known = (classify_images(classifier, part)[0] for part in (images, references))
        distances, indices = nearest_neighbours(features, known, options.k)
        result["in_features"] = about | {"indices": indices.tolist(), "distances": distances.tolist()}
        rows.append(references[indices])
        said += f", in the classifier's features at {distances[:, 0].min():.3g} to {distances[:, 0].max():.3g}"
    table = torch.cat(rows, dim=1)  # (N, 1 + k or 1 + 2k, C, H, W)
    write_images(table.flatten(0, 1), options.out, columns=table.shape[1])
    write_result(record, result | {"provenance": provenance(command.line, options.find_device())})
    order = f"{counted(options.k, 'neighbour')} in pixels"
    order += f", {options.k} in features" if classifier is not None else ""
    say(said)
    say(f"each row of {options.out} is an image, then its {order}; the distances are in {record}")
    return 0
