"""Counted operations against their closed forms."""

from functools import partial

import torch
import torch.nn.functional as F

from ncsn_lib.metrics import count_flops


def test_a_matrix_product_counts_two_operations_an_entry():
    assert count_flops(partial(torch.matmul, torch.ones(3, 5), torch.ones(5, 7))) == 2 * 3 * 5 * 7


def test_a_convolution_counts_its_kernel_at_every_pixel():
    image, kernel = torch.ones(2, 3, 8, 8), torch.ones(4, 3, 3, 3)
    assert count_flops(partial(F.conv2d, image, kernel, padding=1)) == 2 * 2 * 8 * 8 * 4 * 3 * 3 * 3


def test_a_backward_pass_is_counted():
    x, weight = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7)
    assert count_flops(lambda: (x @ weight).sum().backward()) == 2 * (2 * 3 * 5 * 7)


def test_what_is_done_entry_by_entry_is_left_out():
    assert count_flops(partial(torch.tanh, torch.ones(100))) == 0
