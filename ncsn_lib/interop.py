"""Published models of the `diffusers` package as score functions, for every sampler and judge of this library.

The other way there is nothing. Our networks scale x by 1 / sqrt(sigma^2 + s^2) and fold its pixels into channels before
they look at it, which no `UNet2DModel` can be told to do: its pipelines would sample such a file without an error, and
wrongly.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from ncsn_lib.extras import need
from ncsn_lib.forms import in_units, vp_score_fn, vp_sigma
from ncsn_lib.protocol import ScoreFn
from ncsn_lib.schedules import geometric_sigmas

FORMS: Mapping[str, Any] = {"epsilon": "noise", "sample": "denoised", "v_prediction": "v"}
"""What diffusers calls a prediction, and what this library does."""


class DiffusersModel(NamedTuple):
    """A model of images, as `from_diffusers` finds it."""

    score_fn: ScoreFn
    """The score of pixels in [0, 1]."""
    sigmas: Tensor
    """(T,) the noise levels that it was trained on, decreasing, for pixels in [0, 1]; between them it is asked, too."""
    shape: tuple[int, int, int]
    """(C, H, W) of its images."""
    unet: nn.Module
    """The network, to be moved to a device."""


def from_diffusers(unet: Any, scheduler: Any, **conditions: Any) -> DiffusersModel:
    """A `UNet2DModel` and its scheduler as a score function.

    DDPM's models predict noise, data or v of variance-preserving pixels in [-1, 1] (Ho et al. 2020). Those of Song et
    al. (2021) give the score itself, of pixels in [0, 1] with noise up to `sigma_max`. Both are brought to pixels in
    [0, 1] here.

    Args:
        unet: the network.
        scheduler: the one that the model was trained with: a `ScoreSdeVeScheduler`, or any that has alphas_cumprod and
            prediction_type, such as `DDPMScheduler`. It is not asked to step.
        conditions: handed to each call of the network, `class_labels` say, (B,).

    Returns:
        The score function, its levels and the images' shape.

    Raises:
        TypeError: another scheduler.
        ValueError: a prediction_type that diffusers has and this library does not.
    """
    config, own = scheduler.config, unet.config
    size = (own.sample_size, own.sample_size) if isinstance(own.sample_size, int) else tuple(own.sample_size)
    shape = (own.in_channels, *size)

    def predict(x: Tensor, time: Tensor) -> Tensor:
        return unet(x, time, **conditions).sample[:, : x.shape[1]]  # further channels hold a variance

    if type(scheduler).__name__ == "ScoreSdeVeScheduler":
        sigmas = geometric_sigmas(config.sigma_max, config.sigma_min, config.num_train_timesteps)
        return DiffusersModel(predict, sigmas, shape, unet)
    if not hasattr(scheduler, "alphas_cumprod"):
        raise TypeError(
            f"scheduler must be a ScoreSdeVeScheduler or have alphas_cumprod, got {type(scheduler).__name__}; "
            "take the one that the model was trained with"
        )
    if config.prediction_type not in FORMS:
        raise ValueError(f"prediction_type must be one of {', '.join(FORMS)}, got {config.prediction_type!r}")
    score_fn = vp_score_fn(predict, scheduler.alphas_cumprod, form=FORMS[config.prediction_type])
    return DiffusersModel(in_units(score_fn, 2.0, -1.0), vp_sigma(scheduler.alphas_cumprod).flip(0) / 2, shape, unet)


def load_diffusers(name: str | Path, **options: Any) -> DiffusersModel:
    """A published model as a score function: `load_diffusers("google/ddpm-cifar10-32")`.

    Args:
        name: of a pipeline on the Hugging Face Hub, with a UNet2DModel for images, or a folder with one.
        options: for `DiffusionPipeline.from_pretrained`, `revision` say.

    Returns:
        What `from_diffusers` makes of its network and scheduler.

    Raises:
        MissingPackageError: diffusers is not installed.
        OSError, ValueError: there is no such pipeline.
    """
    options = {"low_cpu_mem_usage": False, **options}  # which otherwise asks for one package more
    loader = need("diffusers", "diffusers", "a published model").DiffusionPipeline
    pipeline = loader.from_pretrained(str(name), **options)
    return from_diffusers(pipeline.unet.eval(), pipeline.scheduler)
