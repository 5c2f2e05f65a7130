"""Inception score, FID and KID, by torch-fidelity, whose Inception network gives the original's numbers."""

import hashlib
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ncsn_lib.checks import check_count
from ncsn_lib.data import Download, downloads, unit_images
from ncsn_lib.extras import need

WEIGHTS = Download(
    "weights-inception-2015-12-05-6726825d.pth",
    "91 MB",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "checkpoints",
)
WEIGHTS_SHA256 = "6726825d"  # as in torch.hub, the file's name ends in the first digits of its SHA-256
FEATURES, LOGITS = "2048", "logits_unbiased"


class InceptionFigures(NamedTuple):
    """Inception's figures of a set of images, and what has to be known to compare them with others."""

    inception_score: float
    """IS, the mean over ten parts of the images (Salimans et al. 2016)."""
    inception_score_std: float
    """Its standard deviation over the ten parts."""
    fid: float
    """Frechet Inception distance from the references (Heusel et al. 2017)."""
    kid: float
    """Kernel Inception distance, a mean over 100 subsets (Binkowski et al. 2018); below 0 at times, being unbiased."""
    kid_std: float
    """Its standard deviation over the subsets."""
    kid_subset_size: int
    """Images in a subset: 1,000, or all of the smaller set."""
    num_images: int
    """How many images were judged: the FID falls as they grow in number; the literature's has 50,000."""
    num_references: int
    """With how many real images they were compared."""
    references: str
    """Which real images these were: data set and split."""
    denoised: bool | None
    """Whether the samples ended with a denoising step; None where that is not known, or the images are no samples."""


def inception_figures(
    images: Tensor,
    references: Tensor,
    extractor: nn.Module,
    *,
    reference_name: str,
    denoised: bool | None,
    batch_size: int = 100,
) -> InceptionFigures:
    """Inception score, FID and KID of images, with what has to be said beside them.

    Args:
        images: (N, C, H, W) in [0, 1] or uint8, C 1 or 3, N at least 2; values beyond are clamped.
        references: (M, C, H, W) real images, M at least 2.
        extractor: `load_inception()`, on the device where to compute.
        reference_name: the references' data set and split, for the record.
        denoised: whether the images ended with a denoising step, for the record; None where it is not known.
        batch_size: images looked at together; bounds the memory.

    Returns:
        The figures.

    Raises:
        ImportError: torch-fidelity is not installed.
        ValueError: fewer than two images, or images of other than one or three channels.
    """
    fidelity = _torch_fidelity()
    if min(len(images), len(references)) < 2:
        raise ValueError(f"images and references must be two or more, got {len(images)} and {len(references)}")
    features, logits = inception_features(images, extractor, batch_size=batch_size)
    real, _ = inception_features(references, extractor, batch_size=batch_size)
    score = fidelity.metric_isc.isc_features_to_metric(logits, splits=min(10, len(images)))
    statistics = [fidelity.metric_fid.fid_features_to_statistics(part.double()) for part in (features, real)]
    distance = fidelity.metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    size = min(1000, len(images), len(references))
    kernel = fidelity.metric_kid.kid_features_to_metric(
        features.double(), real.double(), kid_subset_size=size, kid_subsets=100, verbose=False
    )
    return InceptionFigures(
        inception_score=score["inception_score_mean"],
        inception_score_std=score["inception_score_std"],
        fid=distance["frechet_inception_distance"],
        kid=float(kernel["kernel_inception_distance_mean"]),
        kid_std=float(kernel["kernel_inception_distance_std"]),
        kid_subset_size=size,
        num_images=len(images),
        num_references=len(references),
        references=reference_name,
        denoised=denoised,
    )


@torch.no_grad()
def inception_features(images: Tensor, extractor: nn.Module, *, batch_size: int = 100) -> tuple[Tensor, Tensor]:
    """Inception's pooled features and its logits without bias; the network resizes the images itself.

    Args:
        images: (N, C, H, W) in [0, 1] or uint8, C 1 or 3; the former are clamped and rounded to 256 values.
        extractor: `load_inception()`.
        batch_size: images looked at together.

    Returns:
        (N, 2048) features and (N, 1008) logits, on the CPU.

    Raises:
        ValueError: images of other than one or three channels.
    """
    check_count("batch_size", batch_size)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (N, 1, H, W) or (N, 3, H, W), got {tuple(images.shape)}")
    device = next(extractor.parameters()).device
    parts = []
    for part in images.split(batch_size):
        pixels = (unit_images(part).clamp(0, 1) * 255).round().to(device, torch.uint8)
        values = extractor(pixels.expand(-1, 3, -1, -1))
        parts.append([value.cpu() for value in values])
    features, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    return features, logits


def load_inception(
    weights: Path | None = None, *, sha256: str = WEIGHTS_SHA256, device: str | torch.device = "cpu"
) -> nn.Module:
    """torch-fidelity's Inception network, its weights converted from the original TensorFlow ones.

    Args:
        weights: the file of the weights. By default torch.hub's cache, into which they are downloaded (91 MB).
        sha256: what the file's SHA-256 must begin with.
        device: where to put the network.

    Returns:
        The network, in eval mode: (B, 3, H, W) uint8 -> (B, 2048) features, (B, 1008) logits without bias.

    Raises:
        ImportError: torch-fidelity is not installed; the message says how.
        FileNotFoundError: the weights are not there and cannot be downloaded; the message says where to put them.
        OSError: the file is damaged, or another one.
    """
    fidelity = _torch_fidelity()
    path = Path(weights) if weights is not None else _cached_weights()
    if not path.is_file():
        raise FileNotFoundError(
            f"Inception's weights are not at {path}; get them from {WEIGHTS.address} ({WEIGHTS.size})"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(sha256.lower()):
        raise OSError(
            f"{path} is not Inception's weights, or damaged: its SHA-256 is {found}, not {sha256}...; delete it"
        )
    try:
        torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity would run code that the file holds
    except pickle.UnpicklingError as error:
        raise OSError(f"{path} holds more than tensors; nothing in it was run") from error
    network = fidelity.feature_extractor_inceptionv3.FeatureExtractorInceptionV3(
        "inception-v3-compat", [FEATURES, LOGITS], feature_extractor_weights_path=str(path)
    )
    return network.to(device).eval()


def _cached_weights() -> Path:
    """The weights in torch.hub's cache, downloaded if they are not there."""
    path = Path(torch.hub.get_dir()) / WEIGHTS.folder / WEIGHTS.files
    if not path.exists():
        with downloads("Inception's network", WEIGHTS, Path(torch.hub.get_dir())):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(WEIGHTS.address, str(path), hash_prefix=WEIGHTS_SHA256, progress=False)
    return path


def _torch_fidelity() -> Any:
    """The package torch-fidelity."""
    for part in ("feature_extractor_inceptionv3", "metric_fid", "metric_isc", "metric_kid"):
        need(f"torch_fidelity.{part}", "metrics", "IS, FID and KID")
    return need("torch_fidelity", "metrics", "IS, FID and KID")
