"""Densities whose truth is known: samples, and where a closed form exists the log-density and the score.

Each of them for the density convolved with N(0, sigma^2 I), at any sigma.

Every `sigma` here may be one number or a tensor (B,), so that `distribution.score` is a `ScoreFn`. Variances add: a
component of spread s, perturbed at sigma, has variance s^2 + sigma^2.
"""

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, Self

import torch
from torch import Tensor

from ncsn_lib.checks import (
    check_count,
    check_device,
    check_dtype,
    check_examples,
    check_floating,
    check_not_negative,
    check_number,
    check_positive,
    has_values,
)
from ncsn_lib.protocol import per_example

Sigma = float | Tensor
LOG_2PI = math.log(2 * math.pi)
TINY = torch.finfo(torch.float32).tiny


class Distribution(ABC):
    """A distribution that can be sampled, clean or perturbed.

    `shape` is *D, the shape of one example.
    """

    shape: tuple[int, ...]

    def sample(self, num: int, sigma: float = 0.0, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw examples of the density perturbed at sigma.

        Args:
            num: how many, B.
            sigma: standard deviation of the Gaussian noise that is added, at least 0.
            generator: source of the draws; torch's global one by default.

        Returns:
            (B, *D) examples.

        Raises:
            ValueError: `num` below 1 or a negative or NaN sigma.
        """
        check_count("num", num)
        sigma = check_not_negative("sigma", sigma)
        x = self._sample(num, generator)
        return x + sigma * _randn_like(x, generator) if sigma else x

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same distribution on another device or in another dtype, as `torch.Tensor.to` takes them; a new one.

        Rings, moons and rolls hold no tensors: their density follows `x`, and they draw in torch's default dtype.

        Raises:
            TypeError: a dtype that is not floating point.
        """
        moved = copy.copy(self)
        for name, value in self._tensors().items():
            setattr(moved, name, value.to(*args, **kwargs))
            check_floating(name, getattr(moved, name))
        return moved

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @abstractmethod
    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        """Examples of the clean density."""


class ExactDistribution(Distribution):
    """A distribution whose perturbed log-density and score are known in closed form."""

    def log_prob(self, x: Tensor, sigma: Sigma = 0.0) -> Tensor:
        """The log-density, perturbed at sigma.

        Args:
            x: (B, *D) points.
            sigma: noise level, one or (B,), at least 0; above 0 where the clean distribution has no density.

        Returns:
            (B,) natural logarithms of the density, which has units of 1 / x^D.

        Raises:
            ValueError: points of another shape, a negative sigma, or 0 where there is no density.
        """
        return self._log_prob(x, self._variance(x, sigma))

    def score(self, x: Tensor, sigma: Sigma = 0.0) -> Tensor:
        """The score, the gradient of `log_prob` in x; a `ScoreFn`.

        Args:
            x: (B, *D) points.
            sigma: noise level, one or (B,), at least 0; above 0 where the clean density has no gradient.

        Returns:
            (B, *D) scores, in inverse units of x.

        Raises:
            ValueError: points of another shape, a negative sigma, or 0 where there is no gradient.
        """
        return self._score(x, self._variance(x, sigma))

    def denoise(self, x: Tensor, sigma: Sigma) -> Tensor:
        """The mean of the clean example given the noisy one, x + sigma^2 * score (Tweedie's formula).

        Args:
            x: (B, *D) noisy examples.
            sigma: their noise level, one or (B,), above 0.

        Returns:
            (B, *D) denoised examples, in the units of x.
        """
        variance = self._variance(x, sigma).view(-1, *[1] * (x.ndim - 1))
        return x + variance * self.score(x, sigma)

    def _variance(self, x: Tensor, sigma: Sigma) -> Tensor:
        """(B,) sigma^2, after the checks."""
        check_examples(x)
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must be (B, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        if not isinstance(sigma, Tensor):
            sigma = x.new_full((len(x),), check_number("sigma", sigma))
        elif sigma.ndim == 0:
            sigma = sigma.to(x).expand(len(x))
        per_example(sigma, x)
        smallest = _smallest_spread(x.dtype) if self._needs_noise else 0.0
        if has_values(sigma) and not ((sigma >= smallest) & sigma.isfinite()).all():
            rule = "above 0: without noise this distribution has no density or score in closed form, and below"
            rule = f"{rule} {smallest:.1g} its square is lost in {x.dtype}" if smallest else "finite and at least 0"
            raise ValueError(f"sigma must be {rule}, got {sigma.tolist()}")
        for name, value in self._tensors().items():
            check_device(f"the distribution ({name})", value, x)
            check_dtype(f"the distribution ({name})", value, x)
        return sigma**2

    _needs_noise = False

    @abstractmethod
    def _log_prob(self, x: Tensor, variance: Tensor) -> Tensor:
        """The log-density perturbed with (B,) variances."""

    @abstractmethod
    def _score(self, x: Tensor, variance: Tensor) -> Tensor:
        """The score of the density perturbed with (B,) variances."""


class GaussianMixture(ExactDistribution):
    """A mixture of K isotropic Gaussians, sum_k w_k N(mu_k, s_k^2 I).

    Args:
        means: (K, *D) the components' means.
        stds: (K,) their standard deviations, or one for all; at least 0. With a 0 among them the clean mixture has
            no density, so every sigma must be above 0.
        weights: (K,) their weights, non-negative, made to sum to 1; equal by default.

    Raises:
        ValueError: shapes that do not match, a negative or NaN spread, or weights that are no distribution.
    """

    def __init__(self, means: Tensor, stds: Sigma, weights: Tensor | None = None):
        check_floating("means", means)
        if means.ndim < 2 or len(means) == 0 or not means.isfinite().all():
            raise ValueError(f"means must be (K, *D), finite, K at least 1, got {tuple(means.shape)}")
        stds = torch.as_tensor(stds, dtype=means.dtype, device=means.device)
        if stds.shape not in ((), (len(means),)):
            raise ValueError(f"stds must be one number or ({len(means)},), got {tuple(stds.shape)}")
        stds = stds.expand(len(means))
        if not ((stds >= 0) & stds.isfinite()).all():
            raise ValueError(f"stds must be finite and at least 0, got {stds.tolist()}")
        weights = means.new_ones(len(means)) if weights is None else torch.as_tensor(weights).to(means)
        if weights.shape != (len(means),) or not (weights >= 0).all() or not 0 < weights.sum() < math.inf:
            raise ValueError(
                f"weights must be ({len(means)},), at least 0, with a positive sum, got {weights.tolist()}"
            )
        self.means, self.stds, self.weights = means, stds, weights / weights.sum()
        self.shape = tuple(means.shape[1:])
        self._needs_noise = not (stds > _smallest_spread(stds.dtype)).all()

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        component = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        x = self.means[component]
        return x + per_example(self.stds[component], x) * _randn_like(x, generator)

    def _log_prob(self, x: Tensor, variance: Tensor) -> Tensor:
        return self._log_joint(x, variance)[0].logsumexp(1)

    def _score(self, x: Tensor, variance: Tensor) -> Tensor:
        """sum_k r_k(x) (mu_k - x) / (s_k^2 + sigma^2), r_k the posterior weight of component k."""
        log_joint, total_variance = self._log_joint(x, variance)
        pull = log_joint.softmax(1) / total_variance  # (B, K)
        return (pull @ self.means.flatten(1)).view(x.shape) - per_example(pull.sum(1), x) * x

    def _log_joint(self, x: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) log(w_k N(x; mu_k, v_k I)) and (B, K) v_k = s_k^2 + sigma^2."""
        total = self.stds**2 + variance[:, None]  # (B, K)
        distances, dim = squared_distances(x, self.means), math.prod(self.shape)
        return self.weights.log() - 0.5 * (distances / total + dim * (LOG_2PI + total.log())), total


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """The squared distance of each x to each y, to full precision, with all its derivatives.

    Args:
        x: (B, *D) examples.
        y: (N, *D) others.

    Returns:
        (B, N) squared distances, in squared units of `x`.
    """
    x, y = x.flatten(1), y.flatten(1)
    # The value by subtraction: of ||x||^2 - 2 x'y + ||y||^2 rounding would be all that is left where x is near y.
    value = torch.cdist(x.detach(), y.detach(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    # The derivatives by the latter: those of cdist are wrong at distance 0.
    product = x.square().sum(1)[:, None] - 2 * x @ y.T + y.square().sum(1)
    return value + (product - product.detach())


def dataset_mixture(points: Tensor) -> GaussianMixture:
    """A data set as the mixture of its points: perturbed at sigma, one Gaussian N(x_i, sigma^2 I) per example.

    Its score is what a network that minimised the denoising loss perfectly would have learnt, and its `denoise` is
    the optimal denoiser of the data set.

    Args:
        points: (N, *D) examples, images too.

    Returns:
        The mixture; any sigma above 0.
    """
    return GaussianMixture(points, 0.0)


class UniformBoxes(ExactDistribution):
    """Uniform on K axis-aligned boxes in D dimensions, each as likely as its volume is large.

    Along each axis the perturbed density is a difference of two normal distribution functions. The clean density is
    constant, with no gradient at its edges, so the score wants a sigma above 0.

    Args:
        lows: (K, D) lower corners.
        highs: (K, D) upper corners, above the lower ones; the boxes must not overlap.

    Raises:
        ValueError: shapes that do not match, or an upper corner that is not above its lower one.
    """

    def __init__(self, lows: Tensor, highs: Tensor):
        check_floating("lows", lows)
        check_floating("highs", highs)
        if lows.ndim != 2 or lows.shape != highs.shape or not ((highs > lows) & (highs - lows).isfinite()).all():
            raise ValueError(
                "lows and highs must be (K, D), finite, with highs above lows, "
                f"got lows {lows.tolist()}, highs {highs.tolist()}"
            )
        self.lows, self.highs = lows, highs
        volumes = (highs - lows).prod(1)
        self.weights = volumes / volumes.sum()
        self.shape = tuple(lows.shape[1:])

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        box = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        lows, highs = self.lows[box], self.highs[box]
        return lows + (highs - lows) * torch.rand(lows.shape, generator=generator, dtype=lows.dtype, device=lows.device)

    def _log_prob(self, x: Tensor, variance: Tensor) -> Tensor:
        return self._log_joint(x, variance).logsumexp(1)

    def _score(self, x: Tensor, variance: Tensor) -> Tensor:
        if has_values(variance) and not (variance > 0).all():
            raise ValueError("sigma must be above 0: a uniform density has no score at its edges")
        posterior = self._log_joint(x, variance).softmax(1)  # (B, K)
        sigma = variance.sqrt()[:, None, None]
        slopes = _log_interval_slope(self.lows, self.highs, x[:, None], sigma)  # (B, K, D)
        return (posterior[:, :, None] * slopes).sum(1)

    def _log_joint(self, x: Tensor, variance: Tensor) -> Tensor:
        """(B, K) log(w_k U_k(x)), U_k the perturbed uniform density of box k."""
        points, sizes = x[:, None], self.highs - self.lows
        inside = ((points >= self.lows) & (points <= self.highs)).to(x.dtype).log()  # 0 or -inf
        sigma = variance.sqrt()[:, None, None]
        safe = torch.where(sigma > 0, sigma, 1.0)
        mass = torch.where(sigma > 0, _log_interval_mass(self.lows, self.highs, points, safe), inside)
        return self.weights.log() + (mass - sizes.log()).sum(2)


class LineSegment(ExactDistribution):
    """Uniform on the segment from `start` to `end` in D dimensions: a manifold of dimension 1, with no density.

    Perturbed, it is Gaussian across the segment and a difference of two normal distribution functions along it.

    Args:
        start: (D,) one end.
        end: (D,) the other.

    Raises:
        ValueError: ends of different shapes, or the same point.
    """

    _needs_noise = True

    def __init__(self, start: Tensor, end: Tensor):
        check_floating("start", start)
        check_floating("end", end)
        if start.ndim != 1 or start.shape != end.shape or not 0 < (end - start).norm() < math.inf:
            raise ValueError(f"start and end must be two points (D,), got {start.tolist()} and {end.tolist()}")
        self.start, self.end = start, end
        self.length = (end - start).norm()
        self.direction = (end - start) / self.length
        self.shape = tuple(start.shape)

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        position = torch.rand((num, 1), generator=generator, dtype=self.start.dtype, device=self.start.device)
        return self.start + position * (self.end - self.start)

    def _log_prob(self, x: Tensor, variance: Tensor) -> Tensor:
        along, across = self._split(x)
        mass = _log_interval_mass(along.new_zeros(()), self.length, along, variance.sqrt())
        dim = len(self.start) - 1
        return mass - self.length.log() - 0.5 * ((across**2).sum(1) / variance + dim * (LOG_2PI + variance.log()))

    def _score(self, x: Tensor, variance: Tensor) -> Tensor:
        along, across = self._split(x)
        slope = _log_interval_slope(along.new_zeros(()), self.length, along, variance.sqrt())
        return slope[:, None] * self.direction - across / variance[:, None]

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) coordinate along the segment and (B, D) vector from its line to the point."""
        offset = x - self.start
        along = offset @ self.direction
        return along, offset - along[:, None] * self.direction


class Ring(ExactDistribution):
    """A ring in the plane: uniform on a circle, blurred by a Gaussian of standard deviation `width`.

    Its perturbed density is exp(-(r^2 + R^2) / 2v) I_0(r R / v) / (2 pi v) with v = width^2 + sigma^2 and I_0 the
    modified Bessel function.

    Args:
        radius: R, above 0.
        width: the blur, at least 0; with 0 it is the circle itself, a manifold, and sigma must be above 0.

    Raises:
        ValueError: a radius that is not positive or a negative width.
    """

    shape = (2,)

    def __init__(self, radius: float = 1.0, width: float = 0.0):
        self.radius = check_positive("radius", radius)
        self.width = check_not_negative("width", width)
        self._needs_noise = self.width == 0

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        x = _arc(torch.rand(num, generator=generator) * 2 * math.pi, self.radius)
        return x + self.width * _randn_like(x, generator)

    def _log_prob(self, x: Tensor, variance: Tensor) -> Tensor:
        total, r = self.width**2 + variance, x.norm(dim=1)
        bessel = torch.special.i0e(r * self.radius / total).log()  # i0e(z) = exp(-z) I_0(z)
        return bessel - (r - self.radius) ** 2 / (2 * total) - LOG_2PI - total.log()

    def _score(self, x: Tensor, variance: Tensor) -> Tensor:
        total, r = self.width**2 + variance, x.norm(dim=1)
        z = r * self.radius / total
        radial = self.radius * torch.special.i1e(z) / torch.special.i0e(z) - r
        # Towards the ring along x / r; at the centre the density is flat.
        return (radial / (total * r.clamp_min(TINY)))[:, None] * x


class TwoMoons(Distribution):
    """Two interleaved half circles of radius 1 in the plane, blurred; samples only, it has no closed form.

    Args:
        width: standard deviation of the blur, at least 0.
    """

    shape = (2,)

    def __init__(self, width: float = 0.1):
        self.width = check_not_negative("width", width)

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        upper = _arc(math.pi * torch.rand(num, generator=generator), 1.0)
        lower = upper.new_tensor([1.0, 0.5]) - upper
        is_upper = torch.rand((num, 1), generator=generator) < 0.5
        x = torch.where(is_upper, upper, lower) - upper.new_tensor([0.5, 0.25])
        return x + self.width * _randn_like(x, generator)


class SwissRoll(Distribution):
    """A spiral of one and a half turns in the plane, blurred; samples only, it has no closed form.

    Args:
        width: standard deviation of the blur, at least 0.
    """

    shape = (2,)

    def __init__(self, width: float = 0.05):
        self.width = check_not_negative("width", width)

    def _sample(self, num: int, generator: torch.Generator | None) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * torch.rand(num, generator=generator))
        x = _arc(angle, angle / (4.5 * math.pi))  # the outer end at radius 1
        return x + self.width * _randn_like(x, generator)


def square(half_width: float = 1.0) -> UniformBoxes:
    """The uniform density on the square [-half_width, half_width]^2."""
    corner = torch.full((1, 2), check_positive("half_width", half_width))
    return UniformBoxes(-corner, corner)


def checkerboard(half_width: float = 1.0, cells: int = 4) -> UniformBoxes:
    """The uniform density on the dark cells of a board of `cells` x `cells` on [-half_width, half_width]^2."""
    check_count("cells", cells)
    size = 2 * check_positive("half_width", half_width) / cells
    dark = [(i, j) for i in range(cells) for j in range(cells) if (i + j) % 2 == 0]
    lows = torch.tensor(dark) * size - half_width
    return UniformBoxes(lows, lows + size)


def _smallest_spread(dtype: torch.dtype) -> float:
    """Below it a squared distance over a variance may overflow, or the variance be 0: 7e-16 in float32."""
    return torch.finfo(dtype).tiny ** 0.4


def _arc(angle: Tensor, radius: float | Tensor) -> Tensor:
    """Points at the given angles and radius, (B,) -> (B, 2)."""
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


def _randn_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)


def _log_interval_mass(low: Tensor, high: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """log P(low < x + sigma z < high) for z ~ N(0, 1), without cancellation far out in either tail."""
    _, b, _, below = _lower_tail(low, high, x, sigma)
    return torch.special.log_ndtr(b) + torch.log1p(-below)


def _log_interval_slope(low: Tensor, high: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """The derivative of `_log_interval_mass` in x: (phi(a) - phi(b)) / (sigma * mass)."""
    sign, b, log_ratio, below = _lower_tail(low, high, x, sigma)
    hazard = math.sqrt(2 / math.pi) / (_scaled_tail(b) * (1 - below))  # phi(b) / mass
    return sign * hazard * torch.expm1(log_ratio) / sigma


def _lower_tail(low: Tensor, high: Tensor, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The interval in units of sigma, moved by symmetry to a < b with a + b <= 0, where no digits are lost.

    Returns the sign of the move, b, log(phi(a) / phi(b)), and Phi(a) / Phi(b).
    """
    centre, half = (0.5 * (low + high) - x) / sigma, 0.5 * (high - low) / sigma
    sign = torch.where(centre > 0, -1.0, 1.0)
    a, b = -centre.abs() - half, half - centre.abs()
    # (b^2 - a^2) / 2: from the squares themselves, 1e10 in the tail, nothing would be left of it.
    log_ratio = -2 * centre.abs() * half
    return sign, b, log_ratio, log_ratio.exp() * _scaled_tail(a) / _scaled_tail(b)


def _scaled_tail(t: Tensor) -> Tensor:
    """2 exp(t^2 / 2) Phi(t), about 1 / |t| far down in the lower tail, where Phi itself is 0 to the computer."""
    return torch.special.erfcx(-t / math.sqrt(2))
