"""Samplers: from a score function to samples."""

from ncsn_lib.samplers.annealed import annealed_langevin_dynamics, denoising_step
from ncsn_lib.samplers.consistent import consistent_annealed_sampling, consistent_inpaint
from ncsn_lib.samplers.inpainting import MASKS, inpaint, make_mask
from ncsn_lib.samplers.langevin import (
    Callback,
    SamplerStep,
    langevin_dynamics,
    langevin_step,
    metropolis_adjusted_langevin_dynamics,
)
from ncsn_lib.samplers.ode import probability_flow_ode

__all__ = [
    "MASKS",
    "Callback",
    "SamplerStep",
    "annealed_langevin_dynamics",
    "consistent_annealed_sampling",
    "consistent_inpaint",
    "denoising_step",
    "inpaint",
    "langevin_dynamics",
    "langevin_step",
    "make_mask",
    "metropolis_adjusted_langevin_dynamics",
    "probability_flow_ode",
]
