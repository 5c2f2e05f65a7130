"""The parts of a recipe: noise levels, network, loss, training, sampler. Each builds what it describes."""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncsn_lib.checks import check_count, check_not_negative, check_positive, check_probability
from ncsn_lib.generators import Generators, RandnLike, rand, randn
from ncsn_lib.losses import gaussian_projections, log_normal_sigmas, sliced_score_matching_vr_loss
from ncsn_lib.metrics.cost import count_flops
from ncsn_lib.networks.mlp import MLP
from ncsn_lib.networks.ncsn import NCSN
from ncsn_lib.networks.ncsnv2 import NCSNv2
from ncsn_lib.networks.preconditioning import Preconditioned, prediction_weight
from ncsn_lib.networks.score_resnet import ScoreResNet
from ncsn_lib.networks.unet import RawUNet, UNet
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.records import Record
from ncsn_lib.samplers import (
    Callback,
    annealed_langevin_dynamics,
    consistent_annealed_sampling,
    probability_flow_ode,
)
from ncsn_lib.schedules import check_sigmas, geometric_sigmas, karras_sigmas
from ncsn_lib.training import (
    ConditionalObjective,
    DenoisingObjective,
    LossObjective,
    NCSNObjective,
    Objective,
    TrainingSettings,
)


@dataclass(frozen=True)
class NoiseSettings(Record):
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


class SamplerSettings(Record, ABC):
    """How a recipe is sampled; a part of one's own is a frozen dataclass below this class."""

    @abstractmethod
    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: Generators) -> Tensor:
        """Starting states of that shape (B, *D), on the device of the levels `sigmas` (L,)."""

    @abstractmethod
    def sample(
        self,
        score_fn: ScoreFn,
        x: Tensor,
        sigmas: Tensor,
        *,
        generator: Generators | None = None,
        randn_like: RandnLike | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Samples (B, *D) from the states `x` down the levels `sigmas` (L,); the draws are as for every sampler."""

    @abstractmethod
    def num_calls(self, num_levels: int) -> int:
        """How often the network is called for a batch, after training on so many levels."""

    def num_steps_in_all(self, num_levels: int) -> int:
        """How many steps it takes, each told to the callback but perhaps the last: one a call, unless it says so."""
        return self.num_calls(num_levels)

    @property
    def inpainting(self) -> "SamplingSettings":
        """How images are completed, by annealed Langevin dynamics."""
        raise ValueError(f"{type(self).__name__} does not say how images are completed: give it `inpainting`")


class NetworkSettings(Record, ABC):
    """A network; a part of one's own is a frozen dataclass below this class."""

    @abstractmethod
    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for these levels (L,) and examples of this shape (C, H, W) or (D,)."""


class LossSettings(Record, ABC):
    """What is minimised; a part of one's own is a frozen dataclass below this class."""

    cost_in_calls: ClassVar[int] = 3
    """What the loss and its gradient cost, in calls of the network: one forward, two backward."""

    @abstractmethod
    def objective(self, sigmas: Tensor) -> Objective:
        """What training minimises on the levels (L,)."""


@dataclass(frozen=True)
class SamplingSettings(SamplerSettings):
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

    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: Generators) -> Tensor:
        """Starting states of that shape (B, C, H, W), uniform in [0, 1]. Paper, Sec. 5."""
        return rand(shape, generator, like=sigmas)

    def sample(self, score_fn: ScoreFn, x: Tensor, sigmas: Tensor, **draws: Any) -> Tensor:
        """Annealed Langevin dynamics from `x` down the levels `sigmas` (L,)."""
        return annealed_langevin_dynamics(
            score_fn, x, sigmas, eps=self.eps, num_steps=self.num_steps, denoise=self.denoise, **draws
        )

    def num_calls(self, num_levels: int) -> int:
        """How often the sampler calls the network."""
        return num_levels * self.num_steps + self.denoise


@dataclass(frozen=True)
class ConsistentSamplingSettings(SamplerSettings):
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

    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: Generators) -> Tensor:
        """Starting states of that shape (B, C, H, W), normal around `data_mean` with sigma_1."""
        return self.data_mean + sigmas[0] * randn(shape, generator, like=sigmas)

    def sample(self, score_fn: ScoreFn, x: Tensor, sigmas: Tensor, **draws: Any) -> Tensor:
        """Consistent annealed sampling from `x` with noise sigma_1, the first of the levels `sigmas` (L,)."""
        levels = geometric_sigmas(sigmas[0].item(), self.sigma_min, self.num_levels)
        ratio = (levels[1] / levels[0]).item()
        return consistent_annealed_sampling(score_fn, x, levels.to(x.device), eta=1 - self.keep * ratio, **draws)

    def num_calls(self, num_levels: int) -> int:
        """How often the sampler calls the network, however many levels it was trained on."""
        return self.num_levels


@dataclass(frozen=True)
class HeunSettings(SamplerSettings):
    """How Heun's method follows the probability flow, from normal noise; the start is all its chance.

    The numbers are those of Karras et al. (2022), Table 1 and Sec. 3, for images in [0, 1], which spread half as wide
    as theirs.
    """

    num_levels: int = 18
    """The number of levels; the network is called twice at each but the last."""
    sigma_max: float = 40.0
    """The first level, in units of the images."""
    sigma_min: float = 0.001
    """The last level, from which it denoises, in units of the images."""
    rho: float = 7.0
    """How much closer the levels lie at the small end."""
    data_mean: float = 0.5
    """It starts from normal noise of standard deviation sigma_max around this value, in units of the images."""
    inpainting: SamplingSettings = SamplingSettings(eps=2e-5, num_steps=10, denoise=True)
    """How it completes images: by annealed Langevin dynamics on the recipe's levels."""

    def __post_init__(self):
        """Refuse settings that cannot sample."""
        self.levels()

    def levels(self) -> Tensor:
        """(L,) its own noise levels."""
        return karras_sigmas(self.sigma_max, self.sigma_min, self.num_levels, self.rho)

    def start(self, shape: tuple[int, ...], sigmas: Tensor, generator: Generators) -> Tensor:
        """Starting states of that shape (B, C, H, W), normal around `data_mean` with sigma_max."""
        return self.data_mean + self.sigma_max * randn(shape, generator, like=sigmas)

    def sample(
        self,
        score_fn: ScoreFn,
        x: Tensor,
        sigmas: Tensor,
        *,
        generator: Generators | None = None,
        randn_like: RandnLike | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """The probability flow from `x` with noise sigma_max; it draws nothing, and takes its own levels."""
        return probability_flow_ode(score_fn, x, self.levels().to(x.device), method="heun", callback=callback)

    def num_calls(self, num_levels: int) -> int:
        """How often the sampler calls the network, however many levels it was trained on."""
        return 2 * self.num_levels - 1

    def num_steps_in_all(self, num_levels: int) -> int:
        """One step a level."""
        return self.num_levels


@dataclass(frozen=True)
class UNetSettings(NetworkSettings):
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
class PreconditionedUNetSettings(NetworkSettings):
    """The small U-Net, preconditioned, and told the class of an image if it is to learn classes."""

    widths: tuple[int, ...] = (32, 64)
    """Feature channels at each resolution."""
    num_blocks: int = 1
    """Residual blocks at each resolution."""
    patch: int = 1
    """Pixels folded into channels before the first convolution, per side."""
    num_classes: int | None = None
    """The number of classes that it can be told; None: it knows none."""
    form: str = "edm"
    """What the U-Net predicts: score, noise, denoised, velocity, or edm, the mixture of Karras et al. (2022)."""
    data_mean: float = 0.5
    """The data's mean, in units of the images."""
    data_std: float = 0.5
    """The data's standard deviation, in units of the images."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for images (C, H, W); it takes any sigma."""
        raw = RawUNet(
            image_shape[0], self.widths, num_blocks=self.num_blocks, patch=self.patch, num_classes=self.num_classes
        )
        return Preconditioned(raw, form=self.form, data_mean=self.data_mean, data_std=self.data_std)


@dataclass(frozen=True)
class NCSNSettings(NetworkSettings):
    """The paper's network, a dilated RefineNet with CondInstanceNorm++."""

    ngf: int = 128
    """Features of the first stage. Paper, appendix: 64 for MNIST, 128 for CIFAR-10 and CelebA."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for these levels and images (C, H, W)."""
        return NCSN(sigmas, image_shape[0], self.ngf)


@dataclass(frozen=True)
class NCSNv2Settings(NetworkSettings):
    """The network of 2020."""

    ngf: int = 128
    """Features of the first stage. The authors' configuration: 128 for CIFAR-10."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for these levels and images (C, H, W)."""
        return NCSNv2(sigmas, image_shape[0], self.ngf)


@dataclass(frozen=True)
class ScoreResNetSettings(NetworkSettings):
    """The network of Fig. 1, which knows no noise level."""

    features: int = 32
    """Features at full resolution. The authors' configuration: 32."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for images (C, H, W)."""
        return ScoreResNet(image_shape[0], self.features)


@dataclass(frozen=True)
class MLPSettings(NetworkSettings):
    """The network of the toy experiments."""

    hidden: tuple[int, ...] = (128, 128)
    """Hidden widths. Paper, appendix: a 3-layer MLP of width 128."""

    def build(self, sigmas: Tensor, image_shape: tuple[int, ...]) -> nn.Module:
        """A fresh network for points (D,)."""
        return MLP(image_shape[0], self.hidden)


@dataclass(frozen=True)
class NCSNLossSettings(LossSettings):
    """The NCSN loss over all noise levels, weighted by sigma^2. Paper, Eq. (6)."""

    def objective(self, sigmas: Tensor) -> Objective:
        """What training minimises."""
        return NCSNObjective(sigmas)


@dataclass(frozen=True)
class DenoisingLossSettings(LossSettings):
    """Denoising at log-normal noise levels, each weighted so that all predictions of the network count alike.

    The numbers are those of Karras et al. (2022), Table 1, for images in [-1, 1].
    """

    log_mean: float = -1.2
    """Mean of log sigma, sigma in units of the images (P_mean)."""
    log_std: float = 1.2
    """Standard deviation of log sigma (P_std)."""
    form: str = "edm"
    """What the network predicts, as in its own settings; the weight follows from it."""
    data_std: float = 0.5
    """The data's standard deviation, as in the network's settings."""
    label_dropout: float | None = None
    """How often a network that learns classes is not told them; None: it learns none."""

    def __post_init__(self):
        """Refuse settings that cannot train."""
        check_positive("log_std", self.log_std)
        prediction_weight(self.form, torch.ones(1), self.data_std)
        if self.label_dropout is not None:
            check_probability("label_dropout", self.label_dropout)

    def objective(self, sigmas: Tensor) -> Objective:
        """What training minimises; it has no use for the ladder."""
        objective = DenoisingObjective(
            lambda x, generator: log_normal_sigmas(x, self.log_mean, self.log_std, generator),
            lambda sigma: prediction_weight(self.form, sigma, self.data_std),
        )
        return objective if self.label_dropout is None else ConditionalObjective(objective, self.label_dropout)


@dataclass(frozen=True)
class SlicedLossSettings(LossSettings):
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
class Recipe(Record):
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
    loss: LossSettings = field(default_factory=NCSNLossSettings)
    """What is minimised."""
    network: NetworkSettings = field(default_factory=UNetSettings)
    """The network."""
    sampling: SamplerSettings | None = field(default_factory=SamplingSettings)
    """How it is sampled; None: it is trained for its loss or its score alone."""

    @property
    def sampler(self) -> SamplerSettings:
        """How it is sampled; raises `ValueError` if it is not."""
        if self.sampling is None:
            raise ValueError(f"the recipe {self.name} is trained for {self.reproduces}; it has no sampler")
        return self.sampling

    @property
    def classes(self) -> range | None:
        """The classes that its network can be told, on all of which it is judged, or None where it knows none."""
        known = getattr(self.network, "num_classes", None)
        return None if known is None else range(known)

    def calls_per_sample(self) -> int:
        """How often its sampler calls the network."""
        return self.sampler.num_calls(self.noise.num_levels)

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


@functools.cache  # counting takes a second, and recipes share networks
def _size(settings: Any, noise: NoiseSettings, image_shape: tuple[int, ...]) -> tuple[int, int]:
    sigmas = noise.sigmas()
    with torch.device("meta"):
        network = settings.build(sigmas, image_shape).to("meta")
        x, sigma = torch.empty(1, *image_shape), torch.empty(1)
    return sum(p.numel() for p in network.parameters()), count_flops(lambda: network(x, sigma))
