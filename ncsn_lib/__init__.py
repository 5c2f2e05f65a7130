"""Score-based generative modelling, small enough to read: the library of the NCSN book.

Here is what most programs begin with; the rest is found by its module: `ncsn_lib.losses`, `.samplers`, `.schedules`,
`.distributions`, `.data`, `.networks`, `.metrics`, `.classifiers`, `.likelihood`, `.sampling`, `.show`.
"""

from ncsn_lib import starting  # noqa: F401 - first, since what follows takes seconds

# isort: split
from ncsn_lib.author_checkpoints import load_author_checkpoint
from ncsn_lib.checkpoints import load_network, save_network
from ncsn_lib.data import load_digits, load_images, load_mnist
from ncsn_lib.distributions import GaussianMixture, dataset_mixture
from ncsn_lib.likelihood import log_likelihood
from ncsn_lib.losses import denoising_score_matching_loss, ncsn_loss, sliced_score_matching_vr_loss
from ncsn_lib.metrics import frechet_distance
from ncsn_lib.networks import MLP, NCSN, NCSNv2, UNet
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.recipes import RECIPES
from ncsn_lib.runs import Run, load_run, train_recipe
from ncsn_lib.samplers import (
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    denoising_step,
    inpaint,
    langevin_dynamics,
    probability_flow_ode,
)
from ncsn_lib.sampling import sample_run
from ncsn_lib.schedules import explain_schedule, geometric_sigmas, karras_sigmas, suggest_sigmas, suggest_step_size
from ncsn_lib.settings import Recipe
from ncsn_lib.training import LossObjective, NCSNObjective, TrainingSettings, TrainingState, train

__version__ = "0.2.0"

__all__ = [  # noqa: RUF022 - by what they are for
    # networks, and any callable of their shape
    "MLP",
    "NCSN",
    "NCSNv2",
    "ScoreFn",
    "UNet",
    # data
    "GaussianMixture",
    "dataset_mixture",
    "load_digits",
    "load_images",
    "load_mnist",
    # noise levels and step sizes
    "explain_schedule",
    "geometric_sigmas",
    "karras_sigmas",
    "suggest_sigmas",
    "suggest_step_size",
    # losses
    "denoising_score_matching_loss",
    "ncsn_loss",
    "sliced_score_matching_vr_loss",
    # training
    "LossObjective",
    "NCSNObjective",
    "TrainingSettings",
    "TrainingState",
    "train",
    # sampling
    "annealed_langevin_dynamics",
    "consistent_annealed_sampling",
    "denoising_step",
    "inpaint",
    "langevin_dynamics",
    "probability_flow_ode",
    # whole experiments
    "RECIPES",
    "Recipe",
    "Run",
    "load_run",
    "sample_run",
    "train_recipe",
    # files
    "load_author_checkpoint",
    "load_network",
    "save_network",
    # judging
    "frechet_distance",
    "log_likelihood",
]
