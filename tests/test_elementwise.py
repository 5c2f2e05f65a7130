"""The fast forms against torch's own: values, first and second derivatives."""

import pytest
import torch
import torch.nn.functional as F
from problems import normal

from ncsn_lib.networks.elementwise import elu, max_pool, mean_pool

POOLS = [(mean_pool, F.avg_pool2d), (max_pool, F.max_pool2d)]


def test_elu_and_its_derivatives():
    """exp(x) - 1 is off by the rounding of 1, 1e-16 in double precision."""
    x = torch.cat([normal(200), torch.tensor([0.0, -0.0, 1e-9, -1e-9, 50.0, -50.0], dtype=torch.float64)])
    torch.testing.assert_close(elu(x), F.elu(x), rtol=0, atol=1e-15)
    for function in (torch.sum, lambda y: y.pow(3).sum()):
        given = [x.clone().requires_grad_() for _ in range(2)]
        first = [
            torch.autograd.grad(function(f(a)), a, create_graph=True)[0]
            for f, a in zip((elu, F.elu), given, strict=True)
        ]
        torch.testing.assert_close(*first, rtol=1e-12, atol=1e-14)
        second = [torch.autograd.grad(g.sin().sum(), a)[0] for g, a in zip(first, given, strict=True)]
        torch.testing.assert_close(*second, rtol=1e-12, atol=1e-14)
    assert torch.autograd.gradcheck(elu, normal(7).requires_grad_())
    assert torch.autograd.gradgradcheck(elu, normal(7).requires_grad_())


def test_elu_keeps_its_argument():
    x = normal(5)
    kept = x.clone()
    elu(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("ours", "theirs"), POOLS)
@pytest.mark.parametrize(("size", "stride", "padding"), [(5, 1, 2), (3, 2, 1), (2, 2, 0)])
def test_pooling(ours, theirs, size, stride, padding):
    x = normal(2, 3, 12, 10).requires_grad_()
    expected = theirs(x, size, stride, padding)
    found = ours(x, size, stride=stride, padding=padding)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    weights = normal(*expected.shape, seed=1)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


def test_a_mean_in_32_bits_is_not_rounded_by_autocast():
    x = normal(1, 4, 8, 8).float()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(mean_pool(x, 5, stride=1, padding=2), F.avg_pool2d(x, 5, 1, 2))
