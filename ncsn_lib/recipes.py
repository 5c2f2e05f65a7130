"""Every experiment's constants, beside the sentence that gives them. One recipe, one experiment."""

import dataclasses

import torch

from ncsn_lib.data import DATASETS, LabelledImages, check_split
from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.settings import (
    ConsistentSamplingSettings,
    DenoisingLossSettings,
    HeunSettings,
    MLPSettings,
    NCSNSettings,
    NCSNv2Settings,
    NoiseSettings,
    PreconditionedUNetSettings,
    Recipe,
    SamplingSettings,
    ScoreResNetSettings,
    SlicedLossSettings,
    UNetSettings,
)
from ncsn_lib.training import TrainingSettings

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
MNIST_BASELINE = dataclasses.replace(
    MNIST,
    name="mnist_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (MNIST)",
    noise=ONE_LEVEL,
    sampling=ONE_LEVEL_SAMPLING,
)
CIFAR10_BASELINE = dataclasses.replace(
    CIFAR10,
    name="cifar10_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (CIFAR-10)",
    noise=ONE_LEVEL,
    sampling=ONE_LEVEL_SAMPLING,
)
CELEBA_BASELINE = dataclasses.replace(
    CELEBA,
    name="celeba_baseline",
    summary="the same with the noise level 0.01 alone: for a GPU",
    reproduces="the baseline that fails (CelebA)",
    noise=ONE_LEVEL,
    sampling=ONE_LEVEL_SAMPLING,
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
# Karras et al. (2022): preconditioning, loss weight and log-normal levels. Their data are of spread 0.5, in [-1, 1].
MNIST_EDM = dataclasses.replace(
    MNIST_SMALL_WIDE,
    name="mnist_edm",
    summary="MNIST with a small preconditioned U-Net that learns the classes: an hour on one core of a CPU",
    reproduces="what came after the paper (MNIST)",
    training=dataclasses.replace(SMALL_TRAINING, num_steps=30_000),
    # MNIST's mean and standard deviation.
    network=PreconditionedUNetSettings(widths=(32, 64), patch=2, num_classes=10, data_mean=0.131, data_std=0.308),
    # Their P_mean of -1.2 would be -1.2 + log(0.308 / 0.5) = -1.7. Ours is larger, and P_std with it: by the exact
    # posterior of 6,000 digits, it is between sigma = 6 and 0.5 that the class is decided.
    loss=DenoisingLossSettings(log_mean=-0.8, log_std=1.4, data_std=0.308, label_dropout=0.1),
    # Ours: theirs begins at 40, where training seldom looked, and ends far below one grey value.
    sampling=HeunSettings(num_levels=18, sigma_max=20.0, sigma_min=0.02, data_mean=0.131),
)
CIFAR10_EDM = dataclasses.replace(
    CIFAR10_SMALL,
    name="cifar10_edm",
    summary="CIFAR-10 with a small preconditioned U-Net that learns the classes: eight hours on one core of a CPU",
    reproduces="what came after the paper (CIFAR-10)",
    # A constant rate, as theirs: the average of the weights is good wherever the run is cut.
    training=dataclasses.replace(
        CIFAR10_SMALL.training,
        num_steps=60_000,
        learning_rate=5e-4,
        warmup_steps=1000,
        cosine_decay=False,
        ema_decay=0.9995,
    ),
    # CIFAR-10's mean and standard deviation.
    network=PreconditionedUNetSettings(widths=(64, 128, 128), patch=2, num_classes=10, data_mean=0.467, data_std=0.251),
    # Their P_mean for images in [0, 1], which spread half as wide: -1.2 + log(0.251 / 0.5).
    loss=DenoisingLossSettings(log_mean=-1.89, log_std=1.2, data_std=0.251, label_dropout=0.1),
    # Ours: the end, above theirs of 0.001, which the eye cannot tell from it.
    sampling=HeunSettings(sigma_min=0.005, data_mean=0.467, inpainting=CIFAR10_SMALL.sampler.inpainting),
)

RECIPES = {
    recipe.name: recipe
    for recipe in [
        DIGITS,
        TOY,
        MNIST_SMALL,
        MNIST_SMALL_WIDE,
        MNIST_EDM,
        MNIST,
        MNIST_BASELINE,
        CIFAR10_SMALL,
        CIFAR10_EDM,
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
