"""`python -m ncsn_lib evaluate RECIPE`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from ncsn_lib.cli.judging import JudgingOptions, draw, find_classifier, find_references, find_subject
from ncsn_lib.cli.options import UserError, classifier_path, find_device, parse, take_recipe
from ncsn_lib.files import write_result
from ncsn_lib.metrics.classes import judge_images
from ncsn_lib.metrics.inception import inception_figures, load_inception
from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.provenance import provenance


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
    """Where the numbers go, with where they come from."""


def run(argv: Sequence[str]) -> int:
    """Measure samples of a trained recipe, or given images."""
    recipe, words = take_recipe("evaluate", argv)
    title = f"evaluate {recipe.name}"
    options, _ = parse(title, "samples beside real images, in numbers", EvaluateOptions(), {}, words)
    if options.out.suffix != ".json":
        raise UserError(f"--out must end in .json, got {options.out}")
    subject = find_subject(options, recipe, options.num)
    references, name = find_references(options, recipe, subject, options.split)
    classifier, about = find_classifier(options, recipe, references)
    extractor = _load_extractor(options)
    if classifier is None and extractor is None:
        raise UserError(
            f"there is no classifier at {classifier_path(recipe.dataset)}: make it with python -m ncsn_lib "
            f"train-classifier {recipe.dataset}, or name one by --classifier, or measure by --inception"
        )
    images = draw(subject, options, title)
    result: dict[str, Any] = {"recipe": recipe.name, **subject.origin}
    result |= {"references": name, "num_references": len(references)}
    rows = [("images", f"{len(images)}, {subject.origin['images']}"), ("beside", f"{len(references)}, {name}")]
    if classifier is not None:
        figures, lines = _by_classifier(classifier, images, references)
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
    command = shlex.join(["python", "-m", "ncsn_lib", "evaluate", *argv])
    write_result(options.out, result | {"provenance": provenance(command, find_device(options))})
    for label, value in rows:
        print(f"{label:<36}{value}")
    print(f"the numbers and where they come from are in {options.out}")
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


def _load_extractor(options: EvaluateOptions) -> nn.Module | None:
    """Inception, if it was asked for."""
    if not options.inception:
        if options.inception_weights is not None:
            raise UserError("--inception-weights goes with --inception")
        return None
    return load_inception(options.inception_weights, device=find_device(options))
