"""CelebA."""

from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import uniform, vector

CHAPTER = "15_celeba"


def spectrum_cases(generator: Generator) -> dict[str, Arguments]:
    spectrum = uniform(generator, 6) * vector(30, 5, 1, 0.2, 0.01, 0.0001)
    return {"large noise": {"spectrum": spectrum, "sigma": 1.2}, "small noise": {"spectrum": spectrum, "sigma": 0.05}}


def floor_of_loss(
    spectrum: Tensor,
    sigma: float,
    *,
    half: float = 0.5,
    complement: bool = False,
    root: bool = False,
    weighted: bool = True,
    mean: bool = False,
) -> Tensor:
    signal, noise = (spectrum.sqrt(), sigma) if root else (spectrum, sigma**2)
    parts = (noise if complement else signal) / (signal + noise)
    loss = half * (parts.mean() if mean else parts.sum())
    return loss if weighted else loss / sigma**2


def floor_by_uncertainty(spectrum: Tensor, sigma: float) -> float:
    """One half of what is unknown of the noise, along each axis, by the posterior of the data."""
    unknown = [0.0 if value == 0 else 1 / (1 / value + 1 / sigma**2) / sigma**2 for value in spectrum.tolist()]
    return sum(unknown) / 2


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="celeba-floor",
        chapter=CHAPTER,
        goal="Return the least weighted loss of a level, for Gaussian data with a given spectrum.",
        grade="check",
        minutes=5,
        stub='''
def floor_of_loss(spectrum, sigma):
    """spectrum (D,) the eigenvalues of the covariance, sigma a number: the least loss times sigma^2, a scalar."""
    raise NotImplementedError
''',
        oracle=floor_of_loss,
        twin=floor_by_uncertainty,
        cases=spectrum_cases,
        wrong={
            "known": Wrong("you count what is known of the noise; the loss is what is not.", {"complement": True}),
            "half": Wrong("the factor 1/2 is missing.", {"half": 1.0}),
            "root": Wrong(
                "you add standard deviations; for independent variables it is the variances that add.", {"root": True}
            ),
            "weight": Wrong("that is the loss without the weight sigma^2.", {"weighted": False}),
            "mean": Wrong("yours is a mean over the axes.", {"mean": True}),
        },
        hint="Along one axis of variance v the noise z is known up to the variance v / (v + sigma^2).",
        example=("for the spectrum (1, 3) and sigma = 1", {"spectrum": vector(1.0, 3.0), "sigma": 1.0}),
    ),
    Question(
        id="celeba-window",
        chapter=CHAPTER,
        goal="Which fraction of a picture of 178 x 218 does the crop of 140 x 140 keep?",
        grade="check",
        minutes=2,
        key=lambda: 140 * 140 / (178 * 218),
        wrong={
            140 / 218: "that is the fraction of the rows.",
            140 / 178: "that is the fraction of the columns.",
            1 - 140 * 140 / (178 * 218): "that is the fraction that is lost.",
        },
        hint="Compare areas.",
        rtol=0.008,
    ),
    Question(
        id="celeba-open",
        chapter=CHAPTER,
        goal="How many eigenvalues of the covariance of 400 pictures are above 0?",
        grade="check",
        minutes=2,
        key=lambda: 399.0,
        wrong={
            400.0: "the mean picture was taken off, which costs one.",
            3072.0: "that is the number of axes; so few pictures do not fill them.",
            1024.0: "that is the number of pixels.",
        },
        hint="How many directions can 400 points have about their mean? Begin with two points.",
        rtol=1e-3,
    ),
)
