"""NCSN, the noise conditional score network of 2019."""

import torch
from torch import Tensor

from ncsn_lib.checks import has_values
from ncsn_lib.networks.layers import CondInstanceNormPlusPlus, RefineNet
from ncsn_lib.networks.pooling import mean_pool
from ncsn_lib.protocol import per_example
from ncsn_lib.schedules import check_sigmas

# A level rounded to bfloat16 is off by up to 2^-9, 0.2 %, and so may be the buffer: still the same level.
LEVEL_TOLERANCE = 0.005


class NCSN(RefineNet):
    """The noise conditional score network, a dilated RefineNet (Song & Ermon 2019, Sec. 4.1 and App. A).

    Every norm is a CondInstanceNorm++, which has learned its levels and no others. A `ScoreFn` is given sigma,
    so the network looks up which level that is.

    Args:
        sigmas: (L,) decreasing noise levels, in the units of the images.
        channels: the number of the images' channels C.
        ngf: the number of features of the first stage; the paper has 64 for MNIST, 128 for CIFAR-10.

    Raises:
        TypeError: `sigmas` is no floating-point tensor, `channels` or `ngf` no int.
        ValueError: a ladder that does not decrease, `channels` below 1, `ngf` below 2.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Tensor, channels: int, ngf: int):
        num_levels = len(check_sigmas(sigmas))

        def make_norm(num_features: int) -> CondInstanceNormPlusPlus:
            return CondInstanceNormPlusPlus(num_features, num_levels)

        super().__init__(channels, ngf, make_norm=make_norm, make_refine_norm=make_norm, pool=mean_pool)
        # Not persistent: the authors' checkpoints hold no ladder, and ours keep theirs in the recipe.
        self.register_buffer("sigmas", sigmas.detach().clone(), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The score of images at their noise level.

        An unknown level raises where looking costs nothing: on a CPU, outside `torch.compile` and `torch.func`.
        Elsewhere looking would stall the device at every call, so there that image's score is NaN, never that of a
        neighbouring level; for a clear error call `check_levels` once, before the loop.

        Args:
            x: (B, C, H, W) images in [0, 1] plus noise; H and W even, at least 4.
            sigma: (B,) noise level of each image, among the network's `sigmas`.

        Returns:
            (B, C, H, W) scores, in inverse units of `x`.

        Raises:
            TypeError: `x` or `sigma` is not floating point.
            ValueError: a shape that the network does not take, another device, or an unknown level.
        """
        self.check_images(x)
        sigma = per_example(sigma, x).flatten()
        labels, known = self.find_labels(sigma)
        if sigma.device.type == "cpu" and has_values(sigma) and not known.all():
            self.check_levels(sigma)
        score = self.refine_net(x, labels)
        return torch.where(known[:, None, None, None], score, torch.nan)

    def find_labels(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Find the nearest level of each sigma, on the device.

        Args:
            sigma: (B,) noise levels.

        Returns:
            (B,) indices of the nearest level, 0 for the largest, and (B,) whether it is that up to rounding.
        """
        labels = (sigma[:, None] - self.sigmas).abs().argmin(1)
        level = self.sigmas[labels]
        return labels, (sigma - level).abs() <= LEVEL_TOLERANCE * level

    def check_levels(self, sigma: Tensor) -> None:
        """Raise unless every sigma is one of the network's levels; reads values, so not for inner loops.

        Args:
            sigma: (B,) noise levels.

        Raises:
            ValueError: an unknown level; the message quotes the first and the level nearest to it.
        """
        labels, known = self.find_labels(sigma.to(self.sigmas.device))
        for value, label, ok in zip(sigma.tolist(), labels.tolist(), known.tolist(), strict=True):
            if not ok:
                raise ValueError(
                    f"sigma = {value:.6g} is none of this network's {len(self.sigmas)} levels "
                    f"from {self.sigmas[0]:.6g} to {self.sigmas[-1]:.6g}; the nearest is "
                    f"sigmas[{label}] = {self.sigmas[label]:.6g}. An NCSN has learned its levels only: "
                    "sample with network.sigmas"
                )
