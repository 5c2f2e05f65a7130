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
from ncsn_lib.samplers.ode import adaptive_probability_flow, dpm_solver_2m, probability_flow_ode
from ncsn_lib.samplers.sde import ancestral_sampling, predictor_corrector, reverse_sde

__all__ = [
    "MASKS",
    "Callback",
    "SamplerStep",
    "adaptive_probability_flow",
    "ancestral_sampling",
    "annealed_langevin_dynamics",
    "consistent_annealed_sampling",
    "consistent_inpaint",
    "denoising_step",
    "dpm_solver_2m",
    "inpaint",
    "langevin_dynamics",
    "langevin_step",
    "make_mask",
    "metropolis_adjusted_langevin_dynamics",
    "predictor_corrector",
    "probability_flow_ode",
    "reverse_sde",
]
