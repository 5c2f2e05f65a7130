"""`python -m ncsn_lib evaluate RECIPE`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from ncsn_lib.cli.command import Command, UserError, check_suffix
from ncsn_lib.cli.judging import (
    JudgingOptions,
    classifier_path,
    draw,
    find_classifier,
    find_references,
    find_subject,
)
from ncsn_lib.cli.terminal import say
from ncsn_lib.data import DATASETS
from ncsn_lib.files import check_replaces, check_writable, write_result
from ncsn_lib.metrics.classes import judge_images
from ncsn_lib.metrics.inception import inception_figures, load_inception
from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.provenance import provenance
from ncsn_lib.words import counted


@dataclass(frozen=True)
class EvaluateOptions(JudgingOptions):
    """Options of `evaluate`."""

    num: int = 1000
    """How many images are judged; numbers compare only between sets of the same size."""
    split: Literal["train", "test"] | None = None
    """The real images they are compared with: a split of the data set. By default train, as in the literature."""
    inception: bool = False
    """Measure inception score, FID and KID too; needs pip install "ncsn_lib[metrics]"."""
    inception_weights: Path | None = None
    """Inception's weights, where they cannot be downloaded."""
    out: Path = Path("evaluation.json")
    """Where the numbers go, with where they come from; an earlier evaluation is replaced."""

    def load_extractor(self) -> nn.Module | None:
        """Inception, if it was asked for."""
        if not self.inception:
            if self.inception_weights is not None:
                raise UserError("--inception-weights goes with --inception")
            return None
        return load_inception(self.inception_weights, device=self.find_device())


def run(command: Command) -> int:
    """Measure samples of a trained recipe, or given images."""
    recipe = command.take_recipe()
    options, _ = command.parse("samples beside real images, in numbers", EvaluateOptions(), {})
    check_suffix(options.out, (".json",))
    check_replaces(options.out, kind="evaluation")
    subject = find_subject(options, recipe, options.num)
    references, name, classes = find_references(options, subject, options.split)
    classifier, about = find_classifier(
        options.classifier, subject.dataset, subject.shape[0], classes, any_classes=options.any_classes
    )
    extractor = options.load_extractor()
    if classifier is None and extractor is None:
        usual, make = classifier_path(subject.dataset), f"python -m ncsn_lib train-classifier {subject.dataset}"
        made = (
            f"there is no classifier at {usual}: make it with {make}, or" if subject.dataset in DATASETS else "please"
        )
        raise UserError(f"{made} name one by --classifier, or measure by --inception")
    check_writable(options.out)
    images = draw(subject, options, command.title)
    result: dict[str, Any] = {"kind": "evaluation", "recipe": recipe.name, **subject.origin}
    result |= {"references": name, "num_references": len(references)}
    rows = [
        ("images", f"{counted(len(images), 'image')}, {subject.origin['images']}"),
        ("beside", f"{counted(len(references), 'image')}, {name}"),
    ]
    if classifier is not None:
        figures, lines = _by_classifier(classifier.to(options.find_device()), images, references)
        result["by_classifier"] = about | figures
        rows += lines
    if extractor is not None:
        measured = inception_figures(
            images, references, extractor, reference_name=name, denoised=subject.origin["denoised"]
        )
        result["by_inception"] = measured._asdict()
        rows += [
            ("inception score", f"{measured.inception_score:.2f} +- {measured.inception_score_std:.2f}"),
            ("FID", f"{measured.fid:.2f}"),
            ("KID", f"{measured.kid:.5f} +- {measured.kid_std:.5f}"),
        ]
    write_result(options.out, result | {"provenance": provenance(command.line, options.find_device())})
    for label, value in rows:
        say(f"{label:<36}{value}")
    say(f"the numbers and where they come from are in {options.out}")
    return 0


def _by_classifier(
    classifier: Classifier, images: Tensor, references: Tensor
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The classifier's figures, for the record and for the table."""
    judged = judge_images(classifier, images, references)
    shares = judged.class_shares.tolist()
    figures = {
        "sure_share": judged.sure_share,
        "class_shares": shares,
        "feature_distance": judged.feature_distance,
    }
    return figures, [
        ("classifier at least 0.9 sure of", f"{judged.sure_share:.1%}"),
        ("Frechet distance in its features", f"{judged.feature_distance:.2f}"),
        ("share of each class", " ".join(f"{share:.1%}" for share in shares)),
    ]
