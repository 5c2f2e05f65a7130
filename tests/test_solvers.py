"""Solvers from noise to data, each against the exact solution where the data are Gaussian.

There the score is -x / (v + sigma^2), and the probability flow multiplies a state by sqrt of the variances' ratio.
"""

import math

import pytest
import torch
from test_samplers import gaussian_score

from ncsn_lib.samplers import probability_flow_ode

VARIANCE = 0.7


def even_levels(num, top=3.0):
    """Levels that cut [0, top] in `num` equal steps, the last of which goes to 0."""
    return torch.linspace(top, 0, num + 1, dtype=torch.float64)[:-1]


def order(error, coarse=80, fine=160):
    """The order that two step sizes show: by how many powers of two the error falls as they are halved."""
    return math.log2(error(coarse) / error(fine)) / math.log2(fine / coarse)


@pytest.mark.parametrize(("method", "expected", "calls"), [("euler", 1, 40), ("heun", 2, 79)])
def test_the_order_of_a_solver_of_the_flow(method, expected, calls):
    exact, count = math.sqrt(VARIANCE / (VARIANCE + 9)), []

    def error(num):
        start = torch.ones(1, 1, dtype=torch.float64)
        score = gaussian_score(VARIANCE)
        count.clear()
        end = probability_flow_ode(
            lambda x, sigma: count.append(1) or score(x, sigma), start, even_levels(num), method=method
        )
        return abs(end.item() - exact)

    assert order(error) == pytest.approx(expected, abs=0.15)
    error(40)
    assert len(count) == calls
