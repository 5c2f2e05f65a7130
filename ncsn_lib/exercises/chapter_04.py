"""Denoising score matching."""

import torch
from torch import Generator, Tensor

from ncsn_lib.distributions import GaussianMixture, dataset_mixture
from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Probe, Question, Wrong
from ncsn_lib.exercises.fields import Field, image_field, mixture, randn, rows, slope_of, uniform, vector
from ncsn_lib.losses import denoising_score_matching_loss
from ncsn_lib.protocol import ScoreFn, per_example

CHAPTER = "04_denoising_score_matching"


def dsm_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "six images": {
            "score_fn": image_field(generator),
            "x": randn(generator, 6, 1, 3, 4),
            "sigma": uniform(generator, 6),
            "noise": randn(generator, 6, 1, 3, 4),
        }
    }


def dsm_loss(
    score_fn: ScoreFn,
    x: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    sign: int = 1,
    power: int = 1,
    scale: float = 1.0,
    clean: bool = False,
    mean: bool = False,
) -> Tensor:
    levels = per_example(sigma, x)
    score = score_fn(x if clean else x + levels * noise, sigma)
    loss = scale / 2 * (score + sign * noise / levels**power).flatten(1).square().sum(1)
    return loss / x[0].numel() if mean else loss


def gradient(answer: Answer) -> Tensor:
    x, sigma = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 1, 2, 2), vector(0.5, 2.0)
    return slope_of(lambda slope: answer(lambda points, levels: slope * points, x, sigma, torch.ones_like(x)))


def target_cases(generator: Generator) -> dict[str, Arguments]:
    def of(kind: str) -> Arguments:
        x_tilde, output = randn(generator, 6, 1, 3, 4), randn(generator, 6, 1, 3, 4)
        return {"output": output, "x_tilde": x_tilde, "sigma": uniform(generator, 6), "kind": kind}

    return {f"a network that predicts the {kind}": of(kind) for kind in ("clean", "noise", "step")}


def to_score(
    output: Tensor,
    x_tilde: Tensor,
    sigma: Tensor,
    kind: str,
    *,
    sign: int = -1,
    noise_power: int = 1,
    step_power: int = 2,
    clean_power: int = 2,
) -> Tensor:
    levels = per_example(sigma, x_tilde)
    if kind == "clean":
        return (output - x_tilde) / levels**clean_power
    return sign * output / levels**noise_power if kind == "noise" else output / levels**step_power


def score_from_clean(output: Tensor, x_tilde: Tensor, sigma: Tensor, kind: str) -> Tensor:
    """By the clean image that each output stands for, one example at a time."""
    scores = []
    for one, noisy, level in zip(output, x_tilde, sigma.tolist(), strict=True):
        clean = {"clean": one, "noise": noisy - level * one, "step": noisy + one}[kind]
        scores.append((clean - noisy) / level**2)
    return torch.stack(scores)


def denoiser_cases(generator: Generator) -> dict[str, Arguments]:
    x, data = randn(generator, 6, 1, 3, 4), randn(generator, 7, 1, 3, 4)
    return {
        "much noise": {"x": x, "data": data, "sigma": 0.9},
        "hardly any noise": {"x": x, "data": data, "sigma": 1e-3},
    }


def denoise_by_data(
    x: Tensor,
    data: Tensor,
    sigma: float,
    *,
    squared: bool = True,
    factor: float = 2.0,
    axis: int = 1,
    scored: bool = False,
) -> Tensor:
    distances = (x.flatten(1)[:, None] - data.flatten(1)).norm(dim=2)  # (B, N)
    weights = torch.softmax(-(distances ** (2 if squared else 1)) / (factor * sigma**2), dim=axis)
    guess = (weights @ data.flatten(1)).view(x.shape)
    return (guess - x) / sigma**2 if scored else guess


def denoise_by_library(x: Tensor, data: Tensor, sigma: float) -> Tensor:
    return dataset_mixture(data).denoise(x, sigma)


def constant_cases(generator: Generator) -> dict[str, Arguments]:
    variance, sigma = uniform(generator, 2).tolist()
    return {
        "five dimensions": {"variance": variance, "dim": 5, "sigma": sigma},
        "small noise": {"variance": variance, "dim": 64, "sigma": 0.1 * sigma},
    }


def irreducible_loss(
    variance: float, dim: int, sigma: float, *, explained: bool = True, weighted: bool = False, total: bool = True
) -> float:
    loss = 0.5 / sigma**2 - (0.5 / (variance + sigma**2) if explained else 0.0)
    return loss * (sigma**2 if weighted else 1) * (dim if total else 1)


def irreducible_by_quadrature(variance: float, dim: int, sigma: float) -> float:
    """One half of E[(z / sigma)^2 - s(x_tilde)^2], on a grid, with the library's score."""
    density = GaussianMixture(rows(0.0), variance**0.5)
    x = torch.linspace(-16, 16, 4001, dtype=torch.float64)[:, None]
    mean_square = (density.log_prob(x, sigma).exp() * density.score(x, sigma)[:, 0].square()).sum() * (x[1] - x[0])
    return dim * 0.5 * (1 / sigma**2 - mean_square.item())


def covariance_cases(generator: Generator) -> dict[str, Arguments]:
    density = mixture(generator)

    def at(sigma: float) -> Arguments:
        return {"score_fn": lambda x: density.score(x, sigma), "x_tilde": randn(generator, 1, 2), "sigma": sigma}

    return {"much noise": at(0.8), "little noise": at(0.3)}


def posterior_covariance(
    score_fn: Field,
    x_tilde: Tensor,
    sigma: float,
    *,
    identity: bool = True,
    sign: int = 1,
    outer: int = 2,
    inner: int = 2,
) -> Tensor:
    jacobian = torch.func.jacrev(lambda point: score_fn(point[None])[0])(x_tilde[0])
    return sigma**outer * (identity * torch.eye(len(jacobian)).to(jacobian) + sign * sigma**inner * jacobian)


def covariance_by_differences(score_fn: Field, x_tilde: Tensor, sigma: float) -> Tensor:
    """The slope of the denoiser, which is the covariance over sigma^2, by central differences."""
    moves = 1e-5 * torch.eye(x_tilde.shape[1]).to(x_tilde)
    ahead, behind = x_tilde + moves, x_tilde - moves
    denoised = (ahead + sigma**2 * score_fn(ahead)) - (behind + sigma**2 * score_fn(behind))
    return sigma**2 * (denoised / 2e-5).T


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="dsm-loss",
        chapter=CHAPTER,
        goal="Return the denoising score matching loss of each example.",
        grade="check",
        minutes=5,
        stub='''
def dsm_loss(score_fn, x, sigma, noise):
    """x, noise (B, *D), sigma (B,): the loss of each example, (B,)."""
    raise NotImplementedError
''',
        oracle=dsm_loss,
        twin=denoising_score_matching_loss,
        cases=dsm_cases,
        wrong={
            "mean": Wrong(
                "yours is the right loss divided by D: a squared norm is a sum over the pixels, not a mean.",
                {"mean": True},
            ),
            "sign": Wrong(
                "the target is -z/sigma, which points back from the noise; yours points along it.", {"sign": -1}
            ),
            "noise": Wrong(
                "your target is z, which a noise predictor learns; a score is that divided by sigma.", {"power": 0}
            ),
            "square": Wrong(
                "z is unit noise: (x_tilde - x) / sigma^2 equals z / sigma, so one factor of sigma has cancelled.",
                {"power": 2},
            ),
            "clean": Wrong(
                "you evaluate the score at the clean x; the network only ever sees x + sigma z.", {"clean": True}
            ),
            "half": Wrong("the factor 1/2 is missing.", {"scale": 2.0}),
        },
        hint="Make x_tilde first, ask for its score, and compare it with -z / sigma.",
        example=(
            "for x = 1, sigma = 2, z = 1 and the score -x_tilde",
            {
                "score_fn": lambda x, sigma: -x,
                "x": torch.ones(1, 1).double(),
                "sigma": torch.tensor([2.0]).double(),
                "noise": torch.ones(1, 1).double(),
            },
        ),
        probes=(
            Probe(
                "the loss has no gradient in the network's parameters: is there a detach() or a no_grad()?", gradient
            ),
        ),
    ),
    Exercise(
        id="dsm-target",
        chapter=CHAPTER,
        goal="Return the score, from the output of a network that predicts the clean image, the noise, or the step.",
        grade="check",
        minutes=5,
        stub='''
def to_score(output, x_tilde, sigma, kind):
    """output, x_tilde (B, *D), sigma (B,), kind "clean", "noise" or "step" (x - x_tilde): the score, (B, *D)."""
    raise NotImplementedError
''',
        oracle=to_score,
        twin=score_from_clean,
        cases=target_cases,
        wrong={
            "sign": Wrong("the noise was added, so it points away from the data; the score points back.", {"sign": 1}),
            "noise": Wrong("z is unit noise, and you divide it by sigma^2.", {"noise_power": 2}),
            "step": Wrong("x - x_tilde is sigma^2 times the score, not sigma times it.", {"step_power": 1}),
            "clean": Wrong(
                "for a predicted clean image you divide the step to it by sigma: a length by a length.",
                {"clean_power": 1},
            ),
        },
        hint="Write each of the three outputs as a conditional mean, and put x_tilde = x + sigma z in.",
        example=(
            "for the output 1, x_tilde = 3, sigma = 2 and the kind clean",
            {"output": rows(1.0), "x_tilde": rows(3.0), "sigma": vector(2.0), "kind": "clean"},
        ),
    ),
    Exercise(
        id="dataset-denoiser",
        chapter=CHAPTER,
        goal="Return the best guess of the clean image, where the data are these images and no others.",
        grade="modify",
        minutes=10,
        stub='''
def denoise_by_data(x, data, sigma):
    """x (B, *D) noisy, data (N, *D) clean, sigma a number: the expected clean images, (B, *D)."""
    raise NotImplementedError
''',
        oracle=denoise_by_data,
        twin=denoise_by_library,
        cases=denoiser_cases,
        wrong={
            "distance": Wrong("the exponent has the distance where a Gaussian has its square.", {"squared": False}),
            "two": Wrong("the 2 in the exponent is missing: you assume less noise than there is.", {"factor": 1.0}),
            "axis": Wrong("your weights sum to one over the noisy images, not over the data.", {"axis": 0}),
            "score": Wrong("that is the score of the noisy data set, not the denoised image.", {"scored": True}),
        },
        hint="It is a weighted mean of the data; the weight of each is its probability given x. Use a softmax.",
        example=(
            "for the data 0 and 2, x = 2 and sigma = 1",
            {"x": rows(2.0), "data": torch.tensor([[0.0], [2.0]]).double(), "sigma": 1.0},
        ),
        rtol=1e-5,
    ),
    Exercise(
        id="dsm-constant",
        chapter=CHAPTER,
        goal="Return the denoising loss of the exact score, for data from N(0, v I).",
        grade="modify",
        minutes=10,
        stub='''
def irreducible_loss(variance, dim, sigma):
    """variance v of each of the dim coordinates, sigma: the least denoising loss, not weighted, a number."""
    raise NotImplementedError
''',
        oracle=irreducible_loss,
        twin=irreducible_by_quadrature,
        cases=constant_cases,
        wrong={
            "zero": Wrong(
                "that is the loss of the zero score; subtract what the exact score explains.", {"explained": False}
            ),
            "weighted": Wrong("that is the loss times sigma^2.", {"weighted": True}),
            "one": Wrong("that is for one dimension; the coordinates' losses add.", {"total": False}),
        },
        hint="One half of the variance of z / sigma that is left when x_tilde is known.",
        example=("for v = 1, one dimension and sigma = 1", {"variance": 1.0, "dim": 1, "sigma": 1.0}),
    ),
    Exercise(
        id="dsm-covariance",
        chapter=CHAPTER,
        goal="Return the covariance of the clean point, given the noisy one.",
        grade="modify",
        minutes=20,
        stub='''
def posterior_covariance(score_fn, x_tilde, sigma):
    """score_fn (B, D) -> (B, D) the score at the level sigma, x_tilde (1, D): Cov(x | x_tilde), (D, D)."""
    raise NotImplementedError
''',
        oracle=posterior_covariance,
        twin=covariance_by_differences,
        cases=covariance_cases,
        wrong={
            "identity": Wrong(
                "the identity is missing: where the score is constant, nothing is known about the noise.",
                {"identity": False},
            ),
            "sign": Wrong(
                "the Jacobian has the wrong sign: where the score pulls together, the covariance is small.",
                {"sign": -1},
            ),
            "outer": Wrong(
                "the factor in front is sigma where a covariance needs the unit of x squared.", {"outer": 1}
            ),
            "inner": Wrong("the Jacobian has the unit 1/x^2, and you multiply it by sigma.", {"inner": 1}),
        },
        hint="Differentiate the denoiser x_tilde + sigma^2 s: its Jacobian is the covariance divided by sigma^2.",
        example=(
            "for the score -x / 2 and sigma = 1",
            {"score_fn": lambda x: -x / 2, "x_tilde": rows(0.0), "sigma": 1.0},
        ),
    ),
    Question(
        id="dsm-sum",
        chapter=CHAPTER,
        goal="By what factor is the loss that sums over the pixels larger than the loss with a mean, for 8 x 8 digits?",
        grade="check",
        minutes=2,
        key=lambda: 8.0 * 8,
        wrong={
            8.0: "that is one side of the image.",
            1.0: "the minimum is the same; the loss is not.",
            4096.0: "that is the square of the number of pixels.",
        },
        hint="How many numbers are in an image?",
    ),
    Question(
        id="dsm-rate",
        chapter=CHAPTER,
        goal="The best sigma falls like N^(-1/6). By what factor must the data grow to halve it?",
        grade="discover",
        minutes=30,
        key=lambda: 2.0**6,
        wrong={
            4.0: "that would be the rate N^(-1/2), at which errors usually fall.",
            12.0: "you multiplied by six; N^(-1/6) asks for a power.",
            8.0: "that would be the rate N^(-1/3).",
        },
        hint="Solve N^(-1/6) = 1/2.",
    ),
)
