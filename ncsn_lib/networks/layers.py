"""The blocks of the dilated RefineNet (Song & Ermon 2019, App. A), which NCSN and NCSNv2 share.

The attributes carry the names of the authors' modules, in their order, so that their checkpoints load as they
are. What the two networks differ in, they hand in: `make_norm(num_features)` builds a normalisation, which is
called as `norm(x, labels)`, and `pool` is the pooling of the chained residual pooling.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncsn_lib.checks import check_count, check_device, check_image_batch

MakeNorm = Callable[[int], nn.Module]
Pool = Callable[..., Tensor]


def instance_norm_plus_plus(x: Tensor, gamma: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Instance norm that keeps the channels' means (Song & Ermon 2019, App. A, CondInstanceNorm++).

    `gamma * (IN(x) + alpha * (mu - m) / sqrt(v + 1e-5)) + beta`, where IN gives each channel of each image
    zero mean and unit variance, mu are the means that it takes away, and m and v are the mean and the unbiased
    variance of mu over the image's channels. So does the authors' code; the paper's formula has the middle
    term without gamma.

    Args:
        x: (B, C, H, W) features, C at least 2.
        gamma: (B, C) or (C,) scales.
        alpha: (B, C) or (C,) weights of the means.
        beta: (B, C) or (C,) shifts.

    Returns:
        (B, C, H, W) in the dtype of `x`.
    """
    # The means can agree to many digits, so 16 bits would leave nothing of their differences.
    mu = x.mean((2, 3), dtype=torch.promote_types(x.dtype, torch.float32))  # (B, C)
    v, m = torch.var_mean(mu, 1, keepdim=True)
    shift = gamma * alpha * (mu - m) / torch.sqrt(v + 1e-5) + beta
    normalised = F.group_norm(x, x.shape[1])  # one channel a group is instance norm, and faster
    # Two of the formula's terms are constant over an image: one pass over the pixels does for all three.
    scale, shift = (a[..., None, None].to(x.dtype) for a in (gamma, shift))
    return torch.addcmul(shift, normalised.to(x.dtype), scale)


class CondInstanceNormPlusPlus(nn.Module):
    """Conditional instance norm ++: gamma, alpha, beta are looked up by level (Song & Ermon 2019, App. A).

    Args:
        num_features: the number of channels C.
        num_levels: the number of noise levels L.
    """

    def __init__(self, num_features: int, num_levels: int):
        super().__init__()
        self.embed = nn.Embedding(num_levels, 3 * num_features)
        gamma, alpha, beta = self.embed.weight.detach().chunk(3, dim=1)
        nn.init.normal_(gamma, 1.0, 0.02)
        nn.init.normal_(alpha, 1.0, 0.02)
        nn.init.zeros_(beta)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise (B, C, H, W) features of images at the levels `labels` (B,)."""
        gamma, alpha, beta = self.embed(labels).chunk(3, dim=1)
        return instance_norm_plus_plus(x, gamma, alpha, beta)


class InstanceNormPlusPlus(nn.Module):
    """Unconditional instance norm ++: one gamma, alpha, beta for all levels (Song & Ermon 2020).

    Args:
        num_features: the number of channels C.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(num_features).normal_(1.0, 0.02))
        self.gamma = nn.Parameter(torch.empty(num_features).normal_(1.0, 0.02))
        self.beta = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Normalise (B, C, H, W) features; the labels play no part."""
        return instance_norm_plus_plus(x, self.gamma, self.alpha, self.beta)


class NoNorm(nn.Module):
    """Leaves its input as it is: NCSNv2 has no norms in the refine blocks."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return (B, C, H, W) `x`."""
        return x


def conv3x3(in_channels: int, out_channels: int, *, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the resolution, whatever its dilation."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=bias)


class MeanPooledConv(nn.Module):
    """A convolution, then the mean of each 2x2 square: (B, C, H, W) -> (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and halve the resolution."""
        return F.avg_pool2d(self.conv(x), 2)


class ResidualBlock(nn.Module):
    """Pre-activation residual block: twice norm, ELU, convolution, beside a shortcut.

    With `downsample` it opens a coarser stage: at dilation 1 it halves the resolution, at a larger one it
    widens its view only, and the shortcut is convolved alike. Without, the shortcut is the input itself.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        make_norm: MakeNorm,
        *,
        dilation: int = 1,
        downsample: bool = False,
    ):
        super().__init__()
        self.conv2: nn.Module
        self.shortcut: nn.Module | None
        self.conv1 = conv3x3(in_channels, in_channels, dilation=dilation)
        self.normalize2 = make_norm(in_channels)
        if downsample and dilation == 1:
            self.conv2 = MeanPooledConv(in_channels, out_channels, 3)
            self.shortcut = MeanPooledConv(in_channels, out_channels, 1)
        else:
            self.conv2 = conv3x3(in_channels, out_channels, dilation=dilation)
            self.shortcut = conv3x3(in_channels, out_channels, dilation=dilation) if downsample else None
        self.normalize1 = make_norm(in_channels)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), or half of H and W."""
        h = self.conv1(F.elu(self.normalize1(x, labels)))
        h = self.conv2(F.elu(self.normalize2(h, labels)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class ResidualConvUnits(nn.ModuleDict):
    """A chain of residual conv units: x + two times norm, ELU, bias-free 3x3 convolution."""

    def __init__(self, num_features: int, num_units: int, make_norm: MakeNorm):
        super().__init__()
        self.num_units = num_units
        for unit in range(1, num_units + 1):
            for half in (1, 2):
                self[f"{unit}_{half}_norm"] = make_norm(num_features)
                self[f"{unit}_{half}_conv"] = conv3x3(num_features, num_features, bias=False)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        for unit in range(1, self.num_units + 1):
            h = x
            for half in (1, 2):
                h = F.elu(self[f"{unit}_{half}_norm"](h, labels))
                h = self[f"{unit}_{half}_conv"](h)
            x = x + h
        return x


class MultiResolutionFusion(nn.Module):
    """Multi-resolution fusion: norm and convolve each input, resize all to one size, add them up."""

    def __init__(self, in_channels: Sequence[int], num_features: int, make_norm: MakeNorm):
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels, num_features) for channels in in_channels)
        self.norms = nn.ModuleList(make_norm(channels) for channels in in_channels)

    def forward(self, inputs: Sequence[Tensor], labels: Tensor | None, size: torch.Size) -> Tensor:
        """Inputs (B, C_k, H_k, W_k) -> (B, C, *size)."""
        resized = []
        for x, norm, conv in zip(inputs, self.norms, self.convs, strict=True):
            h = conv(norm(x, labels))
            if h.shape[2:] != size:  # resizing to its own size would be a copy
                h = F.interpolate(h, size=size, mode="bilinear", align_corners=True)
            resized.append(h)
        return sum(resized[1:], resized[0])


class ChainedResidualPooling(nn.Module):
    """Chained residual pooling: each stage pools and convolves the one before; their sum joins ELU(x)."""

    def __init__(self, num_features: int, make_norm: MakeNorm, pool: Pool, num_stages: int = 2):
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(num_features, num_features, bias=False) for _ in range(num_stages))
        self.norms = nn.ModuleList(make_norm(num_features) for _ in range(num_stages))
        self.pool = pool

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = h = F.elu(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = self.pool(norm(h, labels), kernel_size=5, stride=1, padding=2)
            h = conv(h)
            x = x + h
        return x


class RefineBlock(nn.Module):
    """Refine block: residual conv units on each input, fusion, chained residual pooling, output units."""

    def __init__(
        self,
        in_channels: Sequence[int],
        num_features: int,
        make_norm: MakeNorm,
        pool: Pool,
        *,
        num_output_units: int = 1,
    ):
        super().__init__()
        self.adapt_convs = nn.ModuleList(ResidualConvUnits(channels, 2, make_norm) for channels in in_channels)
        self.output_convs = ResidualConvUnits(num_features, num_output_units, make_norm)
        if len(in_channels) > 1:
            self.msf = MultiResolutionFusion(in_channels, num_features, make_norm)
        self.crp = ChainedResidualPooling(num_features, make_norm, pool)

    def forward(self, inputs: Sequence[Tensor], labels: Tensor | None, size: torch.Size) -> Tensor:
        """Inputs (B, C_k, H_k, W_k) -> (B, C, *size)."""
        adapted = [units(x, labels) for units, x in zip(self.adapt_convs, inputs, strict=True)]
        fused = self.msf(adapted, labels, size) if len(adapted) > 1 else adapted[0]
        return self.output_convs(self.crp(fused, labels), labels)


class RefineNet(nn.Module):
    """The dilated RefineNet (Song & Ermon 2019, App. A): four stages down, four refine blocks back.

    Only stage 2 halves the resolution; stages 3 and 4 dilate by 2 and 4 in its place.

    Args:
        channels: the number of the images' channels C.
        ngf: the number of features of the first stage, at least 2; the others have twice as many.
        make_norm: builds the norm of the stages and of the output.
        make_refine_norm: builds the norm of the refine blocks.
        pool: the pooling in the refine blocks.

    Raises:
        TypeError: `channels` or `ngf` is no int.
        ValueError: `channels` below 1 or `ngf` below 2.
    """

    def __init__(
        self,
        channels: int,
        ngf: int,
        *,
        make_norm: MakeNorm,
        make_refine_norm: MakeNorm,
        pool: Pool,
    ):
        super().__init__()
        self.channels = check_count("channels", channels)
        # Instance norm ++ takes a variance over the channels, and one channel has none.
        self.ngf = check_count("ngf", ngf, minimum=2)
        self.begin_conv = conv3x3(channels, ngf)
        self.normalizer = make_norm(ngf)
        self.end_conv = conv3x3(ngf, channels)

        wide = 2 * ngf
        self.res1 = _stage(ngf, ngf, make_norm)
        self.res2 = _stage(ngf, wide, make_norm, downsample=True)
        self.res3 = _stage(wide, wide, make_norm, downsample=True, dilation=2)
        self.res4 = _stage(wide, wide, make_norm, downsample=True, dilation=4)

        self.refine1 = RefineBlock([wide], wide, make_refine_norm, pool)
        self.refine2 = RefineBlock([wide, wide], wide, make_refine_norm, pool)
        self.refine3 = RefineBlock([wide, wide], ngf, make_refine_norm, pool)
        self.refine4 = RefineBlock([ngf, ngf], ngf, make_refine_norm, pool, num_output_units=3)

    def refine_net(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """(B, C, H, W) images in [0, 1] -> (B, C, H, W), in the dtype of `x` under autocast too."""
        stages = [self.begin_conv(2.0 * x - 1.0)]
        for blocks in (self.res1, self.res2, self.res3, self.res4):
            h = stages[-1]
            for block in blocks:
                h = block(h, labels)
            stages.append(h)
        _, h1, h2, h3, h4 = stages

        h = self.refine1([h4], labels, h4.shape[2:])
        h = self.refine2([h3, h], labels, h3.shape[2:])
        h = self.refine3([h2, h], labels, h2.shape[2:])
        h = self.refine4([h1, h], labels, h1.shape[2:])
        return self.end_conv(F.elu(self.normalizer(h, labels))).to(x.dtype)

    def check_images(self, x: Tensor) -> None:
        """Raise unless `x` is a batch of images that this network takes; looks at no values."""
        check_image_batch(x, self.channels, multiple=2, minimum=4)  # stage 2 halves the resolution
        check_device("the network", self.begin_conv.weight, x)


def _stage(in_channels: int, out_channels: int, make_norm: MakeNorm, *, dilation=1, downsample=False):
    """Two residual blocks; the first changes channels and resolution."""
    return nn.ModuleList(
        [
            ResidualBlock(in_channels, out_channels, make_norm, dilation=dilation, downsample=downsample),
            ResidualBlock(out_channels, out_channels, make_norm, dilation=dilation),
        ]
    )
