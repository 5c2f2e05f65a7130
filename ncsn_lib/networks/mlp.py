"""A multilayer perceptron for points in low dimension: the network of the toy experiments."""

import itertools

import torch
from torch import Tensor, nn

from ncsn_lib.checks import check_count
from ncsn_lib.protocol import per_example


class MLP(nn.Module):
    """Score network for points, (B, D) -> (B, D); the toy network of Song & Ermon (2019), Fig. 2, by default.

    Args:
        dim: D, the dimension of the points.
        hidden: width of each hidden layer.
        activation: the non-linearity; smooth, since score matching differentiates the network twice.
        conditional: feed log sigma as one more input and divide the output by sigma, so that one network
            serves every noise level; otherwise sigma is ignored.
    """

    def __init__(
        self,
        dim: int,
        hidden: tuple[int, ...] = (128, 128),
        *,
        activation: type[nn.Module] = nn.Softplus,
        conditional: bool = False,
    ):
        super().__init__()
        self.dim, self.conditional = check_count("dim", dim), conditional
        widths = [dim + conditional, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), activation()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], dim))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The score at `x`.

        Args:
            x: (B, D) points.
            sigma: (B,) noise levels in the units of `x`; above 0 if the network is conditional.

        Returns:
            (B, D) scores, in inverse units of `x`.

        Raises:
            ValueError: points of another dimension.
        """
        column = per_example(sigma, x)
        if x.shape[1:] != (self.dim,):
            raise ValueError(f"x must be (B, {self.dim}), got {tuple(x.shape)}")
        if not self.conditional:
            return self.layers(x)
        return self.layers(torch.cat([x, column.log()], dim=1)) / column
