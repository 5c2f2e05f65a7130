"""Sphinx extension: what the library's docstrings write for the eye, told to Sphinx.

A shape such as (B, *D) is set as code, since reStructuredText would take its star for emphasis; and the sentence below
an attribute stays a sentence, where napoleon would take the words before a colon for a type.
"""

import re

SHAPE = re.compile(r"(?<![`\w])\(\*?[A-Z](?:, ?(?:\*?[A-Z]|\d+))*,?\)(?!`)")
STAR = re.compile(r"(?<![\\*`\w])\*(?=[A-Za-z]+\b)")


def prepare(app, what, name, obj, options, lines):
    """Rewrite a docstring in place, before napoleon reads it."""
    for number, line in enumerate(lines):
        parts = line.split("``")
        for even in range(0, len(parts), 2):  # the odd ones are code already
            parts[even] = STAR.sub(r"\\*", parts[even]) if "`" in parts[even] else SHAPE.sub(r"``\g<0>``", parts[even])
        lines[number] = "``".join(parts)
    if what in ("attribute", "data") and lines and ":" in lines[0]:
        lines[0] = ": " + lines[0]


def setup(app):
    """Connect the extension."""
    app.connect("autodoc-process-docstring", prepare, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
