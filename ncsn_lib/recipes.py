"""Every experiment's constants, beside the sentence that gives them. One recipe, one experiment."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncsn_lib.checks import check_count, check_not_negative, check_positive
from ncsn_lib.data import DATASETS, LabelledImages, check_split
from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.losses import gaussian_projections, sliced_score_matching_vr_loss
from ncsn_lib.metrics.cost import count_flops
from ncsn_lib.networks.mlp import MLP
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.score_resnet import ScoreResNet
from ncsn_lib.networks.unet import UNet
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.samplers import Callback, annealed_langevin_dynamics, consistent_annealed_sampling
from ncsn_lib.schedules import check_sigmas, geometric_sigmas
from ncsn_lib.training import LossObjective, NCSNObjective, Objective, TrainingSettings


@dataclass(frozen=True)
class NoiseSettings:
    """The ladder of noise levels, geometric; one level is sigma_max = sigma_min."""

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
        if self.num_levels == 1:
            if self.sigma_max != self.sigma_min:
                raise ValueError(f"sigma_max must be sigma_min at one level, got {self.sigma_max} and {self.sigma_min}")
            return check_sigmas(torch.tensor([self.sigma_max]))
        return geometric_sigmas(self.sigma_max, self.sigma_min, self.num_levels)


RandnLike = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SamplingSettings:
    """How annealed Langevin dynamics samples, from uniform noise."""

    eps: float = 4e-5
    """Step size at the last level, the paper's epsilon. The paper prints 2e-5 but its code's step is twice that."""
    num_steps: int = 100
    """Steps T at each level. Paper, Sec. 5: T = 100."""
    denoise: bool = False
    """End with a denoising step. The paper does not; Song & Ermon (2020) do."""

    @property
    def inpainting(self) -> "SamplingSettings":
        """It completes images as it samples them."""
        return self

    def __post_init__(self):
        """Refuse settings that cannot sample."""
        check_positive("eps", self.eps)
        check_count("num_steps", self.num_steps)

    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: torch.Generator) -> Tensor:
        """Starting states of that shape (B, C, H, W), uniform in [0, 1]. Paper, Sec. 5."""
        return torch.rand(shape, generator=generator, device=generator.device)

    def sample(
        self, score_fn: ScoreFn, x: Tensor, sigmas: Tensor, randn_like: RandnLike, callback: Callback | None = None
    ) -> Tensor:
        """Annealed Langevin dynamics from `x` down the levels `sigmas` (L,)."""
        return annealed_langevin_dynamics(
            score_fn,
            x,
            sigmas,
            eps=self.eps,
            num_steps=self.num_steps,
            denoise=self.denoise,
            randn_like=randn_like,
            callback=callback,
        )

    def num_calls(self, num_levels: int) -> int:
        """How often the sampler calls the network."""
        return num_levels * self.num_steps + self.denoise


@dataclass(frozen=True)
class ConsistentSamplingSettings:
    """How consistent annealed sampling samples: one call of the network a level.

    It may take other levels than the network was trained on, where that takes any sigma, as the U-Net does.
    """

    denoise: ClassVar[bool] = True
    """It always ends with a denoising step."""
    num_levels: int = 24
    """The number of levels, geometric from sigma_1: the calls of the network."""
    sigma_min: float = 0.01
    """The last level, from which it denoises, in units of the images."""
    keep: float = 0.5
    """The share of the next level's noise that stays from this level's; the rest is drawn anew."""
    data_mean: float = 0.5
    """It starts from normal noise of standard deviation sigma_1 around this value, in units of the images."""
    inpainting: SamplingSettings = SamplingSettings(eps=2e-5, num_steps=10, denoise=True)
    """How it completes images: by annealed Langevin dynamics on the levels of the training."""

    def __post_init__(self):
        """Refuse settings that cannot sample."""
        check_count("num_levels", self.num_levels, minimum=2)
        check_positive("sigma_min", self.sigma_min)
        if not 0 <= self.keep <= 1:
            raise ValueError(f"keep must be between 0 and 1, got {self.keep!r}")

    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: torch.Generator) -> Tensor:
        """Starting states of that shape (B, C, H, W), normal around `data_mean` with sigma_1."""
        return self.data_mean + sigmas[0] * torch.randn(shape, generator=generator, device=generator.device)

    def sample(
        self, score_fn: ScoreFn, x: Tensor, sigmas: Tensor, randn_like: RandnLike, callback: Callback | None = None
    ) -> Tensor:
        """Consistent annealed sampling from `x` with noise sigma_1, the first of the levels `sigmas` (L,)."""
        levels = geometric_sigmas(sigmas[0].item(), self.sigma_min, self.num_levels)
        ratio = (levels[1] / levels[0]).item()
        return consistent_annealed_sampling(
            score_fn, x, levels.to(x.device), eta=1 - self.keep * ratio, randn_like=randn_like, callback=callback
        )

    def num_calls(self, num_levels: int) -> int:
        """How often the sampler calls the network, however many levels it was trained on."""
        return self.num_levels


@dataclass(frozen=True)
class UNetSettings:
    """The small U-Net."""

    widths: tuple[int, ...] = (32, 64)
    """Feature channels at each resolution."""
    num_blocks: int = 1
    """Residual blocks at each resolution."""
    patch: int = 1
    """Pixels folded into channels before the first convolution, per side."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for images (C, H, W); it takes any sigma."""
        return UNet(image_shape[0], self.widths, num_blocks=self.num_blocks, patch=self.patch)


@dataclass(frozen=True)
class NCSNSettings:
    """The paper's network, a dilated RefineNet with CondInstanceNorm++."""

    ngf: int = 128
    """Features of the first stage. Paper, appendix: 64 for MNIST, 128 for CIFAR-10 and CelebA."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for these levels and images (C, H, W)."""
        return NCSN(sigmas, image_shape[0], self.ngf)


@dataclass(frozen=True)
class NCSNv2Settings:
    """The network of 2020."""

    ngf: int = 128
    """Features of the first stage. The authors' configuration: 128 for CIFAR-10."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for these levels and images (C, H, W)."""
        return NCSNv2(sigmas, image_shape[0], self.ngf)


@dataclass(frozen=True)
class ScoreResNetSettings:
    """The network of Fig. 1, which knows no noise level."""

    features: int = 32
    """Features at full resolution. The authors' configuration: 32."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for images (C, H, W)."""
        return ScoreResNet(image_shape[0], self.features)


@dataclass(frozen=True)
class MLPSettings:
    """The network of the toy experiments."""

    hidden: tuple[int, ...] = (128, 128)
    """Hidden widths. Paper, appendix: a 3-layer MLP of width 128."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for points (D,)."""
        return MLP(image_shape[0], self.hidden)


@dataclass(frozen=True)
class NCSNLossSettings:
    """The NCSN loss over all noise levels, weighted by sigma^2. Paper, Eq. (6)."""

    cost_in_calls: ClassVar[int] = 3
    """What the loss and its gradient cost, in calls of the network: one forward, two backward."""

    def objective(self, sigmas: Tensor) -> Objective:
        """What training minimises."""
        return NCSNObjective(sigmas)


@dataclass(frozen=True)
class SlicedLossSettings:
    """Sliced score matching with variance reduction, on the data as they are or with one fixed noise."""

    cost_in_calls: ClassVar[int] = 6
    """What the loss and its gradient cost, in calls of the network: its gradient is differentiated again."""
    noise_std: float = 0.0
    """Standard deviation of the noise that is added to the data. Paper, Sec. 3.1: none, or 0.01 (variance 0.0001)."""
    num_projections: int = 1
    """Gaussian projections for each example. The authors' code: 1."""

    def __post_init__(self):
        """Refuse settings that cannot train."""
        check_not_negative("noise_std", self.noise_std)
        check_count("num_projections", self.num_projections)

    def objective(self, sigmas: Tensor) -> Objective:
        """What training minimises; it has no use for the noise levels."""
        return LossObjective(
            sliced_score_matching_vr_loss,
            sigma=self.noise_std,
            perturb=self.noise_std > 0,
            projections=lambda x, generator: gaussian_projections(x, self.num_projections, generator),
        )


@dataclass(frozen=True)
class Recipe:
    """One experiment: what is trained on what, how, and how it is sampled."""

    name: str
    """The recipe's name."""
    summary: str
    """What it is, in one sentence."""
    reproduces: str
    """What of the paper it reproduces, or what it is for."""
    dataset: str
    """The data set's name in `SOURCES`."""
    image_shape: tuple[int, ...]
    """(C, H, W) of the images, or (D,) of points."""
    training: TrainingSettings
    """How the network is trained."""
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    """The noise levels."""
    loss: NCSNLossSettings | SlicedLossSettings = field(default_factory=NCSNLossSettings)
    """What is minimised."""
    network: UNetSettings | NCSNSettings | NCSNv2Settings | ScoreResNetSettings | MLPSettings = field(
        default_factory=UNetSettings
    )
    """The network."""
    sampling: SamplingSettings | ConsistentSamplingSettings | None = field(default_factory=SamplingSettings)
    """How it is sampled; None: it is trained for its loss or its score alone."""

    def build_network(self) -> nn.Module:
        """A fresh network; its weights follow from the training seed alone."""
        with torch.random.fork_rng():
            torch.manual_seed(self.training.seed)
            return self.network.build(self.noise.sigmas(), self.image_shape)

    def size(self) -> tuple[int, int]:
        """The network's parameters, and the floating-point operations of a call for one image; nothing is computed."""
        return _size(self.network, self.noise, self.image_shape)

    def training_operations(self) -> int:
        """The floating-point operations of the whole training."""
        _, call = self.size()
        return self.loss.cost_in_calls * call * self.training.num_steps * self.training.batch_size

    def objective(self) -> Objective:
        """What training minimises."""
        return self.loss.objective(self.noise.sigmas())

    def check_sampling(self) -> None:
        """Raise `ValueError` if the recipe is not made to be sampled."""
        if self.sampling is None:
            raise ValueError(f"the recipe {self.name} is trained for {self.reproduces}; it has no sampler")

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


@functools.cache  # counting takes a second, and recipes share networks
def _size(settings: Any, noise: NoiseSettings, image_shape: tuple[int, ...]) -> tuple[int, int]:
    sigmas = noise.sigmas()
    with torch.device("meta"):
        network = settings.build(sigmas, image_shape).to("meta")
        x, sigma = torch.empty(1, *image_shape), torch.empty(1)
    return sum(p.numel() for p in network.parameters()), count_flops(lambda: network(x, sigma))


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


# Paper, appendix: Adam, learning rate 0.001, batch 128, 200,000 iterations; no moving average of the weights.
PAPER_TRAINING = TrainingSettings(
    num_steps=200_000, batch_size=128, learning_rate=1e-3, ema_decay=0.0, dequantize=True, bfloat16=True
)
# Paper, appendix: the baseline has the smallest level alone. Ours: as many steps as the ten levels have together.
ONE_LEVEL = NoiseSettings(sigma_max=0.01, sigma_min=0.01, num_levels=1)
ONE_LEVEL_SAMPLING = SamplingSettings(num_steps=1000)
# Ours: found by trying, for two CPU cores.
SMALL_UNET = UNetSettings(widths=(32, 64), num_blocks=1, patch=2)
SMALL_TRAINING = TrainingSettings(
    num_steps=32_000,
    batch_size=64,
    learning_rate=2e-3,
    betas=(0.9, 0.99),
    warmup_steps=100,
    cosine_decay=True,
    max_grad_norm=1.0,
    ema_decay=0.999,
    bfloat16=True,
)

# Paper, Sec. 3.1, and the authors' configuration: Adam, learning rate 0.001, batch 128, 50,000 iterations.
FIG1_TRAINING = TrainingSettings(num_steps=50_000, batch_size=128, learning_rate=1e-3, ema_decay=0.0)


def load_two_modes(split: str = "train") -> LabelledImages:
    """Points of the toy mixture 1/5 N((-5, -5), I) + 4/5 N((5, 5), I) (Song & Ermon 2019, Sec. 3.2).

    As many as 10,000 steps of 128 take, so that training sees each once, as if it drew them.

    Args:
        split: "train"; there is no other.

    Returns:
        images (1,280,000, 2) float32 and labels (1,280,000,), the nearer mode: 0 the smaller, 1 the larger.
    """
    check_split(split, ("train",))
    means = torch.tensor([[-5.0, -5.0], [5.0, 5.0]])
    mixture = GaussianMixture(means, torch.ones(2), torch.tensor([0.2, 0.8]))
    x = mixture.sample(1_280_000, generator=torch.Generator().manual_seed(0))
    return LabelledImages(x, torch.cdist(x, means).argmin(1))


SOURCES = {**DATASETS, "two_modes": load_two_modes}
"""The loaders of the recipes' data by name; each takes a split and returns `LabelledImages`."""

DIGITS = Recipe(
    name="digits",
    summary="scikit-learn's 8x8 digits with a small U-Net: about a minute on two CPU cores",
    reproduces="the whole method on a laptop",
    dataset="digits",
    image_shape=(1, 8, 8),
    # The paper has no experiment of this size.
    training=dataclasses.replace(SMALL_TRAINING, num_steps=900, ema_decay=0.998, bfloat16=False),
    sampling=SamplingSettings(eps=1e-4, num_steps=10, denoise=True),
)
MNIST_SMALL = Recipe(
    name="mnist_small",
    summary="MNIST with a small U-Net on the paper's levels: half an hour on a CPU",
    reproduces="Fig. 4 and 5 (MNIST) in small",
    dataset="mnist",
    image_shape=(1, 28, 28),
    network=SMALL_UNET,
    training=dataclasses.replace(SMALL_TRAINING, num_steps=12_000),
)
MNIST_SMALL_WIDE = dataclasses.replace(
    MNIST_SMALL,
    name="mnist_small_wide",
    summary="the same on levels as wide as the data: an hour on a CPU, and 24 calls a sample",
    reproduces="what the right levels are worth",
    training=SMALL_TRAINING,
    # Song & Ermon (2020), Technique 1: sigma_1 about the largest distance between two images, 16 for MNIST; ours is 12.
    noise=NoiseSettings(sigma_max=12.0, sigma_min=0.01, num_levels=24),
    # Ours: where the smallest levels begin nothing is left to decide, so the calls are better spent above them.
    sampling=ConsistentSamplingSettings(num_levels=24, sigma_min=0.06, keep=0.3),
)
MNIST = Recipe(
    name="mnist",
    summary="the paper's NCSN on MNIST: for a GPU",
    reproduces="Fig. 4 and 5 (MNIST)",
    dataset="mnist",
    image_shape=(1, 28, 28),
    network=NCSNSettings(ngf=64),
    training=PAPER_TRAINING,
)
CIFAR10 = Recipe(
    name="cifar10",
    summary="the paper's NCSN on CIFAR-10: for a GPU",
    reproduces="Fig. 4 to 6 (CIFAR-10), Table 1",
    dataset="cifar10",
    image_shape=(3, 32, 32),
    network=NCSNSettings(ngf=128),
    training=dataclasses.replace(PAPER_TRAINING, flip=True),
)
CIFAR10_SMALL = Recipe(
    name="cifar10_small",
    summary="CIFAR-10 with a small U-Net on wide levels: an hour and a half on a CPU",
    reproduces="Fig. 4 to 6 (CIFAR-10) in small",
    dataset="cifar10",
    image_shape=(3, 32, 32),
    network=UNetSettings(widths=(64, 128, 128), num_blocks=1, patch=2),
    training=dataclasses.replace(SMALL_TRAINING, num_steps=13_000, learning_rate=1e-3, flip=True),
    # Song & Ermon (2020), Technique 1, asks for 50, the largest distance between two images. Ours is 20: the images
    # spread about 8 along their widest direction, their brightness.
    noise=NoiseSettings(sigma_max=20.0, sigma_min=0.01, num_levels=24),
    # Ours: photographs lose contrast if much noise is drawn anew; ten Langevin steps a level would leave seams where
    # an image is completed.
    sampling=ConsistentSamplingSettings(
        num_levels=48, sigma_min=0.03, keep=0.93, inpainting=SamplingSettings(eps=4e-5, num_steps=20, denoise=True)
    ),
)
CELEBA = dataclasses.replace(
    CIFAR10,
    name="celeba",
    summary="the paper's NCSN on CelebA at 32x32: for a GPU",
    reproduces="Fig. 4 to 6 (CelebA)",
    dataset="celeba",
)
BASELINE = {"noise": ONE_LEVEL, "sampling": ONE_LEVEL_SAMPLING}
MNIST_BASELINE = dataclasses.replace(
    MNIST,
    name="mnist_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (MNIST)",
    **BASELINE,
)
CIFAR10_BASELINE = dataclasses.replace(
    CIFAR10,
    name="cifar10_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (CIFAR-10)",
    **BASELINE,
)
CELEBA_BASELINE = dataclasses.replace(
    CELEBA,
    name="celeba_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (CelebA)",
    **BASELINE,
)
FIG1_RAW = Recipe(
    name="fig1_raw",
    summary="sliced score matching on CIFAR-10 as it is: for a GPU",
    reproduces="Fig. 1, left: the loss that does not settle",
    dataset="cifar10",
    image_shape=(3, 32, 32),
    network=ScoreResNetSettings(),
    training=FIG1_TRAINING,
    loss=SlicedLossSettings(),
    sampling=None,
)
FIG1_NOISE = dataclasses.replace(
    FIG1_RAW,
    name="fig1_noise",
    summary="the same with noise of variance 0.0001: for a GPU",
    reproduces="Fig. 1, right: the loss that settles",
    loss=SlicedLossSettings(noise_std=0.01),
)
TOY = Recipe(
    name="toy",
    summary="sliced score matching on two modes in the plane: half a minute on a CPU",
    reproduces="Fig. 2: a score that is wrong where there are no data",
    dataset="two_modes",
    image_shape=(2,),
    network=MLPSettings(),
    # Paper, appendix: Adam, learning rate 0.001, batch 128, 10,000 iterations.
    training=TrainingSettings(num_steps=10_000, batch_size=128, learning_rate=1e-3, ema_decay=0.0),
    loss=SlicedLossSettings(),
    sampling=None,
)
NCSNV2_CIFAR10 = dataclasses.replace(
    CIFAR10,
    name="ncsnv2_cifar10",
    summary="NCSNv2 on CIFAR-10 with 232 levels: for a GPU",
    reproduces="Song & Ermon (2020), CIFAR-10",
    network=NCSNv2Settings(ngf=128),
    # The authors' configuration; its step_lr of 6.2e-6 is half of our eps. No dequantisation there.
    noise=NoiseSettings(sigma_max=50.0, sigma_min=0.01, num_levels=232),
    training=TrainingSettings(
        num_steps=300_000, batch_size=128, learning_rate=1e-4, ema_decay=0.999, flip=True, bfloat16=True
    ),
    sampling=SamplingSettings(eps=1.24e-5, num_steps=5, denoise=True),
)

RECIPES = {
    recipe.name: recipe
    for recipe in [
        DIGITS,
        TOY,
        MNIST_SMALL,
        MNIST_SMALL_WIDE,
        MNIST,
        MNIST_BASELINE,
        CIFAR10_SMALL,
        CIFAR10,
        CIFAR10_BASELINE,
        CELEBA,
        CELEBA_BASELINE,
        FIG1_RAW,
        FIG1_NOISE,
        NCSNV2_CIFAR10,
    ]
}
"""The recipes by name."""
