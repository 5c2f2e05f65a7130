"""Score matching."""

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Probe, Question, Wrong
from ncsn_lib.exercises.fields import Field, jacobians, plane_field, randn, rows, slope_of, vector
from ncsn_lib.losses import implicit_score_matching_loss

CHAPTER = "02_score_matching"
BATCH = 64


def field_cases(generator: Generator) -> dict[str, Arguments]:
    return {"five points in four dimensions": {"field": plane_field(generator), "x": randn(generator, 5, 4)}}


def trace_of_jacobian(field: Field, x: Tensor, *, entries: str = "diagonal") -> Tensor:
    matrices = jacobians(field, x)
    if entries == "all":
        return matrices.sum((1, 2))
    if entries == "squares":
        return matrices.square().sum((1, 2))
    diagonals = matrices.diagonal(dim1=1, dim2=2)
    return diagonals.mean(1) if entries == "mean" else diagonals.sum(1)


def trace_by_loops(field: Field, x: Tensor) -> Tensor:
    traces = torch.zeros(len(x)).to(x)
    for example in range(len(x)):
        point = x[example : example + 1].clone().requires_grad_()
        value = field(point)[0]
        for axis in range(x.shape[1]):
            traces[example] += torch.autograd.grad(value[axis], point, retain_graph=True)[0][0, axis]
    return traces


def loss_without_truth(
    field: Field, x: Tensor, *, square: float = 0.5, trace: float = 1.0, mean: bool = False
) -> Tensor:
    squares = field(x).square().sum(1)
    traces = jacobians(field, x).diagonal(dim1=1, dim2=2).sum(1)
    loss = square * squares + trace * traces
    return loss / x.shape[1] if mean else loss


def implicit_by_library(field: Field, x: Tensor) -> Tensor:
    return implicit_score_matching_loss(lambda points, sigma: field(points), x, torch.zeros(len(x)).to(x))


def gradient_of_implicit(answer: Answer) -> Tensor:
    return slope_of(
        lambda slope: answer(lambda points: torch.tanh(slope * points), vector(-1.0, 0.3, 0.7, 2.0).view(2, 2))
    )


def fit_cases(generator: Generator) -> dict[str, Arguments]:
    return {"forty points": {"x": randn(generator, 40, 3) @ randn(generator, 3, 3) + 2}}


def best_precision(
    x: Tensor, *, centred: bool = True, bessel: bool = False, invert: bool = True, diagonal: bool = False
) -> Tensor:
    offsets = x - x.mean(0) if centred else x
    covariance = offsets.T @ offsets / (len(x) - bessel)
    if diagonal:
        covariance = torch.diag(covariance.diagonal())
    return torch.linalg.inv(covariance) if invert else covariance


def precision_by_newton(x: Tensor) -> Tensor:
    dim = x.shape[1]

    def loss(flat: Tensor) -> Tensor:
        matrix = flat.view(dim, dim)
        return 0.5 * ((x - x.mean(0)) @ matrix.T).square().sum(1).mean() - matrix.trace()

    start = torch.zeros(dim * dim).to(x)
    slope, curvature = torch.func.grad(loss)(start), torch.func.jacrev(torch.func.grad(loss))(start)
    return -torch.linalg.solve(curvature, slope).view(dim, dim)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="trace",
        chapter=CHAPTER,
        goal="Return the trace of a field's Jacobian at each example.",
        grade="check",
        minutes=5,
        stub='''
def trace_of_jacobian(field, x):
    """field (B, D) -> (B, D), x (B, D): the sum of ds_d/dx_d at each example, (B,)."""
    raise NotImplementedError
''',
        oracle=trace_of_jacobian,
        twin=trace_by_loops,
        cases=field_cases,
        wrong={
            "all": Wrong(
                "you sum every entry of the Jacobian, as backward() through the sum of the outputs does.",
                {"entries": "all"},
            ),
            "mean": Wrong("yours is the mean of the diagonal.", {"entries": "mean"}),
            "squares": Wrong(
                "you sum the squared entries: that is the squared Frobenius norm.", {"entries": "squares"}
            ),
        },
        hint="Take the gradient of one output at a time, and keep only its entry with the same index.",
        example=("for the field -3 x in one dimension", {"field": lambda x: -3 * x, "x": rows(1.0)}),
    ),
    Exercise(
        id="implicit-loss",
        chapter=CHAPTER,
        goal="Return the score matching loss of each example without the true score.",
        grade="modify",
        minutes=10,
        stub='''
def loss_without_truth(field, x):
    """field (B, D) -> (B, D), x (B, D): the implicit score matching loss of each example, (B,)."""
    raise NotImplementedError
''',
        oracle=loss_without_truth,
        twin=implicit_by_library,
        cases=field_cases,
        wrong={
            "sign": Wrong(
                "the trace has the wrong sign: a good score points inwards, and its trace is negative.", {"trace": -1.0}
            ),
            "square": Wrong(
                "the factor 1/2 of the square is missing: the minimum is then at half the score.", {"square": 1.0}
            ),
            "trace": Wrong(
                "the trace has a factor 1/2 too many: the cross term of the square has a 2.", {"trace": 0.5}
            ),
            "mean": Wrong("yours is the right loss divided by D.", {"mean": True}),
        },
        hint="Two terms: one half of the squared norm, and the trace of the exercise before.",
        example=("for the field -3 x at x = 1", {"field": lambda x: -3 * x, "x": rows(1.0)}),
        probes=(
            Probe(
                "the gradient of the loss in the network's parameters is incomplete: is there a detach(), or a "
                "derivative without create_graph=True?",
                gradient_of_implicit,
            ),
        ),
    ),
    Exercise(
        id="gaussian-fit",
        chapter=CHAPTER,
        goal="Return the matrix P for which s(x) = -P (x - m), with m the mean of the data, has the least loss.",
        grade="modify",
        minutes=15,
        stub='''
def best_precision(x):
    """x (N, D) data: the matrix P of the best score -P (x - mean), (D, D)."""
    raise NotImplementedError
''',
        oracle=best_precision,
        twin=precision_by_newton,
        cases=fit_cases,
        wrong={
            "covariance": Wrong("that is the covariance: wide directions would have long scores.", {"invert": False}),
            "moments": Wrong(
                "you take second moments about zero; the mean has to be subtracted first.", {"centred": False}
            ),
            "diagonal": Wrong(
                "yours is diagonal: the gradient of the loss off the diagonal is not zero there.", {"diagonal": True}
            ),
            "bessel": Wrong(
                "you divide by N - 1, which is unbiased, but is not the minimum of the mean loss.", {"bessel": True}
            ),
        },
        hint="Put s into the implicit loss, take the mean over the data, and set its gradient in P to zero.",
        example=(
            "for the data (1, 0), (-1, 0), (0, 2) and (0, -2)",
            {"x": torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]).double()},
        ),
    ),
    Question(
        id="sm-sign",
        chapter=CHAPTER,
        goal="The true score has the loss -C. What is the loss of three times the true score, in units of C?",
        grade="check",
        minutes=2,
        key=lambda: 3.0**2 - 2 * 3.0,
        wrong={
            9.0: "you count the squared norm alone: the trace grows with the factor as well.",
            4.0: "that is the Fisher divergence; the loss lies a constant below it.",
            -3.0: "the loss is not linear in the score: three times the truth is worse than no score.",
        },
        hint="Put f s into the explicit loss, which is C (f - 1)^2, and subtract the constant.",
    ),
    Question(
        id="sm-conditions",
        chapter=CHAPTER,
        goal="For which of the four does the implicit loss hold?",
        grade="check",
        minutes=5,
        key=lambda: "b",
        choices=("a", "b", "c", "d"),
        wrong={
            "a": "the network is smooth, but the density ends at 0 and 1, where the boundary term stays.",
            "c": "the mean of the squared model score is infinite there.",
            "d": "points on a circle have no density in the plane, so there is no score to match.",
        },
        hint="Look for what integration by parts needs: a density, no edge, and means that are finite.",
    ),
    Question(
        id="sm-batch",
        chapter=CHAPTER,
        goal="What is the trace of the Jacobian of s(x) = -(x - mean of the batch), for 64 examples in two dimensions?",
        grade="check",
        minutes=5,
        key=lambda: -2 * (1 - 1 / BATCH),
        wrong={
            0.0: "that is what summing over the batch before going backwards gives; it is not the trace.",
            -2.0: "the mean moves with each example, by one part in the size of the batch.",
            -(1 - 1 / BATCH): "that is for one dimension.",
        },
        hint="By how much does the mean over the batch change if one example moves by one?",
        rtol=1e-3,
    ),
)
