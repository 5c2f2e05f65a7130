"""The small networks and that of Fig. 1: their sizes, what they start as, what they take."""

import math

import pytest
import torch
from problems import normal, seeded

from ncsn_lib.losses import gaussian_projections, sliced_score_matching_vr_loss
from ncsn_lib.networks import MLP, UNet
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.score_resnet import ResidualUnit, ScoreResNet


def test_the_papers_toy_network():
    network = MLP(2)
    assert sum(p.numel() for p in network.parameters()) == (2 * 128 + 128) + (128 * 128 + 128) + (128 * 2 + 2)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Linear", "Softplus", "Linear", "Softplus", "Linear"]


def test_unconditional_mlp_ignores_sigma():
    network, x = MLP(3, (8,)), torch.randn(5, 3, generator=seeded())
    assert torch.equal(network(x, torch.ones(5)), network(x, torch.full((5,), 0.1)))


def test_conditional_mlp_divides_by_sigma():
    network = MLP(2, (8,), conditional=True)
    torch.nn.init.zeros_(network.layers[0].weight)  # the hidden layer sees nothing: what is left is 1 / sigma
    x, sigma = torch.zeros(2, 2), torch.tensor([1.0, 0.25])
    wide, narrow = network(x, sigma)
    torch.testing.assert_close(narrow, 4 * wide)


@pytest.fixture
def unet():
    """A U-Net whose zero layers are filled, so that every path shows."""
    torch.manual_seed(0)
    network = UNet(1, (8, 16), num_blocks=1)
    for p in network.parameters():
        if p.abs().max() == 0:
            torch.nn.init.normal_(p, std=0.1)
    return network.double()


def test_unet_starts_as_the_zero_score():
    assert UNet(3, (8, 16))(torch.rand(2, 3, 8, 8), torch.ones(2)).abs().max() == 0


@pytest.mark.parametrize(("patch", "widths", "size"), [(1, (8,), 5), (1, (8, 16), 6), (2, (8, 16), 28), (2, (8,), 6)])
def test_unet_keeps_the_shape(patch, widths, size):
    x = torch.rand(2, 3, size, size)
    assert UNet(3, widths, patch=patch)(x, torch.ones(2)).shape == x.shape


def test_examples_do_not_see_one_another(unet):
    """Implicit and sliced score matching differentiate a sum over the batch, which is right only then."""
    x, sigma = torch.rand(4, 1, 8, 8, generator=seeded()).double(), torch.tensor([1.0, 0.5, 0.1, 0.02]).double()
    together = unet(x, sigma)
    for n in range(4):
        torch.testing.assert_close(unet(x[n : n + 1], sigma[n : n + 1])[0], together[n], rtol=1e-10, atol=1e-10)


def test_every_parameter_is_used(unet):
    loss = unet(torch.rand(2, 1, 8, 8).double(), torch.tensor([1.0, 0.1]).double()).square().sum()
    for (name, _), slope in zip(
        unet.named_parameters(), torch.autograd.grad(loss, unet.parameters(), allow_unused=True), strict=True
    ):
        assert slope is not None, name
        assert slope.abs().max() > 0, name


def test_the_level_matters(unet):
    x = torch.full((2, 1, 8, 8), 0.5).double()  # the data's mean: the input's scale does nothing to it
    a, b = unet(x, torch.tensor([1.0, 0.5]).double()) * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    assert not torch.allclose(a, b)


# --- the network of Fig. 1


def test_the_size_of_the_network_of_fig_1():
    """As the authors' code builds it, run for the purpose; and the same counted by hand, unit by unit."""

    def conv(inputs, outputs):
        return 9 * inputs * outputs + outputs

    def unit(inputs, outputs, shortcut):
        norms = 2 * 2 * outputs
        return conv(inputs, outputs) + conv(outputs, outputs) + norms + shortcut * conv(inputs, outputs)

    level = [unit(32, 32, 0), unit(64, 64, 0), unit(128, 128, 0)]
    down = [unit(32, 64, 1), unit(64, 128, 1)]
    # Going up, the second convolution is the one that changes nothing but the size: as many weights.
    up = [unit(128, 64, 1), unit(64, 32, 1)]
    by_hand = conv(3, 32) + conv(32, 3) + sum(2 * size for size in level) + sum(down) + sum(up)
    assert sum(p.numel() for p in ScoreResNet().parameters()) == by_hand == 1_379_651


@pytest.fixture
def resnet():
    """In groups of two channels: in groups of one a norm takes every bias before it away."""
    torch.manual_seed(0)
    return ScoreResNet(2, 16).double()


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (2, 2, 8, 12), (1, 2, 28, 28)])
def test_it_keeps_the_shape_of_its_images(resnet, shape):
    score = resnet(normal(*shape), torch.ones(shape[0]).double())
    assert score.shape == shape
    assert score.isfinite().all()


@pytest.mark.parametrize(("resize", "size"), [("", 8), ("down", 4), ("up", 16)])
def test_a_unit_halves_or_doubles(resize, size):
    outputs = 16 if resize else 8
    assert ResidualUnit(8, outputs, resize=resize)(torch.zeros(1, 8, 8, 8)).shape == (1, outputs, size, size)


def test_it_knows_no_noise_level(resnet):
    x = normal(2, 2, 8, 8)
    assert torch.equal(resnet(x, torch.zeros(2).double()), resnet(x, torch.tensor([0.5, 1.0]).double()))


def test_sliced_score_matching_trains_all_of_it(resnet):
    """The loss differentiates the score in x, and training differentiates that: all parameters must be reached."""
    x = torch.rand(3, 2, 8, 8, generator=seeded()).double()
    projections = gaussian_projections(x, 1, seeded(1))
    loss = sliced_score_matching_vr_loss(resnet, x, torch.zeros(3).double(), projections).mean()
    slopes = torch.autograd.grad(loss, list(resnet.parameters()), allow_unused=True)
    for (name, _), slope in zip(resnet.named_parameters(), slopes, strict=True):
        assert slope is not None, name
        assert slope.isfinite().all(), name
        assert slope.abs().max() > 1e-6, name  # far above rounding, 1e-16


def test_its_second_derivatives_are_right(resnet):
    """Against finite differences, along random directions: the slope of the slope that the sliced loss trains on."""
    x = torch.rand(1, 2, 4, 4, generator=seeded()).double().requires_grad_()
    sigma = torch.ones(1).double()
    torch.autograd.gradcheck(lambda x: resnet(x, sigma), x, fast_mode=True)
    torch.autograd.gradgradcheck(lambda x: resnet(x, sigma), x, fast_mode=True)


def test_every_parameters_slope_is_right(resnet):
    """Central differences along a random direction in all parameters at once, in float64."""
    x, weights, sigma = normal(2, 2, 8, 8), normal(2, 2, 8, 8, seed=1), torch.ones(2).double()
    parameters = list(resnet.parameters())
    directions = [normal(*p.shape, seed=n) for n, p in enumerate(parameters)]
    slopes = torch.autograd.grad((resnet(x, sigma) * weights).sum(), parameters)
    expected = sum((slope * direction).sum() for slope, direction in zip(slopes, directions, strict=True))
    values, step = [], 1e-6
    for sign in (1, -1):
        with torch.no_grad():
            moved = {
                name: p + sign * step * d for (name, p), d in zip(resnet.named_parameters(), directions, strict=True)
            }
            values.append((torch.func.functional_call(resnet, moved, (x, sigma)) * weights).sum())
    # The step's square, 1e-12, times a third derivative, and rounding of 1e-16 / 1e-6 of values below 1e3.
    torch.testing.assert_close((values[0] - values[1]) / (2 * step), expected, rtol=1e-5, atol=1e-6)


LEVELS = torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)
STORED = {
    "MLP": [[1.89890687, 2.44920296, 1.64749855], [3.09069672, 3.42512513, 1.41081643]],
    "UNet": [[1.42280429, 2.34561963, 2.30239432], [2.85082855, 4.72892303, 4.65810682]],
    "ScoreResNet": [[10369.6175, 20511.5761, 33900.1967], [21122.8299, 35784.9262, 48839.0704]],
    "NCSN": [[0.385396933, -0.304321374, 0.532499717], [-0.720624711, -0.119285178, 0.418609945]],
    "NCSNv2": [[-0.0138039567, -0.260426416, -0.0337586956], [-0.0276079134, -0.520852831, -0.0675173912]],
}
"""The first three entries of the scores of two examples, of every network with its weights set by a formula."""


@pytest.mark.parametrize("name", list(STORED))
def test_a_stored_forward_pass(name):
    """No weight is zero, so every branch counts; sines, because they are the same on every machine."""
    networks = {
        "MLP": (MLP(3, (8,), conditional=True), (3,)),
        "UNet": (UNet(1, (16, 24), num_blocks=1), (1, 4, 4)),
        "ScoreResNet": (ScoreResNet(1, 16), (1, 8, 8)),
        "NCSN": (NCSN(LEVELS, 1, 4), (1, 8, 8)),
        "NCSNv2": (NCSNv2(LEVELS, 1, 4), (1, 8, 8)),
    }
    network, shape = networks[name][0].double(), networks[name][1]

    def sines(shape, step):
        return torch.sin(step * torch.arange(math.prod(shape), dtype=torch.float64)).view(shape)

    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.copy_(0.5 * sines((*parameter.shape, 1), 1.3 + 0.1 * i)[..., 0] + 0.1)
        scores = network(sines((2, *shape), 0.7), LEVELS[:2])
    found = scores.flatten(1)[:, :3]
    torch.testing.assert_close(found, torch.tensor(STORED[name], dtype=torch.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP(0), "dim must be at least 1, got 0"),
        (lambda: MLP(2)(torch.zeros(4, 3), torch.ones(4)), r"x must be \(B, 2\), got \(4, 3\)"),
        (lambda: UNet(1, (12,)), r"multiples of 8, got \(12,\)"),
        (lambda: UNet(1, ()), "one or more multiples of 8"),
        (lambda: UNet(0), "channels must be at least 1"),
        (lambda: UNet(1, (8, 16))(torch.zeros(1, 1, 7, 8), torch.ones(1)), "multiples of 2 "),
        (lambda: UNet(1, (8,))(torch.zeros(1, 3, 8, 8), torch.ones(1)), r"x must be \(B, 1, H, W\)"),
        (lambda: UNet(1, (8,))(torch.zeros(2, 1, 8, 8), torch.ones(1)), r"sigma must be \(2,\)"),
        (lambda: ScoreResNet(0), "channels must be at least 1, got 0"),
        (lambda: ScoreResNet(3, 12), "features must be a multiple of 8, got 12"),
        (lambda: ScoreResNet(3, 0), "features must be a multiple of 8, got 0"),
        (lambda: ScoreResNet(3, 8)(torch.zeros(1, 1, 8, 8), torch.ones(1)), r"x must be \(B, 3, H, W\).*1, 1, 8, 8"),
        (lambda: ScoreResNet(3, 8)(torch.zeros(1, 3, 6, 8), torch.ones(1)), r"multiples of 4 and .*\(1, 3, 6, 8\)"),
        (lambda: ScoreResNet(3, 8)(torch.zeros(2, 3, 8, 8), torch.ones(1)), r"sigma must be \(2,\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
