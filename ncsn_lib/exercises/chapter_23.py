"""Likelihood."""

import math

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, uniform, vector
from ncsn_lib.likelihood import bits_per_dim

CHAPTER = "23_likelihood"


def bits_cases(generator: Generator) -> dict[str, Arguments]:
    log_prob = 30 * randn(generator, 5)
    return {
        "five images of 256 values": {"log_prob": log_prob, "dim": 12, "bins": 256},
        "16 values": {"log_prob": log_prob - 20, "dim": 64, "bins": 16},
    }


def bits_of(
    log_prob: Tensor, dim: int, bins: int, *, base: float = math.log(2), share: bool = True, cells: float = 1.0
) -> Tensor:
    return -log_prob / ((dim if share else 1) * base) + cells * math.log(bins) / base


def volume_cases(generator: Generator) -> dict[str, Arguments]:
    std, low, high = uniform(generator, 3).tolist()
    return {
        "three dimensions": {"std": std, "dim": 3, "sigma_min": 0.1 * low, "sigma_max": 5 * high},
        "the plane": {"std": 2 * std, "dim": 2, "sigma_min": low, "sigma_max": 2 + high},
    }


def volume_change(
    std: float,
    dim: int,
    sigma_min: float,
    sigma_max: float,
    *,
    half: float = 0.5,
    sign: float = 1.0,
    own: float = 1.0,
    axes: bool = True,
) -> float:
    ratio = (own * std**2 + sigma_max**2) / (own * std**2 + sigma_min**2)
    return sign * half * (dim if axes else 1) * math.log(ratio)


def volume_by_quadrature(std: float, dim: int, sigma_min: float, sigma_max: float) -> float:
    """The integral of the divergence, which is dim sigma / (std^2 + sigma^2), on a fine grid."""
    sigma = torch.linspace(sigma_min, sigma_max, 200_001, dtype=torch.float64)
    return torch.trapezoid(dim * sigma / (std**2 + sigma**2), sigma).item()


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="likelihood-bits",
        chapter=CHAPTER,
        goal="Return the bits per dimension of dequantised data from their log-density.",
        grade="check",
        minutes=5,
        stub='''
def bits_of(log_prob, dim, bins):
    """log_prob (B,) in nats, of data in [0, 1), dim dimensions, bins values each: bits per dimension, (B,)."""
    raise NotImplementedError
''',
        oracle=bits_of,
        twin=bits_per_dim,
        cases=bits_cases,
        wrong={
            "nats": Wrong("those are nats: a bit is log 2 of them.", {"base": 1.0}),
            "share": Wrong("you do not divide the log-density by the number of dimensions.", {"share": False}),
            "cells": Wrong("you leave out the size of a cell, 1 / bins along each dimension.", {"cells": 0.0}),
            "sign": Wrong("a smaller cell needs more bits, not fewer.", {"cells": -1.0}),
        },
        hint="A cell has the volume bins^-D, so the probability of a cell is about the density times that.",
        example=(
            "for the density 1 on the unit interval, with four values",
            {"log_prob": vector(0.0), "dim": 1, "bins": 4},
        ),
    ),
    Exercise(
        id="likelihood-volume",
        chapter=CHAPTER,
        goal="Return the integral of the flow's divergence for Gaussian data.",
        grade="modify",
        minutes=10,
        stub='''
def volume_change(std, dim, sigma_min, sigma_max):
    """Data of standard deviation std in dim dimensions: the integral of div f between the levels, a number."""
    raise NotImplementedError
''',
        oracle=volume_change,
        twin=volume_by_quadrature,
        cases=volume_cases,
        wrong={
            "half": Wrong("the integral of sigma over a variance is half a logarithm.", {"half": 1.0}),
            "axes": Wrong("that is for one dimension; a divergence sums over all.", {"axes": False}),
            "own": Wrong("you leave out the data's own variance.", {"own": 0.0}),
            "sign": Wrong("towards more noise the flow spreads: its divergence is positive.", {"sign": -1.0}),
        },
        hint="The score is -x / (std^2 + sigma^2) and f is -sigma times it: take the divergence, then integrate.",
        example=(
            "for one dimension, no spread and the levels 1 and 2",
            {"std": 0.0, "dim": 1, "sigma_min": 1.0, "sigma_max": 2.0},
        ),
    ),
    Question(
        id="likelihood-floor",
        chapter=CHAPTER,
        goal="What is the least number of bits per dimension for 256 grey values with noise of 0.005?",
        grade="check",
        minutes=2,
        key=lambda: math.log2(256 * 0.005 * math.sqrt(2 * math.pi)),
        wrong={
            math.log2(256 * 0.005): "the peak of a Gaussian is 1 over sigma times the root of 2 pi.",
            math.log(256 * 0.005 * math.sqrt(2 * math.pi)): "those are nats.",
            math.log2(256 * 0.01 * math.sqrt(2 * math.pi)): "that is for a noise of 0.01.",
        },
        hint="No density with that noise is higher than the peak of one Gaussian.",
    ),
)
