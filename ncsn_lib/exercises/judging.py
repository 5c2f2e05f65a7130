"""Says what is right or wrong with what was observed: the oracle and each known wrong answer run on the same cases."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ncsn_lib.exercises.entries import Answer, Exercise, Question, Verdict
from ncsn_lib.exercises.observing import Observation, as_tensors, copied, run_seeded


def judge(exercise: Exercise, seen: Observation, seed: int) -> Verdict:
    """The verdict on what an answer did on the cases of this seed."""

    def verdict(mistake: str, sentence: str) -> Verdict:
        return Verdict(exercise.id, sentence, mistake == "right", None if mistake == "right" else mistake)

    if seen.failure is not None:
        return verdict(*seen.failure)
    cases = exercise.cases(torch.Generator().manual_seed(seed))
    got = {name: seen.outputs[f"case {name}"] for name in cases}

    def of(answer: Answer) -> dict[str, list[Tensor]] | None:
        try:
            return {name: as_tensors(run_seeded(answer, copied(case), 1)) for name, case in cases.items()}
        except (TypeError, ValueError, RuntimeError, ArithmeticError, IndexError):
            return None  # a mistake that cannot be made on these cases

    want = of(exercise.oracle)
    if want is None:
        raise RuntimeError(f"the oracle of {exercise.id} fails on the cases of seed {seed}")
    if seen.draws:
        return verdict("draws", "two runs on the same arguments differ: draw nothing, the draws are arguments.")
    if alike(got, want, exercise.rtol):
        if seen.changed is not None:
            return verdict(
                "changed", f"the values are right, but the function changes its argument {seen.changed} in place."
            )
        for position, probe in enumerate(exercise.probes):
            if not alike_lists(
                seen.outputs[f"probe {position}"], as_tensors(probe.run(exercise.oracle)), exercise.rtol
            ):
                return verdict(f"probe {position}", probe.hint)
        return verdict("right", "right.")
    for name, wrong in exercise.wrong.items():
        values = of(exercise.mistake(name))
        if values is not None and alike(got, values, exercise.rtol):
            return verdict(name, wrong.hint)
    for first, second in exercise.pairs():
        values = of(exercise.mistake(first, second))
        if values is not None and alike(got, values, exercise.rtol):
            hints = exercise.wrong[first].hint, exercise.wrong[second].hint
            return verdict(f"{first}+{second}", f"two things. First: {hints[0]} Second: {hints[1]}")
    return verdict(*_unknown(exercise, seen, got, want))


def _unknown(
    exercise: Exercise, seen: Observation, got: dict[str, list[Tensor]], want: dict[str, list[Tensor]]
) -> tuple[str, str]:
    """The kind of a wrong answer that is not known, and what can be said of it."""
    if shapes(got) != shapes(want):
        name = next(name for name in want if shapes(got)[name] != shapes(want)[name])
        return "shape", f"the shape is {words(shapes(got)[name])}, and should be {words(shapes(want)[name])}."
    for name, tensors in got.items():
        if not all(tensor.isfinite().all() for tensor in tensors):
            return "finite", f"not all values are finite in the case '{name}'."
    factor = common_factor(got, want)
    if factor is not None:
        return "factor", f"right up to the factor {factor:.4g}."
    right = [name for name in want if alike_lists(got[name], want[name], exercise.rtol)]
    if right:
        failed = next(name for name in want if name not in right)
        return "case", f"right in the case '{right[0]}', wrong in the case '{failed}'."
    text, arguments = exercise.example
    value = as_tensors(run_seeded(exercise.oracle, copied(arguments), 1))
    return "unknown", f"not yet. By hand: {text} the answer is {show(value)}, yours is {show(seen.outputs['example'])}."


def judge_number(question: Question, answer: Any) -> Verdict:
    """The verdict on a number or a choice."""
    if answer is None or answer is Ellipsis:
        return Verdict(question.id, "not answered yet.", mistake="stub")
    key = question.key()
    if question.choices:
        if answer not in question.choices:
            return Verdict(question.id, f"choose one of {', '.join(map(repr, question.choices))}.", mistake="type")
        same: Callable[[Any], bool] = lambda value: value == answer  # noqa: E731
    else:
        try:
            number = float(answer)
        except (TypeError, ValueError, RuntimeError):
            return Verdict(question.id, f"the answer is a number, not a {type(answer).__name__}.", mistake="type")
        same = lambda value: math.isclose(number, value, rel_tol=question.rtol, abs_tol=1e-12)  # noqa: E731
    if same(key):
        return Verdict(question.id, "right.", right=True)
    for value, hint in question.wrong.items():
        if same(value):
            return Verdict(question.id, hint, mistake=str(value))
    return Verdict(question.id, f"not yet. {question.hint}", mistake="unknown")


def alike(first: dict[str, list[Tensor]], second: dict[str, list[Tensor]], rtol: float) -> bool:
    """Whether two answers agree on every case."""
    return all(alike_lists(first[name], second[name], rtol) for name in second)


def alike_lists(first: list[Tensor], second: list[Tensor], rtol: float) -> bool:
    """Whether two lists of tensors have the same shapes and, relative to their size, the same values."""
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return False
    for one, other in zip(first, second, strict=True):
        scale = other.abs().nan_to_num(posinf=0.0).max().item() if other.numel() else 0.0
        if not torch.allclose(one, other, rtol=rtol, atol=rtol * 1e-2 * scale, equal_nan=True):
            return False
    return True


def common_factor(got: dict[str, list[Tensor]], want: dict[str, list[Tensor]]) -> float | None:
    """The number by which every value is too large, where there is one."""
    first = torch.cat([tensor.flatten() for tensors in got.values() for tensor in tensors])
    second = torch.cat([tensor.flatten() for tensors in want.values() for tensor in tensors])
    kept = second.abs() > 1e-9 * second.abs().max()
    if kept.sum() < 2 or first[kept].abs().max() == 0:
        return None
    ratio = first[kept] / second[kept]
    return ratio.mean().item() if ratio.std() < 1e-5 * ratio.mean().abs() else None


def shapes(outputs: dict[str, list[Tensor]]) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of what each case returned."""
    return {name: [tuple(tensor.shape) for tensor in tensors] for name, tensors in outputs.items()}


def words(parts: list[tuple[int, ...]]) -> str:
    """Shapes as a reader writes them."""
    return ", ".join(str(shape) for shape in parts)


def show(parts: list[Tensor]) -> str:
    """A few numbers of each tensor."""
    texts = []
    for part in parts:
        numbers = [f"{value:.4g}" for value in part.flatten()[:6].tolist()]
        texts.append(
            numbers[0] if part.ndim == 0 else "[" + ", ".join(numbers) + (", ..." if part.numel() > 6 else "") + "]"
        )
    return " and ".join(texts)
