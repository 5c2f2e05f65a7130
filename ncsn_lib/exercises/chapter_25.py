"""One family."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.chapter_24 import at_second
from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import image_field, randn, uniform, vector
from ncsn_lib.forms import as_score_fn, convert, vp_sigma
from ncsn_lib.losses import denoising_score_matching_loss

CHAPTER = "25_one_family"


def velocity_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "five examples": {
            "denoised": randn(generator, 5, 3),
            "x": randn(generator, 5, 3),
            "sigma": uniform(generator, 5, low=0.2, high=3),
        }
    }


def velocity_of(
    denoised: Tensor, x: Tensor, sigma: Tensor, *, power: int = 1, sign: int = 1, with_data: bool = True
) -> Tensor:
    noise = (x - denoised) / sigma[:, None] ** power
    return sign * (noise - denoised if with_data else noise)


def velocity_by_library(denoised: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    return convert(denoised, x, sigma, source="denoised", target="velocity")


def ddim_cases(generator: Generator) -> dict[str, Arguments]:
    alpha_bar = uniform(generator, 4, low=0.1, high=0.5)
    return {
        "four examples": {
            "y": randn(generator, 4, 3),
            "noise": randn(generator, 4, 3),
            "alpha_bar": alpha_bar,
            "following": alpha_bar + uniform(generator, 4, low=0.1, high=0.4),
        }
    }


def ddim_step(
    y: Tensor,
    noise: Tensor,
    alpha_bar: Tensor,
    following: Tensor,
    *,
    divide: bool = True,
    roots: float = 0.5,
    told: str = "the next",
    keep: bool = True,
) -> Tensor:
    a, after = alpha_bar[:, None], following[:, None]
    clean = y - (1 - a) ** roots * noise
    clean = clean / a**roots if divide else clean
    left = (1 - (after if told == "the next" else a)) ** roots
    return after**roots * clean + (left * noise if keep else 0)


def ddim_by_the_flow(y: Tensor, noise: Tensor, alpha_bar: Tensor, following: Tensor) -> Tensor:
    """Each example by itself: Euler's step of the probability flow, in its own scale and back."""
    examples = zip(y, noise, alpha_bar, following, strict=True)
    return torch.cat([ddim_of_one(one[None], predicted[None], a, after) for one, predicted, a, after in examples])


def ddim_of_one(y: Tensor, noise: Tensor, alpha_bar: Tensor, following: Tensor) -> Tensor:
    levels = vp_sigma(torch.stack([alpha_bar, following]))
    score_fn = as_score_fn(lambda x, sigma: noise, "noise")
    return following.sqrt() * at_second(score_fn, y / alpha_bar.sqrt(), levels, "euler")


def weight_cases(generator: Generator) -> dict[str, Arguments]:
    return {"six levels": {"sigma": uniform(generator, 6, low=0.1, high=4)}}


def v_weight(sigma: Tensor, *, noise: int = 2, root: bool = False, form: str = "v") -> Tensor:
    size = 1 + sigma**2 if form == "v" else (1 + sigma) ** 2
    return sigma**noise * (size**0.5 if root else size)


def weight_by_losses(sigma: Tensor) -> Tensor:
    """The ratio of the two losses of an arbitrary model, by the library."""
    generator = torch.Generator().manual_seed(0)
    score_fn, x, noise = image_field(generator, 3), randn(generator, len(sigma), 3), randn(generator, len(sigma), 3)
    s = sigma[:, None]
    score = score_fn(x + s * noise, sigma)
    error = convert(score, x + s * noise, sigma, source="score", target="v") - (noise - s * x) / (1 + s**2).sqrt()
    return 0.5 * error.square().sum(1) / denoising_score_matching_loss(score_fn, x, sigma, noise)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="family-velocity",
        chapter=CHAPTER,
        goal="Return the velocity that belongs to denoised data.",
        grade="check",
        minutes=5,
        stub='''
def velocity_of(denoised, x, sigma):
    """denoised (B, D) of the noisy x (B, D) at the levels sigma (B,): the velocity, (B, D)."""
    raise NotImplementedError
''',
        oracle=velocity_of,
        twin=velocity_by_library,
        cases=velocity_cases,
        wrong={
            "unit": Wrong("the noise has unit variance: divide what was removed by sigma.", {"power": 0}),
            "score": Wrong("you divide by the variance, as for a score.", {"power": 2}),
            "sign": Wrong("the velocity leads from the data to the noise.", {"sign": -1}),
            "noise": Wrong("that is the noise alone; subtract the data.", {"with_data": False}),
        },
        hint="First find the noise: what the denoiser removed, in units of sigma.",
        example=(
            "for x = 3, denoised to 1, at sigma = 2",
            {"denoised": vector(1.0)[None], "x": vector(3.0)[None], "sigma": vector(2.0)},
        ),
    ),
    Exercise(
        id="family-ddim",
        chapter=CHAPTER,
        goal="Take a step of DDIM in the notation of DDPM.",
        grade="modify",
        minutes=10,
        stub='''
def ddim_step(y, noise, alpha_bar, following):
    """y, noise (B, D) at alpha_bar (B,), which rises to following (B,): the state there, (B, D)."""
    raise NotImplementedError
''',
        oracle=ddim_step,
        twin=ddim_by_the_flow,
        cases=ddim_cases,
        wrong={
            "scale": Wrong("the clean data are scaled by sqrt(alpha_bar) in y: divide by it.", {"divide": False}),
            "roots": Wrong("alpha_bar is a fraction of the variance: the coefficients are roots.", {"roots": 1.0}),
            "old": Wrong("the noise has the coefficient of the following level.", {"told": "this"}),
            "clean": Wrong("the state at the following level holds noise, too.", {"keep": False}),
        },
        hint="Solve y = sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) noise for the clean data.",
        example=(
            "for y = 1 and noise 0, from alpha_bar = 0.25 to 1",
            {
                "y": vector(1.0)[None],
                "noise": vector(0.0)[None],
                "alpha_bar": vector(0.25),
                "following": vector(1.0),
            },
        ),
    ),
    Exercise(
        id="family-weight",
        chapter=CHAPTER,
        goal="Return the weight that turns the denoising score matching loss into the loss of predicting v.",
        grade="modify",
        minutes=10,
        stub='''
def v_weight(sigma):
    """sigma (B,) noise levels: the weight of the denoising score matching loss at each, (B,)."""
    raise NotImplementedError
''',
        oracle=v_weight,
        twin=weight_by_losses,
        cases=weight_cases,
        wrong={
            "noise": Wrong("that is the weight for the error of the noise, not of the score.", {"noise": 0}),
            "once": Wrong("the score's error is the noise's over sigma, and the loss squares it.", {"noise": 1}),
            "root": Wrong("a loss is a squared error: the factor of the error counts twice.", {"root": True}),
            "flow": Wrong("that is flow matching's velocity.", {"form": "velocity"}),
        },
        hint="Write the error of v as a multiple of the error of the noise: the error of the data is one, too.",
        example=("at sigma = 1", {"sigma": vector(1.0)}),
    ),
)
