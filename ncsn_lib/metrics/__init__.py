"""Metrics: how far samples and scores are from the truth."""

from ncsn_lib.metrics.cost import count_flops
from ncsn_lib.metrics.density import fisher_divergence, mmd_squared, mode_mass
from ncsn_lib.metrics.images import frechet_distance
from ncsn_lib.metrics.neighbours import nearest_distances

__all__ = ["count_flops", "fisher_divergence", "frechet_distance", "mmd_squared", "mode_mass", "nearest_distances"]
