"""What the book's Sphinx extension makes of docstrings."""

import docstrings as extension
import pytest

from ncsn_lib.labs import LadderLab, ScoreLab


def prepared(text, what="class"):
    lines = text.split("\n")
    extension.prepare(None, what, "name", None, None, lines)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Points (B, *D), or *args.", r"Points ``(B, *D)``, or \*args."),
        ("Already `(B, *D)`.", "Already `(B, *D)`."),
        (
            "Text.\n\n    a = f(*b)\n\n    c  # (B, D)\n\nMore.",
            "Text.\n\n::\n\n    a = f(*b)\n\n    c  # (B, D)\n\nMore.",
        ),
        ("Text.\n\n    the last line", "Text.\n\n::\n\n    the last line"),
        ("Text.\n\nArgs:\n    x: (B, D).\n\n    y: more.", "Text.\n\nArgs:\n    x: ``(B, D)``.\n\n    y: more."),
    ],
)
def test_a_docstring_becomes_restructured_text(text, wanted):
    assert prepared(text) == wanted


def test_the_words_before_a_colon_are_no_type():
    assert prepared("The score: its length.", "attribute") == ": The score: its length."


def test_a_widget_shows_what_it_takes():
    told = "(*args: t.Any, **kwargs: t.Any)"
    for lab in (ScoreLab, LadderLab):
        assert extension.show_widget(None, "class", "", lab, None, told, None) == ("(**values: ~typing.Any)", None)
    assert extension.show_widget(None, "class", "", dict, None, "(x)", None) is None
