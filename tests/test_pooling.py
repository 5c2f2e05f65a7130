"""The fast forms against torch's own: values and derivatives."""

import pytest
import torch
import torch.nn.functional as F
from problems import normal

from ncsn_lib.networks.pooling import max_pool, mean_pool

POOLS = [(mean_pool, F.avg_pool2d), (max_pool, F.max_pool2d)]


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
