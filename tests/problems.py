"""Problems whose answer is known without the library: densities by quadrature, and Gaussian integrals exactly."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import nn

from ncsn_lib.networks.layers import ResidualConvUnits
from ncsn_lib.recipes import RECIPES
from ncsn_lib.settings import DenoisingLossSettings, HeunSettings, PreconditionedUNetSettings


def perturbed_density(parameters, density, sigma, x):
    """The density at `x` of points drawn along a curve or over a box, with noise, by adaptive quadrature.

    `parameters` are the integration limits, one pair a parameter, `density` maps the parameters to a point (D,)
    and its weight.
    """

    def integrand(*values):
        point, weight = density(*values)
        squared = sum((a - b) ** 2 for a, b in zip(x, point, strict=True))
        return weight * math.exp(-0.5 * squared / sigma**2) / (2 * math.pi * sigma**2) ** (len(x) / 2)

    options = {"epsabs": 1e-13, "epsrel": 1e-11, "limit": 400}
    return integrate.nquad(integrand, parameters, opts=[options] * len(parameters))[0]


def normal_nodes(num, *, dtype=torch.float64):
    """Nodes and weights with which a sum is the mean over a unit normal draw, exact for polynomials below 2 num."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(num)
    return torch.tensor(nodes, dtype=dtype), torch.tensor(weights / weights.sum(), dtype=dtype)


def gradient(function, x):
    """The gradient of each example's value, by automatic differentiation."""
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


def seeded(seed=0):
    """A generator."""
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    """Unit normal draws in double precision."""
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def smooth_network(dim, *, seed=0):
    """A small smooth score network in double precision that depends on x and sigma."""
    torch.manual_seed(seed)
    first, last = torch.nn.Linear(dim + 1, 16).double(), torch.nn.Linear(16, dim).double()

    def score_fn(x, sigma):
        features = torch.cat([x.flatten(1), sigma[:, None]], dim=1)
        return last(torch.tanh(first(features))).view(x.shape)

    score_fn.parameters = [*first.parameters(), *last.parameters()]
    return score_fn


def refusals(calls):
    """A test that each call is refused by a ValueError with its message; `calls` maps a message to a call."""

    @pytest.mark.parametrize("message", calls)
    def test(message):
        with pytest.raises(ValueError, match=message):
            calls[message]()

    return test


class Last(nn.Module):
    """A refine block that leaves its last input as it is."""

    def forward(self, inputs, labels, size):
        return inputs[-1]


def without_repetitions(network):
    """The paper's network, or that of 2020, with one part of each kind."""
    for module in network.modules():
        if isinstance(module, ResidualConvUnits):
            module.num_units = 1
            for name in [name for name in module if not name.startswith("1_")]:
                del module[name]
    for stage in (network.res1, network.res2, network.res3):
        del stage[1]  # the second residual block
    network.res4 = nn.ModuleList()  # dilated, like stage 3
    network.refine2 = Last()  # of two inputs, like refine3 and refine4
    return network


TINY = ["--training.num-steps", "4", "--training.batch-size", "8", "--network.widths", "8"]
"""Options of `train digits` for a run of seconds."""

SMALL = {"training": {"num_steps": 6, "batch_size": 8}, "network": {"widths": (8,)}, "sampling": {"num_steps": 2}}


def small_recipe(**changes):
    """The digits recipe, made small; `changes` are fields of its groups."""
    recipe = RECIPES["digits"]
    for group, values in {**SMALL, **changes}.items():
        recipe = dataclasses.replace(recipe, **{group: dataclasses.replace(getattr(recipe, group), **values)})
    return recipe


def conditional_recipe(**changes):
    """The small digits recipe with a preconditioned network that learns the classes."""
    learns = {
        "network": PreconditionedUNetSettings(widths=(8,), num_classes=10),
        "loss": DenoisingLossSettings(label_dropout=0.2),
        "sampling": HeunSettings(num_levels=3, sigma_max=8.0, sigma_min=0.05),
    }
    return dataclasses.replace(small_recipe(**changes), **learns)


class Colours(torch.nn.Module):
    """In Inception's place: eight grey values as features and as logits."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x[:, 0, 0] / 255, x[:, 0, 1] / 255
