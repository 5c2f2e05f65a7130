"""Scores given something: a class by guidance, a measurement by a linear inverse problem.

Bayes' rule for scores: the score of p(x | y) is that of p(x) plus the gradient of log p(y | x) (Song et al. 2021,
Sec. 5).
Each function here makes a `ScoreFn` of a `ScoreFn`, for any sampler.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ncsn_lib.checks import check_count, check_floating, check_like, check_not_negative, check_number, check_positive
from ncsn_lib.protocol import ScoreFn, evaluate_score, input_gradient, per_example


def classifier_guidance(
    score_fn: ScoreFn, log_classifier: Callable[[Tensor, Tensor], Tensor], *, scale: float = 1.0
) -> ScoreFn:
    """Classifier guidance: score + w * the gradient of log p(y | x, sigma) (Dhariwal & Nichol 2021, Alg. 1).

    At w = 1 it is the score of p(x | y, sigma). At another w it is that of p(x, sigma) p(y | x, sigma)^w, which is not
    the clean density p(x) p(y | x)^w with noise added.

    Args:
        score_fn: the model of all data.
        log_classifier: maps (B, *D) noisy data and (B,) noise levels to (B,) values log p(y | x, sigma) of the class
            that is wanted, differentiable in x.
        scale: w.

    Returns:
        The guided score function.

    Raises:
        ValueError: when it is called, log-probabilities that are not (B,) or have no gradient in x.
    """
    scale = check_number("scale", scale)

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            points = x.detach().requires_grad_()
            log_prob = log_classifier(points, sigma)
            check_like("log_classifier(x, sigma)", log_prob, x.shape[:1], x)
            gradient = input_gradient(log_prob, points, "log_classifier")
        return evaluate_score(score_fn, x, sigma) + scale * gradient

    return guided


def classifier_free_guidance(conditional: ScoreFn, unconditional: ScoreFn, *, scale: float) -> ScoreFn:
    """Classifier-free guidance: unconditional + w * (conditional - unconditional) (Ho & Salimans 2022, Eq. 6).

    At w = 0 the class plays no part, at 1 it is the conditional score, above 1 it counts for more. The paper writes
    1 + w for our w.

    Args:
        conditional: the score of the data of a class.
        unconditional: the score of all data.
        scale: w.

    Returns:
        The guided score function, which calls both.
    """
    scale = check_number("scale", scale)

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        without = evaluate_score(unconditional, x, sigma)
        return without + scale * (evaluate_score(conditional, x, sigma) - without)

    return guided


class Measurement(NamedTuple):
    """A linear measurement, y = A x + noise, whose `A A'` can be inverted."""

    apply: Callable[[Tensor], Tensor]
    """A: maps (B, *D) data to (B, *M) measurements, by operations of torch."""
    whiten: Callable[[Tensor, Tensor, float], Tensor]
    """Maps (B, *M) residuals, (B,) variances r and the noise's variance n to `(r A A' + n I)^-1 residual`."""


def posterior_score_fn(
    score_fn: ScoreFn, measurement: Measurement, y: Tensor, *, noise_std: float = 0.0, data_std: float = 1.0
) -> ScoreFn:
    """The score of data given a linear measurement of them, by pseudo-inverse guidance (J. Song et al. 2023, PiGDM).

    Given noisy x the clean data are taken for Gaussian around the denoised data D, with variance
    `r = sigma^2 s^2 / (sigma^2 + s^2)` in every direction. So y is Gaussian around A D, with covariance `r A A' + n I`,
    n = noise_std^2. The gradient of its log-density in x is `(dD/dx)' A' (r A A' + n I)^-1 (y - A D)`. This is exact
    where the data are N(m, s^2 I), an approximation elsewhere. A call costs a backward pass through the model.

    Args:
        score_fn: the model of all data, differentiable in x.
        measurement: what was measured, such as `inpainting` or `super_resolution`.
        y: (B, *M) what was found, or (1, *M) for all examples.
        noise_std: standard deviation of the measurement's noise, in the units of y.
        data_std: s, the spread of the data, in the units of x.

    Returns:
        The conditional score function.

    Raises:
        ValueError: a spread that is not positive; when it is called, a y of another shape than A x, or a score with no
            gradient in x.
    """
    noise_variance = check_not_negative("noise_std", noise_std) ** 2
    data_variance = check_positive("data_std", data_std) ** 2
    check_floating("y", y)

    def conditional(x: Tensor, sigma: Tensor) -> Tensor:
        variance = per_example(sigma, x) ** 2
        spread = sigma**2 * data_variance / (sigma**2 + data_variance)  # (B,)
        with torch.enable_grad():
            points = x.detach().requires_grad_()
            score = evaluate_score(score_fn, points, sigma)
            denoised = (points + variance * score).detach().requires_grad_()
            predicted = measurement.apply(denoised)
            found = y.expand(len(x), *y.shape[1:])
            check_like("y", found, predicted.shape, x)
            weights = measurement.whiten(found - predicted.detach(), spread, noise_variance)
            pulled = input_gradient((weights * predicted).flatten(1).sum(1), denoised, "measurement")  # A' weights
            bent = input_gradient((score * pulled).flatten(1).sum(1), points, "score_fn")
        return score.detach() + pulled + variance * bent  # dD/dx = 1 + sigma^2 dscore/dx

    return conditional


def inpainting(mask: Tensor) -> Measurement:
    """Some numbers of the data, the others as 0; `A A'` is 1 on what is measured.

    Args:
        mask: (*D) or any shape that broadcasts to it, bool: true where a number is given.

    Returns:
        The measurement, of the shape of the data. What y holds elsewhere plays no part.

    Raises:
        TypeError: a mask that is not bool.
    """
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"mask must be a bool tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
    return _even(lambda x: torch.where(mask, x, 0.0), 1.0)


def colourisation(channels: int = 3) -> Measurement:
    """The mean of an image's channels, (B, C, H, W) -> (B, 1, H, W); `A A' = I / C`."""
    return _even(lambda x: x.mean(1, keepdim=True), 1 / check_count("channels", channels))


def super_resolution(factor: int) -> Measurement:
    """The means of blocks of pixels, (B, C, H, W) -> (B, C, H / factor, W / factor); `A A' = I / factor^2`."""
    return _even(lambda x: F.avg_pool2d(x, factor), 1 / check_count("factor", factor) ** 2)


def _even(apply: Callable[[Tensor], Tensor], gram: float) -> Measurement:
    """A measurement with `A A' = gram * I` on what it measures."""
    return Measurement(
        apply, lambda residual, variance, noise: residual / per_example(variance * gram + noise, residual)
    )


def deblurring(kernel: Tensor, size: tuple[int, int]) -> Measurement:
    """A blur of images, round the edges, (B, C, H, W) -> (B, C, H, W); `A A'` is diagonal in frequencies.

    Args:
        kernel: (K1, K2) what a pixel spreads to, its middle at (K1 // 2, K2 // 2); no larger than the image.
        size: (H, W) of the images.

    Returns:
        The measurement. Of frequencies that the kernel takes away altogether nothing is learnt without noise.

    Raises:
        ValueError: a kernel that is no picture, or larger than the image.
    """
    check_floating("kernel", kernel)
    if kernel.ndim != 2 or any(small > large for small, large in zip(kernel.shape, size, strict=True)):
        raise ValueError(f"kernel must be (K1, K2), at most {tuple(size)}, the images' size, got {tuple(kernel.shape)}")
    padded = F.pad(kernel, (0, size[1] - kernel.shape[1], 0, size[0] - kernel.shape[0]))
    centred = padded.roll((-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), (0, 1))
    response = torch.fft.rfft2(centred)  # (H, W // 2 + 1)
    seen = response.abs() > 10 * torch.finfo(kernel.dtype).eps * response.abs().max()  # the rest is the rounding of 0
    response = torch.where(seen, response, 0.0)

    def multiply(x: Tensor, factors: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * factors, s=size)

    def whiten(residual: Tensor, variance: Tensor, noise: float) -> Tensor:
        power = per_example(variance, residual) * response.abs() ** 2 + noise
        return multiply(residual, torch.where(power > 0, 1 / power, 0.0))

    return Measurement(lambda x: multiply(x, response), whiten)
