"""Score functions."""

import torch
from torch import Generator, Tensor

from ncsn_lib.distributions import GaussianMixture
from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import Field, mixture, randn, rows, vector

CHAPTER = "01_score_functions"


def mixture_cases(generator: Generator) -> dict[str, Arguments]:
    density = mixture(generator)

    def at(x: Tensor, sigma: float) -> Arguments:
        return {"x": x, "means": density.means, "stds": density.stds, "weights": density.weights, "sigma": sigma}

    return {
        "near the means": at(2 * randn(generator, 7, 2), 0.6),
        "sixty units away": at(60 * randn(generator, 3, 2), 0.6),
    }


def score_of_mixture(
    x: Tensor,
    means: Tensor,
    stds: Tensor,
    weights: Tensor,
    sigma: float,
    *,
    add_stds: bool = False,
    noise: bool = True,
    constants: bool = True,
    posterior: bool = True,
    weighted: bool = True,
) -> Tensor:
    variances = (stds + noise * sigma) ** 2 if add_stds else stds**2 + noise * sigma**2
    offsets = means - x[:, None]  # (B, K, D)
    logs = -offsets.square().sum(2) / (2 * variances)
    if constants:
        logs = logs - 0.5 * x.shape[1] * variances.log()
    if weighted:
        logs = logs + weights.log()
    shares = logs.softmax(1) if posterior else weights.expand(len(x), -1)
    return (shares[..., None] * offsets / variances[:, None]).sum(1)


def score_by_library(x: Tensor, means: Tensor, stds: Tensor, weights: Tensor, sigma: float) -> Tensor:
    return GaussianMixture(means, stds, weights).score(x, sigma)


def gaussian_cases(generator: Generator) -> dict[str, Arguments]:
    root = randn(generator, 3, 3)
    covariance = root @ root.T + torch.eye(3).double()
    return {"three correlated axes": {"x": randn(generator, 5, 3), "mean": randn(generator, 3), "cov": covariance}}


def score_of_gaussian(x: Tensor, mean: Tensor, cov: Tensor, *, sign: int = 1, matrix: str = "inverse") -> Tensor:
    offsets = sign * (mean - x)
    if matrix == "itself":
        return offsets @ cov
    if matrix == "diagonal":
        return offsets / cov.diagonal()
    if matrix == "root":
        cov = torch.linalg.cholesky(cov)
    return torch.linalg.solve(cov, offsets.T).T


def score_by_autograd(x: Tensor, mean: Tensor, cov: Tensor) -> Tensor:
    precision = torch.linalg.inv(cov)
    return torch.func.grad(lambda points: -torch.einsum("bi,ij,bj->", points - mean, precision, points - mean) / 2)(x)


def affine_cases(generator: Generator) -> dict[str, Arguments]:
    density = mixture(generator)

    def at(a: float) -> Arguments:
        y, b = randn(generator, 5, 2), randn(generator, 2)
        return {"score_fn": lambda x: density.score(x, 0.3), "y": y, "a": a, "b": b}

    return {"stretched by 3": at(3.0), "turned and shrunk by -0.5": at(-0.5)}


def score_after_map(score_fn: Field, y: Tensor, a: float, b: Tensor, *, power: int = -1, shift: bool = True) -> Tensor:
    return a**power * score_fn((y - b if shift else y) / a)


def score_by_chain_rule(score_fn: Field, y: Tensor, a: float, b: Tensor) -> Tensor:
    pulled = torch.func.vjp(lambda points: (points - b) / a, y)
    return pulled[1](score_fn(pulled[0]))[0]


def path_cases(generator: Generator) -> dict[str, Arguments]:
    density = mixture(generator)
    x, y = randn(generator, 4, 2), 1 + randn(generator, 4, 2)
    return {"four pairs": {"score_fn": lambda points: density.score(points, 0.3), "x": x, "y": y}}


def log_density_ratio(
    score_fn: Field, x: Tensor, y: Tensor, *, sign: int = 1, ends: str = "", unit: bool = False
) -> Tensor:
    times = (torch.arange(400).to(x) + 0.5) / 400
    if ends:
        times = torch.tensor([0.0] if ends == "start" else [0.0, 1.0]).to(x)
    points = x + times[:, None, None] * (y - x)  # (T, B, D)
    scores = score_fn(points.flatten(0, 1)).view(points.shape)
    ratio = sign * (scores * (y - x)).sum(2).mean(0)
    return ratio / (y - x).norm(dim=1) if unit else ratio


def log_density_ratio_by_simpson(score_fn: Field, x: Tensor, y: Tensor) -> Tensor:
    times = torch.linspace(0, 1, 401).to(x)
    weights = torch.ones(401).to(x)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    points = x + times[:, None, None] * (y - x)  # (401, B, D)
    scores = score_fn(points.flatten(0, 1)).view(points.shape)
    return torch.einsum("t,tbd,bd->b", weights / 1200, scores, y - x)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="mixture-score",
        chapter=CHAPTER,
        goal="Return the score of a mixture of Gaussians with noise of standard deviation sigma added.",
        grade="modify",
        minutes=10,
        stub='''
def score_of_mixture(x, means, stds, weights, sigma):
    """x (B, D), means (K, D), stds, weights (K,), sigma a number: the score of the noisy mixture, (B, D)."""
    raise NotImplementedError
''',
        oracle=score_of_mixture,
        twin=score_by_library,
        cases=mixture_cases,
        wrong={
            "add": Wrong(
                "you add standard deviations; for independent variables it is the variances that add.",
                {"add_stds": True},
            ),
            "constants": Wrong(
                "the constant of each Gaussian is missing: a wide one is lower at its peak.", {"constants": False}
            ),
            "prior": Wrong(
                "you average the components' scores by the weights w_k; at a given x other weights apply.",
                {"posterior": False},
            ),
            "unweighted": Wrong(
                "the weights w_k are missing in the probabilities of the components.", {"weighted": False}
            ),
            "clean": Wrong("that is the score of the mixture without noise.", {"noise": False}),
        },
        hint="Average (mean_k - x) / variance_k over the components, each weighted by its probability given x.",
        example=(
            "for one component of mean 0 and standard deviation 1, sigma = 1 and x = 2",
            {"x": rows(2.0), "means": rows(0.0), "stds": vector(1.0), "weights": vector(1.0), "sigma": 1.0},
        ),
        rtol=1e-5,
    ),
    Exercise(
        id="gaussian-score",
        chapter=CHAPTER,
        goal="Return the score of a Gaussian with any covariance.",
        grade="check",
        minutes=5,
        stub='''
def score_of_gaussian(x, mean, cov):
    """x (B, D), mean (D,), cov (D, D): the score of N(mean, cov), (B, D)."""
    raise NotImplementedError
''',
        oracle=score_of_gaussian,
        twin=score_by_autograd,
        cases=gaussian_cases,
        wrong={
            "sign": Wrong("yours points away from the mean; the density grows the other way.", {"sign": -1}),
            "root": Wrong(
                "you divide by a square root of the covariance, which is what sampling uses.", {"matrix": "root"}
            ),
            "times": Wrong(
                "you multiply by the covariance: along a wide direction the score would be long.", {"matrix": "itself"}
            ),
            "diagonal": Wrong("you use the diagonal alone; correlations turn the score.", {"matrix": "diagonal"}),
        },
        hint="Write log N(x; mean, cov) without its constant, and take the gradient of the quadratic form.",
        example=(
            "for x = 3, mean 1 and variance 4",
            {"x": rows(3.0), "mean": vector(1.0), "cov": rows(4.0)},
        ),
    ),
    Exercise(
        id="affine-score",
        chapter=CHAPTER,
        goal="Return the score of y = a x + b at y, from a function that gives the score of x.",
        grade="check",
        minutes=5,
        stub='''
def score_after_map(score_fn, y, a, b):
    """score_fn (B, D) -> (B, D) the score of x, y (B, D), a a number, b (D,): the score of a x + b at y, (B, D)."""
    raise NotImplementedError
''',
        oracle=score_after_map,
        twin=score_by_chain_rule,
        cases=affine_cases,
        wrong={
            "times": Wrong(
                "you multiply by a: stretched data have a flatter density, so a shorter score.", {"power": 1}
            ),
            "factor": Wrong("a factor is missing: the unit of a score is one over that of its variable.", {"power": 0}),
            "shift": Wrong("you ask for the score of x at y / a; b has moved the data as well.", {"shift": False}),
        },
        hint="The density of y is that of x at x = (y - b) / a, up to a constant. Differentiate its logarithm in y.",
        example=(
            "for the score -x, y = 5, a = 2 and b = 1",
            {"score_fn": lambda x: -x, "y": rows(5.0), "a": 2.0, "b": vector(1.0)},
        ),
    ),
    Exercise(
        id="path-integral",
        chapter=CHAPTER,
        goal="Return log p(y) - log p(x) from the score alone, to three digits.",
        grade="modify",
        minutes=10,
        stub='''
def log_density_ratio(score_fn, x, y):
    """score_fn (B, D) -> (B, D), x, y (B, D): log p(y) - log p(x), (B,), by 200 or more points on the line."""
    raise NotImplementedError
''',
        oracle=log_density_ratio,
        twin=log_density_ratio_by_simpson,
        cases=path_cases,
        wrong={
            "sign": Wrong("that is log p(x) - log p(y): you walk the path backwards.", {"sign": -1}),
            "start": Wrong(
                "you use the score at x for the whole path; the score changes along the path.", {"ends": "start"}
            ),
            "ends": Wrong(
                "you use the scores of the two ends; between them the score is not linear.", {"ends": "both"}
            ),
            "unit": Wrong(
                "you divide by the length of the path: the line element is (y - x) dt, not a unit vector.",
                {"unit": True},
            ),
        },
        hint="Walk along x + t (y - x) and sum the score's part in the direction of the walk.",
        example=(
            "for the score -x, x = 0 and y = 2",
            {"score_fn": lambda points: -points, "x": rows(0.0), "y": rows(2.0)},
        ),
        rtol=5e-3,
    ),
    Question(
        id="score-scale",
        chapter=CHAPTER,
        goal="All data are multiplied by 10. By which factor is the score at the corresponding point multiplied?",
        grade="check",
        minutes=2,
        key=lambda: 1 / 10,
        wrong={
            10.0: "the distance to the data grows by ten; the score is a slope per unit of x.",
            1.0: "the score has a unit, one over that of x, so it cannot stay.",
            0.01: "that is the factor of a squared score, as in a loss.",
        },
        hint="Write the score of a Gaussian, and multiply its mean, its standard deviation and x by ten.",
    ),
)
