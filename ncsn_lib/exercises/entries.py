"""What a graded exercise is made of: what is asked, the cases, the oracle, and the wrong answers that are known."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Generator

Answer = Callable[..., Any]
Arguments = dict[str, Any]
Grade = Literal["check", "modify", "discover"]


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that is known, and what is said to it.

    Args:
        hint: one sentence that says which way the answer is wrong, not what the right one is.
        switches: keyword arguments of the oracle that turn it into this wrong answer; two mistakes whose switches
            differ are tried together, too.
        answer: the wrong answer itself, where no switch of the oracle makes it.
    """

    hint: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None

    def __post_init__(self) -> None:
        """Refuse a mistake that is described twice, or not at all."""
        if bool(self.switches) == (self.answer is not None):
            raise ValueError(f"a wrong answer has switches or an answer of its own, one of the two: {self.hint!r}")


@dataclass(frozen=True)
class Probe:
    """A number that the answer and the oracle must share beyond their values, such as a gradient.

    Args:
        hint: what is said where the two differ.
        run: takes the answer, and returns what is compared with the same of the oracle.
    """

    hint: str
    run: Callable[[Answer], Any]


@dataclass(frozen=True, eq=False)  # each is itself, and so can be a key
class Exercise:
    """An exercise whose answer is a function.

    An answer is a function of its arguments alone, since draws are arguments; so it is compared with the oracle, and
    with every known wrong answer, on the same cases.

    Args:
        id: the name that `check` takes; the same as the label `ex-ID` in the chapter.
        chapter: the stem of the chapter's file, '05_langevin_dynamics'.
        goal: what the function does, one sentence that begins with a verb.
        grade: 'check' (two minutes), 'modify' (ten), or 'discover' (an hour).
        minutes: how long it takes a student.
        stub: the source of the function to be written: its signature, a docstring with shapes, and
            `raise NotImplementedError`.
        oracle: the right answer, whose keyword-only arguments are switches for mistakes; called by position in the
            order of the stub's arguments.
        twin: what the oracle must equal, written by other hands or by another way: the library's function, a closed
            form, automatic differentiation, quadrature, loops.
        cases: from a generator, the arguments of each case by the case's name, in general position: no two wrong
            answers agree on all of them.
        wrong: the known wrong answers by name.
        hint: one sentence that helps a student who does not know how to begin.
        example: the smallest case, as a student would work it out by hand: its words, and its arguments.
        probes: what must agree beyond the values.
        rtol: relative tolerance, dimensionless.
    """

    id: str
    chapter: str
    goal: str
    grade: Grade
    minutes: int
    stub: str
    oracle: Answer
    twin: Answer
    cases: Callable[[Generator], dict[str, Arguments]]
    wrong: Mapping[str, Wrong]
    hint: str
    example: tuple[str, Arguments]
    probes: tuple[Probe, ...] = ()
    rtol: float = 1e-6

    @property
    def function(self) -> str:
        """The name of the function that the stub defines."""
        return self.stub.split("def ", 1)[1].split("(", 1)[0].strip()

    def mistake(self, *names: str) -> Answer:
        """The oracle with these known mistakes; several only where each is made by switches."""
        known = [self.wrong[name] for name in names]
        if len(known) == 1 and known[0].answer is not None:
            return known[0].answer
        switches = {key: value for one in known for key, value in one.switches.items()}
        return lambda *arguments: self.oracle(*arguments, **switches)

    def pairs(self) -> list[tuple[str, str]]:
        """The names of two mistakes that can be made together: both made by switches, and by different ones."""
        names = [name for name, wrong in self.wrong.items() if wrong.switches]
        return [
            (first, second)
            for position, first in enumerate(names)
            for second in names[position + 1 :]
            if not set(self.wrong[first].switches) & set(self.wrong[second].switches)
        ]

    def stub_arguments(self) -> list[str]:
        """The names of the stub's arguments, in their order."""
        namespace: dict[str, Any] = {}
        exec(compile(self.stub, f"<stub of {self.id}>", "exec"), namespace)
        return list(inspect.signature(namespace[self.function]).parameters)


@dataclass(frozen=True)
class Question:
    """An exercise whose answer is a number or one of several choices.

    Args:
        id, chapter, grade, minutes, hint: as for `Exercise`.
        goal: the question, one sentence.
        key: computes the right answer: a number, or one of `choices`.
        wrong: known wrong answers, a number or a choice each, with what is said to it.
        choices: what can be chosen, where the answer is no number.
        rtol: relative tolerance of a number, dimensionless; narrower than the way to any wrong number.
    """

    id: str
    chapter: str
    goal: str
    grade: Grade
    minutes: int
    key: Callable[[], float | str]
    wrong: Mapping[float | str, str]
    hint: str
    choices: tuple[str, ...] = ()
    rtol: float = 0.02


@dataclass(frozen=True)
class Verdict:
    """What `check` says: one sentence, shown in a notebook as the cell's output; true where the answer is right.

    Args:
        id: the exercise.
        sentence: what is said.
        right: whether the answer is right.
        mistake: the name of the known wrong answer (two joined by '+'), or the kind of the failure.
    """

    id: str
    sentence: str
    right: bool = False
    mistake: str | None = None

    def __bool__(self) -> bool:
        """Whether the answer is right."""
        return self.right

    def __repr__(self) -> str:
        """The sentence, behind the exercise's name."""
        return f"{self.id}: {self.sentence}"
