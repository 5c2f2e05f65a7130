"""Score-based generative modelling, small enough to read: the library of the NCSN book."""

from ncsn_lib.data import (
    LabelledImages,
    dequantize,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_images,
    load_mnist,
)
from ncsn_lib.distributions import (
    GaussianMixture,
    LineSegment,
    Ring,
    SwissRoll,
    TwoMoons,
    UniformBoxes,
    checkerboard,
    dataset_mixture,
    square,
)
from ncsn_lib.losses import (
    denoising_score_matching_loss,
    explicit_score_matching_loss,
    gaussian_projections,
    implicit_score_matching_loss,
    ncsn_loss,
    rademacher_projections,
    sliced_score_matching_loss,
    sliced_score_matching_vr_loss,
    sphere_projections,
    variance_weight,
)
from ncsn_lib.metrics import fisher_divergence, frechet_distance, mmd_squared, mode_mass, nearest_distances
from ncsn_lib.networks import MLP, UNet
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.recipes import RECIPES, Recipe
from ncsn_lib.runs import load_run, sample_run, train_recipe
from ncsn_lib.samplers import (
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    denoising_step,
    inpaint,
    langevin_dynamics,
    langevin_step,
)
from ncsn_lib.schedules import check_sigmas, geometric_sigmas, langevin_step_sizes
from ncsn_lib.training import NCSNObjective, TrainingSettings, TrainingState, train

__all__ = [
    "MLP",
    "RECIPES",
    "GaussianMixture",
    "LabelledImages",
    "LineSegment",
    "NCSNObjective",
    "Recipe",
    "Ring",
    "ScoreFn",
    "SwissRoll",
    "TrainingSettings",
    "TrainingState",
    "TwoMoons",
    "UNet",
    "UniformBoxes",
    "annealed_langevin_dynamics",
    "check_sigmas",
    "checkerboard",
    "consistent_annealed_sampling",
    "dataset_mixture",
    "denoising_score_matching_loss",
    "denoising_step",
    "dequantize",
    "explicit_score_matching_loss",
    "fisher_divergence",
    "frechet_distance",
    "gaussian_projections",
    "geometric_sigmas",
    "implicit_score_matching_loss",
    "inpaint",
    "langevin_dynamics",
    "langevin_step",
    "langevin_step_sizes",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_images",
    "load_mnist",
    "load_run",
    "mmd_squared",
    "mode_mass",
    "ncsn_loss",
    "nearest_distances",
    "rademacher_projections",
    "sample_run",
    "sliced_score_matching_loss",
    "sliced_score_matching_vr_loss",
    "sphere_projections",
    "square",
    "train",
    "train_recipe",
    "variance_weight",
]
