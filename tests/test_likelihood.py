"""Log-likelihoods by the probability flow, against densities in closed form."""

import math

import numpy as np
import pytest
import torch
from problems import normal
from scipy import linalg

from ncsn_lib import GaussianMixture, log_likelihood
from ncsn_lib.data import dequantize
from ncsn_lib.likelihood import bits_per_dim
from ncsn_lib.losses import rademacher_projections

MIXTURE = GaussianMixture(
    torch.tensor([[-2.0, 1.0, 0.0], [2.0, 0.0, 0.5], [0.0, 3.0, 1.0]], dtype=torch.float64),
    torch.tensor([0.4, 0.7, 0.2]),
    torch.tensor([0.3, 0.5, 0.2]),
)
X = 2 * normal(12, 3)
COVARIANCE = np.array([[1.0, 0.6, 0.1], [0.6, 0.8, -0.2], [0.1, -0.2, 0.5]])


def correlated_score(x, sigma):
    """The score of N(0, COVARIANCE + sigma^2)."""
    total = torch.from_numpy(COVARIANCE) + sigma[:, None, None] ** 2 * torch.eye(3, dtype=torch.float64)
    return -torch.linalg.solve(total, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma_min", [0.0, 0.3])
def test_the_likelihood_of_a_mixture(sigma_min, dtype):
    """To 1e-3 nats, from a prior that is the mixture's own."""
    mixture, x = MIXTURE.to(dtype), X.to(dtype)
    found = log_likelihood(mixture.score, x, 20.0, sigma_min, prior=lambda x: mixture.log_prob(x, 20.0))
    torch.testing.assert_close(found.log_prob, mixture.log_prob(x, sigma_min), rtol=0, atol=1e-3)
    assert found.standard_error.tolist() == [0.0] * 12


def test_the_default_prior_is_right_where_the_noise_is_wide():
    middle = MIXTURE.weights @ MIXTURE.means
    found = log_likelihood(MIXTURE.score, X, 500.0, 0.3, mean=middle, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.log_prob, MIXTURE.log_prob(X, 0.3), rtol=0, atol=1e-3)


def test_the_tolerances_are_kept():
    exact, calls = MIXTURE.log_prob(X, 0.1), []
    for tolerance in (1e-3, 1e-6, 1e-9):
        found = log_likelihood(
            MIXTURE.score, X, 20.0, 0.1, prior=lambda x: MIXTURE.log_prob(x, 20.0), rtol=tolerance, atol=tolerance
        )
        assert (found.log_prob - exact).abs().max() < 30 * tolerance
        calls.append(found.num_calls)
    assert calls == sorted(calls)


def test_the_calls_are_counted():
    asked = []
    found = log_likelihood(lambda x, sigma: asked.append(1) or MIXTURE.score(x, sigma), X, 20.0, 0.1)
    assert found.num_calls == len(asked)


def test_images_have_a_likelihood():
    """Their dimensions are laid out in any shape."""
    flat = GaussianMixture(normal(2, 8, seed=1), 0.5)
    images = GaussianMixture(flat.means.view(2, 2, 2, 2), 0.5)
    x = normal(3, 8, seed=2)
    expected = log_likelihood(flat.score, x, 10.0, 0.1).log_prob
    torch.testing.assert_close(log_likelihood(images.score, x.view(3, 2, 2, 2), 10.0, 0.1).log_prob, expected)


def test_each_projection_is_its_quadratic_form():
    """On a correlated Gaussian the integral of v' grad f v is v' (log(C + top^2) - log(C + bottom^2)) v / 2."""
    top, bottom, x = 5.0, 0.2, normal(4, 3)
    v = rademacher_projections(x, 6, torch.Generator().manual_seed(0))
    found = log_likelihood(correlated_score, x, top, bottom, projections=v, rtol=1e-8, atol=1e-8)
    logs = [linalg.logm(COVARIANCE + sigma**2 * np.eye(3)) for sigma in (top, bottom)]
    integrals = 0.5 * np.einsum("bmi,ij,bmj->bm", v, logs[0] - logs[1], v)
    total = linalg.sqrtm((COVARIANCE + top**2 * np.eye(3)) @ np.linalg.inv(COVARIANCE + bottom**2 * np.eye(3)))
    last = x.numpy() @ total.T
    prior = -0.5 * (last**2).sum(1) / top**2 - 1.5 * math.log(2 * math.pi * top**2)
    assert found.log_prob.numpy() == pytest.approx(prior + integrals.mean(1), abs=1e-6)
    assert found.standard_error.numpy() == pytest.approx(integrals.std(1, ddof=1) / math.sqrt(6), abs=1e-6)
    assert found.standard_error.min() > 0.01


def test_projections_on_the_axes_are_the_exact_trace():
    """For sqrt(D) e_d the mean of v v' is the unit matrix itself."""
    axes = (math.sqrt(3) * torch.eye(3, dtype=torch.float64)).expand(12, 3, 3)
    exact, projected = (log_likelihood(MIXTURE.score, X, 20.0, 0.3, projections=p) for p in (None, axes))
    torch.testing.assert_close(projected.log_prob, exact.log_prob, rtol=0, atol=1e-3)


def test_one_projection_has_no_standard_error():
    found = log_likelihood(MIXTURE.score, X, 20.0, 0.3, projections=rademacher_projections(X, 1))
    assert found.standard_error.isnan().all()
    assert found.log_prob.isfinite().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sigma_max": 0.1}, ValueError, "sigma_max must be above sigma_min, got 0.1 and 0.3"),
        ({"projections": torch.ones(12, 3).double()}, ValueError, r"projections must be \(12, 3, 3\)"),
        ({"projections": X[None].float()}, ValueError, r"projections must be \(12, 12, 3\)"),
        ({"prior": lambda x: x}, ValueError, r"prior\(x\) must be \(12,\)"),
        ({"score_fn": lambda x, sigma: MIXTURE.score(x, sigma).detach()}, ValueError, "with no gradient in x"),
        ({"score_fn": lambda x, sigma: math.nan * x}, ArithmeticError, "the score is not finite at sigma = 0.3"),
        ({"atol": -1.0}, ValueError, "atol must be a finite number above 0"),
    ],
)
def test_what_a_likelihood_refuses(change, error, message):
    with pytest.raises(error, match=message):
        log_likelihood(**{"score_fn": MIXTURE.score, "x": X, "sigma_max": 20.0, "sigma_min": 0.3, **change})


@pytest.mark.parametrize(("values", "bits"), [(256, 8.0), (16, 4.0), (1, 0.0)])
def test_bits_of_numbers_that_are_drawn_evenly(values, bits):
    """Dequantised they fill values / 256 of [0, 1) evenly: a density of 256 / values in each dimension."""
    x = dequantize(torch.randint(values, (50, 10)) / 255)
    assert x.max() < values / 256
    log_prob = torch.full((50,), 10 * math.log(256 / values))
    torch.testing.assert_close(bits_per_dim(log_prob, 10), torch.full((50,), bits))


def test_bits_of_continuous_data():
    """Of a unit normal in the mean its entropy, ln(2 pi e) / 2 nats."""
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    assert bits_per_dim(torch.tensor([-7 * entropy]), 7, bins=1).item() == pytest.approx(entropy / math.log(2))
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        bits_per_dim(torch.zeros(2), 0)
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        bits_per_dim(torch.zeros(2), 3, bins=0)
