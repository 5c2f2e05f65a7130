"""Correcting Langevin dynamics."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import Field, mixture, randn, rows

CHAPTER = "05b_correcting_and_crossing"


def proposal_cases(generator: Generator) -> dict[str, Arguments]:
    density = mixture(generator)
    x = density.sample(12, generator=generator)
    y = x + 0.4 * randn(generator, 12, 2)
    return {
        "twelve proposals": {"log_prob": density.log_prob, "score_fn": density.score, "x": x, "y": y, "step_size": 0.7}
    }


def log_acceptance(
    log_prob: Answer,
    score_fn: Field,
    x: Tensor,
    y: Tensor,
    step_size: float,
    *,
    proposal: int = 1,
    spread: float = 1.0,
    clamped: bool = True,
) -> Tensor:
    def log_step(start: Tensor, end: Tensor) -> Tensor:
        return -(end - start - step_size / 2 * score_fn(start)).square().sum(1) / (2 * spread * step_size)

    log_ratio = log_prob(y) - log_prob(x) + proposal * (log_step(y, x) - log_step(x, y))
    return log_ratio.clamp(max=0) if clamped else log_ratio


def log_acceptance_by_densities(log_prob: Answer, score_fn: Field, x: Tensor, y: Tensor, step_size: float) -> Tensor:
    """With torch's own normal density of each step, one proposal at a time."""
    found = []
    for start, end in zip(x.split(1), y.split(1), strict=True):
        there = torch.distributions.Normal(start + step_size / 2 * score_fn(start), step_size**0.5).log_prob(end).sum()
        back = torch.distributions.Normal(end + step_size / 2 * score_fn(end), step_size**0.5).log_prob(start).sum()
        found.append(min(0.0, (log_prob(end) + back - log_prob(start) - there).item()))
    return torch.tensor(found).double()


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="mala-accept",
        chapter=CHAPTER,
        goal="Return the logarithm of the probability with which a Langevin step from x to y is accepted.",
        grade="discover",
        minutes=30,
        stub='''
def log_acceptance(log_prob, score_fn, x, y, step_size):
    """log_prob (B, D) -> (B,), score_fn (B, D) -> (B, D), x, y (B, D): log of the probability of going to y, (B,)."""
    raise NotImplementedError
''',
        oracle=log_acceptance,
        twin=log_acceptance_by_densities,
        cases=proposal_cases,
        wrong={
            "symmetric": Wrong("that is for a symmetric proposal; a Langevin step drifts.", {"proposal": 0}),
            "swapped": Wrong("the two densities of the proposal are swapped.", {"proposal": -1}),
            "spread": Wrong("you give the proposal the variance 2 alpha.", {"spread": 2.0}),
            "ratio": Wrong("that is the logarithm of the ratio; a probability is never above 1.", {"clamped": False}),
        },
        hint="Compare going to y and coming back: p(x) times the density of the step, in both directions.",
        example=(
            "for log p = -x^2 / 2, x = 0, y = 1 and alpha = 2",
            {
                "log_prob": lambda x: -0.5 * x.square().sum(1),
                "score_fn": lambda x: -x,
                "x": rows(0.0),
                "y": rows(1.0),
                "step_size": 2.0,
            },
        ),
    ),
)
