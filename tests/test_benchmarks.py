"""The benchmarks measure what they say: the plain norm is the library's, and a step's figures fit together."""

import math

import pytest
import torch
import torch.nn.functional as F
from problems import normal

from benchmarks.choices import ExpELU, compare
from benchmarks.machine import CLEAR_REFS, measure_alone
from benchmarks.steps import plain_instance_norm_plus_plus, sampling_step, training_step
from ncsn_lib.networks.layers import instance_norm_plus_plus
from ncsn_lib.recipes import RECIPES


def test_the_plain_norm_is_the_same():
    """In double precision, so to rounding."""
    x, gamma, alpha, beta = normal(3, 4, 5, 6), normal(3, 4, seed=1), normal(3, 4, seed=2), normal(3, 4, seed=3)
    expected = instance_norm_plus_plus(x, gamma, alpha, beta)
    torch.testing.assert_close(plain_instance_norm_plus_plus(x, gamma, alpha, beta), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("step", "calls"), [(training_step, 3), (sampling_step, 1)])
def test_a_rows_figures_fit_together(step, calls):
    row = step("U-Net digits", "bf16", "cpu", 1, 1)
    assert row["flops"] == calls * 64 * RECIPES["digits"].size()[1]
    assert row["images_per_s"] == pytest.approx(64 / row["seconds"])


def test_memory_is_measured_in_a_process_of_its_own():
    peak = measure_alone(sampling_step, "U-Net digits", "bf16", "cpu", 1, 1)["peak_mib"]
    assert peak > 1 if CLEAR_REFS.exists() else math.isnan(peak)


def test_forms_that_are_compared_are_the_same_function():
    x = normal(50).requires_grad_()
    ours, theirs = (torch.autograd.grad(f(x).pow(3).sum(), x)[0] for f in (ExpELU.apply, F.elu))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    before, rows = F.elu, compare("NCSN", 28, 1, batch_size=1)
    assert F.elu is before
    assert {row["form"] for row in rows} == {"as in the library", "exp(x) - 1 for ELU", "torch's pooling"}
    assert all(0 < row["least_seconds"] <= row["seconds"] for row in rows)
