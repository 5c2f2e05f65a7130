"""Networks: parametrised score functions, and a classifier."""

from ncsn_lib.networks.classifier import Classifier
from ncsn_lib.networks.mlp import MLP
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.preconditioning import Preconditioned
from ncsn_lib.networks.score_resnet import ScoreResNet
from ncsn_lib.networks.unet import RawUNet, UNet

__all__ = ["MLP", "NCSN", "Classifier", "NCSNv2", "Preconditioned", "RawUNet", "ScoreResNet", "UNet"]
