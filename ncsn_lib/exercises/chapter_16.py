"""Inpainting."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, rows, uniform
from ncsn_lib.metrics.images import seam_jump

CHAPTER = "16_inpainting"


def given_cases(generator: Generator) -> dict[str, Arguments]:
    def at(sigma: float) -> Arguments:
        x, known, noise = randn(generator, 3, 4, 5)
        mask = torch.rand(4, 5, generator=generator) < 0.5
        mask[0, :2] = torch.tensor([True, False])
        return {"x": x, "known": known, "mask": mask, "sigma": sigma, "noise": noise}

    return {"much noise": at(0.5), "little noise": at(0.02)}


def hold_given(
    x: Tensor,
    known: Tensor,
    mask: Tensor,
    sigma: float,
    noise: Tensor,
    *,
    power: int = 1,
    clean: bool = False,
    inverse: bool = False,
    on_top: bool = False,
) -> Tensor:
    given = known if clean else known + sigma**power * noise
    return torch.where(~mask if inverse else mask, x + given if on_top else given, x)


def hold_by_loops(x: Tensor, known: Tensor, mask: Tensor, sigma: float, noise: Tensor) -> Tensor:
    held = x.clone()
    for place in mask.nonzero().tolist():
        row, column = place
        held[row, column] = known[row, column].item() + sigma * noise[row, column].item()
    return held


def seam_cases(generator: Generator) -> dict[str, Arguments]:
    images = uniform(generator, 3, 2, 4, 6, low=0, high=1)
    return {"in the middle": {"images": images, "column": 3}, "near the edge": {"images": images, "column": 1}}


def jump_at(
    images: Tensor, column: int, *, size: int = 1, signed: bool = False, shift: int = 0, every: bool = False
) -> Tensor:
    jumps = images.diff(dim=-1)
    beside = jumps if every else jumps[..., column - 1 + shift]
    return (beside if signed else beside.abs() ** size).mean()


def odds_of_second(given: float, sigma: float, variance: float) -> float:
    return 1 / (1 + math.exp(-((given + 0.6) ** 2 - (given - 0.6) ** 2) / (2 * (variance + sigma**2))))


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="inpaint-step",
        chapter=CHAPTER,
        goal="Put the given pixels back, at a noise level.",
        grade="check",
        minutes=5,
        stub='''
def hold_given(x, known, mask, sigma, noise):
    """x, known, noise (B, *D), mask (B, *D) bool, true where given: x with the given pixels at the level sigma."""
    raise NotImplementedError
''',
        oracle=hold_given,
        twin=hold_by_loops,
        cases=given_cases,
        wrong={
            "clean": Wrong(
                "you put clean pixels back: the network has never seen such an image at this level.", {"clean": True}
            ),
            "inverse": Wrong("you replace the pixels that are not given.", {"inverse": True}),
            "top": Wrong("you add the given pixels to x; they have to take its place.", {"on_top": True}),
            "power": Wrong("your noise has the standard deviation sigma^2.", {"power": 2}),
        },
        hint="Use torch.where with the mask: on one side the given pixels with noise, on the other x.",
        example=(
            "for x = (5, 5), known = (1, 1), of which the first is given, sigma = 2 and z = (1, 1)",
            {
                "x": rows(5.0, 5.0),
                "known": rows(1.0, 1.0),
                "mask": torch.tensor([[True, False]]),
                "sigma": 2.0,
                "noise": rows(1.0, 1.0),
            },
        ),
    ),
    Exercise(
        id="inpaint-seam",
        chapter=CHAPTER,
        goal="Return how much the grey changes across a cut.",
        grade="check",
        minutes=5,
        stub='''
def jump_at(images, column):
    """images (B, C, H, W), column the first one after the cut: the mean size of the change across it, a scalar."""
    raise NotImplementedError
''',
        oracle=jump_at,
        twin=seam_jump,
        cases=seam_cases,
        wrong={
            "signed": Wrong("the signs are left in: jumps up and down cancel.", {"signed": True}),
            "squared": Wrong("those are squared changes.", {"size": 2}),
            "every": Wrong("you average over all neighbouring columns, not at the cut.", {"every": True}),
            "shift": Wrong("you look one column too far to the right.", {"shift": 1}),
        },
        hint="Subtract the column before the cut from the one after it.",
        example=(
            "for the row 0, 0, 1, 1 and the cut before column 2",
            {"images": rows(0.0, 0.0, 1.0, 1.0).view(1, 1, 1, 4), "column": 2},
        ),
    ),
    Question(
        id="inpaint-odds",
        chapter=CHAPTER,
        goal="How probable is the second component, to three digits, given 0.3 with noise of sigma = 2?",
        grade="check",
        minutes=2,
        key=lambda: odds_of_second(0.3, 2.0, 0.25),
        wrong={
            odds_of_second(0.3, 0.0, 0.25): "that is without noise.",
            odds_of_second(0.3, 2.0, 0.0): "the components' own variance is missing.",
            odds_of_second(
                0.3, 2.5, 0.0
            ): "you add standard deviations; for independent variables it is the variances that add.",
            0.5: "that is without any given pixel.",
        },
        hint="Put sigma = 2 and the components' standard deviation 0.5 into the odds of the chapter.",
        rtol=0.001,
    ),
)
