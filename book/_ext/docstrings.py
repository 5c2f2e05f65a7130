"""Sphinx extension: what the library's docstrings write for the eye, told to Sphinx.

A shape such as (B, *D) is set as code, since reStructuredText would take its star for emphasis; lines set in below a
paragraph are an example, and code; and the sentence below an attribute stays a sentence, where napoleon would take the
words before a colon for a type. A widget's signature is that of its `__init__`, where Sphinx would show that of
traitlets, which says nothing. And no part of a page keeps the document that MyST made to parse the part alone: with the
document Sphinx would write its whole environment, tens of megabytes, beside each page of the reference.
"""

import re

from sphinx.util import inspect

SHAPE = re.compile(r"(?<![`\w])\([A-Z](?:_\w+)?(?:, ?(?:\*?\w+|\.\.\.)|,)+\)(?!`)")
STAR = re.compile(r"(?<![\\*`\w])\*(?=\w)")


PARAMETERS = re.compile(r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>")
CODE = re.compile(r"(``.+?``|`[^`]+`)")


def outside_code(pattern, replacement, line):
    """Replace where a line is not code already."""
    parts = CODE.split(line)
    parts[::2] = [pattern.sub(replacement, part) for part in parts[::2]]
    return "".join(parts)


def examples(lines):
    """Where each example begins and ends: lines set in, below a blank one and a paragraph that is not set in."""
    flush, start = False, None
    for number, line in enumerate([*lines, "end"]):
        inside = line.startswith("    ")
        if start is None and inside and flush and not lines[number - 1].strip():
            start = number
        if line.strip():
            if start is not None and not inside:
                yield start, number
                start = None
            flush = not inside


def prepare(app, what, name, obj, options, lines):
    """Rewrite a docstring in place, before napoleon reads it."""
    blocks = list(examples(lines))
    code = {number for start, end in blocks for number in range(start, end)}
    for number, line in enumerate(lines):
        if number not in code:
            line = outside_code(SHAPE, r"``\g<0>``", line)
            lines[number] = outside_code(STAR, r"\\*", line)
    for start, _ in reversed(blocks):
        lines[start:start] = ["::", ""]
    if what in ("attribute", "data") and lines and ":" in lines[0]:
        lines[0] = ": " + lines[0]


def show_widget(app, what, name, obj, options, signature, returned):
    """Put what a widget's `__init__` takes in the place of what traitlets' `__new__` says."""
    if what != "class" or signature != "(*args: t.Any, **kwargs: t.Any)":
        return None
    own = inspect.signature(obj.__init__, bound_method=True)
    return inspect.stringify_signature(own, unqualified_typehints=True), returned


def plain_parameters(app, pagename, templatename, context, doctree):
    """Take the parameters of a long signature out of a list of definitions that defines nothing."""
    if "body" in context:
        context["body"] = PARAMETERS.sub(
            lambda found: f'<div class="sig-params">{found[1].replace("dd>", "div>")}</div>', context["body"]
        )


def one_document(app, doctree):
    """Let every node of a page know the page's document alone."""
    for node in doctree.findall():
        if node.document is not doctree:
            node.document = doctree


def setup(app):
    """Connect the extension."""
    app.connect("doctree-read", one_document)
    app.connect("autodoc-process-signature", show_widget)
    app.connect("autodoc-process-docstring", prepare, priority=400)
    app.connect("html-page-context", plain_parameters)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
