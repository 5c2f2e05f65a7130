"""Five minutes: the loss over all levels, and the guess of the clean image."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Probe, Question, Wrong
from ncsn_lib.exercises.fields import image_field, ladder, randn, rows, slope_of, uniform, vector
from ncsn_lib.losses import ncsn_loss
from ncsn_lib.protocol import ScoreFn, per_example

CHAPTER = "00_five_minutes"


def level_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "six images at five levels": {
            "score_fn": image_field(generator),
            "x": randn(generator, 6, 1, 3, 4),
            "sigmas": ladder(generator),
            "labels": torch.cat([torch.randperm(5, generator=generator), torch.tensor([2])]),
            "noise": randn(generator, 6, 1, 3, 4),
        }
    }


def loss_of_levels(
    score_fn: ScoreFn,
    x: Tensor,
    sigmas: Tensor,
    labels: Tensor,
    noise: Tensor,
    *,
    power: int = 2,
    scale: float = 1.0,
    pixel_mean: bool = False,
    batch_sum: bool = False,
) -> Tensor:
    sigma = sigmas[labels]
    levels = per_example(sigma, x)
    squares = (score_fn(x + levels * noise, sigma) + noise / levels).flatten(1).square()
    losses = scale / 2 * sigma**power * (squares.mean(1) if pixel_mean else squares.sum(1))
    return losses.sum() if batch_sum else losses.mean()


def gradient_over_levels(answer: Answer) -> Tensor:
    x, sigmas, labels = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 4), vector(2.0, 0.5), torch.tensor([1, 0])
    return slope_of(lambda slope: answer(lambda points, sigma: slope * points, x, sigmas, labels, torch.ones_like(x)))


def guess_cases(generator: Generator) -> dict[str, Arguments]:
    def at(sigma: Tensor) -> Arguments:
        return {"x": randn(generator, 6, 1, 3, 4), "score": randn(generator, 6, 1, 3, 4), "sigma": sigma}

    return {"six images": at(uniform(generator, 6)), "small noise": at(uniform(generator, 6, low=0.01, high=0.02))}


def guess_clean(x: Tensor, score: Tensor, sigma: Tensor, *, power: int = 2, sign: int = 1, start: int = 1) -> Tensor:
    return start * x + sign * per_example(sigma, x) ** power * score


def guess_by_loops(x: Tensor, score: Tensor, sigma: Tensor) -> Tensor:
    guesses = [torch.addcmul(one, level * level, pull) for one, pull, level in zip(x, score, sigma, strict=True)]
    return torch.stack(guesses)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="ncsn-loss",
        chapter=CHAPTER,
        goal="Return the loss of Eq. (6) of the paper for a batch, with one noise level for each example.",
        grade="modify",
        minutes=10,
        stub='''
def loss_of_levels(score_fn, x, sigmas, labels, noise):
    """x, noise (B, *D), sigmas (L,), labels (B,) the index of each example's level: the loss, a scalar."""
    raise NotImplementedError
''',
        oracle=loss_of_levels,
        twin=ncsn_loss,
        cases=level_cases,
        wrong={
            "no weight": Wrong("without a weight the smallest levels have by far the largest losses.", {"power": 0}),
            "sigma": Wrong(
                "your weight is sigma: that makes up for half of the loss's growth like 1/sigma^2.",
                {"power": 1},
            ),
            "batch": Wrong(
                "yours is a sum over the batch: the loss must not grow with the number of examples.",
                {"batch_sum": True},
            ),
            "pixels": Wrong(
                "yours is a mean over the pixels: a squared norm is a sum over them.", {"pixel_mean": True}
            ),
            "half": Wrong("the factor 1/2 is missing.", {"scale": 2.0}),
        },
        hint="Look up each example's level first, sigmas[labels]; then it is the denoising loss with a weight.",
        example=(
            "for x = 1, the only level 2, z = 1 and the score -x_tilde",
            {
                "score_fn": lambda x, sigma: -x,
                "x": rows(1.0),
                "sigmas": vector(2.0),
                "labels": torch.tensor([0]),
                "noise": rows(1.0),
            },
        ),
        probes=(
            Probe(
                "the loss has no gradient in the network's parameters: is there a detach() or a no_grad()?",
                gradient_over_levels,
            ),
        ),
    ),
    Exercise(
        id="tweedie",
        chapter=CHAPTER,
        goal="Return the expected clean image, given a noisy one and its score.",
        grade="check",
        minutes=2,
        stub='''
def guess_clean(x, score, sigma):
    """x, score (B, *D), sigma (B,): the expected clean images, (B, *D)."""
    raise NotImplementedError
''',
        oracle=guess_clean,
        twin=guess_by_loops,
        cases=guess_cases,
        wrong={
            "sigma": Wrong(
                "a score has the unit 1/x, so sigma times it is a pure number, not a distance.", {"power": 1}
            ),
            "sign": Wrong("you go against the score; it points towards the data.", {"sign": -1}),
            "step": Wrong("that is the step from the noisy image to the guess, not the guess itself.", {"start": 0}),
        },
        hint="It is one step along the score; compare the units of x, the score and sigma to find its length.",
        example=(
            "for x = 3, the score -0.5 and sigma = 2",
            {"x": rows(3.0), "score": rows(-0.5), "sigma": vector(2.0)},
        ),
    ),
)
