"""Denoising score matching."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Probe, Question, Wrong
from ncsn_lib.exercises.fields import image_field, per_example, randn, uniform
from ncsn_lib.losses import denoising_score_matching_loss
from ncsn_lib.protocol import ScoreFn

CHAPTER = "04_denoising_score_matching"


def dsm_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "six images": {
            "score_fn": image_field(generator),
            "x": randn(generator, 6, 1, 3, 4),
            "sigma": uniform(generator, 6),
            "noise": randn(generator, 6, 1, 3, 4),
        }
    }


def dsm_loss(
    score_fn: ScoreFn,
    x: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    sign: int = 1,
    power: int = 1,
    scale: float = 1.0,
    clean: bool = False,
    mean: bool = False,
) -> Tensor:
    levels = per_example(sigma, x)
    score = score_fn(x if clean else x + levels * noise, sigma)
    loss = scale / 2 * (score + sign * noise / levels**power).flatten(1).square().sum(1)
    return loss / x[0].numel() if mean else loss


def gradient(answer: Answer) -> Tensor:
    """The gradient of the loss in a parameter of the score."""
    slope = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    x, noise = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 1, 2, 2), torch.ones(2, 1, 2, 2).double()
    loss = answer(lambda x, sigma: slope * x, x, torch.tensor([0.5, 2.0]).double(), noise).sum()
    return torch.autograd.grad(loss, slope)[0]


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="dsm-loss",
        chapter=CHAPTER,
        goal="Return the denoising score matching loss of each example.",
        grade="check",
        minutes=5,
        stub='''
def dsm_loss(score_fn, x, sigma, noise):
    """x, noise (B, *D), sigma (B,): the loss of each example, (B,)."""
    raise NotImplementedError
''',
        oracle=dsm_loss,
        twin=denoising_score_matching_loss,
        cases=dsm_cases,
        wrong={
            "mean": Wrong(
                "yours is the right loss divided by D: a squared norm is a sum over the pixels, not a mean.",
                {"mean": True},
            ),
            "sign": Wrong(
                "the target is -z/sigma, which points back from the noise; yours points along it.", {"sign": -1}
            ),
            "noise": Wrong(
                "your target is z, which a noise predictor learns; a score is that divided by sigma.", {"power": 0}
            ),
            "square": Wrong(
                "z is unit noise: (x_tilde - x) / sigma^2 equals z / sigma, so one sigma is used up.", {"power": 2}
            ),
            "clean": Wrong(
                "the score is asked for at the clean x; the network only ever sees x + sigma z.", {"clean": True}
            ),
            "half": Wrong("the factor 1/2 is missing.", {"scale": 2.0}),
        },
        hint="Make x_tilde first, ask for its score, and compare it with -z / sigma.",
        example=(
            "for x = 1, sigma = 2, z = 1 and the score -x_tilde",
            {
                "score_fn": lambda x, sigma: -x,
                "x": torch.ones(1, 1).double(),
                "sigma": torch.tensor([2.0]).double(),
                "noise": torch.ones(1, 1).double(),
            },
        ),
        probes=(
            Probe(
                "the loss has no gradient in the network's parameters: is there a detach() or a no_grad()?", gradient
            ),
        ),
    ),
)
