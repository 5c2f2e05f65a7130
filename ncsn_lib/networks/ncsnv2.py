"""NCSNv2, the score network of 2020."""

from torch import Tensor

from ncsn_lib.networks.layers import InstanceNormPlusPlus, NoNorm, RefineNet
from ncsn_lib.networks.pooling import max_pool
from ncsn_lib.protocol import per_example
from ncsn_lib.schedules import check_sigmas


class NCSNv2(RefineNet):
    """The score network of "Improved Techniques" (Song & Ermon 2020): one network for all levels, over sigma.

    Its norms know nothing of the level and its output is divided by sigma (Technique 3), so it takes any
    sigma. Its refine blocks have no norms, and pool the maximum where NCSN pools the mean.

    Args:
        sigmas: (L,) decreasing noise levels that it is trained for, in the units of the images; stored with
            the weights, as in the authors' checkpoints.
        channels: the number of the images' channels C.
        ngf: the number of features of the first stage: 128 for CIFAR-10 in the paper.

    Raises:
        TypeError: `sigmas` is no floating-point tensor, `channels` or `ngf` no int.
        ValueError: a ladder that does not decrease, `channels` below 1, `ngf` below 2.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Tensor, channels: int, ngf: int):
        super().__init__(
            channels,
            ngf,
            make_norm=InstanceNormPlusPlus,
            make_refine_norm=lambda num_features: NoNorm(),
            pool=max_pool,
        )
        self.register_buffer("sigmas", check_sigmas(sigmas).detach().clone())

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The score of images at their noise level (Song & Ermon 2020, Technique 3).

        Args:
            x: (B, C, H, W) images in [0, 1] plus noise; H and W even, at least 4.
            sigma: (B,) noise level of each image, above 0, in the units of `x`.

        Returns:
            (B, C, H, W) scores, in inverse units of `x`.

        Raises:
            TypeError: `x` or `sigma` is not floating point.
            ValueError: a shape that the network does not take, or another device.
        """
        self.check_images(x)
        return self.refine_net(x, None) / per_example(sigma, x)
