"""The network of Fig. 1: a residual encoder and decoder that knows no noise level."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from ncsn_lib.checks import check_count, check_image_batch
from ncsn_lib.protocol import per_example


class ScoreResNet(nn.Module):
    """Score network of Song & Ermon (2019), Fig. 1: residual blocks down to a quarter and up again.

    GroupNorm(8) and ELU; 1,379,651 parameters at three channels and 32 features. As in the authors' code;
    the paper does not describe it.
    It is smooth in `x`, as sliced score matching wants it, and ignores `sigma`: it is trained on one density.

    Args:
        channels: C, the image's channels.
        features: channels at full resolution; twice and four times as many at a half and a quarter of it. A multiple
            of 8.

    Raises:
        ValueError: features that GroupNorm's groups of 8 channels do not divide.
    """

    def __init__(self, channels: int = 3, features: int = 32):
        super().__init__()
        check_count("channels", channels)
        if features < 8 or features % 8:
            raise ValueError(f"features must be a multiple of 8, got {features!r}")
        self.channels = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, features, 3, padding=1),
            ResidualUnit(features, features),
            ResidualUnit(features, 2 * features, resize="down"),
            ResidualUnit(2 * features, 2 * features),
            ResidualUnit(2 * features, 4 * features, resize="down"),
            ResidualUnit(4 * features, 4 * features),
        )
        self.decoder = nn.Sequential(
            ResidualUnit(4 * features, 4 * features),
            ResidualUnit(4 * features, 2 * features, resize="up"),
            ResidualUnit(2 * features, 2 * features),
            ResidualUnit(2 * features, features, resize="up"),
            ResidualUnit(features, features),
            nn.Conv2d(features, channels, 3, padding=1),
        )

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The score of the density that it was trained on.

        Args:
            x: (B, C, H, W) images in [0, 1], H and W multiples of 4.
            sigma: (B,) noise levels, not used.

        Returns:
            (B, C, H, W) scores, in inverse units of `x`.

        Raises:
            ValueError: another number of channels, or a size that does not divide.
        """
        per_example(sigma, x)
        check_image_batch(x, self.channels, multiple=4)
        return self.decoder(self.encoder(2 * x - 1)).to(x.dtype)  # autocast rounds to 16 bits


class ResidualUnit(nn.Module):
    """Convolution, norm, ELU, convolution, norm, beside a shortcut; ELU of the sum.

    Going down, the first convolution and the shortcut have stride 2; going up, the last one and the shortcut are
    transposed with stride 2.
    """

    def __init__(self, in_channels: int, out_channels: int, *, resize: str = ""):
        super().__init__()
        down = partial(nn.Conv2d, kernel_size=3, stride=2 if resize == "down" else 1, padding=1)
        first = down(in_channels, out_channels)
        second: nn.Module = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Module = down(in_channels, out_channels) if resize else nn.Identity()
        if resize == "up":
            up = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)
            second = up(out_channels, out_channels)
            self.shortcut = up(in_channels, out_channels)
        self.main = nn.Sequential(first, nn.GroupNorm(8, out_channels), nn.ELU(), second, nn.GroupNorm(8, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H', W')."""
        return F.elu(self.main(x) + self.shortcut(x))
