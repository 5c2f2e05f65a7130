"""Networks: parametrised score functions, and a classifier."""

from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.networks.mlp import MLP
from ncsn_lib.networks.unet import UNet

__all__ = ["MLP", "Classifier", "UNet"]
