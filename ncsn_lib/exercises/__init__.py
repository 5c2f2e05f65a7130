"""Graded exercises: `check` says whether an answer is right, and if not, in which way it is wrong.

from ncsn_lib.exercises import check
check("langevin-step", langevin_step)
"""

import difflib
from typing import Any

from ncsn_lib.exercises.entries import Exercise, Question, Verdict
from ncsn_lib.exercises.judging import judge, judge_number
from ncsn_lib.exercises.observing import observe
from ncsn_lib.exercises.registry import ENTRIES

__all__ = ["ENTRIES", "Exercise", "Question", "Verdict", "check", "hint", "progress"]

_verdicts: dict[str, Verdict] = {}  # the last of each exercise since Python began


def check(id: str, answer: Any = None, *, seed: int = 0) -> Verdict:
    """Compare an answer with the oracle and with the known wrong answers; never raises.

    Args:
        id: of the exercise, as in the chapter: 'langevin-step'.
        answer: the function itself, a number or a choice.
        seed: of the cases.

    Returns:
        The verdict, which is shown as one sentence and is true where the answer is right.
    """
    id = str(id)
    if id not in ENTRIES:
        return Verdict(id, f"there is no such exercise{_near(id)}.", mistake="id")
    entry = ENTRIES[id]
    if isinstance(entry, Question):
        verdict = judge_number(entry, answer)
    elif answer is None:
        verdict = Verdict(id, "not written yet.", mistake="stub")
    elif not callable(answer):
        name = type(answer).__name__
        verdict = Verdict(
            id, f"the answer is a function, not a {name}: hand over {entry.function} itself.", mistake="type"
        )
    else:
        verdict = judge(entry, observe(entry, answer, seed), seed)
    _verdicts[id] = verdict
    return verdict


def hint(id: str) -> str:
    """One sentence that helps to begin."""
    id = str(id)
    return ENTRIES[id].hint if id in ENTRIES else f"there is no exercise {id!r}{_near(id)}."


def progress() -> str:
    """How many exercises of each chapter were answered rightly since Python began."""
    lines = []
    for chapter in dict.fromkeys(entry.chapter for entry in ENTRIES.values()):
        ids = [id for id, entry in ENTRIES.items() if entry.chapter == chapter]
        right = [id for id in ids if _verdicts.get(id)]
        tried = [id for id in ids if id in _verdicts and id not in right]
        if right or tried:
            lines.append(
                f"{chapter}: {len(right)} of {len(ids)} right" + (f"; not yet: {', '.join(tried)}" if tried else "")
            )
    return "\n".join(lines) or "nothing checked yet"


def _near(id: object) -> str:
    near = difflib.get_close_matches(str(id), ENTRIES, n=3, cutoff=0.4)
    return f"; near it: {', '.join(near)}" if near else ""
