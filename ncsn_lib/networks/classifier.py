"""A small classifier of images: the judge of samples where no published network is at hand."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ncsn_lib.checks import check_count, check_image_batch


class Classifier(nn.Module):
    """Convolutional classifier for images of about 28x28 or 32x32 pixels.

    Four 3x3 convolutions with batch norm and ReLU, the first two followed by 2x2 max pooling; the mean over the
    pixels of the last one's channels are the features, and the logits are affine in them.

    Args:
        channels: C, the image's channels.
        num_classes: K, the number of classes.

    Raises:
        TypeError: `channels` or `num_classes` is no int.
        ValueError: `channels` below 1 or `num_classes` below 2.
    """

    num_features = 128
    """F, the length of the features."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.channels = check_count("channels", channels)
        self.num_classes = check_count("num_classes", num_classes, minimum=2)
        widths = (channels, 32, 64, 64, self.num_features)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False)  # batch norm has a bias of its own
            for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.head = nn.Linear(self.num_features, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """What the classes are told apart by.

        Args:
            x: (B, C, H, W) images in [0, 1], H and W at least 4.

        Returns:
            (B, F) features, at least 0.

        Raises:
            TypeError: `x` is no floating-point tensor.
            ValueError: another number of channels, or smaller images.
        """
        check_image_batch(x, self.channels, minimum=4)
        h = 2.0 * x - 1.0
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = F.relu(norm(conv(h)))
            if i < 2:
                h = F.max_pool2d(h, 2)
        return h.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) images in [0, 1] -> (B, K) logits; their softmax are the classes' probabilities."""
        return self.head(self.features(x))
