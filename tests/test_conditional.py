"""Conditional scores against Bayes' rule in closed form."""

import math

import numpy as np
import pytest
import torch
from problems import gradient, normal, refusals, seeded
from scipy import ndimage

from ncsn_lib import GaussianMixture, karras_sigmas
from ncsn_lib.conditional import (
    classifier_free_guidance,
    classifier_guidance,
    colourisation,
    deblurring,
    inpainting,
    posterior_score_fn,
    super_resolution,
)
from ncsn_lib.samplers import ancestral_sampling

PARTS = [GaussianMixture(torch.tensor([mean], dtype=torch.float64), 0.4) for mean in ([-2.0, 1.0], [2.0, 0.0])]
BOTH = GaussianMixture(torch.cat([part.means for part in PARTS]), 0.4, torch.tensor([0.3, 0.7], dtype=torch.float64))
X, LEVELS = normal(5, 2), torch.tensor([0.05, 0.3, 1.0, 2.0, 9.0], dtype=torch.float64)


def log_first(x, sigma):
    """The exact log-probability that noisy data come from the first part."""
    logs = [part.log_prob(x, sigma) + math.log(weight) for part, weight in zip(PARTS, (0.3, 0.7), strict=True)]
    return logs[0] - torch.stack(logs).logsumexp(0)


def test_guidance_by_the_exact_classifier_is_the_classes_score():
    guided = classifier_guidance(BOTH.score, log_first)
    torch.testing.assert_close(guided(X, LEVELS), PARTS[0].score(X, LEVELS), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_both_guidances_are_the_gradient_of_the_sharpened_density(scale):
    """p(x) p(y | x)^w; and the two agree, for the difference of the scores is the classifier's gradient."""
    expected = gradient(lambda x: BOTH.log_prob(x, LEVELS) + scale * log_first(x, LEVELS), X)
    by_classifier = classifier_guidance(BOTH.score, log_first, scale=scale)(X, LEVELS)
    free = classifier_free_guidance(PARTS[0].score, BOTH.score, scale=scale)(X, LEVELS)
    torch.testing.assert_close(by_classifier, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(free, expected, rtol=1e-9, atol=1e-9)


def test_guidance_samples_the_class():
    sigmas, x = karras_sigmas(10.0, 0.05, 40).double(), 10 * normal(500, 2)
    guided = classifier_guidance(BOTH.score, log_first)
    samples = ancestral_sampling(guided, x, sigmas, generator=seeded())
    assert (samples[:, 0] < 0).all()
    torch.testing.assert_close(samples.mean(0), PARTS[0].means[0], rtol=0, atol=0.1)


# --- linear inverse problems, on N(m, s^2 I)

SHAPE, SPREAD, NOISE = (3, 4, 6), 0.6, 0.2
KERNEL = torch.tensor([[0.1, 0.2, 0.0], [0.1, 0.4, 0.2]], dtype=torch.float64)
MASK = torch.rand(1, 4, 6, generator=seeded(5)) < 0.5
MEASUREMENTS = {
    "inpainting": inpainting(MASK),
    "colourisation": colourisation(),
    "super-resolution": super_resolution(2),
    "deblurring": deblurring(KERNEL, (4, 6)),
}
DIM = math.prod(SHAPE)
MEAN = normal(*SHAPE, seed=1)
PRIOR = GaussianMixture(MEAN[None], SPREAD)


def matrix(measurement):
    """A as a matrix, (M, D), by what it does to each unit vector."""
    return measurement.apply(torch.eye(DIM, dtype=torch.float64).view(DIM, *SHAPE)).flatten(1).T.numpy()


def blurred(image):
    """The blur by SciPy, round the edges: its convolution has the same middle."""
    return np.stack([ndimage.convolve(channel, KERNEL.numpy(), mode="wrap", origin=0) for channel in image])


def test_the_measurements_are_what_they_are_called():
    x = normal(2, *SHAPE)
    for one, gray, small, blur in zip(x, *(MEASUREMENTS[n].apply(x) for n in list(MEASUREMENTS)[1:]), strict=True):
        torch.testing.assert_close(gray[0], (one[0] + one[1] + one[2]) / 3)
        corners = [one[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        torch.testing.assert_close(small, sum(corners) / 4)
        assert blur.numpy() == pytest.approx(blurred(one.numpy()), abs=1e-12)
    given = MEASUREMENTS["inpainting"].apply(x)
    assert torch.equal(given[:, MASK.expand(SHAPE)], x[:, MASK.expand(SHAPE)])
    assert given[:, ~MASK.expand(SHAPE)].abs().max() == 0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_the_inverse_of_a_measurement_is_its_matrix(name):
    """(r A A' + n I)^-1 residual by NumPy, on residuals that the measurement can have."""
    measurement = MEASUREMENTS[name]
    a = matrix(measurement)
    residual = measurement.apply(normal(2, *SHAPE, seed=3))
    variances = torch.tensor([0.3, 2.0], dtype=torch.float64)
    found = measurement.whiten(residual, variances, NOISE**2)
    for one, result, variance in zip(residual, found, variances.tolist(), strict=True):
        expected = np.linalg.solve(variance * a @ a.T + NOISE**2 * np.eye(len(a)), one.flatten().numpy())
        assert result.flatten().numpy() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("noise", [0.0, NOISE])
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_on_gaussian_data_it_is_the_exact_posterior_score(name, noise):
    """By the joint Gaussian of data and y: the clean posterior N(m + K (y - A m), (I - K A) s^2), with noise added.

    The kernel takes one frequency away, so that without noise A A' has no inverse, only a pseudo-inverse.
    """
    measurement = MEASUREMENTS[name]
    a = matrix(measurement)
    used = np.abs(a).sum(1) > 0  # what inpainting leaves out is no measurement
    y = measurement.apply(PRIOR.sample(1, generator=seeded(7))) + noise * normal(
        1, *measurement.apply(MEAN[None]).shape[1:]
    )
    a, target = a[used], y.flatten().numpy()[used]
    gain = SPREAD**2 * a.T @ np.linalg.pinv(SPREAD**2 * a @ a.T + noise**2 * np.eye(len(a)), rcond=1e-12)
    mean = MEAN.flatten().numpy() + gain @ (target - a @ MEAN.flatten().numpy())
    covariance = SPREAD**2 * (np.eye(DIM) - gain @ a)
    x, sigmas = 2 * normal(3, *SHAPE, seed=2), torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    score_fn = posterior_score_fn(PRIOR.score, measurement, y, noise_std=noise, data_std=SPREAD)
    for one, sigma, score in zip(x, sigmas.tolist(), score_fn(x, sigmas), strict=True):
        expected = np.linalg.solve(covariance + sigma**2 * np.eye(DIM), mean - one.flatten().numpy())
        assert score.flatten().numpy() == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_samples_agree_with_what_was_measured():
    """Without noise a sample is measured as y says, whatever the data; here a mixture."""
    mixture = GaussianMixture(torch.stack([MEAN, -MEAN]), 0.3)
    truth = mixture.sample(1, generator=seeded(3))
    for name in ("inpainting", "super-resolution"):
        measurement = MEASUREMENTS[name]
        y = measurement.apply(truth)
        score_fn = posterior_score_fn(mixture.score, measurement, y, data_std=1.0)
        sigmas = karras_sigmas(10.0, 0.01, 50).double()
        samples = ancestral_sampling(score_fn, 10 * normal(4, *SHAPE), sigmas, generator=seeded(1))
        torch.testing.assert_close(measurement.apply(samples), y.expand(4, *y.shape[1:]), rtol=0, atol=0.02)
        nearest = [(samples - mode).flatten(1).norm(dim=1) for mode in (MEAN, -MEAN)]
        of_truth = (truth - MEAN).norm() < (truth + MEAN).norm()
        assert ((nearest[0] < nearest[1]) == of_truth).all()


Y = torch.ones(1, *SHAPE, dtype=torch.float64)
IMAGES, ONES = torch.ones(2, *SHAPE, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
REFUSED = {
    r"log_classifier\(x, sigma\) must be \(5,\)": lambda: classifier_guidance(BOTH.score, lambda x, sigma: x)(
        X, LEVELS
    ),
    "log_classifier returned a value with no gradient in x": lambda: classifier_guidance(
        BOTH.score, lambda x, sigma: sigma
    )(X, LEVELS),
    "score_fn returned a value with no gradient in x": lambda: posterior_score_fn(
        lambda x, sigma: x.detach(), inpainting(MASK), Y
    )(IMAGES, ONES),
    r"y must be \(2, 1, 4, 6\)": lambda: posterior_score_fn(PRIOR.score, colourisation(), Y)(IMAGES, ONES),
    "data_std must be a finite number above 0": lambda: posterior_score_fn(PRIOR.score, colourisation(), Y, data_std=0),
    "noise_std must be finite and at least 0": lambda: posterior_score_fn(
        PRIOR.score, colourisation(), Y, noise_std=-1.0
    ),
    r"kernel must be \(K1, K2\), at most \(1, 2\)": lambda: deblurring(KERNEL, (1, 2)),
    "factor must be at least 1, got 0": lambda: super_resolution(0),
}


test_what_is_refused = refusals(REFUSED)


def test_a_mask_is_of_truths():
    with pytest.raises(TypeError, match=r"mask must be a bool tensor, got torch\.float32"):
        inpainting(torch.ones(2))
