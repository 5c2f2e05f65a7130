"""Low-density regions."""

import math

from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, rows

CHAPTER = "07_low_density"
DIVERGENCE = 0.015  # of the chapter's network, on held-out data


def score_cases(generator: Generator) -> dict[str, Arguments]:
    true = 3 * randn(generator, 8, 2)
    return {"eight points": {"score": true + randn(generator, 8, 2), "true_score": true}}


def error_of_score(
    score: Tensor,
    true_score: Tensor,
    *,
    root: bool = True,
    by_truth: bool = True,
    pointwise: bool = False,
    norms: bool = False,
) -> Tensor:
    errors = (score - true_score).square().sum(1)
    lengths = (true_score if by_truth else score).square().sum(1)
    if norms:
        errors, lengths = errors.sqrt(), lengths.sqrt()
    relative = (errors / lengths).mean() if pointwise else errors.mean() / lengths.mean()
    return relative.sqrt() if root and not norms else relative


def error_by_loops(score: Tensor, true_score: Tensor) -> float:
    wrong = total = 0.0
    for found, wanted in zip(score.tolist(), true_score.tolist(), strict=True):
        wrong += math.dist(found, wanted) ** 2
        total += math.hypot(*wanted) ** 2
    return math.sqrt(wrong / total)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="low-relative",
        chapter=CHAPTER,
        goal="Return the root mean square error of a score, relative to the root mean square of the true one.",
        grade="check",
        minutes=5,
        stub='''
def error_of_score(score, true_score):
    """score, true_score (N, D) at N points: the relative root mean square error, a scalar."""
    raise NotImplementedError
''',
        oracle=error_of_score,
        twin=error_by_loops,
        cases=score_cases,
        wrong={
            "root": Wrong("that is the squared relative error.", {"root": False}),
            "network": Wrong("you divide by the length of the score that is judged.", {"by_truth": False}),
            "pointwise": Wrong(
                "you average a ratio at each point: points where the score is short decide it.", {"pointwise": True}
            ),
            "norms": Wrong("you average lengths, not squared lengths.", {"norms": True}),
        },
        hint="Two means of squares over all points, one ratio, and a root at the end.",
        example=(
            "for the score (3, 0) and the true score (3, 4)",
            {"score": rows(3.0, 0.0), "true_score": rows(3.0, 4.0)},
        ),
    ),
    Question(
        id="low-zero",
        chapter=CHAPTER,
        goal="What is the relative error of a network that returns zero everywhere?",
        grade="check",
        minutes=2,
        key=lambda: 1.0,
        wrong={
            0.0: "the error is the distance to the true score, and that is not zero.",
            0.5: "a half of what? The error of the zero score is the true score itself.",
            2.0: "that is the error of the score with the wrong sign.",
        },
        hint="Put zero into the definition.",
    ),
    Question(
        id="low-bound",
        chapter=CHAPTER,
        goal="How large may the error be in a region of probability 1e-6, if the Fisher divergence is 0.015?",
        grade="check",
        minutes=2,
        key=lambda: math.sqrt(2 * DIVERGENCE / 1e-6),
        wrong={
            2 * DIVERGENCE / 1e-6: "that is the square of the error.",
            math.sqrt(DIVERGENCE / 1e-6): "the divergence is one half of a mean square; the 2 is missing.",
            math.sqrt(2 * DIVERGENCE / 0.99): "that is the bound where the data are.",
        },
        hint="Put the two numbers into the bound of the chapter.",
        rtol=0.03,
    ),
)
