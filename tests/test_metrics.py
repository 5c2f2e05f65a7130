"""Metrics against closed forms, brute force and scipy."""

import math

import numpy as np
import pytest
import torch
from problems import normal, seeded
from scipy import linalg

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.metrics import (
    fisher_divergence,
    frechet_distance,
    mean_distance,
    mmd_squared,
    mode_mass,
    nearest_distances,
    nearest_neighbours,
    opponent_colours,
    power_spectrum,
    seam_jump,
)


def test_frechet_distance_is_scipys():
    x, y = normal(200, 5), normal(300, 5, seed=1) @ normal(5, 5, seed=2) + 1
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(cov_x @ cov_y).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum().item() + np.trace(cov_x + cov_y - 2 * root)
    # The root of a product of 5 x 5 matrices by two methods in double precision.
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_a_shift_and_a_scale():
    x = normal(1000, 1, 2, 2)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(x, x + 3) == pytest.approx(4 * 9, rel=1e-10)
    total = torch.cov(x.flatten(1).T).trace().item() + x.mean(0).square().sum().item()
    assert frechet_distance(x, 2 * x) == pytest.approx(total, rel=1e-8)  # (2 - 1)^2 of all there is


def test_frechet_distance_of_pixels_that_never_change():
    x = normal(50, 6)
    x[:, :3] = 0.5
    assert frechet_distance(x, x + 1) == pytest.approx(6.0, rel=1e-8)


def test_nearest_distances_are_those_of_a_double_loop():
    x, references = normal(7, 1, 3, 3), normal(11, 1, 3, 3, seed=1)
    distances, indices = nearest_distances(x, references, batch_size=3)
    for n, image in enumerate(x):
        each = [(image - r).square().sum().sqrt().item() for r in references]
        assert indices[n] == int(np.argmin(each))
        assert distances[n].item() == pytest.approx(min(each), rel=1e-12)


def test_a_copy_is_at_distance_zero():
    references = torch.rand(2000, 1, 8, 8, generator=seeded())
    distances, indices = nearest_distances(references[40:60], references)
    assert torch.equal(distances, torch.zeros(20))
    assert indices.tolist() == list(range(40, 60))


def test_nearest_neighbours_are_those_of_a_sorted_table():
    x, references = normal(7, 1, 3, 3), normal(11, 1, 3, 3, seed=1)
    distances, indices = nearest_neighbours(x, references, 4, batch_size=3)
    table = np.array([[(image - r).square().sum().sqrt().item() for r in references] for image in x])
    assert np.array_equal(indices.numpy(), table.argsort(1)[:, :4])
    np.testing.assert_allclose(distances.numpy(), np.sort(table)[:, :4], rtol=1e-12)
    nearest = nearest_distances(x, references)
    assert torch.equal(nearest_neighbours(x, references, 1)[1][:, 0], nearest[1])


def test_a_copy_comes_first_at_distance_zero():
    references = torch.rand(2000, 1, 8, 8, generator=seeded())
    distances, indices = nearest_neighbours(references[40:60], references, 3)
    assert torch.equal(distances[:, 0], torch.zeros(20))
    assert indices[:, 0].tolist() == list(range(40, 60))


def test_mode_mass():
    means = torch.tensor([[-5.0, -5.0], [5.0, 5.0]])
    assert mode_mass(torch.tensor([[-4.0, -4], [9, 9], [1, 1], [0.0, 0.1]]), means).tolist() == [0.25, 0.75]
    assert mode_mass(torch.tensor([[math.nan, 0.0], [1, 1]]), means).isnan().all()


def test_fisher_divergence_of_two_gaussians():
    """E 1/2 (x (1/u - 1/v))^2 over x ~ N(0, v I): D (v/u - 1)^2 / 2v."""
    u, v, dim = 1.5, 0.8, 3
    x = math.sqrt(v) * normal(100_000, dim)
    wide, narrow = (GaussianMixture(torch.zeros(1, dim).double(), math.sqrt(w)) for w in (u, v))
    sigma = torch.zeros(len(x)).double()
    expected = dim * (v / u - 1) ** 2 / (2 * v)
    error = expected * math.sqrt(2 / dim / len(x))  # a chi-squared with 3 degrees of freedom
    assert fisher_divergence(wide.score, narrow.score, x, sigma).item() == pytest.approx(expected, abs=4 * error)
    assert fisher_divergence(narrow.score, narrow.score, x, sigma).item() == 0.0


def test_mmd_is_its_definition():
    x, y, h = normal(6, 2), normal(5, 2, seed=1), 0.7
    kernel = lambda a, b: math.exp(-((a - b) ** 2).sum().item() / (2 * h**2))  # noqa: E731
    pairs = lambda a: np.mean([kernel(p, q) for i, p in enumerate(a) for j, q in enumerate(a) if i != j])  # noqa: E731
    expected = pairs(x) + pairs(y) - 2 * np.mean([kernel(p, q) for p in x for q in y])
    assert mmd_squared(x, y, bandwidth=h).item() == pytest.approx(expected, abs=1e-12)


def test_a_shift_changes_no_distance():
    """In float32, where points at 1,000 keep 6e-5 of a unit; matrix products would keep 0.1 of a squared one."""
    x, y = ((normal(400, 2, seed=seed) * 1024).round().float() / 1024 for seed in (0, 1))  # exact after the shift, too
    expected = mmd_squared(x, y, bandwidth=1.0).item()
    assert mmd_squared(x + 1000, y + 1000, bandwidth=1.0).item() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(mode_mass(x + 1000, y[:7] + 1000), mode_mass(x, y[:7]))


def test_mmd_of_two_gaussians():
    """Means 0 and m, variance 1, one dimension: 2 h / sqrt(h^2 + 2) (1 - exp(-m^2 / 2(h^2 + 2)))."""
    x, y, h, m = normal(4000, 1), normal(4000, 1, seed=1) + 1.0, 1.0, 1.0
    expected = 2 * h / math.sqrt(h**2 + 2) * (1 - math.exp(-(m**2) / (2 * (h**2 + 2))))
    assert mmd_squared(x, y, bandwidth=h).item() == pytest.approx(expected, abs=0.02)  # 0.005 over twenty seeds


X = torch.zeros(4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(X, torch.zeros(4, 3)), r"y must be \(4, 2\).*got \(4, 3\)"),
        (lambda: frechet_distance(X, X[:1]), "two examples or more, got 4 and 1"),
        (lambda: nearest_distances(X, torch.zeros(3, 3)), "references must be"),
        (lambda: nearest_neighbours(X, X, 5), "k must be at most the number of references, 4, got 5"),
        (lambda: mode_mass(X, torch.zeros(2, 3)), "means must be"),
        (lambda: mmd_squared(X, X[:1], bandwidth=1.0), "two samples or more, got 4 and 1"),
        (lambda: mmd_squared(X, X, bandwidth=0.0), "bandwidth must be a finite number above 0"),
        (lambda: fisher_divergence(lambda x, s: x, lambda x, s: x[:2], X, torch.ones(4)), "true_score must be"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_opponent_colours_are_an_orthonormal_change_of_axes():
    x = normal(5, 3, 4, 4)
    axes = opponent_colours(x)
    assert torch.allclose(axes.square().sum(1), x.square().sum(1), rtol=1e-12)  # lengths stay
    grey = normal(5, 1, 4, 4).expand(-1, 3, -1, -1)
    assert torch.allclose(opponent_colours(grey)[:, 0], math.sqrt(3) * grey[:, 0], rtol=1e-12)
    assert opponent_colours(grey)[:, 1:].abs().max() < 1e-12
    with pytest.raises(ValueError, match=r"images must be \(B, 3, H, W\), got \(5, 1, 4, 4\)"):
        opponent_colours(normal(5, 1, 4, 4))


def test_power_spectrum_of_one_wave():
    across = torch.arange(16, dtype=torch.float64) / 16
    wave = torch.cos(2 * math.pi * 3 * across).expand(1, 1, 16, 16)
    amplitudes = normal(40).view(-1, 1, 1, 1)
    # |F|^2 = (16^2 / 2)^2 / 16^2 = 64 at two of the waves of ring 3, times the amplitudes' variance; elsewhere nothing.
    numbers = np.fft.fftfreq(16, 1 / 16)
    in_ring = (np.round(np.hypot(numbers[:, None], numbers)) == 3).sum()
    expected = [0.0] * 9
    expected[3] = 2 * 64 / in_ring * amplitudes.var().item()
    assert power_spectrum(amplitudes * wave)[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_power_spectrum_of_all_pixels_is_their_variance():
    x = normal(30, 2, 3, 3)  # the rings of 0 and 1 waves hold all that nine pixels have, 1 and 8 of them
    rings = power_spectrum(x)
    assert rings.shape == (2, 2)
    total = x.var(0).sum((1, 2))  # Parseval
    assert torch.allclose(rings[:, 0] + 8 * rings[:, 1], total, rtol=1e-12)
    with pytest.raises(ValueError, match=r"images must be \(B, C, S, S\), B at least 2, got \(1, 3, 8, 8\)"):
        power_spectrum(normal(1, 3, 8, 8))
    with pytest.raises(ValueError, match="B at least 2"):
        power_spectrum(normal(4, 3, 8, 6))


def test_seam_jump_of_steps():
    x = torch.zeros(2, 1, 3, 6)
    x[0, ..., 3:] = 0.5  # one of two images has a step of 0.5 in the middle, and one of 2, clamped to 1, at column 1
    x[1, ..., 1:] = 2.0
    assert seam_jump(x) == pytest.approx(0.25)
    assert seam_jump(x, 1) == pytest.approx(0.5)
    assert seam_jump(x, 5) == 0
    assert seam_jump(x.mT, 1) == 0
    for column in (0, 6):
        with pytest.raises(ValueError, match=f"column must be from 1 to 5, got {column}"):
            seam_jump(x, column)


def test_mean_distance_is_numpys():
    x = normal(7, 2, 3)
    flat = x.flatten(1).numpy()
    pairs = [np.linalg.norm(flat[i] - flat[j]) for i in range(7) for j in range(i)]
    assert mean_distance(x) == pytest.approx(np.mean(pairs), rel=1e-10)
    with pytest.raises(ValueError, match="two examples or more, got 1"):
        mean_distance(x[:1])
