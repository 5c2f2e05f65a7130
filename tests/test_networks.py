"""The small networks: sizes counted by hand, what they start as, what they take."""

import pytest
import torch
from problems import seeded

from ncsn_lib.networks import MLP, UNet


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP(0), "dim must be at least 1, got 0"),
        (lambda: MLP(2)(torch.zeros(4, 3), torch.ones(4)), r"x must be \(B, 2\), got \(4, 3\)"),
        (lambda: UNet(1, (12,)), r"multiples of 8, got \(12,\)"),
        (lambda: UNet(1, ()), "one or more multiples of 8"),
        (lambda: UNet(0), "channels must be at least 1"),
        (lambda: UNet(1, (8, 16))(torch.zeros(1, 1, 7, 8), torch.ones(1)), "multiples of 2, got"),
        (lambda: UNet(1, (8,))(torch.zeros(1, 3, 8, 8), torch.ones(1)), r"x must be \(B, 1, H, W\)"),
        (lambda: UNet(1, (8,))(torch.zeros(2, 1, 8, 8), torch.ones(1)), r"sigma must be \(2,\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
