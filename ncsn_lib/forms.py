"""One model in several letters: what a network may predict, and how the noisy data may be scaled.

With `x = data + sigma * noise` (variance exploding, the letters of this library) these say the same of the mean data
and the mean noise given x:

- score, -noise / sigma (Song & Ermon 2019);
- noise, as DDPM predicts it (Ho et al. 2020);
- denoised, the mean data, x + sigma^2 * score;
- velocity, noise - data, as flow matching predicts it (Lipman et al. 2023; Liu et al. 2023);
- v, (noise - sigma * data) / sqrt(1 + sigma^2), as progressive distillation predicts it (Salimans & Ho 2022).

Others scale x. A variance-preserving model sees sqrt(alpha_bar) x, with sigma^2 = (1 - alpha_bar) / alpha_bar; flow
matching sees (1 - t) x, with sigma = t / (1 - t).
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from ncsn_lib.checks import check_floating, check_like, check_positive
from ncsn_lib.protocol import ScoreFn, evaluate_score, per_example

Form = Literal["score", "noise", "denoised", "velocity", "v"]
"""What a network may predict."""
_TO_NOISE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "score": lambda value, x, s: -s * value,
    "noise": lambda value, x, s: value,
    "denoised": lambda value, x, s: (x - value) / s,
    "velocity": lambda value, x, s: (x + value) / (1 + s),
    "v": lambda value, x, s: (s * x + (1 + s**2).sqrt() * value) / (1 + s**2),
}
_FROM_NOISE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "score": lambda noise, x, s: -noise / s,
    "noise": lambda noise, x, s: noise,
    "denoised": lambda noise, x, s: x - s * noise,
    "velocity": lambda noise, x, s: (1 + s) * noise - x,
    "v": lambda noise, x, s: ((1 + s**2) * noise - s * x) / (1 + s**2).sqrt(),
}


def convert(value: Tensor, x: Tensor, sigma: Tensor, *, source: Form, target: Form) -> Tensor:
    """One form of a prediction into another, by way of the noise.

    Args:
        value: (B, *D) the prediction, in the form `source`.
        x: (B, *D) the noisy data it is of, data + sigma * noise.
        sigma: (B,) their noise levels, above 0.
        source: score, noise, denoised, velocity or v: the form that is given.
        target: the form that is asked for.

    Returns:
        (B, *D) the same prediction in the form `target`.

    Raises:
        ValueError: another form, or shapes or devices that do not match.
    """
    for name, form in (("source", source), ("target", target)):
        if form not in get_args(Form):
            raise ValueError(f"{name} must be one of {', '.join(get_args(Form))}, got {form!r}")
    check_like("value", value, x.shape, x)
    scale = per_example(sigma, x)
    return _FROM_NOISE[target](_TO_NOISE[source](value, x, scale), x, scale)


def as_score_fn(predict: Callable[[Tensor, Tensor], Tensor], form: Form) -> ScoreFn:
    """A model that predicts another form, as a `ScoreFn`.

    Args:
        predict: maps (B, *D) noisy data and (B,) noise levels to (B, *D) predictions.
        form: what it predicts: score, noise, denoised, velocity or v.

    Returns:
        The score function.

    Raises:
        ValueError: when it is called, what `convert` refuses.
    """
    return lambda x, sigma: convert(predict(x, sigma), x, sigma, source=form, target="score")


def vp_sigma(alpha_bar: Tensor) -> Tensor:
    """The noise level of variance-preserving data, sqrt((1 - alpha_bar) / alpha_bar), of any shape."""
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def vp_alpha_bar(sigma: Tensor) -> Tensor:
    """What of the variance is data, 1 / (1 + sigma^2), of any shape; a variance-preserving x is sqrt of it times x."""
    return 1 / (1 + sigma**2)


def flow_sigma(time: Tensor) -> Tensor:
    """The noise level of flow matching's (1 - t) data + t noise, t / (1 - t), of any shape."""
    return time / (1 - time)


def flow_time(sigma: Tensor) -> Tensor:
    """Flow matching's time, sigma / (1 + sigma), of any shape; its x is (1 - t) times x."""
    return sigma / (1 + sigma)


def vp_score_fn(
    predict: Callable[[Tensor, Tensor], Tensor],
    alphas_bar: Tensor,
    *,
    form: Literal["noise", "denoised", "v"] = "noise",
) -> ScoreFn:
    """A discrete variance-preserving model as a `ScoreFn`: DDPM's noise predictor, say (Ho et al. 2020).

    The model is shown sqrt(alpha_bar) x. Its time is where log(sigma) falls among those of its own levels: a whole
    number at each of them, a fraction between two.

    Args:
        predict: maps (B, *D) variance-preserving data and (B,) times, from 0 to T - 1, to (B, *D) predictions.
        alphas_bar: (T,) what of the variance is data at each time, decreasing, between 0 and 1.
        form: what it predicts: noise, denoised or v, which are the same in both scales.

    Returns:
        The score function, of x = data + sigma * noise.

    Raises:
        TypeError: `alphas_bar` is no floating-point tensor.
        ValueError: another form, alphas that do not decrease; when it is called, a sigma that the model has not seen.
    """
    if form not in ("noise", "denoised", "v"):
        raise ValueError(f"form must be noise, denoised or v, which no scale changes, got {form!r}")
    check_floating("alphas_bar", alphas_bar)
    alphas = alphas_bar.double()
    if alphas.ndim != 1 or len(alphas) < 2 or not ((alphas > 0) & (alphas < 1)).all() or not (alphas.diff() < 0).all():
        raise ValueError(f"alphas_bar must be (T,), decreasing, between 0 and 1, got {alphas_bar.tolist()}")
    logs = vp_sigma(alphas).log()  # (T,), increasing

    def predict_here(x: Tensor, sigma: Tensor) -> Tensor:
        level, known = sigma.double().log(), logs.to(sigma.device)
        if not ((level > known[0] - 1e-5) & (level < known[-1] + 1e-5)).all():
            raise ValueError(
                f"sigma must be from {known[0].exp():.5g} to {known[-1].exp():.5g}, the levels of the model, "
                f"got {sigma.tolist()}"
            )
        below = (torch.searchsorted(known, level) - 1).clamp(0, len(known) - 2)
        part = (level - known[below]) / (known[below + 1] - known[below])
        time = (below + part.clamp(0, 1)).to(x)
        return predict(x * per_example(vp_alpha_bar(sigma).sqrt(), x), time)

    return as_score_fn(predict_here, form)


def in_units(score_fn: ScoreFn, scale: float, shift: float = 0.0) -> ScoreFn:
    """A model of data y as a model of x, where y = scale * x + shift.

    For a model trained on pixels in [-1, 1], scale 2 and shift -1 make it one of pixels in [0, 1].

    Args:
        score_fn: the model of y, whose noise is `scale` times that of x.
        scale: above 0.
        shift: is added.

    Returns:
        The score function of x.

    Raises:
        ValueError: a scale that is not finite and positive.
    """
    scale = check_positive("scale", scale)
    return lambda x, sigma: scale * evaluate_score(score_fn, scale * x + shift, scale * sigma)
