"""Every graded exercise by its id, in the order of the chapters: each file `chapter_*.py` here has `ENTRIES`."""

import importlib
from pathlib import Path

from ncsn_lib.exercises.entries import Exercise, Question

CHAPTERS = [
    importlib.import_module(f"ncsn_lib.exercises.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("chapter_*.py"))
]
ENTRIES: dict[str, Exercise | Question] = {entry.id: entry for chapter in CHAPTERS for entry in chapter.ENTRIES}
