"""What a raw network predicts, against the formulas written out in the letters of the papers."""

import pytest
import torch
from problems import normal
from torch import nn

from ncsn_lib import GaussianMixture
from ncsn_lib.losses import denoising_score_matching_loss, explicit_score_matching_loss
from ncsn_lib.networks import Preconditioned, RawUNet, UNet
from ncsn_lib.networks.preconditioning import FORMS, prediction_weight

MEAN, STD = 0.3, 0.4
EXACT = {"rtol": 1e-12, "atol": 1e-12}
SIGMA = torch.tensor([0.002, 0.1, 0.5, 3.0, 40.0], dtype=torch.float64)
CLEAN, NOISE = 0.5 * normal(5, 2, 3, 3), normal(5, 2, 3, 3, seed=1)
"""Examples, centred, and noise; a column of levels goes with them."""
COLUMN = SIGMA.view(-1, 1, 1, 1)
TARGETS = {
    "score": -NOISE / COLUMN,
    "noise": NOISE,
    "denoised": CLEAN,
    "velocity": NOISE - CLEAN,
    # Karras et al. (2022), Eq. (8): (y - c_skip (y + n)) / c_out.
    "edm": (CLEAN - STD**2 / (COLUMN**2 + STD**2) * (CLEAN + COLUMN * NOISE))
    / (COLUMN * STD / (COLUMN**2 + STD**2).sqrt()),
}
"""What a network of each form ought to predict, had it seen the noise."""


class Given(nn.Module):
    """A raw network that returns what it was given, and keeps what it was called with."""

    def __init__(self, output):
        super().__init__()
        self.output, self.seen = output, None

    def forward(self, *seen):
        self.seen = seen
        return self.output


def preconditioned(output, form="edm", **how):
    return Preconditioned(Given(output), form=form, **{"data_mean": MEAN, "data_std": STD, **how})


def noisy():
    return MEAN + CLEAN + COLUMN * NOISE


@pytest.mark.parametrize("form", FORMS)
def test_what_a_form_predicts(form):
    """A network that predicts its target has the score of the noise."""
    score = preconditioned(TARGETS[form], form)(noisy(), SIGMA)
    torch.testing.assert_close(score, -NOISE / COLUMN, rtol=1e-8, atol=1e-8)  # x - y at sigma = 0.002 has 13 digits


@pytest.mark.parametrize("form", FORMS)
def test_a_forms_weight_makes_all_predictions_count_alike(form):
    output = normal(5, 2, 3, 3, seed=2)
    losses = denoising_score_matching_loss(preconditioned(output, form), MEAN + CLEAN, SIGMA, NOISE)
    expected = 0.5 * (output - TARGETS[form]).square().flatten(1).sum(1)
    torch.testing.assert_close(prediction_weight(form, SIGMA, STD) * losses, expected, rtol=1e-7, atol=1e-9)


def test_the_loss_of_karras_et_al():
    """Their Eq. (2), lambda(sigma) ||D(y + n; sigma) - y||^2 with Table 1's D and lambda, is twice ours."""
    output = normal(5, 2, 3, 3, seed=2)
    c_skip, c_out = STD**2 / (COLUMN**2 + STD**2), COLUMN * STD / (STD**2 + COLUMN**2).sqrt()
    denoised = c_skip * (CLEAN + COLUMN * NOISE) + c_out * output
    weight = (SIGMA**2 + STD**2) / (SIGMA * STD) ** 2
    theirs = weight * (denoised - CLEAN).square().flatten(1).sum(1)
    ours = denoising_score_matching_loss(preconditioned(output), MEAN + CLEAN, SIGMA, NOISE)
    torch.testing.assert_close(2 * prediction_weight("edm", SIGMA, STD) * ours, theirs, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(prediction_weight("edm", SIGMA, STD), weight * SIGMA**4, **EXACT)


def test_what_the_raw_network_sees():
    """c_in of Table 1 on centred data, c_noise = ln(sigma) / 4, and the classes."""
    network, classes = preconditioned(torch.zeros(5, 2, 3, 3)), torch.arange(5)
    network(noisy(), SIGMA, classes)
    x, c_noise, given = network.network.seen
    torch.testing.assert_close(x, (noisy() - MEAN) / (COLUMN**2 + STD**2).sqrt(), **EXACT)
    torch.testing.assert_close(c_noise, SIGMA.log() / 4, **EXACT)
    assert given is classes


def test_a_gaussian_needs_no_network():
    """Zero is the right prediction for Gaussian data: the explicit loss of its score is zero."""
    data = GaussianMixture(torch.full((1, 18), MEAN, dtype=torch.float64), STD)
    network, x = preconditioned(torch.zeros(5, 18, dtype=torch.float64)), noisy().flatten(1)
    losses = explicit_score_matching_loss(network, x, SIGMA, data.score(x, SIGMA))
    assert losses.max() < 1e-20


def test_nothing_cancels_at_small_noise():
    """In single precision, as near to the double's as the inputs' rounding; (D - x) / sigma^2 keeps no digit."""
    sigma = torch.full((5,), 1e-4)
    x, output = (MEAN + CLEAN).float(), normal(5, 2, 3, 3, seed=2).float()
    single = preconditioned(output)(x, sigma)
    double = preconditioned(output.double())(x.double(), sigma.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-6)
    c_out = sigma[0] * STD / (sigma[0] ** 2 + STD**2).sqrt()
    denoised = STD**2 / (sigma[0] ** 2 + STD**2) * (x - MEAN) + c_out * output
    assert ((denoised - (x - MEAN)) / sigma[0] ** 2 - double).abs().max() > 1e-4 * double.abs().max()


@pytest.fixture
def unet():
    """A U-Net that learns classes, with its zero layers filled."""
    torch.manual_seed(0)
    network = RawUNet(1, (8, 16), num_blocks=1, num_classes=3)
    for weight in network.parameters():
        if weight.abs().max() == 0:
            nn.init.normal_(weight, std=0.1)
    return Preconditioned(network).double()


def test_a_class_is_seen_by_its_own_example_alone(unet):
    x, sigma = torch.rand(4, 1, 4, 4).double(), torch.ones(4).double()
    none, some = unet(x, sigma), unet(x, sigma, torch.tensor([-1, 0, 1, -1]))
    assert torch.equal(none, unet(x, sigma, torch.full((4,), -1)))
    changed = (some - none).abs().flatten(1).amax(1)
    assert changed[1:3].min() > 1e-4
    assert changed[[0, 3]].max() < 1e-12
    assert not torch.allclose(unet(x, sigma, torch.zeros(4).long()), unet(x, sigma, torch.ones(4).long()))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, s: Preconditioned(RawUNet(1, (8,)), form="x0"), ValueError, "one of score, .*, edm, got 'x0'"),
        (lambda x, s: Preconditioned(RawUNet(1, (8,)), data_std=0.0), ValueError, "data_std must be .* above 0, got 0"),
        (lambda x, s: UNet(1, (8,), num_classes=0), ValueError, "num_classes must be at least 1, got 0"),
        (lambda x, s: UNet(1, (8,))(x, s, torch.zeros(2).long()), ValueError, "given to a network that knows none"),
        (lambda x, s: UNet(1, (8,), num_classes=3)(x, s, torch.tensor([0, 3])), ValueError, "from 0 to 2, .* got 3"),
        (lambda x, s: UNet(1, (8,), num_classes=3)(x, s, torch.tensor([-2, 0])), ValueError, "from 0 to 2, .* got -2"),
        (lambda x, s: UNet(1, (8,), num_classes=3)(x, s, torch.zeros(2)), TypeError, "int32 tensor, got torch.float32"),
        (lambda x, s: UNet(1, (8,), num_classes=3)(x, s, torch.zeros(3).long()), ValueError, r"must be \(2,\)"),
    ],
)
def test_what_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.rand(2, 1, 4, 4), torch.ones(2))
