"""Noise levels: what makes a ladder, and that nothing else passes for one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncsn_lib.samplers import annealed_langevin_dynamics
from ncsn_lib.schedules import (
    check_sigmas,
    explain_schedule,
    geometric_sigmas,
    karras_sigmas,
    langevin_step_sizes,
    level_overlap,
    suggest_num_levels,
    suggest_sigma_max,
    suggest_sigmas,
    suggest_step_size,
)

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


@given(rho=st.floats(0.5, 20), num_levels=st.integers(2, 40))
def test_a_ladder_of_2022_is_even_in_its_root(rho, num_levels):
    sigmas = karras_sigmas(80.0, 0.002, num_levels, rho).double()
    assert sigmas[[0, -1]].tolist() == pytest.approx([80, 0.002], rel=2e-7)
    roots = sigmas ** (1 / rho)
    expected = torch.full_like(roots[1:], ((80 ** (1 / rho) - 0.002 ** (1 / rho)) / (num_levels - 1)))
    torch.testing.assert_close(-roots.diff(), expected, rtol=0, atol=3e-7 * 80 ** (1 / rho))


def test_a_ladder_of_2022_at_the_ends_of_rho():
    """Even at 1; at rho without end geometric."""
    torch.testing.assert_close(karras_sigmas(5.0, 1.0, 5, rho=1), torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]))
    torch.testing.assert_close(karras_sigmas(5.0, 1.0, 5, rho=1e5), geometric_sigmas(5.0, 1.0, 5), rtol=1e-4, atol=0)
    with pytest.raises(ValueError, match="rho must be a finite number above 0, got 0"):
        karras_sigmas(5.0, 1.0, 5, rho=0)
    with pytest.raises(ValueError, match="num_levels must be at least 2, got 1"):
        karras_sigmas(5.0, 1.0, 1)


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


# --- what is suggested for a data set (Song & Ermon 2020)


def test_the_published_ladder_of_cifar10():
    """Its table: sigma_1 = 50, L = 232, an overlap of 0.567 at D = 3072."""
    images = torch.zeros(3, 3, 32, 32)
    images[1, 0, 0, 0], images[2, 0, 0, 0] = 50.0, 20.0  # the largest distance is 50
    sigmas = suggest_sigmas(images, overlap=0.5665)
    torch.testing.assert_close(sigmas, geometric_sigmas(50.0, 0.01, 232))
    assert suggest_num_levels(50.0, 0.01, 3072, overlap=0.5665) == 232
    by_default = suggest_sigmas(images)
    assert level_overlap(by_default, 3072).min() > 0.5 - 1e-4
    assert level_overlap(geometric_sigmas(50.0, 0.01, len(by_default) - 1), 3072).max() < 0.5


def test_the_largest_distance_is_that_of_all_pairs():
    x = torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(0))
    largest = max((a - b).norm().item() for a in x for b in x)
    assert suggest_sigma_max(x) == pytest.approx(largest, rel=1e-5)
    assert suggest_sigmas(x)[0].item() == pytest.approx(largest, rel=1e-5)
    assert suggest_sigmas(x, sigma_min=0.1)[-1].item() == pytest.approx(0.1)
    few = [suggest_sigmas(x, num_examples=5, generator=torch.Generator().manual_seed(1))[0].item() for _ in range(2)]
    assert few[0] == few[1] < largest


def test_the_published_step_size_of_cifar10():
    """Its table: epsilon = 6.2e-6 at T = 5, for the update x + alpha score + sqrt(2 alpha) z; ours is twice that."""
    assert suggest_step_size(geometric_sigmas(50.0, 0.01, 232), 5) == pytest.approx(1.24e-5, rel=0.005)


@pytest.mark.parametrize(("ratio", "num_steps"), [(1.04, 1), (1.04, 5), (1.2, 5), (1.67, 100)])
def test_no_other_step_size_leaves_less(ratio, num_steps):
    """Against a grid, by the formula of the paper's Technique 4 in its own convention, and by the recursion."""
    sigmas = torch.tensor([ratio, 1.0], dtype=torch.float64)
    eps = suggest_step_size(sigmas, num_steps)

    def published(e, gamma=ratio):
        limit = 2 * e / (1 - (1 - e) ** 2)
        return (1 - e) ** (2 * num_steps) * (gamma**2 - limit) + limit

    grid = torch.logspace(-6, 0, 10_000, dtype=torch.float64)
    assert abs(published(eps / 2) - 1) <= (published(grid) - 1).abs().min() + 1e-12
    variance = ratio**2
    for _ in range(num_steps):  # x + eps/2 * (-x) + sqrt(eps) z
        variance = (1 - eps / 2) ** 2 * variance + eps
    assert variance == pytest.approx(published(eps / 2), rel=1e-12)


@pytest.mark.parametrize("eps", [0.05, 1.0, 3.9])
def test_a_report_is_the_samplers_variance(eps):
    """The sampler is linear in its draws on a single point: fed with one unit draw at a time, squares add up."""
    sigmas, num_steps = torch.tensor([2.0, 1.5, 1.0], dtype=torch.float64), 2
    total = len(sigmas) * num_steps
    states = []

    def score(x, sigma):
        return -x / sigma[:, None] ** 2

    unit = torch.eye(total + 1, dtype=torch.float64)  # each example has its own draw, the first the start
    draws = iter(unit[1:])
    start = sigmas[0] * unit[:1].T
    annealed_langevin_dynamics(
        score, start, sigmas, eps=eps, num_steps=num_steps,
        randn_like=lambda x: next(draws)[:, None], callback=lambda step: states.append(step.x.square().sum()),
    )  # fmt: skip
    report = explain_schedule(sigmas, eps, num_steps, 1)
    expected = torch.stack(states[num_steps - 1 :: num_steps]) / sigmas**2
    torch.testing.assert_close(report.variances, expected, rtol=1e-10, atol=0)
    assert report.num_calls == total
    assert not report.diverges
    torch.testing.assert_close(report.overlaps, level_overlap(sigmas, 1))


def test_a_step_that_is_too_long():
    """From eps = 4 sigma_L^2 on a step enlarges the noise."""
    sigmas = torch.tensor([1.0, 0.5], dtype=torch.float64)
    below, above = (explain_schedule(sigmas, eps, 1000, 8) for eps in (0.99, 1.0))
    assert (below.diverges, above.diverges) == (False, True)
    assert below.variances.max() < 101 < 1000 < above.variances.min()  # the limit is 1 / (1 - u/4) = 100
    assert explain_schedule(torch.ones(1), 0.1, 3, 8).overlaps.shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: suggest_sigmas(torch.rand(1, 4)), "the number of images must be at least 2, got 1"),
        (lambda: suggest_sigmas(torch.ones(3, 4)), "sigma_max must be a finite number above 0, got 0.0"),
        (lambda: suggest_sigmas(torch.rand(3, 4), sigma_min=90.0), "sigma_max must be above sigma_min"),
        (lambda: suggest_num_levels(1.0, 0.1, 8, max_ratio=1.0), "max_ratio must be above 1, got 1.0"),
        (lambda: suggest_sigmas(torch.rand(3, 4), overlap=1.0), "overlap must be above 0 and at most 0.99, got 1.0"),
        (lambda: suggest_step_size(torch.ones(1), 5), "the number of levels in sigmas must be at least 2"),
        (lambda: suggest_step_size(torch.tensor([2.0, 1.0]), 0), "num_steps must be at least 1, got 0"),
        (lambda: explain_schedule(torch.ones(1), -1.0, 5, 8), "eps must be a finite number above 0, got -1.0"),
        (lambda: explain_schedule(torch.ones(1), 1.0, 5, 0), "dim must be at least 1, got 0"),
    ],
)
def test_a_suggestion_from_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
