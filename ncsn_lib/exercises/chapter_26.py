"""Steering."""

import torch
from torch import Generator, Tensor

from ncsn_lib.conditional import classifier_free_guidance
from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, uniform, vector

CHAPTER = "26_steering"


def guided_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "their weight 2.5": {
            "conditional": randn(generator, 4, 3),
            "unconditional": randn(generator, 4, 3),
            "their_weight": 2.5,
        }
    }


def guided_score(
    conditional: Tensor, unconditional: Tensor, their_weight: float, *, shift: float = 1, swapped: bool = False
) -> Tensor:
    first, second = (unconditional, conditional) if swapped else (conditional, unconditional)
    weight = shift + their_weight
    return second + weight * (first - second)


def guided_by_library(conditional: Tensor, unconditional: Tensor, their_weight: float) -> Tensor:
    guided = classifier_free_guidance(
        lambda x, sigma: conditional, lambda x, sigma: unconditional, scale=1 + their_weight
    )
    return guided(torch.zeros_like(conditional), torch.ones(len(conditional)).to(conditional))


def implied_cases(generator: Generator) -> dict[str, Arguments]:
    v, v_class = uniform(generator, 2, low=0.3, high=1.5).tolist()
    return {
        "a narrower class": {"v": 2.0, "v_class": v, "weight": 1.7, "sigma": uniform(generator, 4)},
        "a weight below 1": {"v": v, "v_class": v_class, "weight": 0.4, "sigma": uniform(generator, 4)},
    }


def implied_variance_of(
    v: float,
    v_class: float,
    weight: float,
    sigma: Tensor,
    *,
    minus: bool = True,
    inverse: bool = True,
    square: int = 2,
    swapped: bool = False,
) -> Tensor:
    weight = 1 - weight if swapped else weight
    noise = sigma**square
    if inverse:
        found = 1 / ((1 - weight) / (v + noise) + weight / (v_class + noise))
    else:
        found = (1 - weight) * (v + noise) + weight * (v_class + noise)
    return found - noise if minus else found


def implied_by_slopes(v: float, v_class: float, weight: float, sigma: Tensor) -> Tensor:
    """Minus the inverse of the guided score's slope, which is a straight line, less the noise."""
    every, some = (GaussianMixture(vector(m)[None], s**0.5) for m, s in ((0.0, v), (1.0, v_class)))
    guided = classifier_free_guidance(some.score, every.score, scale=weight)
    ones = torch.ones(len(sigma), 1).to(sigma)
    return -1 / (guided(ones, sigma) - guided(0 * ones, sigma))[:, 0] - sigma**2


def measured_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "two of four numbers": {
            "denoised": randn(generator, 4),
            "jacobian": randn(generator, 4, 4),
            "A": randn(generator, 2, 4),
            "y": randn(generator, 2),
            "r": 0.6,
            "noise_std": 0.4,
        }
    }


def measurement_term(
    denoised: Tensor,
    jacobian: Tensor,
    A: Tensor,
    y: Tensor,
    r: float,
    noise_std: float,
    *,
    power: int = 2,
    through: bool = True,
    turned: bool = True,
    with_jacobian: bool = True,
    sign: int = 1,
) -> Tensor:
    eye = torch.eye(len(y)).to(A)
    covariance = r * (A @ A.T if through else eye) + noise_std**power * eye
    pulled = A.T @ torch.linalg.solve(covariance, sign * (y - A @ denoised))
    if not with_jacobian:
        return pulled
    return (jacobian.T if turned else jacobian) @ pulled


def measured_by_autograd(
    denoised: Tensor,
    jacobian: Tensor,
    A: Tensor,
    y: Tensor,
    r: float,
    noise_std: float,
) -> Tensor:
    """The gradient of torch's Gaussian log-density where the denoised data are linear in x."""
    x = torch.zeros_like(denoised, requires_grad=True)
    covariance = r * A @ A.T + noise_std**2 * torch.eye(len(y)).to(A)
    law = torch.distributions.MultivariateNormal(A @ (denoised + jacobian @ x), covariance)
    return torch.autograd.grad(law.log_prob(y), x)[0]


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="steer-paper",
        chapter=CHAPTER,
        goal="Return the guided score for the weight as Ho and Salimans write it.",
        grade="check",
        minutes=5,
        stub='''
def guided_score(conditional, unconditional, their_weight):
    """The two scores (B, D), and Ho and Salimans' weight, a number: the guided score, (B, D)."""
    raise NotImplementedError
''',
        oracle=guided_score,
        twin=guided_by_library,
        cases=guided_cases,
        wrong={
            "ours": Wrong("that takes their weight for this chapter's; theirs is 0 at Bayes' rule.", {"shift": 0}),
            "minus": Wrong("the shift between the two weights has the other sign.", {"shift": -1}),
            "swapped": Wrong("you go away from the class: the two scores are exchanged.", {"swapped": True}),
        },
        hint="At their weight 0 the guided score is the conditional one.",
        example=(
            "for scores 2 and 1 and the weight 1",
            {"conditional": vector(2.0)[None], "unconditional": vector(1.0)[None], "their_weight": 1.0},
        ),
    ),
    Exercise(
        id="steer-implied",
        chapter=CHAPTER,
        goal="Return the variance of clean data that a guided score implies at each level.",
        grade="modify",
        minutes=10,
        stub='''
def implied_variance_of(v, v_class, weight, sigma):
    """v, v_class variances, weight of the guidance, numbers; sigma (L,): the implied variances, (L,)."""
    raise NotImplementedError
''',
        oracle=implied_variance_of,
        twin=implied_by_slopes,
        cases=implied_cases,
        wrong={
            "noisy": Wrong("that is the variance with noise; subtract that of the noise.", {"minus": False}),
            "variances": Wrong("guidance mixes scores, so inverse variances, not variances.", {"inverse": False}),
            "sigma": Wrong("variances add, not standard deviations: sigma is squared.", {"square": 1}),
            "swapped": Wrong("the weight belongs to the class, the rest to all data.", {"swapped": True}),
        },
        hint="The slope of a Gaussian's score is minus the inverse of its variance.",
        example=(
            "for v = 1, a class of 0.25, weight 2, sigma 1",
            {"v": 1.0, "v_class": 0.25, "weight": 2.0, "sigma": vector(1.0)},
        ),
    ),
    Exercise(
        id="steer-measured",
        chapter=CHAPTER,
        goal="Return the term that a linear measurement adds to the score.",
        grade="modify",
        minutes=10,
        stub='''
def measurement_term(denoised, jacobian, A, y, r, noise_std):
    """denoised (D,), jacobian (D, D) of it in x, A (M, D), y (M,), r and noise_std numbers: the term, (D,)."""
    raise NotImplementedError
''',
        oracle=measurement_term,
        twin=measured_by_autograd,
        cases=measured_cases,
        wrong={
            "noise": Wrong("the covariance contains the noise's variance, not its standard deviation.", {"power": 1}),
            "through": Wrong("the uncertainty of the data passes through A: r A A', not r I.", {"through": False}),
            "turned": Wrong("the chain rule for a gradient has the transposed Jacobian.", {"turned": False}),
            "jacobian": Wrong(
                "the denoised data depend on x: the chain rule has a Jacobian.", {"with_jacobian": False}
            ),
            "sign": Wrong("you move away from the measurement.", {"sign": -1}),
        },
        hint="Given x, y is Gaussian with mean A denoised and covariance r A A' + n^2 I; take the gradient in x.",
        example=(
            "for one number, measured without noise",
            {
                "denoised": vector(1.0),
                "jacobian": vector(0.5)[None],
                "A": vector(1.0)[None],
                "y": vector(2.0),
                "r": 0.5,
                "noise_std": 0.0,
            },
        ),
    ),
)
