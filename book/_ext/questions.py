"""Sphinx extension: questions that a page asks and answers without a kernel.

    ```{predict} NAME      covers the output that follows until the reader has answered; see book/_tools/items.py
    ```{quiz} NAME         the same without a cover
    ```{question} ID       a number or a choice of `ncsn_lib.exercises`, as it stands there

The page holds the right answer and every reply, in a <details> below the question: readers without a script and on
paper find them there, and `questions.js` takes its replies from there. So who reads the source finds the key, as in the
solution beside it; sheets that are graded come from `ncsn_lib.exercises`, which no page grades.
"""

import difflib
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).resolve().parents[1] / "_tools"))
from items import (
    KINDS,
    LETTERS,
    OPTIONS,
    SUMMARY,
    Item,
    Option,
    as_number,
    check_apart,
    evaluate,
    find_printed,
    margin,
    read_item,
    shown,
)

WORDS = KINDS | {"question": "Your answer"}
VOID = ("input",)


class element(nodes.General, nodes.Element):
    """An element of HTML: its `name`, its attributes `html`, and what stands in it."""


class question(element):
    """The form of a question."""


def make(name, /, *children, **html):
    """An element; a `_` in the name of an attribute is a hyphen, and one that is None is left out."""
    return element("", *children, name=name, html={key.strip("_").replace("_", "-"): v for key, v in html.items()})


def open_tag(translator, node):
    """Write the start of an element."""
    encode = translator.attval
    told = [f' {key}="{encode(str(value))}"' for key, value in node["html"].items() if value is not None]
    translator.body.append(f"<{node['name']}{''.join(told)}>")


def close_tag(translator, node):
    """Write its end."""
    if node["name"] not in VOID:
        translator.body.append(f"</{node['name']}>\n")


def pass_by(translator, node):
    """Write nothing of the element itself."""


class Asked(SphinxDirective):
    """What the directives share: the form of an item."""

    required_arguments = 1
    lettered = True  # whether an option is called by a letter, or by itself

    def form(self, item, tolerance=None, covers=0, hint=None):
        """The form; a number's right answer is set where the outputs are known."""
        label = nodes.make_id(f"{self.name}-{self.arguments[0]}")
        about = {"aria_labelledby": f"{label}-kind {label}-text"}
        text = make("div", *self.prose(item.text), id=f"{label}-text")
        field = make("fieldset", make("legend", nodes.Text(WORDS[self.name]), id=f"{label}-kind"), text, **about)
        field += [self.number(label)] if item.is_number else self.choices(item, label)
        buttons = make(
            "div",
            make("button", nodes.Text("Answer"), type="submit"),
            make("button", nodes.Text("Reveal"), type="button", class_="reveal", aria_expanded="false"),
            class_="buttons",
            hidden="",
        )
        summary = make("summary", nodes.Text(SUMMARY))
        answers = make("details", summary, make("ul", *self.answers(item, tolerance)), class_="answers")
        place = f"{Path(self.env.docname).name}:{label}"
        return question(
            "", field, buttons, make("div", class_="reply"), answers, name="form", tolerance=tolerance, kind=self.name,
            html={"class": "question", "id": label, "data-question": place, "data-covers": covers, "data-hint": hint},
        )  # fmt: skip

    def prose(self, text):
        """The nodes of a text."""
        return self.parse_text_to_nodes(text)

    def line(self, text):
        """The nodes of a text within a line."""
        return self.parse_inline(text)[0]

    def choices(self, item, label):
        """The options as radio buttons."""
        return [
            make(
                "label",
                make("input", type="radio", name=label, value=position),
                make("span", nodes.Text(f"{letter}. " if self.lettered else ""), *self.line(option.text)),
                class_="choice",
            )
            for position, (letter, option) in enumerate(zip(LETTERS, item.options, strict=False))
        ]

    def number(self, label):
        """The place for a number."""
        box = make("input", type="text", name=label, inputmode="decimal", autocomplete="off", size="12")
        return make("label", nodes.Text("Your number "), box, class_="number", hidden="")

    def answers(self, item, tolerance):
        """An entry for each option, the right one first among numbers, with its value, its margin and its reply."""
        for position, option in enumerate(item.entries):
            value, within, name = position, None, LETTERS[position] if self.lettered else option.text
            if item.is_number and not option.right:
                value = as_number(option.text)
                within, name = margin(value, tolerance), shown(value)
            words = f"{name} is right." if option.right else f"{name}:"
            head = make("strong", nodes.Text("" if item.is_number and option.right else words))
            reply = make("div", *self.prose(option.reply), class_="said")
            right = "" if option.right else None
            yield make("li", head, reply, data_value=value, data_within=within, data_right=right)


class Prediction(Asked):
    """Puts a prediction on the page, or an item of a quiz."""

    has_content = True
    option_spec = dict.fromkeys(OPTIONS, directives.unchanged_required)

    def run(self):
        """Make the form."""
        tolerance = self.options.get("tolerance")
        try:
            item = read_item("\n".join(self.content), self.options)
            key = evaluate(self.options["key"]) if "key" in self.options else None
            covers = int(self.options.get("covers", 1)) if self.name == "predict" else 0
            form = self.form(item, tolerance, covers)
            if key is not None:
                check_and_set_key(form, key)
        except ValueError as error:
            raise self.error(f"{self.name} {self.arguments[0]}: {error}") from error
        form["printed"] = self.options.get("printed")
        return [form]


class Question(Asked):
    """Puts a number or a choice of the registry on the page, with nothing written twice."""

    lettered = False

    def run(self):
        """Make the form of the entry, if there is such a one."""
        from ncsn_lib.exercises import ENTRIES  # here, since a page without a question needs no torch
        from ncsn_lib.exercises import Question as Entry

        known = {name: entry for name, entry in ENTRIES.items() if isinstance(entry, Entry)}
        name = self.arguments[0]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
            raise self.error(f"no number or choice called {name}; near it: {', '.join(near) or 'none'}")
        entry = known[name]
        key = entry.key()
        if entry.choices:
            options = [Option(one, entry.wrong.get(one, ""), one == key) for one in entry.choices]
            return [self.form(Item(entry.goal, options, False), hint=entry.hint)]
        wrong = [Option(repr(value), reply, False) for value, reply in entry.wrong.items()]
        form = self.form(Item(entry.goal, wrong, True), f"{100 * entry.rtol}%", hint=entry.hint)
        set_key(form, key)
        return [form]

    def prose(self, text):
        """A paragraph of plain text: the registry speaks to terminals, too."""
        return [nodes.paragraph("", nodes.Text(text[:1].upper() + text[1:]))] if text else []

    def line(self, text):
        """Plain text."""
        return [nodes.Text(text)]


def entries_of(form):
    """What a form says to each answer."""
    return [entry for entry in form.findall(element) if "data-value" in entry["html"]]


def set_key(form, key):
    """Give a form its right number."""
    right = entries_of(form)[0]
    right["html"] |= {"data-value": key, "data-within": margin(key, form["tolerance"])}
    right.children[0] += nodes.Text(f"{shown(key)} is right.")


def check_and_set_key(form, key):
    """The same where no test of the library holds the numbers apart."""
    check_apart(key, [entry["html"]["data-value"] for entry in entries_of(form)[1:]], form["tolerance"])
    set_key(form, key)


def outputs(node, document):
    """What cells wrote, as text, in the order of the page: those after a prediction, all for a quiz."""
    found = document.findall if node["kind"] == "quiz" else node.findall
    following = {} if node["kind"] == "quiz" else {"include_self": False, "siblings": True, "ascend": True}
    for output in found(nodes.container, **following):
        if "cell_output" in output["classes"]:
            yield re.sub(r"<[^>]*>", " ", output.astext())


def set_printed(app, doctree, docname):
    """Take the numbers that cells print from there."""
    if app.builder.format != "html":
        return
    for node in doctree.findall(question):
        if node.get("printed"):
            told = list(outputs(node, doctree))
            try:
                covered = told[: node["html"]["data-covers"]] if node["kind"] == "predict" else told
                check_and_set_key(node, find_printed(node["printed"], "\n".join(covered)))
            except ValueError as error:
                raise ExtensionError(f"{docname}: {node['html']['id']}: {error}") from error


def load_script(app, pagename, templatename, context, doctree):
    """Let a page with a question load script and style."""
    if doctree is not None and next(doctree.findall(question), None) is not None:
        app.add_css_file("questions.css", priority=905)
        app.add_js_file("questions.js", type="module")


def setup(app):
    """Connect the extension."""
    for kind in (element, question):
        app.add_node(kind, html=(open_tag, close_tag), text=(pass_by, pass_by), latex=(pass_by, pass_by))
    app.add_directive("predict", Prediction)
    app.add_directive("quiz", Prediction)
    app.add_directive("question", Question)
    app.connect("doctree-resolved", set_printed)
    # Before those that take scripts out of a page's list: see labs.py.
    app.connect("html-page-context", load_script, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
