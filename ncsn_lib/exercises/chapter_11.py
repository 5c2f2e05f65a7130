"""The network."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, uniform, vector
from ncsn_lib.networks.layers import instance_norm_plus_plus

CHAPTER = "11_the_network"


def norm_cases(generator: Generator) -> dict[str, Arguments]:
    x = randn(generator, 2, 4, 3, 3) + 2 * randn(generator, 2, 4, 1, 1)
    gamma, alpha = uniform(generator, 2, 4)
    return {"two images of four channels": {"x": x, "gamma": gamma, "alpha": alpha, "beta": randn(generator, 4)}}


def norm_plus_plus(
    x: Tensor,
    gamma: Tensor,
    alpha: Tensor,
    beta: Tensor,
    *,
    means: str = "normalised",
    inside: bool = True,
    bessel: int = 1,
) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
    normal = (x - mean) / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    gamma, alpha, beta = (table[:, None, None] for table in (gamma, alpha, beta))
    back = mean
    if means == "normalised":
        back = (mean - mean.mean(1, keepdim=True)) / (mean.var(1, keepdim=True, correction=bessel) + 1e-5).sqrt()
    if means == "none":
        back = torch.zeros_like(mean)
    return gamma * (normal + alpha * back) + beta if inside else gamma * normal + alpha * back + beta


def view_cases(generator: Generator) -> dict[str, Arguments]:
    dilations = torch.randint(2, 6, (2,), generator=generator).tolist()
    return {
        "three convolutions of size 3": {"dilations": [1, *dilations, 6], "size": 3},
        "two of size 5": {"dilations": [2, dilations[0] + 1], "size": 5},
    }


def width_of_view(
    dilations: list[int], size: int, *, start: int = 1, whole: bool = False, sides: int = 2, last: bool = False
) -> int:
    reach = size if whole else (size - 1) * sides // 2
    return start + reach * (dilations[-1] * len(dilations) if last else sum(dilations))


def width_by_gradient(dilations: list[int], size: int) -> int:
    """How far apart the pixels of a line are on which the middle output depends."""
    line = torch.ones(1, 1, 401, dtype=torch.float64, requires_grad=True)
    kernel, value = torch.ones(1, 1, size, dtype=torch.float64), line
    for dilation in dilations:
        value = torch.nn.functional.conv1d(value, kernel, dilation=dilation, padding=dilation * (size // 2))
    seen = torch.autograd.grad(value[0, 0, 200], line)[0][0, 0].nonzero()
    return int(seen.max() - seen.min()) + 1


def wrapper_cases(generator: Generator) -> dict[str, Arguments]:
    weight = randn(generator, 4, 4)
    sigma = uniform(generator, 4)

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.tanh(x @ weight)

    return {"four images as wide as the batch": {"network": network, "x": randn(generator, 4, 1, 3, 4), "sigma": sigma}}


def divided_by_sigma(
    network: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, *, power: int = 1, columns: bool = False
) -> Tensor:
    levels = sigma if columns else sigma.view(-1, *[1] * (x.ndim - 1))
    return network(x, sigma) / levels**power


def divided_by_loops(network: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor) -> Tensor:
    return torch.stack([output / level for output, level in zip(network(x, sigma), sigma.tolist(), strict=True)])


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="instance-norm-pp",
        chapter=CHAPTER,
        goal="Normalise each channel of each image, and give the means back.",
        grade="modify",
        minutes=10,
        stub='''
def norm_plus_plus(x, gamma, alpha, beta):
    """x (B, C, H, W), gamma, alpha, beta (C,): InstanceNorm++ as the authors' code has it, (B, C, H, W)."""
    raise NotImplementedError
''',
        oracle=norm_plus_plus,
        twin=instance_norm_plus_plus,
        cases=norm_cases,
        wrong={
            "plain": Wrong("that is instance norm alone: the channels' means do not come back.", {"means": "none"}),
            "raw": Wrong(
                "you give the means back as they are; they come back normalised over the channels.", {"means": "raw"}
            ),
            "outside": Wrong(
                "that is the formula of the paper; in the code the middle term stands inside gamma.", {"inside": False}
            ),
            "biased": Wrong("you divide the variance over the channels by C.", {"bessel": 0}),
        },
        hint="Keep the (B, C) means that instance norm takes away; normalise them over the channels.",
        example=(
            "for an image of two channels of one pixel, 1 and 3, gamma = alpha = 1 and beta = 0",
            {
                "x": vector(1.0, 3.0).view(1, 2, 1, 1),
                "gamma": vector(1.0, 1.0),
                "alpha": vector(1.0, 1.0),
                "beta": vector(0.0, 0.0),
            },
        ),
        rtol=1e-5,
    ),
    Exercise(
        id="network-reach",
        chapter=CHAPTER,
        goal="Return how many pixels across an output depends on, after a chain of dilated convolutions.",
        grade="check",
        minutes=5,
        stub='''
def width_of_view(dilations, size):
    """dilations, a list with one for each convolution, size of all kernels, odd: the width in pixels, an int."""
    raise NotImplementedError
''',
        oracle=width_of_view,
        twin=width_by_gradient,
        cases=view_cases,
        wrong={
            "pixel": Wrong("the pixel itself is missing.", {"start": 0}),
            "whole": Wrong("a kernel adds its neighbours on both sides, not its whole size.", {"whole": True}),
            "side": Wrong("that is the view to one side.", {"sides": 1}),
            "last": Wrong("you give each convolution the dilation of the last.", {"last": True}),
        },
        hint="Begin with one pixel. What does one convolution add on either side?",
        example=("for one convolution of size 3 and dilation 2", {"dilations": [2], "size": 3}),
    ),
    Exercise(
        id="network-sigma",
        chapter=CHAPTER,
        goal="Divide the output of a network by each example's noise level.",
        grade="check",
        minutes=2,
        stub='''
def divided_by_sigma(network, x, sigma):
    """network(x, sigma) -> like x, x (B, C, H, W), sigma (B,): the score network(x, sigma) / sigma, like x."""
    raise NotImplementedError
''',
        oracle=divided_by_sigma,
        twin=divided_by_loops,
        cases=wrapper_cases,
        wrong={
            "columns": Wrong(
                "sigma (B,) is aligned with the last axis, so each column is divided by a level, not each image.",
                {"columns": True},
            ),
            "times": Wrong("you multiply: at small noise a score is long.", {"power": -1}),
            "square": Wrong("a score grows like 1/sigma as the noise falls, not like 1/sigma^2.", {"power": 2}),
            "undivided": Wrong("nothing is divided.", {"power": 0}),
        },
        hint="Give sigma as many axes as x has, all but the first of length 1.",
        example=(
            "for the output 6 and sigma = 2",
            {"network": lambda x, sigma: 6 * x, "x": torch.ones(1, 1, 1, 1).double(), "sigma": vector(2.0)},
        ),
    ),
    Question(
        id="network-invariant",
        chapter=CHAPTER,
        goal="For which a is IN(a x + b) = IN(x), for every b?",
        grade="check",
        minutes=2,
        key=lambda: "a > 0",
        choices=("a > 0", "a != 0", "a = 1", "every a"),
        wrong={
            "a != 0": "a standard deviation has no sign, so one part of these changes the sign of the result.",
            "a = 1": "the norm divides by the standard deviation, which takes more than that.",
            "every a": "at a = 0 nothing of x is left.",
        },
        hint="Compute mean and standard deviation of a x + b.",
    ),
    Question(
        id="network-dilation",
        chapter=CHAPTER,
        goal="How many pixels across does the network see with a dilation of 8 in stage 4?",
        grade="modify",
        minutes=10,
        key=lambda: 56.0 + 4 * 2 * 8 * 2,
        wrong={
            240.0: "you double the whole width; only the last stage's part doubles.",
            120.0: "that is the width with a dilation of 4, or in pixels of the halved image.",
            88.0: "stage 4 has four convolutions.",
        },
        hint="Stages 1 to 3 see 56 pixels. Each convolution of stage 4 adds 2 d j, and j is 2.",
    ),
)
