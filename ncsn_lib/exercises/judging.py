"""Says what is right or wrong with what was observed: the oracle and each known wrong answer run on the same cases."""

import contextlib
import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ncsn_lib.exercises.entries import Answer, Exercise, Question, Verdict
from ncsn_lib.exercises.observing import Observation, as_tensors, copied, run_seeded

Outputs = dict[str, list[Tensor]]


class Reference(NamedTuple):
    """What the oracle and each known wrong answer, alone and in pairs, give on the cases of one seed."""

    right: Outputs
    probes: list[list[Tensor]]
    wrong: dict[str, Outputs]
    example: list[Tensor]


@functools.lru_cache(maxsize=512)  # a class hands in the same exercises again and again
def reference(exercise: Exercise, seed: int) -> Reference:
    """The outputs that an answer is compared with."""
    cases = exercise.cases(torch.Generator().manual_seed(seed))

    def outputs(answer: Answer) -> Outputs:
        return {name: as_tensors(run_seeded(answer, copied(case), 1)) for name, case in cases.items()}

    pairs = {}
    for names in exercise.pairs():
        # Two mistakes may not go together on these cases; then nobody can have made both.
        with contextlib.suppress(TypeError, ValueError, RuntimeError, ArithmeticError, IndexError):
            pairs["+".join(names)] = outputs(exercise.mistake(*names))
    return Reference(
        outputs(exercise.oracle),
        [as_tensors(probe.run(exercise.oracle)) for probe in exercise.probes],
        {name: outputs(exercise.mistake(name)) for name in exercise.wrong} | pairs,
        as_tensors(run_seeded(exercise.oracle, copied(exercise.example[1]), 1)),
    )


def judge(exercise: Exercise, seen: Observation, seed: int) -> Verdict:
    """The verdict on what an answer did on the cases of this seed."""
    known = reference(exercise, seed)
    mistake, sentence = seen.failure or _compared(exercise, seen, known)
    right = mistake == "right"
    return Verdict(exercise.id, sentence, right, None if right else mistake)


def _compared(exercise: Exercise, seen: Observation, known: Reference) -> tuple[str, str]:
    """The kind of an answer that ran on every case, and what is said to it."""
    got = {name: seen.outputs[f"case {name}"] for name in known.right}
    if seen.draws:
        return "draws", "two runs on the same arguments differ: draw nothing, the draws are arguments."
    if alike(got, known.right, exercise.rtol):
        if seen.changed is not None:
            return "changed", f"the values are right, but the function changes its argument {seen.changed} in place."
        for position, probe in enumerate(exercise.probes):
            if not alike_lists(seen.outputs[f"probe {position}"], known.probes[position], exercise.rtol):
                return f"probe {position}", probe.hint
        return "right", "right."
    for names, outputs in known.wrong.items():
        if alike(got, outputs, exercise.rtol):
            hints = [exercise.wrong[name].hint for name in names.split("+")]
            return names, hints[0] if len(hints) == 1 else f"two things. First: {hints[0]} Second: {hints[1]}"
    return _unknown(exercise, seen, got, known)


def _unknown(exercise: Exercise, seen: Observation, got: Outputs, known: Reference) -> tuple[str, str]:
    """The kind of a wrong answer that is not known, and what can be said of it."""
    found, wanted = shapes(got), shapes(known.right)
    for name in wanted:
        if found[name] != wanted[name]:
            return "shape", f"the shape is {words(found[name])}, and should be {words(wanted[name])}."
    for name, tensors in got.items():
        if not all(tensor.isfinite().all() for tensor in tensors):
            return "finite", f"not all values are finite in the case '{name}'."
    factor = common_factor(got, known.right)
    if factor is not None:
        return "factor", f"right up to the factor {factor:.4g}."
    right = [name for name in wanted if alike_lists(got[name], known.right[name], exercise.rtol)]
    if right:
        failed = next(name for name in wanted if name not in right)
        return "case", f"right in the case '{right[0]}', wrong in the case '{failed}'."
    answers = f"the answer is {show(known.example)}, yours is {show(seen.outputs['example'])}."
    return "unknown", f"not yet. By hand: {exercise.example[0]} {answers}"


def judge_number(question: Question, answer: Any) -> Verdict:
    """The verdict on a number or a choice."""
    if answer is None or answer is Ellipsis:
        return Verdict(question.id, "not answered yet.", mistake="stub")
    try:
        value = str(answer) if question.choices else float(answer)
    except Exception:  # whatever an object of the student's makes of it: no number
        return Verdict(question.id, f"the answer is a number, not a {type(answer).__name__}.", mistake="type")
    if question.choices and value not in question.choices:
        return Verdict(question.id, f"choose one of {', '.join(map(repr, question.choices))}.", mistake="type")
    if _same_number(question, value, question.key()):
        return Verdict(question.id, "right.", right=True)
    for wrong, hint in question.wrong.items():
        if _same_number(question, value, wrong):
            return Verdict(question.id, hint, mistake=str(wrong))
    return Verdict(question.id, f"not yet. {question.hint}", mistake="unknown")


def _same_number(question: Question, answer: Any, value: float | str) -> bool:
    if question.choices or isinstance(value, str):
        return bool(answer == value)
    return math.isclose(answer, value, rel_tol=question.rtol, abs_tol=1e-12)


def alike(first: Outputs, second: Outputs, rtol: float) -> bool:
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


def common_factor(got: Outputs, want: Outputs) -> float | None:
    """The number by which every value is too large, where there is one."""
    first = torch.cat([tensor.flatten() for tensors in got.values() for tensor in tensors])
    second = torch.cat([tensor.flatten() for tensors in want.values() for tensor in tensors])
    kept = second.abs() > 1e-9 * second.abs().max()
    if kept.sum() < 2 or first[kept].abs().max() == 0:
        return None
    ratio = first[kept] / second[kept]
    return ratio.mean().item() if ratio.std() < 1e-5 * ratio.mean().abs() else None


def shapes(outputs: Outputs) -> dict[str, list[tuple[int, ...]]]:
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
