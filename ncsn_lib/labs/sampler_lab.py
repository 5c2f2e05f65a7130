"""The sampler lab's widget: a trained network sampled step by step, from noise or around what is given."""

from typing import Any

import torch
import traitlets

from ncsn_lib.labs.base import STATIC, Array, Count, Lab, Number, standalone
from ncsn_lib.labs.network_lab import Images, NetworkLab
from ncsn_lib.runs import Run
from ncsn_lib.settings import ConsistentSamplingSettings, SamplingSettings


class SamplerLab(NetworkLab, Lab):
    """Images out of noise, by one of five samplers, forwards and back.

    Each argument is a trait: what a knob changes can be read here, and what is set here turns the knob. Pixels of
    `given` that are not NaN are held, and the rest is completed around them.

        lab = SamplerLab(load_run("results/models/mnist_small_wide.safetensors"))
        lab                                     # shows it
        lab.running = True
        lab.samples                             # (B, C, H, W), when the run has ended
    """

    _esm = standalone("sampler_lab.js")
    _css = (STATIC / "labs.css").read_text(encoding="utf-8")

    sampler = traitlets.Enum(["consistent", "langevin", "ancestral", "euler", "heun"], "consistent").tag(sync=True)
    """"consistent" (Jolicoeur-Martineau et al. 2021), "langevin" (Song & Ermon 2019, Alg. 1), "ancestral" (Ho et al.
    2020), or the probability flow by the method of "euler" (DDIM) or "heun" (Karras et al. 2022, Alg. 1). Heun's calls
    the network twice a level, once at the last; "langevin" calls it at each of its steps, the others once a level."""
    keep = Number(0.3, min=0.0, max=1.0).tag(sync=True)
    """The share of the next level's noise that consistent sampling keeps from this level's."""
    denoise = traitlets.Bool(True).tag(sync=True)
    """Whether annealed Langevin dynamics ends with a denoising step; the other samplers always do."""
    data_mean = Number(0.5).tag(sync=True)
    """The mean of the starting states, whose standard deviation is sigma_1."""
    num_images = Count(16, min=1).tag(sync=True)
    """How many images, B."""
    seed = Count(0, min=0).tag(sync=True)
    """Of start and noise."""
    shown = traitlets.Enum(["state", "expected"], "state").tag(sync=True)
    """The noisy "state", or the clean image that the network "expected" before the step, x + sigma^2 * score."""
    step = Count(0, min=0).tag(sync=True)
    """The step that is seen: set it to go back and forth through the run, as far as it has come."""
    running = traitlets.Bool(False).tag(sync=True)
    """Whether it samples; set it to start and to pause."""
    given = Array(None, torch.float32)
    """(1, C, H, W) what every image must have, NaN where a pixel is free; None where all are."""
    samples = Array(None, torch.float32)
    """(B, C, H, W) the states when the run ended or was paused."""

    def __init__(self, run: Run, images: Images | None = None, **values: Any):
        """Sample a trained network on the levels that its recipe samples it with."""
        noise, sampling = run.recipe.noise, run.recipe.sampling
        own: dict[str, Any] = {"sigma_max": noise.sigma_max, "sigma_min": noise.sigma_min}
        own["num_levels"] = noise.num_levels
        if isinstance(sampling, ConsistentSamplingSettings):
            own |= {"sigma_min": sampling.sigma_min, "num_levels": sampling.num_levels, "keep": sampling.keep}
            # A relative step eps / sigma_L^2 of 1, since the levels end before the last one that was trained.
            own |= {"data_mean": sampling.data_mean, "eps": sampling.sigma_min**2, "steps_per_level": 3}
        elif isinstance(sampling, SamplingSettings):
            own |= {"sampler": "langevin", "eps": sampling.eps, "steps_per_level": sampling.num_steps}
            own["denoise"] = sampling.denoise
        super().__init__(run, images, **own | values)
