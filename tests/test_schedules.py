"""Noise levels: what makes a ladder, and that nothing else passes for one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncsn_lib.schedules import check_sigmas, geometric_sigmas, langevin_step_sizes, level_overlap

positive = st.floats(1e-4, 1e4)


@given(low=positive, ratio=st.floats(1.5, 1e6), num_levels=st.integers(2, 60))
def test_geometric_ladder(low, ratio, num_levels):
    sigmas = geometric_sigmas(low * ratio, low, num_levels)
    assert sigmas.shape == (num_levels,)
    assert sigmas.dtype == torch.get_default_dtype()
    # float32 keeps a relative 6e-8; a logarithm up to 24 is taken in float64, so nothing else is lost.
    assert sigmas[0].item() == pytest.approx(low * ratio, rel=2e-7)
    assert sigmas[-1].item() == pytest.approx(low, rel=2e-7)
    steps = (sigmas[:-1] / sigmas[1:]).double()
    torch.testing.assert_close(steps, torch.full_like(steps, ratio ** (1 / (num_levels - 1))), rtol=5e-7, atol=0)


def test_the_papers_ladder():
    sigmas = geometric_sigmas(1.0, 0.01, 10)
    assert (sigmas[0] / sigmas[1]).item() == pytest.approx(100 ** (1 / 9), rel=1e-6)
    expected = [1.0, 0.5995, 0.3594, 0.2154, 0.1292, 0.0774, 0.0464, 0.0278, 0.0167, 0.01]  # of its section 5
    torch.testing.assert_close(sigmas, torch.tensor(expected), rtol=0, atol=6e-5)


bad_level = st.one_of(st.floats(max_value=0), st.sampled_from([math.nan, math.inf, -math.inf]))


@settings(max_examples=1000)
@given(data=st.data())
def test_what_is_no_ladder_is_refused_by_name(data):
    name = data.draw(st.sampled_from(["sigma_max", "sigma_min", "num_levels"]))
    values = {"sigma_max": 1.0, "sigma_min": 0.1, "num_levels": 5}
    if name == "num_levels":
        values[name] = data.draw(st.one_of(st.integers(max_value=1), st.sampled_from([2.5, "10", None, True])))
    else:
        values[name] = data.draw(st.one_of(bad_level, st.sampled_from(["1", None, True, [1.0, 2.0]])))
    with pytest.raises((ValueError, TypeError), match=name):
        geometric_sigmas(**values)


@given(low=positive, factor=st.floats(0.001, 1))
def test_an_increasing_ladder_is_refused(low, factor):
    with pytest.raises(ValueError, match="sigma_max must be above sigma_min"):
        geometric_sigmas(low * factor, low, 5)


def test_levels_that_coincide_in_float32_are_refused():
    with pytest.raises(ValueError, match="strictly decrease"):
        geometric_sigmas(1.0, 1.0 - 1e-6, 1000)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([1.0, 2.0], r"sigmas\[0\] = 1.0 then sigmas\[1\] = 2.0"),
        ([1.0, 1.0], "strictly decrease"),
        ([1.0, 0.0], r"sigmas\[1\] = 0.0"),
        ([1.0, -0.5], r"sigmas\[1\] = -0.5"),
        ([math.nan, 0.5], r"sigmas\[0\] = nan"),
        ([math.inf, 0.5], r"sigmas\[0\] = inf"),
        ([], "at least one level"),
        ([[1.0, 0.5]], r"got \(1, 2\)"),
    ],
)
def test_a_tensor_that_is_no_ladder(levels, message):
    with pytest.raises(ValueError, match=message):
        check_sigmas(torch.tensor(levels))


@pytest.mark.parametrize("sigmas", [[1.0, 0.5], torch.tensor([2, 1])])
def test_a_ladder_is_a_floating_tensor(sigmas):
    with pytest.raises(TypeError, match="sigmas"):
        check_sigmas(sigmas)


def test_one_rung_is_the_single_sigma_baseline():
    assert check_sigmas(torch.tensor([0.01])).shape == (1,)


def test_step_sizes_keep_their_proportion_to_the_variance():
    sigmas = torch.tensor([8.0, 2.0, 0.5])
    assert langevin_step_sizes(sigmas, 0.25).tolist() == [64.0, 4.0, 0.25]  # powers of two: exact


@pytest.mark.parametrize("eps", [0.0, -1.0, math.nan, math.inf])
def test_a_step_size_is_positive(eps):
    with pytest.raises(ValueError, match="eps must be a finite number above 0"):
        langevin_step_sizes(torch.tensor([1.0, 0.1]), eps)


@pytest.mark.parametrize("ratio", [1.01, 1.1, 1.5])
@pytest.mark.parametrize("dim", [50, 3072])
def test_overlap_is_a_share_of_the_noise(ratio, dim):
    """Against chi's own distribution function; its normal approximation is off by order D^-1/2."""
    lower, upper = ((math.sqrt(dim) + sign * 3 / math.sqrt(2)) * ratio for sign in (-1, 1))
    below = torch.special.gammainc(torch.tensor(dim / 2).double(), torch.tensor([lower, upper]).double() ** 2 / 2)
    overlap = level_overlap(torch.tensor([ratio, 1.0]), dim)
    torch.testing.assert_close(overlap, below.diff(), rtol=0, atol=0.5 / math.sqrt(dim))


def test_overlap_of_the_published_ladders():
    assert level_overlap(geometric_sigmas(1.0, 0.01, 10), 3072).max() < 1e-100
    overlap = level_overlap(geometric_sigmas(50.0, 0.01, 232), 3072)
    torch.testing.assert_close(overlap, torch.full_like(overlap, 0.567), rtol=0, atol=1e-3)  # of the authors' ladder


def test_overlap_keeps_its_digits_in_the_tail():
    """Mills' ratio: far out the tail's mass is its density over the distance, up to 1 / distance^2."""
    distance = math.sqrt(2 * 100) * 2 - 9
    density = math.exp(-0.5 * distance**2) / math.sqrt(2 * math.pi)
    overlap = level_overlap(torch.tensor([3.0, 1.0]), 100).item()
    assert overlap == pytest.approx(density / distance, rel=1 / distance**2, abs=0)


def test_overlap_of_what_has_no_neighbours():
    with pytest.raises(ValueError, match="the number of levels in sigmas must be at least 2, got 1"):
        level_overlap(torch.ones(1), 64)
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        level_overlap(torch.tensor([1.0, 0.5]), 0)
