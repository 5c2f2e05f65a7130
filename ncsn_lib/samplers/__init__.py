"""Samplers: from a score function to samples."""

from ncsn_lib.samplers.annealed import annealed_langevin_dynamics, denoising_step
from ncsn_lib.samplers.langevin import SamplerStep, langevin_dynamics, langevin_step

__all__ = [
    "SamplerStep",
    "annealed_langevin_dynamics",
    "denoising_step",
    "langevin_dynamics",
    "langevin_step",
]
