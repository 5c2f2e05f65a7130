"""Sliced score matching."""

import itertools

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Answer, Arguments, Exercise, Probe, Question, Wrong
from ncsn_lib.exercises.fields import Field, jacobians, plane_field, randn, rows, slope_of, vector
from ncsn_lib.losses import sliced_score_matching_loss

CHAPTER = "03_sliced_score_matching"


def sliced_cases(generator: Generator) -> dict[str, Arguments]:
    return {
        "three directions": {
            "field": plane_field(generator),
            "x": randn(generator, 5, 4),
            "v": randn(generator, 5, 3, 4),
        }
    }


def sliced_loss(
    field: Field,
    x: Tensor,
    v: Tensor,
    *,
    reduced: bool = False,
    scale: float = 1.0,
    total: bool = False,
    unit: bool = False,
) -> Tensor:
    if unit:
        v = v / v.norm(dim=2, keepdim=True)
    score = field(x)
    second = torch.einsum("bmi,bij,bmj->bm", v, jacobians(field, x), v)
    square = score.square().sum(1)[:, None] if reduced else torch.einsum("bmi,bi->bm", v, score).square()
    losses = second + scale / 2 * square
    return losses.sum(1) if total else losses.mean(1)


def sliced_by_library(field: Field, x: Tensor, v: Tensor) -> Tensor:
    return sliced_score_matching_loss(lambda points, sigma: field(points), x, torch.zeros(len(x)).to(x), v)


def gradient_of_sliced(answer: Answer) -> Tensor:
    x, v = vector(-1.0, 0.3, 0.7, 2.0).view(2, 2), vector(1.0, -1.0, 1.0, 1.0).view(2, 1, 2)
    return slope_of(lambda slope: answer(lambda points: torch.tanh(slope * points), x, v))


def variance_cases(generator: Generator) -> dict[str, Arguments]:
    matrix = randn(generator, 4, 4)
    return {kind: {"matrix": matrix, "kind": kind} for kind in ("gaussian", "rademacher")}


def variance_of_form(
    matrix: Tensor, kind: str, *, symmetric: bool = True, factor: float = 2.0, alike: bool = False, rooted: bool = False
) -> Tensor:
    part = (matrix + matrix.T) / 2 if symmetric else matrix
    squares = part.square().sum()
    if kind == "rademacher" and not alike:
        squares = squares - part.diagonal().square().sum()
    return (factor * squares).sqrt() if rooted else factor * squares


def variance_by_moments(matrix: Tensor, kind: str) -> Tensor:
    """Signs are enumerated; of Gaussian entries the fourth moments are those of Isserlis."""
    size = len(matrix)
    if kind == "rademacher":
        signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=size))).to(matrix)
        return torch.einsum("si,ij,sj->s", signs, matrix, signs).var(correction=0)
    one = torch.eye(size).to(matrix)
    pairs = ("ij,kl->ijkl", "ik,jl->ijkl", "il,jk->ijkl")
    fourth = sum((torch.einsum(pair, one, one) for pair in pairs), torch.zeros(size, size, size, size).to(matrix))
    return torch.einsum("ij,kl,ijkl->", matrix, matrix, fourth) - matrix.trace() ** 2


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="ssm-loss",
        chapter=CHAPTER,
        goal="Return the sliced score matching loss of each example, with M directions.",
        grade="modify",
        minutes=10,
        stub='''
def sliced_loss(field, x, v):
    """field (B, D) -> (B, D), x (B, D), v (B, M, D) directions: the loss of each example, (B,)."""
    raise NotImplementedError
''',
        oracle=sliced_loss,
        twin=sliced_by_library,
        cases=sliced_cases,
        wrong={
            "reduced": Wrong(
                "that is the form with reduced variance: you took ||s||^2 in place of (v's)^2.", {"reduced": True}
            ),
            "half": Wrong("the factor 1/2 of the square is missing.", {"scale": 2.0}),
            "total": Wrong(
                "yours is a sum over the directions: the loss must not grow with their number.", {"total": True}
            ),
            "unit": Wrong(
                "you make the directions unit vectors: their mean square is then too small by a factor D.",
                {"unit": True},
            ),
        },
        hint="For one direction, v' J v is the gradient of v's(x), times v.",
        example=(
            "for the field -3 x at x = 1 and v = 2",
            {"field": lambda x: -3 * x, "x": rows(1.0), "v": rows(2.0)[None]},
        ),
        probes=(
            Probe(
                "the gradient of the loss in the network's parameters is incomplete: is there a detach(), or a "
                "derivative without create_graph=True?",
                gradient_of_sliced,
            ),
        ),
    ),
    Exercise(
        id="hutchinson-variance",
        chapter=CHAPTER,
        goal="Return the variance of v'Av for random directions v with Gaussian entries or with signs.",
        grade="modify",
        minutes=15,
        stub='''
def variance_of_form(matrix, kind):
    """matrix (D, D) A, kind "gaussian" or "rademacher": the variance of v'Av, a scalar."""
    raise NotImplementedError
''',
        oracle=variance_of_form,
        twin=variance_by_moments,
        cases=variance_cases,
        wrong={
            "symmetric": Wrong("v'Av depends only on the symmetric part of A.", {"symmetric": False}),
            "twice": Wrong(
                "a factor 2 is missing: v_i^2 has the variance 2, and A_ij comes with A_ji.", {"factor": 1.0}
            ),
            "diagonal": Wrong("for signs v_i^2 is always 1, so the diagonal adds no variance.", {"alike": True}),
            "root": Wrong("that is the standard deviation.", {"rooted": True}),
        },
        hint="Begin with a 2 by 2 matrix, write v'Av as a sum, and add the variances of its terms.",
        example=("for the matrix (3) and Gaussian entries", {"matrix": rows(3.0), "kind": "gaussian"}),
    ),
    Question(
        id="ssm-allowed",
        chapter=CHAPTER,
        goal="Which of the three kinds of directions gives the trace on average?",
        grade="check",
        minutes=5,
        key=lambda: "b",
        choices=("a", "b", "c", "none"),
        wrong={
            "a": "entries between -1 and 1 have a variance below 1, so the trace comes out too small.",
            "c": "v_i^2 = 1 is not enough: two entries with a common mean are not uncorrelated.",
            "none": "one of them has E[v v'] = I, although all its vectors lie on the axes.",
        },
        hint="Compute E[v_i^2] and E[v_i v_j] of each.",
    ),
    Question(
        id="ssm-diagonal",
        chapter=CHAPTER,
        goal="What is the variance of SSM-VR with Gaussian directions, for a perfect score of N(0, I), D = 20?",
        grade="check",
        minutes=2,
        key=lambda: 2 * 20.0,
        wrong={
            0.0: "that holds for signs; a perfect network does not make v'v a constant.",
            20.0: "that is the squared Frobenius norm of the Jacobian; v_i^2 has the variance 2.",
            400.0: "that is the squared trace, not a variance.",
        },
        hint="The Jacobian is -I, so the random part is -v'v.",
    ),
    Question(
        id="ssm-crossing",
        chapter=CHAPTER,
        goal="At which D do SSM and SSM-VR have the same mean variance, for N(0, I) and Gaussian directions?",
        grade="modify",
        minutes=10,
        key=lambda: 2.0,
        wrong={
            4.0: "you took D^2 for the mean of ||x||^4; the length of x varies.",
            6.0: "the factor 2 of Gaussian directions stands in one of the two variances only.",
            1.0: "in one dimension they are 1.5 and 2.",
        },
        hint="Compute the squared Frobenius norms of -I and of -I + x x'/2; the mean of ||x||^4 is D (D + 2).",
    ),
)
