"""The checks that every floor shares: what they let through, and what they say."""

import math

import numpy as np
import pytest
import torch

from ncsn_lib.checks import check_count, check_not_negative, check_number, check_positive
from ncsn_lib.protocol import evaluate_score, per_example


def test_sigma_is_laid_along_the_batch():
    sigma, x = torch.tensor([1.0, 2.0]), torch.zeros(2, 3, 4, 5)
    assert per_example(sigma, x).shape == (2, 1, 1, 1)
    assert torch.equal((x + per_example(sigma, x))[:, 0, 0, 0], sigma)


def test_a_score_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must return the shape of x \(2, 3\), got \(3,\)"):
        evaluate_score(lambda x, sigma: x[0], torch.zeros(2, 3), torch.ones(2))


@pytest.mark.parametrize(
    ("sigma", "error", "message"),
    [
        (1.0, TypeError, "sigma must be a torch.Tensor, got float"),
        (torch.ones(2).long(), TypeError, r"got torch.int64; use sigma.float\(\)"),
        (torch.ones(3), ValueError, r"sigma must be \(2,\).*got \(3,\); for one level use"),
        (torch.tensor(1.0), ValueError, r"got \(\)"),
        (torch.ones(2, device="meta"), ValueError, "sigma is on meta but x is on cpu"),
        (torch.ones(2).double(), TypeError, "sigma is torch.float64 but x is torch.float32; convert one with .to"),
    ],
)
def test_a_sigma_that_does_not_fit(sigma, error, message):
    with pytest.raises(error, match=message):
        per_example(sigma, torch.zeros(2, 3))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"x must hold at least one example, got \(0, 3\)"):
        per_example(torch.ones(0), torch.zeros(0, 3))


@pytest.mark.parametrize("value", [2, 2.0, torch.tensor(2.0), torch.tensor([2.0])])
def test_one_number_in_many_forms(value):
    assert check_number("n", value) == 2.0


@pytest.mark.parametrize("value", ["2", None, True, [2.0], torch.ones(2), 2j, 10**400])
def test_what_is_not_one_number(value):
    with pytest.raises(TypeError, match="n must be one number"):
        check_number("n", value)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_not_positive(value):
    with pytest.raises(ValueError, match="n must be a finite number above 0, got"):
        check_positive("n", value)


def test_zero_is_not_negative():
    assert check_not_negative("n", 0) == 0.0
    with pytest.raises(ValueError, match=r"n must be finite and at least 0, got -0\.5"):
        check_not_negative("n", -0.5)


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, torch.tensor])
def test_a_count_of_any_integer_type_becomes_an_int(kind):
    count = check_count("n", kind(3))
    assert type(count) is int
    assert count == 3


@pytest.mark.parametrize("value", [1.0, True, "3", None, np.float64(2.0), np.bool_(True), torch.tensor(2.0)])
def test_a_count_is_an_int(value):
    with pytest.raises(TypeError, match="n must be an int"):
        check_count("n", value)


def test_a_count_has_a_minimum():
    assert check_count("n", 2, minimum=2) == 2
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        check_count("n", 1, minimum=2)
