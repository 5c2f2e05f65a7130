"""Show in a chapter what the library owns: the source of a function, a class or a recipe."""

import ast
import inspect
import textwrap
from typing import Any


def show_source(thing: Any, *, docstring: bool = False) -> Any:
    """The source of a function or class, as a highlighted code block in a notebook.

    Args:
        thing: a function, method or class of the library.
        docstring: keep its docstring; without it the lines that compute are left.

    Returns:
        An `IPython.display.Code` object, displayed when it ends a cell.
    """
    from IPython.display import Code

    source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    return Code(source if docstring else without_docstring(source), language="python")


def without_docstring(source: str) -> str:
    """The source of one definition without the docstring of its outermost `def` or `class`."""
    definition = ast.parse(source).body[0]
    first = definition.body[0]
    if not (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    ):
        return source
    lines = source.splitlines()
    del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines) + "\n"
