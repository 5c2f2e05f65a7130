"""Draw an exam: `make exam SEED="autumn 1"` writes the paper and its key into _build/teacher.

The seed draws graded exercises, each from another chapter: the smallest case by hand; a value that a known wrong answer
gives, whose mistake is to be found; a number or a choice. The key is computed by the exercises' oracles, so no secret
lies in the repository, and one seed always gives the same exam.
"""

import argparse
import random
import re
import sys

import teach
import torch
from chapters import BUILD
from markdown_it import MarkdownIt

from ncsn_lib.exercises import ENTRIES, Exercise, Question

TEACHER = BUILD / "teacher"
BY_HAND, MISTAKES, NUMBERS = 4, 3, 4
POINTS = {"hand": 3, "mistake": 3, "number": 2}
STYLE = """body { font: 12pt/1.5 Georgia, serif; max-width: 42em; margin: 2em auto; padding: 0 1em; }
li { margin-bottom: 5em; } .key li { margin-bottom: 1em; } @media print { li { break-inside: avoid; } }"""


def shown(value):
    """A value as one writes it by hand."""
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, torch.Tensor):
        return shown(value.flatten().tolist())
    return value if isinstance(value, str) else f"{value:.4g}"


def by_hand(entry):
    """The question after the smallest case, and its key: the value, and what known mistakes give."""
    words, arguments = entry.example
    asked = f"{entry.goal} The case: {words}. Work the result out by hand. **({POINTS['hand']} points)**"
    wrong = [f"  - {value}: {said}" for value, said in mistakes(entry).items()]
    return asked, "\n".join([f"{shown(entry.oracle(*arguments.values()))}. One point for the formula.", *wrong])


def mistakes(entry):
    """What the known wrong answers to the smallest case give, where only one of them gives it, with its hint."""
    arguments = list(entry.example[1].values())
    right, found = shown(entry.oracle(*arguments)), {}
    for name, wrong in entry.wrong.items():
        found.setdefault(shown(entry.mistake(name)(*arguments)), []).append(wrong.hint)
    return {value: hints[0] for value, hints in found.items() if value != right and len(hints) == 1}


def find_the_mistake(entry, draw):
    """The question after a mistake from the value that it gives, and its key."""
    words, arguments = entry.example
    value, said = draw.choice(sorted(mistakes(entry).items()))
    right = shown(entry.oracle(*arguments.values()))
    asked = f"{entry.goal} The case: {words}. The result is {right}, and a program returns {value}."
    return f"{asked} What has its author done wrong? **({POINTS['mistake']} points)**", said


def number(entry):
    """The question after a number or a choice, and its key with the known wrong ones."""
    choices = f" One of: {', '.join(entry.choices)}." if entry.choices else ""
    wrong = [f"  - {shown(value)}: {said}" for value, said in entry.wrong.items()]
    asked = f"(Chapter {teach.number(entry.chapter)}.) {entry.goal}{choices} **({POINTS['number']} points)**"
    return asked, "\n".join([shown(entry.key()), *wrong])


def draw_exam(seed):
    """The questions and their keys, as two lists of Markdown."""
    draw = random.Random(seed)
    entries = list(ENTRIES.values())
    draw.shuffle(entries)
    taken = set()

    def take(count, kind, suits=lambda entry: True):
        found = []
        for entry in entries:
            if len(found) < count and entry.chapter not in taken and isinstance(entry, kind) and suits(entry):
                taken.add(entry.chapter)
                found.append(entry)
        return found

    asked = [find_the_mistake(entry, draw) for entry in take(MISTAKES, Exercise, mistakes)]
    asked += [by_hand(entry) for entry in take(BY_HAND, Exercise)]
    asked += [number(entry) for entry in take(NUMBERS, Question)]
    return [question for question, _ in asked], [key for _, key in asked]


def page(title, items, kind):
    """A list of Markdown as a page that can be printed."""
    body = MarkdownIt().render(f"# {title}\n\n" + "\n\n".join(f"{i}. {item}" for i, item in enumerate(items, start=1)))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body class="{kind}">{body}</body></html>\n'


def main(argv=None):
    """Write the paper and the key; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", required=True, help="words of your own; the same words draw the same exam")
    seed = parser.parse_args(argv).seed
    name = re.sub(r"\W+", "-", seed).strip("-")
    if not name:
        parser.error(f"a seed has a letter or a digit, got {seed!r}")
    questions, key = draw_exam(seed)
    TEACHER.mkdir(parents=True, exist_ok=True)
    for kind, items in (("exam", questions), ("key", key)):
        path = TEACHER / f"{kind}-{name}.html"
        title = f"{'Exam' if kind == 'exam' else 'Key'}: score-based generative modelling"
        path.write_text(page(title, items, kind), encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
