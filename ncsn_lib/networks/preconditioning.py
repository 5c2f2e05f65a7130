"""What a raw network predicts, and how a score is made of that: one wrapper for all forms of prediction."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ncsn_lib.checks import check_positive
from ncsn_lib.protocol import per_example

Form = Callable[[Tensor, float], tuple[Tensor, Tensor]]


def _score(sigma: Tensor, data_std: float) -> tuple[Tensor, Tensor]:
    return torch.ones_like(sigma), torch.zeros_like(sigma)


def _noise(sigma: Tensor, data_std: float) -> tuple[Tensor, Tensor]:
    return -1 / sigma, torch.zeros_like(sigma)


def _denoised(sigma: Tensor, data_std: float) -> tuple[Tensor, Tensor]:
    return 1 / sigma**2, -1 / sigma**2


def _velocity(sigma: Tensor, data_std: float) -> tuple[Tensor, Tensor]:
    both = -1 / (sigma * (1 + sigma))
    return both, both


def _edm(sigma: Tensor, data_std: float) -> tuple[Tensor, Tensor]:
    variance = sigma**2 + data_std**2
    return data_std / (sigma * variance.sqrt()), -1 / variance


FORMS: dict[str, Form] = {
    "score": _score,
    "noise": _noise,
    "denoised": _denoised,
    "velocity": _velocity,
    "edm": _edm,
}
"""What a network may predict of x + sigma z, by name; each maps (sigma, data_std) to the (scale, skip) in
`score = scale F + skip (x + sigma z)`, where F is its output:

- "score", the score itself;
- "noise", z (Ho et al. 2020);
- "denoised", x;
- "velocity", z - x (Lipman et al. 2023, along the line from x to z);
- "edm", a mixture of x and z, whose size is the same at every sigma (Karras et al. 2022, Table 1).
"""


def prediction_weight(form: str, sigma: Tensor, data_std: float) -> Tensor:
    """The weight of the denoising score matching loss that makes it 1/2 ||F - target||^2, for a form of prediction.

    A score that is off by d is a prediction that is off by d / scale, so it is 1 / scale^2: sigma^2 for "noise",
    sigma^4 for "denoised". For "edm" it is sigma^4 lambda(sigma) with
    lambda(sigma) = (sigma^2 + data_std^2) / (sigma data_std)^2 (Karras et al. 2022, Table 1), which weighs denoisers.

    Args:
        form: what is predicted, one of `FORMS`.
        sigma: (B,) noise levels, in the units of the data.
        data_std: the data's standard deviation.

    Returns:
        (B,) weights.

    Raises:
        ValueError: a form that there is not, or `data_std` not above 0.
    """
    return FORMS[check_form(form)](sigma, check_positive("data_std", data_std))[0] ** -2


def check_form(form: str) -> str:
    """Return the name of a form if there is one of that name; raise `ValueError` otherwise."""
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    return form


class Preconditioned(nn.Module):
    """A score network of a raw one, F(x, c_noise, classes), whatever that predicts (Karras et al. 2022, Eq. 7).

    The data are centred, and the input is scaled to unit variance, c_in = 1 / sqrt(sigma^2 + data_std^2);
    c_noise = log(sigma) / 4. By the form "edm" the denoiser is D = c_skip x + c_out F with
    c_skip = data_std^2 / (sigma^2 + data_std^2) and c_out = sigma data_std / sqrt(sigma^2 + data_std^2). Its score,
    (D - x) / sigma^2, would cancel at small sigma; written out,
    `score = data_std / (sigma sqrt(sigma^2 + data_std^2)) F - x / (sigma^2 + data_std^2)`, nothing does. A raw network
    of zeros is the score of the Gaussian N(data_mean, data_std^2 I).

    Args:
        network: the raw network, a module (x, c_noise, classes) -> F, of the shape of x.
        form: what it predicts, one of `FORMS`.
        data_mean: the data's mean, in units of `x`.
        data_std: the data's standard deviation, in units of `x`.

    Raises:
        ValueError: a form that there is not, or `data_std` not above 0.
    """

    def __init__(self, network: nn.Module, *, form: str = "edm", data_mean: float = 0.5, data_std: float = 0.5):
        super().__init__()
        self.network, self.form = network, check_form(form)
        self.data_mean, self.data_std = data_mean, check_positive("data_std", data_std)

    def forward(self, x: Tensor, sigma: Tensor, classes: Tensor | None = None) -> Tensor:
        """The score of the data perturbed at `sigma`.

        Args:
            x: (B, *D) examples.
            sigma: (B,) noise levels, in the units of `x`, above 0.
            classes: (B,) the class of each, 0 to K - 1, or NO_CLASS; None: NO_CLASS for all.

        Returns:
            (B, *D) scores, in inverse units of `x`.
        """
        sigma_map, centred = per_example(sigma, x), x - self.data_mean
        c_in = (sigma_map**2 + self.data_std**2).rsqrt()
        scale, skip = FORMS[self.form](sigma_map, self.data_std)
        return scale * self.network(c_in * centred, sigma.log() / 4, classes) + skip * centred
