"""Metrics: how far samples and scores are from the truth."""

from ncsn_lib.metrics.classes import class_shares, classify_images, judge_images, sure_share
from ncsn_lib.metrics.cost import count_flops
from ncsn_lib.metrics.density import fisher_divergence, mmd_squared, mode_mass
from ncsn_lib.metrics.images import frechet_distance, mean_distance, opponent_colours, power_spectrum, seam_jump
from ncsn_lib.metrics.neighbours import nearest_distances, nearest_neighbours

__all__ = [
    "class_shares",
    "classify_images",
    "count_flops",
    "fisher_divergence",
    "frechet_distance",
    "judge_images",
    "mean_distance",
    "mmd_squared",
    "mode_mass",
    "nearest_distances",
    "nearest_neighbours",
    "opponent_colours",
    "power_spectrum",
    "seam_jump",
    "sure_share",
]
