"""Every graded exercise by its id, in the order of the chapters."""

from ncsn_lib.exercises import chapter_04
from ncsn_lib.exercises.entries import Exercise, Question

ENTRIES: dict[str, Exercise | Question] = {entry.id: entry for chapter in (chapter_04,) for entry in chapter.ENTRIES}
