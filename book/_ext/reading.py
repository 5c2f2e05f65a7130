"""Sphinx extension: what makes a page easier to read, on a phone, on paper and on a screen.

A chapter begins with its place in the book and a switch of how much code is shown (reading.js). In code, lines that
only check fold: assertions, and a function's checks of its arguments. An exercise has title, grade and minutes in its
head. A reference to an equation of another chapter names the chapter, as in the notebooks. The cells of a wide table
know their column, by which a phone stacks them. What a search finds holds no TeX.
"""

import ast
import html
import re
import textwrap
from itertools import groupby
from pathlib import Path

from bs4 import BeautifulSoup

CHAPTER = re.compile(r"book/0*(\d+b?)_\w+")
HEAD = re.compile(r"(?=<h1>)")
LISTING = re.compile(r"(<pre>(?:<span></span>)?)(.*?)(</pre>)", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
EXERCISE = re.compile(
    r'(<p class="admonition-title"><span class="caption-number">Exercise \d+ )(</span>)(</p>\s*<section[^>]*>\s*<p>)'
    r"<strong>(\w+)</strong> \(([^)]+)\)\. <em>(.+?)</em>\s*"
)
EQUATION = re.compile(r'(<a class="reference internal" href="(?:[\w/]*/)?(\w+)\.html#equation-[^"]*">\(\d+)\)</a>')
TABLE = re.compile(r"<table[^>]*>.*?</table>", re.DOTALL)
PUNCTUATED = re.compile(r'(<span class="math notranslate nohighlight">[^<]{1,60}</span>)([,.;:!?)]+)')
NARROW = 2
"""So many columns fit a phone as they are."""
LONG = 44
"""Characters of code that fit a phone; a longer line goes on below, set in by some more than it begins."""
CHOICES = ("all", "essential", "none")
# In the head, before anything is painted: what the reader chose last, or what suits the window.
CHOOSE = """document.documentElement.dataset.code =
  localStorage.getItem("ncsn-code") ?? (matchMedia("(max-width: 600px)").matches ? "essential" : "all");"""


def place(app, pagename):
    """The line above a chapter's title: which of how many it is, the part of the book, and the switch of its code."""
    match = CHAPTER.fullmatch(pagename)
    if match is None:
        return ""
    parts = app.config.external_site_map.root.subtrees
    (part,) = (part.caption for part in parts if pagename in part.items)
    last = max(
        int(re.sub(r"\D", "", CHAPTER.fullmatch(name)[1])) for name in app.env.found_docs if CHAPTER.fullmatch(name)
    )
    options = "".join(
        f'<label><input type="radio" name="code" value="{name}"><span>{name}</span></label>' for name in CHOICES
    )
    return (
        f'<div class="place-in-book"><p>Chapter {match[1]} of {last} · {html.escape(part)}</p>'
        f'<fieldset class="code-switch" hidden><legend>code</legend>{options}</fieldset></div>\n'
    )


def only_checks(statement):
    """Whether a statement does no more than to check."""
    match statement:
        case ast.Assert():
            return True
        case ast.Expr(ast.Call(ast.Name(name))):
            return name.startswith("check_")
        case ast.If(orelse=[]):
            return all(isinstance(inner, ast.Raise) for inner in statement.body)
    return False


def checking_lines(code):
    """The numbers, from 0, of the lines that only check."""
    try:
        tree = ast.parse(textwrap.dedent(code))
    except SyntaxError:  # a command of a shell, or what a cell printed
        return set()
    found = set()
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if isinstance(node, ast.Module | ast.FunctionDef) else []:
            if only_checks(statement):
                found.update(range(statement.lineno - 1, statement.end_lineno))
    return found


def plain(code):
    """The text of highlighted code."""
    return html.unescape(TAG.sub("", code))


def wrap(line):
    """Say of a long line how far it is set in."""
    text = plain(line)
    indent = len(text) - len(text.lstrip())
    return f'<span class="long" style="--in:{indent}ch">{line}</span>' if len(text) > LONG else line


def lay_out(match):
    """Mark the long lines of a listing, and those that only check, unless it holds nothing else."""
    lines = [wrap(line) for line in match[2].split("\n")]
    checks = checking_lines(plain(match[2]))
    if all(number in checks or not line.strip() for number, line in enumerate(lines)):
        checks = set()
    parts = []
    for checking, numbered in groupby(enumerate(lines), key=lambda pair: pair[0] in checks):
        text = "\n".join(line for _, line in numbered) + "\n"
        parts.append(f'<span class="checks">{text}</span>' if checking else text)
    return match[1] + "".join(parts).removesuffix("\n") + match[3]


def head(match):
    """The head of an exercise: its number, its title, its grade and how long it takes."""
    number, end, between, grade, minutes, title = match.groups()
    told = f'<span class="badges"><span>{grade.lower()}</span> <span>{minutes}</span></span>'
    return f"{number}{end}{title.removesuffix('.')} {told}{between}"


def stack(match):
    """Let each cell of a table of three columns or more know its column's name; a column without one has no header."""
    table = BeautifulSoup(match[0], "html.parser").table
    heads = table.select("thead tr > *")
    told = [name_header(column) for column in heads]
    if len(heads) <= NARROW or table.select("[colspan], [rowspan]"):
        return str(table) if any(told) else match[0]
    table["class"] = [*table.get("class", []), "stacks"]
    for part, role in (("thead, tbody", "rowgroup"), ("tr", "row"), ("th", "columnheader"), ("td", "cell")):
        for element in table.select(part):
            element["role"] = role
    table["role"] = "table"
    for row in table.select("tbody tr"):
        for column, cell in zip(heads, row.find_all(["th", "td"]), strict=True):
            if cell.name == "th":
                cell["role"] = "rowheader"
            if not cell.get_text(strip=True):
                continue
            name = BeautifulSoup(f'<span class="column" aria-hidden="true">{inner(column)}</span>', "html.parser")
            cell.insert(0, name)
    return str(table)


def name_header(column):
    """Say a header that is a formula in words, and let an empty one be no header; whether it was either."""
    text = column.get_text(strip=True)
    formula = column.select_one(".math")
    if not text:
        column.name = "td"
    elif formula and formula.get_text(strip=True) == text:
        words = " ".join(re.findall(r"[^\W_]+", text))
        formula["aria-hidden"] = "true"
        formula.insert_before(BeautifulSoup(f'<span class="visually-hidden">{words}</span>', "html.parser"))
    else:
        return False
    return True


def inner(cell):
    """What stands in a cell, without the paragraph around it."""
    return (cell.p or cell).decode_contents()


def make_readable(app, pagename, templatename, context, doctree):
    """Change the page's HTML, after its deck was made of it."""
    if app.builder.format != "html" or "body" not in context:
        return

    def name_chapter(match):
        stem = Path(pagename).with_name(match[2]).as_posix()
        title = app.env.titles.get(stem)
        return match[0] if title is None or stem == pagename else f"{match[1]}) of {title.astext()}</a>"

    body = EQUATION.sub(name_chapter, EXERCISE.sub(head, LISTING.sub(lay_out, context["body"])))
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')  # which is no longer a role of its own
    context["body"] = HEAD.sub(place(app, pagename), TABLE.sub(stack, body), count=1)


def keep_punctuation(app, pagename, templatename, context, doctree):
    """Hold a formula and the comma behind it together, on the page and in the deck that is made of it."""
    if "body" in context:
        context["body"] = PUNCTUATED.sub(r'<span class="kept">\1\2</span>', context["body"])


def load_snippets(app, pagename, templatename, context, doctree):
    """Let the page of the search show formulas as text."""
    if pagename == "search":
        app.add_js_file("snippets.js", loading_method="defer")


def setup(app):
    """Connect the extension."""
    app.add_js_file(None, body=CHOOSE)
    app.add_js_file("reading.js", loading_method="defer")
    app.connect("html-page-context", load_snippets, priority=400)  # as in labs.py
    app.connect("html-page-context", keep_punctuation, priority=910)  # before slides.py
    app.connect("html-page-context", make_readable, priority=960)  # after slides.py
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
