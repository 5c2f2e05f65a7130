"""What the labs with a trained network share: a front end asks, and Python answers with network and data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn_lib.data import unit_images
from ncsn_lib.distributions import dataset_mixture
from ncsn_lib.labs.base import Count, Numbers, SaidLab, tensor_of
from ncsn_lib.runs import Run

BYTES_PER_SECOND = 800_000
"""What answers may have: Jupyter's server drops messages beyond 1,000,000, `ServerApp.iopub_data_rate_limit`."""
MOST_NAMED = 5
"""Training images that an answer about the exact denoiser names."""

Answer = tuple[dict[str, Any], list[Tensor]]
Images = Tensor | np.ndarray[Any, Any]


class NetworkLab(SaidLab):
    """A lab whose front end asks for scores; here a trained network gives them.

    On a page of the book a worker answers the same questions, with `mnist_small_wide` as an ONNX file.
    """

    image_shape = Numbers(Count(min=1), minlen=3, maxlen=3).tag(sync=True)
    """C, H, W of the images; C is 1 or 3."""

    def __init__(self, run: Run, images: Images | None = None, **values: Any):
        """Answer with a trained network, and with images (N, C, H, W) for the exact denoiser."""
        images, shape = None if images is None else torch.as_tensor(images), list(run.recipe.image_shape)
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise ValueError(f"the lab is for images of one or three channels, got a network for {shape}")
        if images is not None and list(images.shape[1:]) != shape:
            raise ValueError(f"images must be (N, {', '.join(map(str, shape))}), got {tuple(images.shape)}")
        self.run, self.images = run, images
        super().__init__(image_shape=shape, **values)
        self.on_msg(self._hear)

    def _hear(self, widget: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        """Answer a question, or say why not."""
        answers: dict[str, Callable[[dict[str, Any], list[Tensor]], Answer]]
        answers = {"sizes": self._sizes, "prepare": self._prepare, "images": self._images}
        answers |= {"score": self._score, "exact": self._exact}
        arrays = [tensor_of(buffer, torch.float32) for buffer in buffers]
        try:
            told, tensors = answers[content["ask"]](content, arrays)
        except (ValueError, RuntimeError) as error:
            told, tensors = {"error": str(error)}, []
        views = [tensor.float().contiguous().numpy().data.cast("B") for tensor in tensors]
        self.send({"id": content["id"], **told}, buffers=views)

    def _sizes(self, content: dict[str, Any], arrays: list[Tensor]) -> Answer:
        """Nothing has to be loaded."""
        return {"network": 0, "digits": []}, []

    def _prepare(self, content: dict[str, Any], arrays: list[Tensor]) -> Answer:
        return {"backend": "PyTorch", "bytes_per_second": BYTES_PER_SECOND}, []

    @torch.no_grad()
    def _score(self, content: dict[str, Any], arrays: list[Tensor]) -> Answer:
        """The score (B, C, H, W) of images and their (B,) levels."""
        x, sigma = arrays
        device = next(self.run.network.parameters()).device
        return {}, [self.run.network(x.view(content["shape"]).to(device), sigma.to(device)).cpu()]

    def _images(self, content: dict[str, Any], arrays: list[Tensor]) -> Answer:
        """Nothing has to be loaded, but are there so many images?"""
        self._known(content["num"])
        return {}, []

    def _known(self, num: int) -> Tensor:
        """The first `num` images, (num, C, H, W) in [0, 1]."""
        if self.images is None:
            raise ValueError("the exact denoiser needs the training images: hand them to the lab, as `images`")
        if num > len(self.images):
            raise ValueError(f"the lab has {len(self.images)} images, got num = {num}: hand it more, or ask for fewer")
        return unit_images(self.images[:num])

    def _exact(self, content: dict[str, Any], arrays: list[Tensor]) -> Answer:
        """The exact denoiser of the first `num` images for a noisy one, and of which images it is made."""
        images = self._known(content["num"])
        x, sigma = arrays[0].view(1, *self.image_shape), content["sigma"]
        distances = (images - x).flatten(1).square().sum(1).double()
        weights = (-distances / (2 * sigma**2)).softmax(0)
        best = weights.topk(min(MOST_NAMED, len(images))).indices
        told = {
            "effective": torch.special.entr(weights).sum().exp().item(),
            "best": best.tolist(),
            "weights": weights[best].tolist(),
        }
        return told, [dataset_mixture(images).denoise(x, sigma), *images[best]]
