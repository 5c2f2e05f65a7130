"""Networks: parametrised score functions."""

from ncsn_lib.networks.mlp import MLP
from ncsn_lib.networks.unet import UNet

__all__ = ["MLP", "UNet"]
