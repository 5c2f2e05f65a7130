"""CIFAR-10."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import ladder, uniform, vector
from ncsn_lib.metrics.images import opponent_colours

CHAPTER = "14_cifar10"


def power_cases(generator: Generator) -> dict[str, Arguments]:
    power = uniform(generator, 5) * vector(40, 10, 1, 0.1, 0.01)
    return {"large noise": {"power": power, "sigma": 1.3}, "small noise": {"power": power, "sigma": 0.08}}


def decided_fraction(
    power: Tensor, sigma: float, *, squared: bool = True, root: bool = False, complement: bool = False
) -> Tensor:
    noise = sigma**2 if squared else sigma
    signal = power
    if root:
        signal, noise = power.sqrt(), noise**0.5
    return (noise if complement else signal) / (signal + noise)


def decided_by_posterior(power: Tensor, sigma: float) -> Tensor:
    """One minus what is left of the wave's variance when the noisy one is known."""
    left = 1 / (1 / power + 1 / sigma**2)
    return 1 - left / power


def wave_cases(generator: Generator) -> dict[str, Arguments]:
    power, sigmas = 20 * uniform(generator, 1).item(), ladder(generator)
    return {
        "two steps": {"power": power, "sigmas": sigmas, "eps": 0.01, "num_steps": 2},
        "many steps": {"power": 0.1 * power, "sigmas": sigmas, "eps": 0.003, "num_steps": 12},
    }


def wave_variance(
    power: float,
    sigmas: Tensor,
    eps: float,
    num_steps: int,
    *,
    square: int = 2,
    half: float = 2.0,
    start: float = 1 / 12,
    noisy: bool = True,
) -> Tensor:
    variance = torch.tensor(start).double()
    for sigma in sigmas:
        step_size = eps * (sigma / sigmas[-1]) ** 2
        width = power + sigma**2 if noisy else power
        for _ in range(num_steps):
            variance = variance * (1 - step_size / (half * width)) ** square + step_size
    return variance


def wave_variance_at_once(power: float, sigmas: Tensor, eps: float, num_steps: int) -> float:
    """Each level by the limit of its recursion, and the distance to it that is left."""
    variance = 1 / 12
    for sigma in sigmas.tolist():
        step_size = eps * (sigma / sigmas[-1].item()) ** 2
        width = power + sigma**2
        limit = width / (1 - step_size / (4 * width))
        variance = limit + (variance - limit) * (1 - step_size / (2 * width)) ** (2 * num_steps)
    return variance


def colour_cases(generator: Generator) -> dict[str, Arguments]:
    return {"two images": {"images": uniform(generator, 2, 3, 2, 2, low=0, high=1)}}


def colour_axes(images: Tensor, *, scaled: str = "norm", differences: str = "opponent") -> Tensor:
    red, green, blue = images.unbind(1)
    second, third = red - blue, 2 * green - red - blue
    if differences == "neighbours":
        second, third = red - green, green - blue
    axes = torch.stack([red + green + blue, second, third], dim=1)
    lengths = {"norm": (3**0.5, 2**0.5, 6**0.5), "none": (1, 1, 1), "mean": (3, 2, 4)}[scaled]
    return axes / vector(*lengths).view(3, 1, 1)


ENTRIES: tuple[Exercise | Question, ...] = (
    Question(
        id="cifar-light",
        chapter=CHAPTER,
        goal="What is the root of P(0) of brightness, if an image's mean grey has the standard deviation 0.13?",
        grade="check",
        minutes=2,
        key=lambda: 32 * math.sqrt(3) * 0.13,
        wrong={
            0.13: "that is the deviation of the mean; the transform keeps lengths, so it counts all pixels.",
            32 * 0.13: "brightness is a sum of three colours, divided by the root of three.",
            1024 * 0.13: "the transform divides by the root of the number of pixels.",
            32 * 3 * 0.13: "the axis of brightness has length 1, so three equal colours give a factor that is smaller.",
        },
        hint="Two factors: the root of the number of pixels, and that of the number of colours.",
    ),
    Exercise(
        id="cifar-first",
        chapter=CHAPTER,
        goal="Return the fraction of a wave's variance that is decided at a noise level.",
        grade="check",
        minutes=2,
        stub='''
def decided_fraction(power, sigma):
    """power (F,) the variances of waves, sigma a number: the fraction of each that is decided, (F,)."""
    raise NotImplementedError
''',
        oracle=decided_fraction,
        twin=decided_by_posterior,
        cases=power_cases,
        wrong={
            "open": Wrong("that is the fraction still open.", {"complement": True}),
            "sigma": Wrong("you add sigma to a variance.", {"squared": False}),
            "root": Wrong(
                "you add standard deviations; for independent variables it is the variances that add.", {"root": True}
            ),
        },
        hint="Of the variance of the noisy wave, which part is the wave's own?",
        example=("for a wave of power 3 at sigma = 1", {"power": vector(3.0), "sigma": 1.0}),
    ),
    Exercise(
        id="cifar-paper",
        chapter=CHAPTER,
        goal="Return the variance of a wave after annealed Langevin dynamics from uniform noise.",
        grade="modify",
        minutes=10,
        stub='''
def wave_variance(power, sigmas, eps, num_steps):
    """power P of the data's wave, sigmas (L,), the step eps sigma_i^2 / sigma_L^2: the last variance, a scalar."""
    raise NotImplementedError
''',
        oracle=wave_variance,
        twin=wave_variance_at_once,
        cases=wave_cases,
        wrong={
            "square": Wrong("a variance shrinks by the square of the factor of the wave.", {"square": 1}),
            "drift": Wrong("the drift has alpha/2, and yours has alpha.", {"half": 1.0}),
            "start": Wrong("you begin with variance 1; uniform noise between 0 and 1 has less.", {"start": 1.0}),
            "clean": Wrong(
                "you use the score of the clean waves; at a level their variance is larger.", {"noisy": False}
            ),
        },
        hint="The score of a wave is -x / (P + sigma^2); a step multiplies the wave and adds noise.",
        example=(
            "for P = 1, the only level 1, eps = 1 and one step",
            {"power": 1.0, "sigmas": vector(1.0), "eps": 1.0, "num_steps": 1},
        ),
    ),
    Exercise(
        id="cifar-opponent",
        chapter=CHAPTER,
        goal="Turn colours into brightness and two differences, by axes of length 1.",
        grade="check",
        minutes=5,
        stub='''
def colour_axes(images):
    """images (B, 3, H, W): R + G + B, R - B and 2G - R - B, each along an axis of length 1, (B, 3, H, W)."""
    raise NotImplementedError
''',
        oracle=colour_axes,
        twin=opponent_colours,
        cases=colour_cases,
        wrong={
            "raw": Wrong(
                "your axes do not have length 1, so noise of one size becomes noise of three sizes.", {"scaled": "none"}
            ),
            "mean": Wrong(
                "you divide by the sum of the weights; a length is the root of a sum of squares.", {"scaled": "mean"}
            ),
            "neighbours": Wrong(
                "your two differences are not at right angles to one another.", {"differences": "neighbours"}
            ),
        },
        hint="Divide each of the three sums by the length of its vector of weights.",
        example=("for the colour red = 3, green = 0, blue = 0", {"images": vector(3.0, 0.0, 0.0).view(1, 3, 1, 1)}),
    ),
)
