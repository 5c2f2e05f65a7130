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
from ncsn_lib.data import LabelledImages
from ncsn_lib.losses import (
    explicit_score_matching_loss,
    gaussian_projections,
    implicit_score_matching_loss,
    log_normal_sigmas,
)
from ncsn_lib.training import ConditionalObjective, DenoisingObjective, NCSNObjective, NonFiniteLossError

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


# --- any noise level


def test_denoising_at_drawn_levels_is_its_formula(points):
    """Each example at its own level with its own weight, written out."""
    objective = DenoisingObjective(lambda x, g: log_normal_sigmas(x, -1.0, 0.5, g), lambda sigma: 3.0 * sigma**4)
    draws = objective.draw(points, torch.Generator().manual_seed(0))
    assert draws["sigma"].unique().numel() == len(points)
    network, total = Affine(), 0.0
    for x, sigma, noise in zip(points, draws["sigma"], draws["noise"], strict=True):
        score = network.layer(x + sigma * noise)
        total += 3.0 * sigma**4 * 0.5 * (score + noise / sigma).square().sum()
    torch.testing.assert_close(objective.loss(network, points, draws), total / len(points))


def test_levels_and_images_that_are_not_finite_are_named(points):
    objective = DenoisingObjective(lambda x, generator: torch.tensor([1.0, 0.25, 4.0]))
    draws = objective.draw(points[:3], torch.Generator().manual_seed(0))

    def score_fn(x, sigma):
        return x / (sigma > 0.5)[:, None]

    assert objective.explain(score_fn, points[:3], draws) == "the noise level 0.25"
    assert objective.explain(Affine(), points[:3], draws) == "the sum over the batch"
    assert objective.explain(Affine(), points[:3] * torch.inf, draws) == "the images hold values that are not finite"


# --- classes


def test_the_class_is_kept_back_at_random():
    """At the odds that are asked for, to five standard errors; the other labels are as they were."""
    x, labels = torch.zeros(20_000, 1), torch.arange(20_000) % 7
    inner = NCSNObjective(torch.tensor([1.0, 0.5]))
    draws = ConditionalObjective(inner, 0.2).draw_labelled(x, labels, torch.Generator().manual_seed(0))
    kept = draws["classes"] >= 0
    assert abs((~kept).float().mean() - 0.2) < 5 * (0.2 * 0.8 / 20_000) ** 0.5
    assert torch.equal(draws["classes"][kept], labels[kept])
    assert (draws["classes"][~kept] == -1).all()
    own = inner.draw(x, torch.Generator().manual_seed(0))
    assert all(torch.equal(draws[name], value) for name, value in own.items())  # what it draws is undisturbed
    never = ConditionalObjective(inner, 0.0).draw_labelled(x, labels, torch.Generator().manual_seed(0))
    assert torch.equal(never["classes"], labels)
    assert (ConditionalObjective(inner, 0.0).draw(x, torch.Generator().manual_seed(0))["classes"] == -1).all()


class Shifted(Affine):
    """A score A (x - m), where A is common to all classes and each has its m."""

    def __init__(self):
        super().__init__()
        self.means = nn.Parameter(torch.zeros(2, 2))

    def forward(self, x, sigma, classes):
        return self.layer(x - self.means[classes])


def test_a_network_learns_the_score_of_each_class(points):
    """Two Gaussians 6 apart, by their labels: A is minus the inverse of the covariance within the classes."""
    labels = torch.arange(256) % 2
    x = points + 6.0 * labels[:, None] * torch.tensor([1.0, 0.0])
    objective = ConditionalObjective(LossObjective(implicit_score_matching_loss), 0.0)
    torch.manual_seed(0)
    network = train(Shifted(), LabelledImages(x, labels), objective, SETTINGS).ema.module
    means = torch.stack([x[labels == n].mean(0) for n in (0, 1)])
    precision = torch.linalg.inv((x - means[labels]).T @ (x - means[labels]) / 256)
    found, expected = network(x, x.new_ones(256), labels), (means[labels] - x) @ precision
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


def test_what_is_not_finite_is_named_with_its_class(points):
    """Whatever objective is within: here one that groups the examples by their level."""
    objective = ConditionalObjective(NCSNObjective(torch.tensor([1.0, 0.5])), 0.0)
    draws = objective.draw_labelled(points[:6], torch.arange(6), torch.Generator().manual_seed(0))

    def score_fn(x, sigma, classes):
        return x / (classes != 4)[:, None]

    assert objective.explain(score_fn, points[:6], draws).startswith("an example of class 4: noise level ")
    assert objective.explain(lambda x, sigma, classes: x, points[:6], draws) == "the sum over the batch"


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (torch.zeros(3), TypeError, "labels must be an int64 or int32 tensor, got torch.float32"),
        (torch.zeros(2).long(), ValueError, r"labels must be \(3,\) .*got \(2,\)"),
    ],
)
def test_labels_that_cannot_be(points, labels, error, message):
    with pytest.raises(error, match=message):
        ConditionalObjective(NCSNObjective(torch.ones(1))).draw_labelled(points[:3], labels, torch.Generator())


def test_a_dropout_that_cannot_be():
    with pytest.raises(ValueError, match=r"label_dropout must be from 0 to 1, got 1\.1"):
        ConditionalObjective(NCSNObjective(torch.ones(1)), 1.1)
