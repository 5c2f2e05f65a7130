"""Langevin dynamics, with and without the Metropolis test, against closed forms and torch.distributions."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from ncsn_lib.samplers import langevin_dynamics, metropolis_adjusted_langevin_dynamics

STD = 1.5


def score(x, sigma):
    """Of N(0, STD^2 I)."""
    return -x / STD**2


def log_prob(x, sigma):
    """Of the same, without its constant."""
    return -0.5 * x.flatten(1).square().sum(1) / STD**2


def run(x, step_size, num_steps, seed=0, functions=(score, log_prob), **kw):
    torch.manual_seed(seed)
    return metropolis_adjusted_langevin_dynamics(*functions, x, 0.0, step_size=step_size, num_steps=num_steps, **kw)


def variance_in_errors(x, expected):
    """How many standard errors the variance of normal draws is away from the expected one."""
    return (x.square().mean() - expected) / (expected * math.sqrt(2 / x.numel()))


def test_unadjusted_moments_at_every_step():
    """On a Gaussian each step is affine: mean a m, variance a^2 v + alpha, with a = 1 - alpha / 2 s^2."""
    alpha, mean, variance = 2.0, torch.tensor([3.0, -1.0]), 0.25
    states = []
    torch.manual_seed(0)
    x = mean + math.sqrt(variance) * torch.randn(40_000, 2)
    langevin_dynamics(score, x, 0.0, step_size=alpha, num_steps=8, callback=lambda step: states.append(step.x))
    for x in states:
        factor = 1 - alpha / (2 * STD**2)
        mean, variance = factor * mean, factor**2 * variance + alpha
        assert ((x.mean(0) - mean).abs() < 5 * math.sqrt(variance / len(x))).all()
        assert abs(variance_in_errors(x - mean, variance)) < 5


@pytest.mark.parametrize("step_size", [0.5, 4.0, 8.9])
def test_metropolis_test_leaves_the_density_as_it_is(step_size):
    torch.manual_seed(1)
    x = STD * torch.randn(40_000, 2)
    assert abs(variance_in_errors(run(x, step_size, 20), STD**2)) < 5
    # The unadjusted chain has another variance, by far, where the step is large.
    if step_size > 1:
        unadjusted = langevin_dynamics(score, x, 0.0, step_size=step_size, num_steps=20)
        assert variance_in_errors(unadjusted, STD**2) > 50


def test_metropolis_test_repairs_a_wrong_score():
    """A score of another density proposes; the density that is sampled is still the one of `log_prob`."""
    x = run(torch.zeros(20_000, 2), 1.0, 200, functions=(lambda x, sigma: -(x - 1.0), log_prob))
    assert x.mean(0).abs().max() < 5 * STD / math.sqrt(len(x))
    assert abs(variance_in_errors(x, STD**2)) < 5


def test_step_is_accepted_by_the_ratio_of_detailed_balance():
    """Against transition densities from torch.distributions: u just below the ratio accepts, just above refuses."""
    torch.manual_seed(2)
    x, noise, alpha = torch.randn(50, 3).double(), torch.randn(50, 3).double(), 1.7

    def transition(x):
        mean = x + 0.5 * alpha * score(x, None)
        return MultivariateNormal(mean, alpha * torch.eye(3).double())

    target = MultivariateNormal(torch.zeros(3).double(), STD**2 * torch.eye(3).double())
    y = x + 0.5 * alpha * score(x, None) + math.sqrt(alpha) * noise
    log_ratio = target.log_prob(y) - target.log_prob(x) + transition(y).log_prob(x) - transition(x).log_prob(y)
    for factor in (0.999, 1.001):
        u = (factor * log_ratio.exp()).clamp(max=1.0)
        moved = run(x, alpha, 1, randn_like=lambda x: noise, rand_like=lambda p, u=u: u)
        accepted = (moved == y).all(1)
        assert torch.equal(accepted | (moved == x).all(1), torch.ones(50, dtype=torch.bool))
        assert torch.equal(accepted, u < log_ratio.exp())
    assert 0 < (log_ratio < 0).sum() < 50


def test_a_density_without_a_symmetric_score_is_kept():
    """An exponential density on x > 0: its proposals beyond 0 have no density, and must be refused."""

    def exponential(x, sigma):
        return torch.where(x[:, 0] > 0, -x[:, 0], -math.inf)

    torch.manual_seed(3)
    x = torch.distributions.Exponential(1.0).sample((40_000, 1))
    x = run(x, 0.5, 30, functions=(lambda x, sigma: -torch.ones_like(x), exponential))
    assert (x > 0).all()
    assert abs(x.mean() - 1) < 5 / math.sqrt(len(x))
    assert abs(x.square().mean() - 2) < 5 * math.sqrt(20 / len(x))  # E x^4 = 24


def test_small_steps_are_nearly_always_accepted_and_huge_ones_refused():
    x = STD * torch.randn(5000, 4)
    for step_size, lowest, highest in [(0.01, 0.999, 1.0), (200.0, 0.0, 0.01)]:
        moved = (run(x, step_size, 1) != x).any(1).float().mean()
        assert lowest <= moved <= highest


def test_a_proposal_that_is_not_finite_is_refused():
    x = torch.ones(4, 2)
    stayed = run(x, 1.0, 3, functions=(lambda x, sigma: torch.full_like(x, math.inf), log_prob))
    assert torch.equal(stayed, x)


def test_metropolis_on_images_calls_back_after_each_step_and_leaves_its_input():
    x, steps = torch.zeros(6, 1, 2, 2), []
    out = run(x, 0.5, 3, callback=steps.append)
    assert out.shape == x.shape
    assert not x.any()
    assert [(step.level, step.step, step.step_size) for step in steps] == [(0, 0, 0.5), (0, 1, 0.5), (0, 2, 0.5)]
    assert torch.equal(steps[-1].x, out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step_size": 0.0}, "step_size must be a finite number above 0, got 0"),
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"x": torch.zeros(2)}, r"x must be \(B, \*D\)"),
        ({"functions": (lambda x, sigma: x[:, :1], log_prob)}, "must return the shape of x"),
        ({"functions": (score, lambda x, sigma: x)}, r"log_prob_fn\(x, sigma\) must be \(2,\)"),
    ],
)
def test_what_bad_input_gets(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(**({"x": torch.zeros(2, 2), "step_size": 0.1, "num_steps": 1} | arguments))
