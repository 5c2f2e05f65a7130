"""The score lab's widget: two samplers side by side, on a mixture whose score is exact."""

from typing import Any

import torch
import traitlets

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.labs.base import STATIC, Array, Count, Lab, Number, Numbers, standalone


class ScoreLab(Lab):
    """Plain and annealed Langevin dynamics, or SDE and ODE, on a mixture of Gaussians in the plane, side by side.

    It begins with the experiment of Song & Ermon (2019), Fig. 3. Each argument is a trait: what a knob changes can be
    read here, and what is set here turns the knob. `samples` are written when a run ends or is paused; chains that
    are put there go on from where they were put.

        lab = ScoreLab(step_size=0.5)
        lab                                     # shows it
        lab.mixture = GaussianMixture(means, stds, weights)
        mode_mass(lab.samples, lab.mixture.means)
    """

    _esm = standalone("score_lab.js")
    _css = (STATIC / "labs.css").read_text(encoding="utf-8")

    means = Numbers(Numbers(Number(), minlen=2, maxlen=2), [[-5.0, -5.0], [5.0, 5.0]], minlen=1).tag(sync=True)
    """(K, 2) the modes' means; `mixture` sets all of a mixture at once."""
    stds = Numbers(Number(), [1.0, 1.0], minlen=1).tag(sync=True)
    """(K,) their standard deviations."""
    weights = Numbers(Number(), [0.2, 0.8], minlen=1).tag(sync=True)
    """(K,) their weights, made to sum to 1."""
    samplers = traitlets.Enum(["langevin", "equations"], "langevin").tag(sync=True)
    """"langevin": plain Langevin dynamics on the left, annealed on the right; "equations": the reverse-time stochastic
    equation and the probability flow by Euler's method (Song et al. 2021), each start twice, with some of the paths."""
    sigma = Number(0.0, min=0.0).tag(sync=True)
    """The noise level whose score plain Langevin dynamics follows."""
    step_size = Number(0.1).tag(sync=True)
    """Its step size alpha, above 0."""
    num_steps = Count(1000, min=1).tag(sync=True)
    """Its number of steps."""
    spread = traitlets.Enum(["replaced", "convolved"], "replaced").tag(sync=True)
    """The score at a level of the ladder: "convolved" adds the variances, as data with noise have it; "replaced" puts
    sigma in the place of each component's spread, as the authors' toy code does."""
    num_chains = Count(1280, min=1).tag(sync=True)
    """The number of chains B, started uniformly in the square [-8, 8]^2, or for the equations with noise of sigma_1
    around the mixture's mean."""
    seed = Count(0, min=0).tag(sync=True)
    """Of start and noise, the same for both samplers."""
    speed = Count(3, min=1).tag(sync=True)
    """Steps a frame."""
    running = traitlets.Bool(False).tag(sync=True)
    """Whether the chains walk; set it to start and to pause them."""
    samples = Array((2,), torch.float64)
    """(B, 2) the chains on the right, of annealed Langevin dynamics or the probability flow."""
    plain_samples = Array((2,), torch.float64)
    """(B, 2) the chains on the left, of plain Langevin dynamics or the stochastic equation."""

    def __init__(self, **values: Any):
        super().__init__(**{"sigma_max": 20.0, "sigma_min": 1.0, "eps": 0.1, **values})

    @property
    def mixture(self) -> GaussianMixture:
        """The mixture as the library has it; set it to change means, spreads and weights at once."""
        means, stds, weights = (
            torch.tensor(part, dtype=torch.float64) for part in (self.means, self.stds, self.weights)
        )
        return GaussianMixture(means, stds, weights)

    @mixture.setter
    def mixture(self, mixture: GaussianMixture) -> None:
        if mixture.shape != (2,):
            raise ValueError(f"the mixture must be one in the plane, got examples of shape {mixture.shape}")
        with self.hold_sync():
            self.means, self.stds, self.weights = (
                part.tolist() for part in (mixture.means, mixture.stds, mixture.weights)
            )
