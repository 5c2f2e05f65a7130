"""Training."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ncsn_lib.exercises.entries import Arguments, Exercise, Question, Wrong
from ncsn_lib.exercises.fields import randn, vector
from ncsn_lib.training import TrainingSettings

CHAPTER = "12_training_on_a_gpu"
Loss = Callable[[Tensor, Tensor], Tensor]


def average_cases(generator: Generator) -> dict[str, Arguments]:
    average, new = randn(generator, 2, 3)
    part = {"average": average, "new": new}
    return {"early": {**part, "step": 5, "decay": 0.999}, "late": {**part, "step": 1_000_000, "decay": 0.999}}


def average_of_weights(
    average: Tensor, new: Tensor, step: int, decay: float, *, rise: bool = True, bound: bool = True, swap: bool = False
) -> Tensor:
    rising = (1 + step) / (10 + step)
    kept = (min(decay, rising) if bound else rising) if rise else decay
    return (1 - kept) * average + kept * new if swap else kept * average + (1 - kept) * new


def average_by_settings(average: Tensor, new: Tensor, step: int, decay: float) -> Tensor:
    settings = TrainingSettings(num_steps=1, batch_size=1, learning_rate=1.0, ema_decay=decay)
    return torch.lerp(new, average, settings.ema_decay_at(step))


def part_cases(generator: Generator) -> dict[str, Arguments]:
    def loss_fn(w: Tensor, x: Tensor) -> Tensor:
        return (torch.tanh(x @ w) - 1) ** 2

    def of(parts: int) -> Arguments:
        return {"loss_fn": loss_fn, "w": randn(generator, 4), "x": randn(generator, 10, 4), "parts": parts}

    return {"parts of 3, 3, 2 and 2": of(4), "parts of 4, 3 and 3": of(3)}


def gradient_in_parts(
    loss_fn: Loss, w: Tensor, x: Tensor, parts: int, *, weigh: str = "size", last: bool = False
) -> Tensor:
    total = torch.zeros_like(w)
    for part in x.tensor_split(parts):
        weights = w.clone().requires_grad_()
        gradient = torch.autograd.grad(loss_fn(weights, part).mean(), weights)[0]
        weight = {"size": len(part) / len(x), "even": 1 / parts, "none": 1.0}[weigh]
        total = weight * gradient + (0 if last else total)
    return total


def gradient_at_once(loss_fn: Loss, w: Tensor, x: Tensor, parts: int) -> Tensor:
    return torch.func.grad(lambda weights: loss_fn(weights, x).mean())(w)


ENTRIES: tuple[Exercise | Question, ...] = (
    Exercise(
        id="ema",
        chapter=CHAPTER,
        goal="Return the moving average of the weights after a step, with the rising decay.",
        grade="check",
        minutes=5,
        stub='''
def average_of_weights(average, new, step, decay):
    """average, new (P,), step counted from 0, decay the bound it rises to: the average with the new weights, (P,)."""
    raise NotImplementedError
''',
        oracle=average_of_weights,
        twin=average_by_settings,
        cases=average_cases,
        wrong={
            "rise": Wrong(
                "your decay does not rise: after few steps the average is still the random start.", {"rise": False}
            ),
            "swap": Wrong(
                "the decay is the part that the average keeps, not the part of the new weights.", {"swap": True}
            ),
            "bound": Wrong(
                "your decay has no bound: in the end the average remembers the whole training.", {"bound": False}
            ),
        },
        hint="The decay is the smaller of the bound and (1 + step) / (10 + step).",
        example=(
            "for the average 0, the new weight 11, step 1 and the bound 0.9",
            {"average": vector(0.0), "new": vector(11.0), "step": 1, "decay": 0.9},
        ),
    ),
    Exercise(
        id="accumulate",
        chapter=CHAPTER,
        goal="Return the gradient of the mean loss of a batch, one part of the batch after the other.",
        grade="modify",
        minutes=10,
        stub='''
def gradient_in_parts(loss_fn, w, x, parts):
    """loss_fn(w, x) -> (B,), w (P,), x (B, D), to be split by x.tensor_split(parts): the gradient in w, (P,)."""
    raise NotImplementedError
''',
        oracle=gradient_in_parts,
        twin=gradient_at_once,
        cases=part_cases,
        wrong={
            "sum": Wrong(
                "you add gradients of means: the sum is as many times too long as there are parts.", {"weigh": "none"}
            ),
            "even": Wrong("you give each part the same weight, but the parts are not equally long.", {"weigh": "even"}),
            "last": Wrong("only the last part is left in your gradient.", {"last": True}),
        },
        hint="The mean over the batch is a weighted mean of the means over the parts.",
        example=(
            "for the loss (w - x)^2, w = 0 and the batch 1, 2, 3 in two parts",
            {
                "loss_fn": lambda w, x: (w - x[:, 0]) ** 2,
                "w": vector(0.0),
                "x": torch.tensor([[1.0], [2.0], [3.0]]).double(),
                "parts": 2,
            },
        ),
    ),
    Question(
        id="training-divide",
        chapter=CHAPTER,
        goal="How many numbers of processes does a batch of 128 allow, with two parts for each process?",
        grade="check",
        minutes=2,
        key=lambda: float(sum(128 % (2 * processes) == 0 for processes in range(1, 129))),
        wrong={
            8.0: "with 128 processes each part would be half an image.",
            64.0: "that is the largest number that is allowed.",
            128.0: "twice the number of processes has to divide the batch.",
        },
        hint="Twice the number of processes has to divide 128.",
    ),
    Question(
        id="training-threads",
        chapter=CHAPTER,
        goal="How many steps does the average remember after 100 steps, with the bound 0.999?",
        grade="modify",
        minutes=10,
        key=lambda: 1 / (1 - 101 / 110),
        wrong={
            1000.0: "that is the memory in the end; after 100 steps the decay has not risen that far.",
            100.0: "the average forgets the first steps on purpose.",
            101 / 110: "that is the decay; the memory is 1 / (1 - decay).",
        },
        hint="The memory is 1 / (1 - decay), and the decay is (1 + k) / (10 + k).",
    ),
    Question(
        id="training-fp16",
        chapter=CHAPTER,
        goal="By which factor must gradients of 1e-7 be scaled to survive in float16?",
        grade="modify",
        minutes=10,
        key=lambda: torch.finfo(torch.float16).tiny / 1e-7,
        wrong={
            torch.finfo(torch.float16).max
            / (torch.finfo(torch.float16).tiny / 1e-7): "that is the largest gradient left.",
            torch.finfo(torch.float16).max / 1e-7: "that scales them to the very top, where larger ones overflow.",
            torch.finfo(torch.float16).eps / 1e-7: "eps is the distance of numbers near 1, not the smallest number.",
        },
        hint="Bring them to the smallest number that float16 holds with all its digits.",
    ),
)
