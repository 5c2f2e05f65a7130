"""What a model may predict: each form by its own definition from data and noise."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
import torch
from problems import normal, refusals

from ncsn_lib import GaussianMixture
from ncsn_lib.forms import (
    Form,
    as_score_fn,
    convert,
    flow_sigma,
    flow_time,
    in_units,
    vp_alpha_bar,
    vp_score_fn,
    vp_sigma,
)

DATA, NOISE = normal(6, 2, 3), normal(6, 2, 3, seed=1)
SIGMA = torch.tensor([0.01, 0.1, 0.5, 2.0, 10.0, 80.0], dtype=torch.float64)
S = SIGMA[:, None, None]
X = DATA + S * NOISE
VALUES = {
    "score": -NOISE / S,
    "noise": NOISE,
    "denoised": DATA,
    "velocity": NOISE - DATA,  # d/dt of (1 - t) data + t noise
    "v": (NOISE - S * DATA) / (1 + S**2).sqrt(),  # alpha noise - sigma data, variance preserving
}
MIXTURE = GaussianMixture(torch.tensor([[-2.0, 1.0], [2.0, 0.0]], dtype=torch.float64), 0.4, torch.tensor([0.3, 0.7]))
POINTS, LEVELS = normal(4, 2, seed=2), torch.tensor([0.05, 0.3, 1.0, 4.0], dtype=torch.float64)
ALPHAS = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)  # DDPM's
SIGMAS = ((1 - ALPHAS) / ALPHAS).sqrt()


def test_every_form_is_here():
    assert set(VALUES) == set(get_args(Form))


@pytest.mark.parametrize(("source", "target"), list(itertools.product(VALUES, VALUES)))
def test_each_form_into_each(source, target):
    """Exact to the rounding of x: the data have 1 / sigma of its digits, the noise sigma."""
    found = convert(VALUES[source], X, SIGMA, source=source, target=target)
    torch.testing.assert_close(found, VALUES[target], rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("form", VALUES)
def test_a_model_of_any_form_is_a_score_function(form):
    """The exact mixture, predicting each form: by its denoiser and what that leaves as noise."""
    denoised = MIXTURE.denoise(POINTS, LEVELS)
    noise, s = (POINTS - denoised) / LEVELS[:, None], LEVELS[:, None]
    forms = {
        "score": MIXTURE.score(POINTS, LEVELS),
        "noise": noise,
        "denoised": denoised,
        "velocity": noise - denoised,
        "v": (noise - s * denoised) / (1 + s**2).sqrt(),
    }
    found = as_score_fn(lambda x, sigma: forms[form], form)(POINTS, LEVELS)
    torch.testing.assert_close(found, forms["score"], rtol=1e-9, atol=1e-10)


def test_scales_and_times():
    alpha_bar = torch.tensor([0.99, 0.5, 0.2], dtype=torch.float64)
    torch.testing.assert_close(vp_alpha_bar(vp_sigma(alpha_bar)), alpha_bar, rtol=1e-14, atol=0)
    assert vp_sigma(torch.tensor(0.5)).item() == 1  # as much data as noise
    time = torch.tensor([0.0, 0.3, 0.9], dtype=torch.float64)
    torch.testing.assert_close(flow_time(flow_sigma(time)), time, rtol=1e-14, atol=0)
    # sqrt(alpha_bar) data + sqrt(1 - alpha_bar) noise, and (1 - t) data + t noise, are x in another scale.
    data, noise = normal(3), normal(3, seed=1)
    preserving = alpha_bar.sqrt() * data + (1 - alpha_bar).sqrt() * noise
    torch.testing.assert_close(alpha_bar.sqrt() * (data + vp_sigma(alpha_bar) * noise), preserving)
    torch.testing.assert_close((1 - time) * (data + flow_sigma(time) * noise), (1 - time) * data + time * noise)


def vp_noise(y, time):
    """The exact noise predictor of the mixture, from its own density in the variance-preserving scale."""
    logs = torch.from_numpy(np.interp(time.numpy(), range(1000), SIGMAS.log().numpy()))
    alpha = 1 / (1 + logs.exp() ** 2)
    rows = []
    for one, a in zip(y, alpha, strict=True):  # sqrt(a) (mean) with variance a s^2 + 1 - a
        perturbed = GaussianMixture(a.sqrt() * MIXTURE.means, (a * 0.16 + 1 - a).sqrt(), MIXTURE.weights)
        rows.append(-(1 - a).sqrt() * perturbed.score(one[None])[0])
    return torch.stack(rows)


def test_a_variance_preserving_model_is_a_score_function():
    score_fn = vp_score_fn(vp_noise, ALPHAS)
    torch.testing.assert_close(score_fn(POINTS, LEVELS), MIXTURE.score(POINTS, LEVELS), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_variance_preserving_model_sees_its_own_levels(dtype):
    """At the level of time t it is asked at t, with sqrt(alpha_bar) x; half-way, in log sigma, at t + 1/2."""
    asked = []
    score_fn = vp_score_fn(lambda y, time: asked.append((y, time)) or y, ALPHAS)
    times, x = torch.tensor([0, 1, 500, 998, 999]), normal(5, 2).to(dtype)
    score = score_fn(x, SIGMAS[times].to(dtype))
    y, time = asked[0]
    assert y.dtype == time.dtype == dtype
    torch.testing.assert_close(time, times.to(dtype), rtol=0, atol=2e-3 if dtype == torch.float32 else 1e-9)
    torch.testing.assert_close(y, ALPHAS[times].sqrt()[:, None].to(dtype) * x)
    torch.testing.assert_close(score, -y / SIGMAS[times, None].to(dtype))
    score_fn(x[:1].double(), (SIGMAS[7] * SIGMAS[8]).sqrt()[None])
    assert asked[1][1].item() == pytest.approx(7.5)


def test_units_change_data_and_noise_together():
    """The mixture in [-1, 1] for data in [0, 1]: means and spreads move, and so does the noise."""
    moved = GaussianMixture((MIXTURE.means + 1) / 2, 0.2, MIXTURE.weights)
    score_fn = in_units(MIXTURE.score, 2.0, -1.0)
    torch.testing.assert_close(score_fn(POINTS, LEVELS), moved.score(POINTS, LEVELS), rtol=1e-10, atol=1e-10)


REFUSED = {
    "source must be one of score, noise, denoised, velocity, v, got 'eps'": lambda: convert(
        X, X, SIGMA, source="eps", target="score"
    ),
    "target must be one of": lambda: convert(X, X, SIGMA, source="score", target=None),
    r"value must be \(6, 2, 3\)": lambda: convert(X[:1], X, SIGMA, source="score", target="noise"),
    r"sigma must be \(6,\)": lambda: convert(X, X, SIGMA[:1], source="score", target="noise"),
    r"alphas_bar must be \(T,\), decreasing": lambda: vp_score_fn(vp_noise, ALPHAS.flip(0)),
    "sigma must be from 0.010001 to 157.*got": lambda: vp_score_fn(vp_noise, ALPHAS)(POINTS, LEVELS * 100),
    "form must be noise, denoised or v, which no scale changes, got 'score'": lambda: vp_score_fn(
        vp_noise, ALPHAS, form="score"
    ),
    "scale must be a finite number above 0": lambda: in_units(MIXTURE.score, 0.0),
}


test_what_is_refused = refusals(REFUSED)


def test_a_level_that_rounding_puts_outside_is_the_last_one():
    score_fn = vp_score_fn(lambda y, time: time[:, None] + 0 * y, ALPHAS)
    outside = SIGMAS[[0, -1]] * torch.tensor([1 - 1e-7, 1 + 1e-7], dtype=torch.float64)
    found = -outside * score_fn(torch.ones(2, 1, dtype=torch.float64), outside)[:, 0]
    assert found.tolist() == pytest.approx([0, 999])
    assert math.isclose(SIGMAS[-1].item(), 157.4, rel_tol=0.01)
