"""A prediction or an item of a quiz as a chapter's source writes it: read here for the pages and for the notebooks.

    ```{predict} NAME
    :assert: last > first
    The question.

    - [ ] A wrong option.
      > What it overlooks.
    - [x] The right one.
    ```

Where the answer is a number, its wrong options are numbers, and a right one, without text, holds what is said then:

    ```{quiz} NAME
    :key: 64 / 2
    :tolerance: 2%
    The question.

    - [ ] 64
      > The factor one half is missing.
    ```

No answer is only typed: of a choice `assert` is what a cell of the chapter asserts, or the reply to the right option
refers to where the chapter shows it; of a number `key` computes it, or `printed` is what the cell prints, with NUMBER
in its place. tests/test_questions.py holds every item to this.
"""

import math
import re
from typing import NamedTuple

KINDS = {"predict": "Predict", "quiz": "Quiz"}
SUMMARY = "The answer, and what the others overlook"
OPTIONS = ("assert", "key", "printed", "tolerance", "covers")
START = re.compile(r"^- \[(?=[ x]\])", re.MULTILINE)
DIGITS = r"([-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)"
LETTERS = "abcdefgh"


class Option(NamedTuple):
    """What can be answered, and what is said to it."""

    text: str
    reply: str
    right: bool


class Item(NamedTuple):
    """A question with its options; a number's right answer is among them only where something is said to it."""

    text: str
    options: list
    is_number: bool

    @property
    def right(self):
        """The right option, which a number need not have."""
        return next((option for option in self.options if option.right), None)

    @property
    def entries(self):
        """The options as they are shown with their replies: a number's right one comes first, and is there."""
        if not self.is_number:
            return self.options
        return [self.right or Option("", "", True), *(option for option in self.options if not option.right)]


def read_item(content, settings):
    """The item of a directive's content and its settings; ValueError says what is wrong with it."""
    if broken := [line for line in content.split("\n") if line.count("`") % 2]:
        raise ValueError(f"a role or a piece of code is broken over two lines, keep it on one: {broken[0].strip()!r}")
    text, *rest = START.split(content)
    options = []
    for one in rest:
        said, *reply = one[2:].split("\n  > ")
        options.append(Option(" ".join(said.split()), " ".join(" ".join(reply).split()), one[0] == "x"))
    item = Item(text.strip(), options, "key" in settings or "printed" in settings)
    if fault := fault_of(item, settings):
        raise ValueError(fault)
    return item


def fault_of(item, settings):
    """What is wrong with an item, in a sentence; None if nothing is."""
    rights = [option for option in item.options if option.right]
    for option in item.options:
        if not option.right and not option.reply:
            return f'the wrong option "{option.text}" has no reply: a line below it that begins with "  > "'
    if not item.is_number:
        if len(item.options) < 2:
            return f"a choice has two options or more (- [ ] ...), not {len(item.options)}"
        if len(rights) != 1:
            return f"one option is the right one (- [x] ...), not {len(rights)} of {len(item.options)}"
        return None
    if ("key" in settings) == ("printed" in settings):
        return "a number has a `key` or is `printed`, one of the two"
    if len(rights) > 1 or (rights and rights[0].text):
        return "the right number is computed, not written: leave the text after - [x] empty"
    if "tolerance" not in settings:
        return "a number has a `tolerance`, such as 2% or 0.05"
    for option in item.options:
        if not option.right and not re.fullmatch(DIGITS, option.text):
            return f'the wrong number "{option.text}" is no number'
    return None


def as_number(text):
    """A number as the book writes it, with a comma for thousands."""
    return float(text.replace(",", ""))


def shown(value):
    """A number as a reader is shown it."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.3g}"


def margin(value, tolerance):
    """How far from a number an answer may be: a percentage of it, or the tolerance itself."""
    if tolerance.endswith("%"):
        return abs(value) * float(tolerance.removesuffix("%")) / 100
    return float(tolerance)


def evaluate(key):
    """The number that an expression of Python's `math` computes."""
    try:
        return float(eval(key, vars(math).copy()))
    except (ArithmeticError, NameError, SyntaxError, TypeError) as error:
        raise ValueError(f"the key {key!r} computes no number: {error}") from error


def find_printed(printed, output):
    """The number that stands in an output where `printed` has the word NUMBER."""
    before, place, after = " ".join(printed.split()).partition("NUMBER")
    found = re.search(re.escape(before) + DIGITS + re.escape(after), " ".join(output.split())) if place else None
    if found is None:
        raise ValueError(f"the output has no number where `printed` says NUMBER: {printed!r}")
    return as_number(found[1])


def check_apart(right, wrong, tolerance):
    """Refuse wrong numbers that are within the tolerance of the right one, or of each other."""
    for position, value in enumerate(wrong):
        for other in [right, *wrong[:position]]:
            if abs(value - other) <= margin(value, tolerance) + margin(other, tolerance):
                raise ValueError(f"with the tolerance {tolerance} an answer may be both {other:g} and {value:g}")
