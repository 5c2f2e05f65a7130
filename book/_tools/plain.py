"""A chapter's source as the notebooks that people open: the chapter with its exercises, and its solutions.

Both hold plain Markdown and LaTeX, which every front end shows: of MyST nothing is left. Numbers, names and the places
that references lead to are Sphinx's own (references.py). The code is the page's, cell for cell and in its order: first
the chapter's, then the solutions'. What only a notebook has is tagged `notebook-only`.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from typing import NamedTuple

import jupytext
import nbformat
from chapters import BOOK, ONLY, chapters, read_results
from first_cell import first_cell
from items import KINDS, LETTERS, SUMMARY, evaluate, read_item, shown
from markdown_it import MarkdownIt
from pybtex.database import parse_file
from references import ROLE, single_roles

FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
STATEMENT = re.compile(r"\*\*(?P<grade>\w+)\*\* \((?P<time>[^)]+)\)\. \*(?P<title>.+?)\.?\*\s*(?P<text>.*)", re.DOTALL)
EQUATION = re.compile(r"\$\$(?P<formula>(?:(?!\$\$).)+?)\s*\$\$ \((?P<label>[\w-]+)\)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
TARGET = re.compile(r"^\([\w-]+\)=$\n?", re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<page>\w+)\.md(?:#[\w-]+)?\)")
OPTION = re.compile(r":(?P<name>[\w-]+): *(?P<value>.*)\n")
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
RUN = 'load_run("results/models/mnist_small_wide.safetensors")'
LABS = {
    "score": """from ncsn_lib.labs import ScoreLab

score_lab = ScoreLab()
score_lab  # score_lab.step_size = 0.5 turns a knob, score_lab.samples are the chains""",
    "ladder": """from ncsn_lib.labs import LadderLab

ladder_lab = LadderLab()
ladder_lab  # ladder_lab.num_levels = 20 turns a knob, ladder_lab.sigmas are the levels""",
    "sampler": f"""from ncsn_lib import load_run
from ncsn_lib.labs import SamplerLab

sampler_lab = SamplerLab({RUN})
sampler_lab  # sampler_lab.num_images = 4 turns a knob, sampler_lab.samples are the images""",
    "denoiser": f"""from ncsn_lib import load_mnist, load_run
from ncsn_lib.labs import DenoiserLab

denoiser_lab = DenoiserLab({RUN}, load_mnist("train").images)
denoiser_lab  # denoiser_lab.sigma = 0.5 turns a knob, denoiser_lab.denoised is the network's guess""",
}
OPENING = "*The rendered page begins with points that move:*"
SMALL_LAB = "*Here the rendered page has a small lab. The whole ones are for notebooks, too: see `ncsn_lib.labs`.*"
PRINTED = "What the cell prints"
MARK = 'CHAPTER = "{name}"  # the notebook of the solutions goes on from here'
GO_THERE = """# The folder of the chapter; away from the book a new one, where its notebook and its files are fetched.
import os

if globals().get("CHAPTER") != "{name}":
    place = ".." if os.path.exists("../{name}.ipynb") else "{name}"
    os.makedirs(place, exist_ok=True)
    os.chdir(place)"""
GO_ON = """# The solutions go on where the chapter ends, with its variables; that runs the chapter first.
if globals().get("CHAPTER") != "{name}":
    %run {name}.ipynb"""


class Notebooks(NamedTuple):
    """The notebooks of a chapter; `solutions` is None where it has none."""

    chapter: nbformat.NotebookNode
    solutions: nbformat.NotebookNode | None


@dataclass
class Part:
    """A part of a source: a text, a code cell, or a directive with its argument, options and parts."""

    kind: str
    text: str = ""
    label: str = ""
    cell: dict | None = None
    parts: list = field(default_factory=list)
    options: dict = field(default_factory=dict)


def read_parts(page):
    """The parts of a chapter; an exercise and a solution hold all that stands between their start and their end."""
    found = []
    for cell in jupytext.read(page).cells:
        if cell.cell_type == "code":
            found.append(Part("code", cell=cell))
        else:
            found += prose_parts(cell.source)
    return gather(found)


def prose_parts(text):
    """The directives of a piece of Markdown, and what stands between them."""
    lines, done, found = text.split("\n"), 0, []
    fences = [t for t in MarkdownIt().parse(text) if t.type == "fence" and t.info.startswith("{") and not t.level]
    for fence in fences:
        found.append(Part("text", "\n".join(lines[done : fence.map[0]]).strip()))
        name, _, argument = fence.info[1:].partition("}")
        content, options = fence.content, {}
        while option := OPTION.match(content):
            options[option["name"]] = option["value"]
            content = content[option.end() :]
        label = argument.strip() or options.get("label", "")
        found.append(Part(name, content.strip(), label, options=options))
        done = fence.map[1]
    found.append(Part("text", "\n".join(lines[done:]).strip()))
    return [part for part in found if part.kind != "text" or part.text]


def gather(parts):
    """Put what stands between `NAME-start` and `NAME-end` into one part called NAME."""
    found, rest = [], iter(parts)
    for part in rest:
        name, _, gate = part.kind.partition("-")
        if gate == "start":
            inside = []
            for one in rest:
                if one.kind == f"{name}-end":
                    break
                inside.append(one)
            part = Part(name, label=part.label, parts=inside)
        elif name in ("exercise", "solution"):
            part = Part(name, label=part.label, parts=prose_parts(part.text))
        found.append(part)
    return found


class Prose:
    """Turns a chapter's MyST into plain Markdown.

    `site` is where the pages are published, if they are; `folder` leads from the notebook to those of the chapters.
    """

    def __init__(self, page, references, site, folder=""):
        self.page, self.site, self.folder = page, site, folder
        self.numbers, self.shown = references.numbers, references.roles[page.stem]
        self.titles = {chapter.stem: title_of(chapter) for chapter in chapters()}
        self.sources = parse_file(BOOK / "references.bib").entries

    def __call__(self, text):
        """Plain Markdown."""
        text = COMMENT.sub("", TARGET.sub("", text))
        text = EQUATION.sub(lambda m: f"$${m['formula']}\n\\tag{{{self.numbers[m['label']]}}}\n$$", text)
        text = LINK.sub(lambda m: self.link(m["text"], m["page"]), text)
        return ROLE.sub(self.role, text)

    def link(self, text, page):
        """A text that leads to another page: its notebook, or the published page where it has none."""
        if page in self.titles:
            return f"[{text}]({self.folder}{page}.ipynb)"
        return f"[{text}]({self.site}/book/{page}.html)" if self.site else text

    def role(self, match):
        """What the page shows for a role, with a link where that leads to another page."""
        found = [self.shown[role] for role in single_roles(match)]
        if match["name"].startswith("cite:"):
            keys = [key.strip() for key in match["target"].split(",")]
            cited = [self.cite(key, one.text) for key, one in zip(keys, found, strict=True)]
            return f"({'; '.join(cited)})" if match["name"] == "cite:p" else ", ".join(cited)
        (one,) = found
        if one.page == self.page.stem:
            return one.text
        of_another = match["name"] == "eq" and one.page in self.titles  # whose equations have numbers of their own
        return self.link(f"{one.text} of {self.titles[one.page]}" if of_another else one.text, one.page)

    def cite(self, key, text):
        """Author and year, with a link to the source where the book knows one, else to the page of references."""
        fields = self.sources[key].fields
        text = text.strip("[]") if text.startswith("[") else text.replace("[", "(").replace("]", ")")
        if "doi" in fields:
            return f"[{text}](https://doi.org/{fields['doi']})"
        if "eprint" in fields:
            return f"[{text}](https://arxiv.org/abs/{fields['eprint']})"
        return self.link(text, "references")


def title_of(page):
    """The title of a chapter."""
    return re.search(r"^# (.+)", page.read_text(encoding="utf-8"), re.MULTILINE)[1]


def quote(text):
    """A text, set in as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def markdown(text):
    """A cell of prose."""
    return nbformat.v4.new_markdown_cell(text)


def own_code(source, *tags, folded=False):
    """A code cell that the page does not have."""
    return fold(nbformat.v4.new_code_cell(source, metadata={"tags": [ONLY, *tags]}), folded)


def fold(cell, folded=True):
    """Let JupyterLab and Colab hide a cell's code, as the page does."""
    if folded:
        cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return cell


def cells_of(parts, prose, with_code):
    """The cells of a list of parts; `with_code` holds the exercises whose solution has code."""
    found = []
    for part, after in zip(parts, [*parts[1:], None]):
        if part.kind == "text":
            found.append(markdown(prose(part.text)))
        elif part.kind == "code":
            found += page_cells(part.cell, prose)
        elif part.kind == "admonition":
            found.append(markdown(quote(f"**{part.label}**\n\n{prose(part.text)}")))
        elif part.kind == "prf:algorithm":
            found.append(markdown(quote(f"**Algorithm ({part.label})**\n\n{prose(part.text)}")))
        elif part.kind == "lab" and part.label == "opening":
            found.append(markdown(quote(OPENING)))
        elif part.kind == "lab" and " " in part.label:
            found.append(markdown(quote(SMALL_LAB)))
        elif part.kind == "cards":
            found.append(markdown(prose("\n".join(map(linked, questions())))))
        elif part.kind == "lab":
            found.append(own_code(LABS[part.label], "nbval-ignore-output"))
        elif part.kind in KINDS:
            found += item_cells(part, prose)
        elif part.kind == "exercise":
            found += exercise_cells(part, prose, with_code)
            found += [] if is_for_an_answer(after) else [answer(part, with_code)]
        elif part.kind not in ("solution", "question"):  # whose place takes the cell that checks the answer
            raise SystemExit(f"{prose.page.name}: no notebook can show the directive {{{part.kind}}}")
    return found


def questions():
    """The chapters' questions, each by the name of its file."""
    return tomllib.loads((BOOK / "course.toml").read_text(encoding="utf-8"))["questions"].items()


def linked(chapter):
    """A chapter's link and question, as the front page lists them."""
    name, question = chapter
    return f"- [{title_of(BOOK / f'{name}.md')}]({name}.md): {question}"


def page_cells(cell, prose):
    """A cell of the page, folded where the page folds it, and the caption of its figure."""
    cell = fold(nbformat.from_dict(cell), bool(FOLDED & set(cell.metadata.get("tags", []))))
    figure = cell.metadata.get("mystnb", {}).get("figure")
    if "frame_slider(" in cell.source:
        return [cell, markdown("*Run the cell to move the slider.*")]
    if figure is None:
        return [cell]
    return [cell, markdown(f"**{prose.numbers[figure['name']]}.** {prose(figure['caption'].strip())}")]


def item_cells(part, prose):
    """A prediction with a cell for the answer, or an item of a quiz; what is said to each answer is folded."""
    try:
        item = read_item(part.text, part.options)
    except ValueError as error:
        raise SystemExit(f"{prose.page.name}: {part.kind} {part.label}: {error}") from error
    choices, told = [], []
    for letter, option in zip(LETTERS, item.entries):
        name = letter
        if item.is_number:
            name = option.text or (shown(evaluate(part.options["key"])) if "key" in part.options else PRINTED)
        else:
            choices.append(f"- **{letter}.** {prose(option.text)}")
        told.append(f"- **{name}**{' is right.' if option.right else ':'} {prose(option.reply)}".rstrip())
    folded = "\n".join([f"<details><summary>{SUMMARY}</summary>", "", *told, "", "</details>"])
    text = "\n\n".join(filter(None, [f"**{KINDS[part.kind]}.** {prose(item.text)}", "\n".join(choices), folded]))
    if part.kind == "quiz":
        return [markdown(text)]
    word = "number" if item.is_number else "letter"
    return [markdown(text), own_code(f"prediction = ...  # your {word} in place of ...", "answer")]


def exercise_cells(part, prose, with_code):
    """An exercise: its number and title, its grade and time, and what it asks."""
    first, *others = part.parts
    told = STATEMENT.fullmatch(first.text)
    if told is None:
        raise SystemExit(f"{prose.page.name}: exercise {part.label} does not begin with its grade, time and title")
    head = f"### {prose.numbers[part.label]} · {told['title']}\n\n*{told['grade']}, {told['time']}*"
    return [markdown(f"{head}\n\n{prose(told['text'])}"), *cells_of(others, prose, with_code)]


def is_for_an_answer(part):
    """Whether a part is a cell of a graded exercise: the stub of the function, or what checks a number."""
    tags = part.cell.metadata.get("tags", []) if part is not None and part.kind == "code" else []
    return "stub" in tags or "check" in tags


def answer(part, with_code):
    """Where a student answers: in code, but for a check that wants a thought alone."""
    if part.label in with_code or not part.parts[0].text.startswith("**Check**"):
        return own_code("# Your answer", "answer")
    return nbformat.v4.new_markdown_cell("*Your answer:*", metadata={"tags": [ONLY, "answer"]})


def published(address):
    """Where GitHub publishes the pages of a repository; None for what is elsewhere, or nowhere."""
    owner, _, name = (address or "").removeprefix("https://github.com/").partition("/")
    return f"https://{owner}.github.io/{name}" if (address or "").startswith("https://github.com/") else None


def links(page, address, other):
    """The line on top of a notebook; `other` is the link to the other one of the chapter."""
    site, found = published(address), []
    if site:
        opened = f"{address.removeprefix('https://github.com/')}/blob/main/book/{page.stem}.ipynb"
        found.append(f"[Read this chapter]({site}/book/{page.stem}.html)")
        found.append(f"[Open in Colab](https://colab.research.google.com/github/{opened})")
    return " · ".join([*found, *other])


def make_notebooks(page, references, address=None):
    """Both notebooks of a chapter, not executed; `address` is that of the book's repository, if it has one."""
    name, site, parts = page.stem, published(address), read_parts(page)
    prose = Prose(page, references, site)
    solved = [part for part in parts if part.kind == "solution"]
    with_code = {part.label for part in solved if any(one.kind == "code" for one in part.parts)}
    cells = cells_of(parts, prose, with_code)
    title, _, rest = cells[0].source.partition("\n")
    files = [file for file in read_results(page) if not file.endswith(".py")]
    mark = f"\n\n{MARK.format(name=name)}" if solved else ""
    begin = own_code(f"{first_cell(files, address)}{mark}", folded=True)
    top = links(page, address, [f"[Solutions](solutions/{name}.ipynb)"] if solved else [])
    chapter = finish([markdown(f"{title}\n\n{top}".strip()), begin, markdown(rest.strip()), *cells[1:]])
    if not solved:
        return Notebooks(chapter, None)
    asked = {part.label: part for part in parts if part.kind == "exercise"}
    prose = Prose(page, references, site, folder="../")
    top = links(page, address, [f"[The chapter](../{name}.ipynb)"])
    begin = own_code(GO_ON.format(name=name), "nbval-ignore-output", folded=True)
    begin.metadata["jupyter"]["outputs_hidden"] = True
    cells = [markdown(f"# Solutions: {title.removeprefix('# ')}\n\n{top}")]
    cells.append(own_code(GO_THERE.format(name=name), folded=True))
    cells += [own_code(first_cell([*files, f"{name}.ipynb"], address), folded=True), begin]
    for part in solved:
        cells += exercise_cells(asked[part.label], prose, with_code)
        cells += [markdown("**Solution**"), *cells_of(part.parts, prose, with_code)]
    return Notebooks(chapter, finish(cells, "solutions "))


def finish(cells, kind=""):
    """A notebook of these cells, with ids that follow from them alone and from its kind.

    A chapter and its solutions are executed as one notebook, which must not have one id twice.
    """
    for number, cell in enumerate(cells):
        cell["id"] = hashlib.sha1(f"{kind}{number}:{cell.source}".encode()).hexdigest()[:8]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=nbformat.from_dict(METADATA))
    notebook.nbformat_minor = 5
    return notebook
