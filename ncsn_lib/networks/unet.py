"""A small conditional U-Net: the network that trains on a CPU in a minute or a few."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncsn_lib.checks import check_count, check_image_batch
from ncsn_lib.protocol import NO_CLASS, check_classes, per_example


class RawUNet(nn.Module):
    """A U-Net as it is: F(x, c_noise, classes) of inputs about unit variance; what it predicts its wrapper says.

    Its last layer starts at zero, and so does its output.

    Args:
        channels: C, the image's channels.
        widths: feature channels at each resolution; each further one halves height and width.
        num_blocks: residual blocks at each resolution, on the way down and on the way up.
        patch: pixels folded into channels before the first convolution (and unfolded after the last): 2 makes
            the network see 28x28 as 14x14.
        num_classes: K, the number of classes that it can be told; None: it knows none.

    Raises:
        ValueError: widths that GroupNorm's groups of 8 channels do not divide.
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...] = (32, 64),
        *,
        num_blocks: int = 2,
        patch: int = 1,
        num_classes: int | None = None,
    ):
        super().__init__()
        check_count("channels", channels)
        check_count("num_blocks", num_blocks)
        check_count("patch", patch)
        if not widths or any(width % 8 for width in widths):
            raise ValueError(f"widths must be one or more multiples of 8, got {tuple(widths)}")
        self.channels, self.patch, self.factor = channels, patch, patch * 2 ** (len(widths) - 1)
        features = 4 * widths[0]
        self.embedding = NoiseEmbedding(features, num_classes)
        self.first = nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)

        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for i, out in enumerate(widths):
            if i:
                self.downsample.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
            for _ in range(num_blocks):
                self.down.append(ResidualBlock(width, out, features))
                width = out
                skips.append(width)

        self.middle = nn.ModuleList(
            [ResidualBlock(width, width, features), Attention(width), ResidualBlock(width, width, features)]
        )

        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for i, out in reversed(list(enumerate(widths))):
            for _ in range(num_blocks + 1):
                self.up.append(ResidualBlock(width + skips.pop(), out, features))
                width = out
            if i:
                self.upsample.append(nn.Conv2d(width, width, 3, padding=1))
        self.num_blocks = num_blocks
        self.norm = nn.GroupNorm(8, width)
        self.last = zero_init(nn.Conv2d(width, channels * patch**2, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Its output for inputs of about unit variance.

        Args:
            x: (B, C, H, W) inputs, H and W multiples of `patch * 2 ** (len(widths) - 1)`.
            c_noise: (B,) the noise level, as a logarithm of it.
            classes: (B,) the class of each, 0 to K - 1, or NO_CLASS; None: all without.

        Returns:
            (B, C, H, W).

        Raises:
            TypeError: classes that are no integers.
            ValueError: another number of channels, a size that does not divide, or classes that it does not know.
        """
        check_image_batch(x, self.channels, multiple=self.factor)
        emb = self.embedding(c_noise, classes)
        h = self.first(F.pixel_unshuffle(x, self.patch))  # (B, widths[0], H / patch, W / patch)

        skips = [h]
        for i, block in enumerate(self.down):
            if i and i % self.num_blocks == 0:
                h = self.downsample[i // self.num_blocks - 1](h)
                skips.append(h)
            h = block(h, emb)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, emb)
        for i, block in enumerate(self.up):
            if i and i % (self.num_blocks + 1) == 0:
                h = self.upsample[i // (self.num_blocks + 1) - 1](F.interpolate(h, scale_factor=2.0))
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        h = self.last(F.silu(self.norm(h)))
        return F.pixel_shuffle(h, self.patch)  # (B, C, H, W)


class UNet(RawUNet):
    """Score network for small images: a U-Net over noise levels, any sigma > 0.

    The input is scaled to about unit variance, by 1 / sqrt(sigma^2 + data_std^2); the output is divided by
    sigma, because a score grows like 1 / sigma as sigma shrinks (Song & Ermon 2020, Technique 3). Its last
    layer starts at zero, so an untrained network is the zero score, whose NCSN loss is D / 2.

    Args:
        channels: C, the image's channels.
        widths: feature channels at each resolution; each further one halves height and width.
        num_blocks: residual blocks at each resolution, on the way down and on the way up.
        patch: pixels folded into channels before the first convolution (and unfolded after the last): 2 makes
            the network see 28x28 as 14x14.
        num_classes: K, the number of classes that it can be told; None: it knows none.
        data_mean: subtracted from `x`, in units of `x`.
        data_std: the spread of the data, in units of `x`.

    Raises:
        ValueError: widths that GroupNorm's groups of 8 channels do not divide.
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...] = (32, 64),
        *,
        num_blocks: int = 2,
        patch: int = 1,
        num_classes: int | None = None,
        data_mean: float = 0.5,
        data_std: float = 0.5,
    ):
        super().__init__(channels, widths, num_blocks=num_blocks, patch=patch, num_classes=num_classes)
        self.data_mean, self.data_std = data_mean, data_std

    def forward(self, x: Tensor, sigma: Tensor, classes: Tensor | None = None) -> Tensor:
        """The score of the data perturbed at `sigma`.

        Args:
            x: (B, C, H, W) images, H and W multiples of `patch * 2 ** (len(widths) - 1)`.
            sigma: (B,) noise levels, in the units of `x`.
            classes: (B,) the class of each, 0 to K - 1, or NO_CLASS; None: NO_CLASS for all.

        Returns:
            (B, C, H, W) scores, in inverse units of `x`.

        Raises:
            TypeError: `classes` are no integers.
            ValueError: another number of channels, a size that does not divide, or classes that it does not know.
        """
        sigma_map = per_example(sigma, x)
        h = (x - self.data_mean) / (sigma_map**2 + self.data_std**2).sqrt()
        return super().forward(h, sigma.log(), classes) / sigma_map


class NoiseEmbedding(nn.Module):
    """Features of the noise level, and of the class where there are some.

    Sines and cosines of the level's logarithm, to which a vector for each class is added, then a small MLP.

    Args:
        features: the length of the embedding, even.
        num_classes: K; None: it knows none.
    """

    frequencies: Tensor

    def __init__(self, features: int, num_classes: int | None = None):
        super().__init__()
        # Periods from 2 pi / 16 to 2 pi * 4 in log sigma: the finest tells neighbouring levels apart, the
        # coarsest spans the ladder.
        self.register_buffer("frequencies", torch.logspace(-2, 4, features // 2, base=2.0), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features))
        self.num_classes = None if num_classes is None else check_count("num_classes", num_classes)
        if self.num_classes is not None:
            self.classes = nn.Embedding(1 + self.num_classes, features)  # its first row is NO_CLASS

    def forward(self, c_noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B,) logarithms of noise levels and (B,) classes -> (B, features)."""
        angles = c_noise[:, None] * self.frequencies  # (B, features / 2)
        h = torch.cat([angles.sin(), angles.cos()], dim=1)
        if self.num_classes is not None:
            if classes is None:
                classes = torch.full_like(c_noise, NO_CLASS, dtype=torch.long)
            h = h + self.classes(check_classes(classes, self.num_classes, h) - NO_CLASS)
        elif classes is not None:
            raise ValueError("classes were given to a network that knows none; build it with num_classes")
        return F.silu(self.mlp(h))


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice; the level's embedding scales and shifts between the two."""

    def __init__(self, in_channels: int, out_channels: int, features: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.condition = nn.Linear(features, 2 * out_channels)
        self.norm2 = nn.GroupNorm(8, out_channels)
        self.conv2 = zero_init(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, in_channels, H, W) and (B, features) -> (B, out_channels, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.condition(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.shortcut(x) + h


class Attention(nn.Module):
    """Self-attention between the pixels of the coarsest resolution, one head."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape; the embedding is not used."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)  # (B, H * W, channels)
        h = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]), dim=2) @ v
        return x + self.out(h.transpose(1, 2).reshape(x.shape))


def zero_init(layer: nn.Module) -> nn.Module:
    """Set a layer's weight and bias to zero, so that its branch starts as nothing."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer
