"""Sphinx extension: what the library's docstrings write for the eye, told to Sphinx.

A shape such as (B, *D) is set as code, since reStructuredText would take its star for emphasis; and the sentence below
an attribute stays a sentence, where napoleon would take the words before a colon for a type.
"""

import re

SHAPE = re.compile(r"(?<![`\w])\([A-Z](?:_\w+)?(?:, ?(?:\*?\w+|\.\.\.)|,)+\)(?!`)")
STAR = re.compile(r"(?<![\\*`\w])\*(?=\w)")


CODE = re.compile(r"(``.+?``|`[^`]+`)")


def outside_code(pattern, replacement, line):
    """Replace where a line is not code already."""
    parts = CODE.split(line)
    parts[::2] = [pattern.sub(replacement, part) for part in parts[::2]]
    return "".join(parts)


def prepare(app, what, name, obj, options, lines):
    """Rewrite a docstring in place, before napoleon reads it."""
    for number, line in enumerate(lines):
        line = outside_code(SHAPE, r"``\g<0>``", line)
        lines[number] = outside_code(STAR, r"\\*", line)
    if what in ("attribute", "data") and lines and ":" in lines[0]:
        lines[0] = ": " + lines[0]


def setup(app):
    """Connect the extension."""
    app.connect("autodoc-process-docstring", prepare, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
