"""Objectives that a loop is handed, against closed forms."""

import pytest
import torch
from torch import nn

from ncsn_lib import (
    LossObjective,
    TrainingSettings,
    TrainingState,
    denoising_score_matching_loss,
    sliced_score_matching_vr_loss,
    train,
)
from ncsn_lib.losses import explicit_score_matching_loss, gaussian_projections, implicit_score_matching_loss
from ncsn_lib.training import NonFiniteLossError

SETTINGS = TrainingSettings(num_steps=600, batch_size=256, learning_rate=0.05, cosine_decay=True)
MEAN = torch.tensor([0.5, -0.5])


class Affine(nn.Module):
    """s(x) = A x + b, whatever the noise level."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, sigma):
        return self.layer(x)


def unit_normal(x, generator):
    noise = torch.empty_like(x)
    return noise.normal_(generator=generator)


@pytest.fixture
def points():
    """Exactly of mean MEAN and covariance C, up to rounding."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 2, generator=generator, dtype=torch.float64)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / len(x)), x.T, upper=False).T
    root = torch.tensor([[1.0, 0.0], [0.5, 0.8]], dtype=torch.float64)
    return (white @ root.T + MEAN).float()


OBJECTIVES = {
    "implicit": (LossObjective(implicit_score_matching_loss), 0.0, 0.01),
    "explicit": (
        LossObjective(explicit_score_matching_loss, true_score=lambda x, generator: gaussian_score(x)),
        0.0,
        0.01,
    ),
    "sliced": (
        LossObjective(
            sliced_score_matching_vr_loss, projections=lambda x, generator: gaussian_projections(x, 4, generator)
        ),
        0.0,
        0.1,
    ),
    "denoising": (LossObjective(denoising_score_matching_loss, sigma=0.7, noise=unit_normal), 0.7, 0.1),
}


def covariance(sigma):
    return torch.tensor([[1.0, 0.5], [0.5, 0.89]]) + sigma**2 * torch.eye(2)


def gaussian_score(x):
    return (MEAN - x) @ torch.linalg.inv(covariance(0.0))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_loss_finds_the_gaussian_of_the_data(points, name):
    objective, sigma, tolerance = OBJECTIVES[name]
    torch.manual_seed(0)
    network = train(TrainingState.start(Affine(), SETTINGS), points, objective, SETTINGS).ema.module
    precision = torch.linalg.inv(covariance(sigma))
    torch.testing.assert_close(network.layer.weight, -precision, rtol=0, atol=tolerance)
    torch.testing.assert_close(network.layer.bias, precision @ MEAN, rtol=0, atol=2 * tolerance)


def test_loss_is_the_mean_over_the_batch(points):
    network, noise = Affine(), torch.ones_like(points)
    objective = LossObjective(denoising_score_matching_loss, sigma=0.5, noise=unit_normal)
    expected = 0.5 * ((network.layer(points + 0.5) + 2.0) ** 2).sum() / len(points)
    torch.testing.assert_close(objective.loss(network, points, {"noise": noise}), expected)


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_perturbed_examples_have_the_perturbed_gaussian(points, sigma):
    """Implicit score matching of data with fresh noise finds the precision of the covariance plus sigma^2."""
    objective = LossObjective(implicit_score_matching_loss, sigma=sigma, perturb=True)
    torch.manual_seed(0)
    network = train(TrainingState.start(Affine(), SETTINGS), points, objective, SETTINGS).ema.module
    precision = torch.linalg.inv(covariance(sigma))
    torch.testing.assert_close(network.layer.weight, -precision, rtol=0, atol=0.1)


def test_the_perturbation_is_a_draw_of_its_size(points):
    objective = LossObjective(implicit_score_matching_loss, sigma=0.5, perturb=True)
    draws = objective.draw(points, torch.Generator().manual_seed(0))
    assert draws["perturbation"].std().item() == pytest.approx(0.5, abs=4 * 0.5 / (2 * points.numel()) ** 0.5)
    network = Affine()
    expected = implicit_score_matching_loss(network, points + draws["perturbation"], points.new_full((256,), 0.5))
    torch.testing.assert_close(objective.loss(network, points, draws), expected.mean())
    assert "perturbation" in draws  # the caller's draws are left as they were


def test_draws_follow_the_generator(points):
    objective = LossObjective(denoising_score_matching_loss, sigma=0.5, noise=unit_normal)
    first, second = (objective.draw(points, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.keys() == {"noise"}
    assert torch.equal(first["noise"], second["noise"])


def test_what_is_not_finite_is_named(points):
    points[3] = torch.nan
    settings = TrainingSettings(num_steps=1, batch_size=256, learning_rate=0.02)
    with pytest.raises(NonFiniteLossError, match="not finite: examples"):
        train(TrainingState.start(Affine(), settings), points, LossObjective(implicit_score_matching_loss), settings)


def test_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="sigma must be finite and at least 0, got -1"):
        LossObjective(implicit_score_matching_loss, sigma=-1)
