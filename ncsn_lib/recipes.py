"""Every experiment's constants, beside the sentence that gives them. One recipe, one experiment."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ncsn_lib.networks.unet import UNet
from ncsn_lib.protocol import check_count, check_positive
from ncsn_lib.schedules import geometric_sigmas
from ncsn_lib.training import NCSNObjective, Objective, TrainingSettings


@dataclass(frozen=True)
class NoiseSettings:
    """The ladder of noise levels, geometric."""

    sigma_max: float = 1.0
    """The largest noise level sigma_1, in units of the images (0 to 1). Paper, Sec. 5: sigma_1 = 1."""
    sigma_min: float = 0.01
    """The smallest noise level sigma_L. Paper, Sec. 5: sigma_10 = 0.01."""
    num_levels: int = 10
    """The number of levels L. Paper, Sec. 5: L = 10."""

    def __post_init__(self):
        """Refuse a ladder that is none."""
        self.sigmas()

    def sigmas(self) -> Tensor:
        """(L,) noise levels."""
        return geometric_sigmas(self.sigma_max, self.sigma_min, self.num_levels)


@dataclass(frozen=True)
class SamplingSettings:
    """How annealed Langevin dynamics samples."""

    eps: float = 4e-5
    """Step size at the last level, the paper's epsilon. The paper prints 2e-5 but its code's step is twice that."""
    num_steps: int = 100
    """Steps T at each level. Paper, Sec. 5: T = 100."""
    denoise: bool = False
    """End with a denoising step. The paper does not; Song & Ermon (2020) do."""

    def __post_init__(self):
        """Refuse settings that cannot sample."""
        check_positive("eps", self.eps)
        check_count("num_steps", self.num_steps)


@dataclass(frozen=True)
class UNetSettings:
    """The small U-Net."""

    widths: tuple[int, ...] = (32, 64)
    """Feature channels at each resolution."""
    num_blocks: int = 1
    """Residual blocks at each resolution."""
    patch: int = 1
    """Pixels folded into channels before the first convolution, per side."""

    def build(self, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for images (C, H, W)."""
        return UNet(image_shape[0], self.widths, num_blocks=self.num_blocks, patch=self.patch)


@dataclass(frozen=True)
class Recipe:
    """One experiment: what is trained on what, how, and how it is sampled."""

    name: str
    """The recipe's name."""
    summary: str
    """What it is, in one sentence."""
    dataset: str
    """The data set's name in `ncsn_lib.data.DATASETS`."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of the images."""
    training: TrainingSettings
    """How the network is trained."""
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    """The noise levels."""
    network: UNetSettings = field(default_factory=UNetSettings)
    """The network."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """How it is sampled."""

    def build_network(self) -> nn.Module:
        """A fresh network; its weights follow from the training seed alone."""
        with torch.random.fork_rng():
            torch.manual_seed(self.training.seed)
            return self.network.build(self.image_shape)

    def objective(self) -> Objective:
        """What training minimises: the NCSN loss on the recipe's noise levels."""
        return NCSNObjective(self.noise.sigmas())

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, tuples as lists, as JSON gives them back."""
        return _plain(dataclasses.asdict(self))

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> "Recipe":
        """The recipe whose `to_dict` this is.

        Raises:
            ValueError: no recipe of that name, or fields that it does not have.
        """
        return _rebuild(find_recipe(fields.get("name")), fields, "recipe")


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; `ValueError` with the names there are if there is none."""
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _rebuild(default: Any, fields: Mapping[str, Any], where: str) -> Any:
    """A copy of a settings object with every field taken from plain values."""
    known = {f.name for f in dataclasses.fields(default)}
    if set(fields) != known:
        raise ValueError(f"{where} must have the fields {sorted(known)}, got {sorted(fields)}")
    values = {}
    for name, value in fields.items():
        current = getattr(default, name)
        if dataclasses.is_dataclass(current):
            values[name] = _rebuild(current, value, f"{where}.{name}")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(default, **values)


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            name="digits",
            summary="scikit-learn's 8x8 digits with a small U-Net: about a minute on two CPU cores",
            dataset="digits",
            image_shape=(1, 8, 8),
            # Ours: found by trying; the paper has no experiment of this size.
            training=TrainingSettings(
                num_steps=900,
                batch_size=64,
                learning_rate=2e-3,
                betas=(0.9, 0.99),
                warmup_steps=100,
                cosine_decay=True,
                max_grad_norm=1.0,
                ema_decay=0.998,
            ),
            sampling=SamplingSettings(eps=1e-4, num_steps=10, denoise=True),
        ),
    ]
}
"""The recipes by name."""
