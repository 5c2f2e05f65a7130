"""The denoiser lab's widget: a drawing, noise on it, and the guesses of a network and of its training images."""

import math
from typing import Any

import torch
import traitlets
from torch import Tensor

from ncsn_lib.labs.base import STATIC, Array, Count, Number, Numbers, standalone
from ncsn_lib.labs.network_lab import Images, NetworkLab
from ncsn_lib.runs import Run

LEAST_SIGMA = 0.05
"""Below it noise is not to be seen."""
MOST_KNOWN = 10_000
"""Images that the exact denoiser begins with; more take seconds a guess."""


class DenoiserLab(NetworkLab):
    """What a network expects behind a noisy drawing, beside the exact denoiser of the images that it learnt from.

    Each argument is a trait: what a knob changes can be read here, and what is set here turns the knob. The four last
    ones are what comes out, once the knobs are at rest.

        lab = DenoiserLab(load_run("results/models/mnist_small_wide.safetensors"), load_mnist("train").images)
        lab                                     # shows it
        lab.image = load_mnist("test").images[:1]
        lab.sigma = 0.5
        (lab.denoised - lab.exact).square().mean().sqrt()
    """

    _esm = standalone("denoiser_lab.js")
    _css = (STATIC / "labs.css").read_text(encoding="utf-8")

    sigma_range = Numbers(Number(), [LEAST_SIGMA, 12.0], minlen=2, maxlen=2).tag(sync=True)
    """The least and the largest noise level; by default those that the network was trained at, from 0.05 on."""
    sigma = Number(1.0).tag(sync=True)
    """The noise level."""
    seed = Count(0, min=0).tag(sync=True)
    """Of the noise."""
    num_known = Count(MOST_KNOWN, min=1).tag(sync=True)
    """How many training images the exact denoiser knows: the first ones of those that the lab was given."""
    image = Array(None, torch.float32)
    """(1, C, H, W) the clean image, in [0, 1]; the lab begins with a drawing."""
    noisy = Array(None, torch.float32)
    """(1, C, H, W) image + sigma * noise."""
    score = Array(None, torch.float32)
    """(1, C, H, W) the network's score there."""
    denoised = Array(None, torch.float32)
    """(1, C, H, W) the clean image that the network expects, noisy + sigma^2 * score."""
    exact = Array(None, torch.float32)
    """(1, C, H, W) the one that the exact denoiser of the first `num_known` images expects."""

    def __init__(self, run: Run, images: Images | None = None, **values: Any):
        """Take a trained network, and the images (N, C, H, W) that it learnt from for the exact denoiser.

        Raises:
            ValueError: images of another shape than the network's, or one that is not for images.
        """
        low, high = max(LEAST_SIGMA, run.recipe.noise.sigma_min), run.recipe.noise.sigma_max
        own: dict[str, Any] = {"sigma_range": [low, high], "sigma": min(1.0, high)}
        if images is not None:
            own["num_known"] = min(MOST_KNOWN, len(images))
        super().__init__(run, images, **own | values)

    @traitlets.validate("sigma_range")
    def _check_range(self, proposal: Any) -> list[float]:
        low, high = proposal["value"]
        if not 0 < low < high < math.inf:
            raise traitlets.TraitError(f"sigma_range must be two rising levels above 0, got {[low, high]}")
        return proposal["value"]

    @traitlets.validate("sigma")
    def _check_sigma(self, proposal: Any) -> float:
        low, high = self.sigma_range
        if not low <= proposal["value"] <= high:
            raise traitlets.TraitError(f"sigma must be from {low} to {high}, the lab's range, got {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("image")
    def _check_image(self, proposal: Any) -> Tensor | None:
        image = proposal["value"]
        if image is not None and (len(image) != 1 or not ((image >= 0) & (image <= 1)).all()):
            ends = [image.min().item(), image.max().item()]
            raise traitlets.TraitError(f"image must be one image in [0, 1], got {tuple(image.shape)} from {ends}")
        return image
