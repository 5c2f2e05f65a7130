"""The notebooks that people open: nothing of MyST is left in them, no solution stands in a chapter, and small sources
that hold each construct once become what is written down here.
"""

import re
from itertools import pairwise
from types import SimpleNamespace

import jupytext
import nbformat
import plain
import pytest
import references
from chapters import BOOK, chapters
from references import Reference, References

CHAPTERS = chapters()
NOTEBOOKS = sorted([*BOOK.glob("*.ipynb"), *BOOK.glob("solutions/*.ipynb")])
MYST = re.compile(
    r"\{[a-z:-]+\}`"  # a role
    r"|^\s*[`:]{3,}\{"  # a directive
    r"|^\([\w-]+\)=|\$\$ \([\w-]+\)"  # a label
    r"|^:\w+: |\.md\b",
    re.MULTILINE,
)


def read(path):
    return nbformat.read(path, as_version=4)


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(BOOK).as_posix())
def test_nothing_of_myst_is_left(path):
    text = re.sub(r"^```.*?^```", "", prose(read(path)), flags=re.MULTILINE | re.DOTALL)
    assert MYST.findall(text) == []


@pytest.mark.parametrize(
    "text", ["{eq}`a`", "```{note}\nx\n```", "(sec-a)=\n", "$$x$$ (eq-a)", ":label: a", "[a](b.md)"]
)
def test_the_search_for_myst_finds_it(text):
    assert MYST.search(text)


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_every_figure_has_its_caption_below_it(page):
    with_figure = [c for c in jupytext.read(page).cells if "figure" in c.metadata.get("mystnb", {})]
    found = []
    for path in (BOOK / f"{page.stem}.ipynb", BOOK / "solutions" / f"{page.stem}.ipynb"):
        cells = read(path).cells if path.exists() else []
        found += [pair for pair in pairwise(cells) if "figure" in pair[0].metadata.get("mystnb", {})]
    assert len(found) == len(with_figure)
    for cell, after in found:
        assert re.match(r"\*\*Fig\. \d+\.\*\* \w", after.source), cell.metadata["mystnb"]
        assert cell.metadata["mystnb"]["image"]["alt"].strip()


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_no_solution_is_in_a_chapter_and_each_is_in_its_own_notebook(page):
    """A solution's text is looked for by its longest line without references."""
    parts = [part for part in plain.read_parts(page) if part.kind == "solution"]
    code = [one.cell.source for part in parts for one in part.parts if one.kind == "code"]
    lines = [line for part in parts for one in part.parts for line in one.text.split("\n") if "`" not in line]
    telling = [line for line in lines if len(line) > 60]
    chapter = read(page.with_suffix(".ipynb"))
    path = BOOK / "solutions" / f"{page.stem}.ipynb"
    solutions = read(path) if path.exists() else nbformat.v4.new_notebook()
    assert not set(code) & {cell.source for cell in chapter.cells}
    assert [line for line in telling if line in prose(chapter)] == []
    assert [source for source in code if source not in {cell.source for cell in solutions.cells}] == []
    assert [line for line in telling if line not in prose(solutions) and "](" not in line] == []
    assert (
        prose(chapter).count("\n### Exercise ")
        == len({part.label for part in parts})
        == prose(solutions).count("### Ex")
    )


SOURCE = """---
kernelspec:
  name: python3
  display_name: Python 3
---

# A chapter

Its sentence, by {cite:t}`robbins1956` and others {cite:p}`song2019,welling2011`.

$$
x = 1
$$ (eq-one)

By {eq}`eq-one` and {eq}`eq-two`; see {numref}`fig-one`, {ref}`the norm <sec-norm>`,
[another](02_b.md#part) and [letters](letters.md).

(sec-norm)=
## A part

```{admonition} A note
:class: note
Two lines, {eq}`eq-one`,
and a second.
```

```{code-cell} ipython3
:tags: [hide-input]

frame_slider(draw, [1, 2], "a", alt="b")
```

```{exercise-start}
:label: ex-one
```
**Check** (two minutes). *Is it so?* Say.

```python
b = 2
```
```{exercise-end}
```

````{solution-start} ex-one
:class: dropdown
````
```{code-cell} ipython3
b = a + 1
```
Yes, by {eq}`eq-one`.
````{solution-end}
````

```{exercise}
:label: ex-two
**Check** (ten minutes). *In $D$ dimensions.* Do.
```

```{solution} ex-two
:class: dropdown
No.
```

## Summary

The end.
"""
KNOWN = References(
    {"eq-one": "1", "ex-one": "Exercise 7", "ex-two": "Exercise 8"},
    {
        "01_a": {
            "{cite:t}`robbins1956`": Reference("Robbins [1956]", "references"),
            "{cite:p}`song2019`": Reference("[Song and Ermon, 2019]", "references"),
            "{cite:p}`welling2011`": Reference("[Welling and Teh, 2011]", "references"),
            "{eq}`eq-one`": Reference("(1)", "01_a"),
            "{eq}`eq-two`": Reference("(2)", "02_b"),
            "{numref}`fig-one`": Reference("Fig. 3", "02_b"),
            "{ref}`the norm <sec-norm>`": Reference("the norm", "01_a"),
        }
    },
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    path = tmp_path / "01_a.md"
    monkeypatch.setattr(plain, "first_cell", lambda files, address: f"import os  # {address}")
    monkeypatch.setattr(plain, "chapters", lambda: [path, tmp_path / "02_b.md"])
    path.write_text(SOURCE, encoding="utf-8")
    (tmp_path / "02_b.md").write_text("# B\n", encoding="utf-8")
    return path


def test_what_becomes_of_each_construct(page):
    chapter, solutions = plain.make_notebooks(page, KNOWN)
    told = [(cell.cell_type, cell.source) for cell in chapter.cells]
    assert told == [
        ("markdown", "# A chapter\n\n[Solutions](solutions/01_a.ipynb)"),
        ("code", 'import os  # None\n\nCHAPTER = "01_a"  # the notebook of the solutions goes on from here'),
        (
            "markdown",
            "Its sentence, by Robbins (1956) and others "
            "([Song and Ermon, 2019](https://arxiv.org/abs/1907.05600); Welling and Teh, 2011).\n\n"
            "$$\nx = 1\n\\tag{1}\n$$\n\n"
            "By (1) and [(2) of B](02_b.ipynb); see [Fig. 3](02_b.ipynb), the norm,\n"
            "[another](02_b.ipynb) and letters.\n\n"
            "## A part",
        ),
        ("markdown", "> **A note**\n>\n> Two lines, (1),\n> and a second."),
        ("code", 'frame_slider(draw, [1, 2], "a", alt="b")'),
        ("markdown", "*Run the cell to move the slider.*"),
        ("markdown", "### Exercise 7 · Is it so?\n\n*Check, two minutes*\n\nSay.\n\n```python\nb = 2\n```"),
        ("code", "# Your answer"),
        ("markdown", "### Exercise 8 · In $D$ dimensions\n\n*Check, ten minutes*\n\nDo."),
        ("markdown", "*Your answer:*"),
        ("markdown", "## Summary\n\nThe end."),
    ]
    folded = [cell.metadata.get("jupyter", {}).get("source_hidden", False) for cell in chapter.cells]
    assert folded == [False, True, False, False, True, *6 * [False]]
    assert [cell.source for cell in solutions.cells[4:]] == [
        told[6][1], "**Solution**", "b = a + 1", "Yes, by (1).", told[8][1], "**Solution**", "No."
    ]  # fmt: skip
    nbformat.validate(chapter)
    nbformat.validate(solutions)


def test_an_algorithm_is_a_box_with_its_title(page):
    steps = "1. Set $x = 1$, {eq}`eq-one`.\n   1. Go."
    box = f"```{{prf:algorithm}} A walk\n:label: alg-walk\n:nonumber:\n\n{steps}\n```\n\n```{{admonition}} A note"
    page.write_text(SOURCE.replace("```{admonition} A note", box), encoding="utf-8")
    chapter, _ = plain.make_notebooks(page, KNOWN)
    assert chapter.cells[3].source == "> **Algorithm (A walk)**\n>\n> 1. Set $x = 1$, (1).\n>    1. Go."


@pytest.mark.parametrize("grade", ["Modify", "Discover"])
def test_what_is_to_be_tried_is_answered_in_code(page, grade):
    page.write_text(SOURCE.replace("**Check** (ten", f"**{grade}** (ten"), encoding="utf-8")
    chapter, _ = plain.make_notebooks(page, KNOWN)
    assert [cell.source for cell in chapter.cells if "answer" in cell.metadata.get("tags", [])] == 2 * ["# Your answer"]


GRADED = """```{exercise}
:label: ex-two
**Modify** (ten minutes). *A function.* Do.
```

```{code-cell} ipython3
:tags: [stub]

def f(x):
    raise NotImplementedError
```

```{code-cell} ipython3
:tags: [check]

check("two", f)
```

````{solution-start} ex-two
:class: dropdown
````
```{code-cell} ipython3
def f(x):
    return 2 * x


check("two", f)
```
Twice.
````{solution-end}
````

## Summary
"""


def test_a_graded_exercise_has_its_stub_where_others_have_a_place_for_the_answer(page):
    page.write_text(SOURCE[: SOURCE.index("```{exercise}\n")] + GRADED, encoding="utf-8")
    chapter, solutions = plain.make_notebooks(page, KNOWN)
    stub, checked = "def f(x):\n    raise NotImplementedError", 'check("two", f)'
    exercise = "### Exercise 8 · A function\n\n*Modify, ten minutes*\n\nDo."
    assert [cell.source for cell in chapter.cells[-4:]] == [exercise, stub, checked, "## Summary"]
    solved = f"def f(x):\n    return 2 * x\n\n\n{checked}"
    assert [cell.source for cell in solutions.cells[-4:]] == [exercise, "**Solution**", solved, "Twice."]


def test_a_small_lab_is_told_in_a_sentence(page):
    page.write_text(SOURCE.replace("(sec-norm)=", "```{lab} score field\n```\n\n(sec-norm)="), encoding="utf-8")
    chapter, _ = plain.make_notebooks(page, KNOWN)
    told = "*Here the rendered page has a small lab. The whole ones are for notebooks, too: see `ncsn_lib.labs`.*"
    assert chapter.cells[3].source == f"> {told}"


ASKED = """```{predict} many
:assert: a > b
How many, by {eq}`eq-one`?

- [ ] $x_1$
  > Too few,
  > {eq}`eq-two`.
- [x] Two.
```

```{quiz} loss
:key: 64 / 2
:tolerance: 1%
How large is the loss?

- [ ] 64
  > The half is missing.
```

```{question} two
```

## Summary
"""


def test_a_prediction_has_a_cell_for_the_answer_and_what_is_said_is_folded(page):
    page.write_text(SOURCE[: SOURCE.index("```{exercise-start}")] + ASKED, encoding="utf-8")
    chapter, _ = plain.make_notebooks(page, KNOWN)
    folded = "<details><summary>The answer, and what the others overlook</summary>\n\n{}\n\n</details>"
    number = folded.format("- **32** is right.\n- **64**: The half is missing.")
    said = folded.format("- **a**: Too few, [(2) of B](02_b.ipynb).\n- **b** is right.")
    assert [cell.source for cell in chapter.cells[-4:]] == [
        f"**Predict.** How many, by (1)?\n\n- **a.** $x_1$\n- **b.** Two.\n\n{said}",
        "prediction = ...  # your letter in place of ...",
        f"**Quiz.** How large is the loss?\n\n{number}",
        "## Summary",
    ]


def test_a_prediction_that_is_not_whole_ends_the_refresh(page):
    page.write_text(SOURCE.replace("## Summary", ASKED.replace("[x]", "[ ]")), encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape('01_a.md: predict many: the wrong option "Two." has no reply')):
        plain.make_notebooks(page, KNOWN)


def test_with_an_address_there_are_links_to_the_page_and_to_colab(page):
    chapter, solutions = plain.make_notebooks(page, KNOWN, "https://github.com/someone/a-book")
    site, colab = (
        "https://someone.github.io/a-book/book",
        "https://colab.research.google.com/github/someone/a-book/blob/main",
    )
    links = f"[Read this chapter]({site}/01_a.html) · [Open in Colab]({colab}/book/01_a.ipynb)"
    assert chapter.cells[0].source == f"# A chapter\n\n{links} · [Solutions](solutions/01_a.ipynb)"
    assert solutions.cells[0].source == f"# Solutions: A chapter\n\n{links} · [The chapter](../01_a.ipynb)"
    assert f"and [letters]({site}/letters.html)." in chapter.cells[2].source
    assert f"; [Welling and Teh, 2011]({site}/references.html))." in chapter.cells[2].source


def test_elsewhere_than_on_github_no_page_and_no_colab_is_promised(page):
    chapter, _ = plain.make_notebooks(page, KNOWN, "https://codeberg.org/someone/a-book")
    assert chapter.cells[0].source == "# A chapter\n\n[Solutions](solutions/01_a.ipynb)"
    assert "https://codeberg.org/someone/a-book" in chapter.cells[1].source


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("```{admonition} A note", "```{margin} A note", "01_a.md: no notebook can show the directive {margin}"),
        ("**Check** (two minutes). ", "", "01_a.md: exercise ex-one does not begin with its grade, time and title"),
        ("{eq}`eq-two`", "{term}`score`", "{term}`score`"),
    ],
)
def test_what_it_does_not_know_it_refuses(page, old, new, told):
    page.write_text(page.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises((SystemExit, KeyError), match=re.escape(told)):
        plain.make_notebooks(page, KNOWN)


def small_book(folder, text):
    """A book of two chapters, in the place of this one."""
    (folder / "book").mkdir(parents=True)
    head = "---\njupytext: {text_representation: {format_name: myst}}\n"
    head += "kernelspec: {language: python, name: python3}\n---\n\n"
    cell = "```{{code-cell}}\n---\nmystnb:\n  figure:\n    name: {}\n    caption: A curve.\n---\nplot()\n```\n\n"
    formula = "$$\nx = {}\n$$ (eq-{})\n\n"
    first = f"{head}# One\n\n{cell.format('fig-a')}{formula.format(1, 'a')}"
    second = f"{head}# Two\n\n{formula.format(2, 'b')}{cell.format('fig-b')}{formula.format(3, 'c')}{text}\n"
    pages = {"one": first, "two": second}
    for name, content in pages.items():
        (folder / "book" / f"{name}.md").write_text(content, encoding="utf-8")
    (folder / "book" / "references.bib").write_text(
        "@misc{ho2020, author={Ho, J. and Jain, A. and Abbeel, P.}, year=2020}"
    )
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/one\nchapters:\n- file: book/two\n")
    config = "execute:\n  execute_notebooks: cache\nbibtex_bibfiles: [book/references.bib]\nsphinx:\n  config:\n"
    (folder / "_config.yml").write_text(
        f"{config}    bibtex_reference_style: author_year\n    numfig: true\n    math_numfig: false\n"
    )
    (folder / "requirements.lock").write_text("")
    paths = [folder / "book" / f"{name}.md" for name in pages]
    return SimpleNamespace(paths=paths, folder=folder)


@pytest.fixture
def book(tmp_path, monkeypatch):
    def make(text):
        made = small_book(tmp_path / "b", text)
        monkeypatch.setattr(references, "ROOT", made.folder)
        monkeypatch.setattr(references, "BOOK", made.folder / "book")
        monkeypatch.setattr(references, "FOLDER", made.folder / "_build")
        monkeypatch.setattr(references, "pages", lambda: made.paths)
        monkeypatch.setattr(references, "chapters", lambda: made.paths)
        monkeypatch.setattr(references, "digest", lambda paths: "0" * 64)
        return made

    return make


# An extension of Sphinx looks at every object that lives, those of torch that warn included.
LOOKS_AT_ALL = pytest.mark.filterwarnings("ignore")


@LOOKS_AT_ALL
def test_references_are_sphinxs(book):
    book("{eq}`eq-a` {eq}`eq-c` {numref}`fig-a` {numref}`fig-b` {cite:t}`ho2020`\n\n```{bibliography}\n```")
    found = references.read_references()
    assert found.numbers == {"eq-a": "1", "eq-b": "1", "eq-c": "2", "fig-a": "Fig. 1", "fig-b": "Fig. 2"}
    assert found.roles["two"] == {
        "{eq}`eq-a`": ("(1)", "one"),
        "{eq}`eq-c`": ("(2)", "two"),
        "{numref}`fig-a`": ("Fig. 1", "one"),
        "{numref}`fig-b`": ("Fig. 2", "two"),
        "{cite:t}`ho2020`": ("Ho et al. [2020]", "two"),
    }


@LOOKS_AT_ALL
def test_a_reference_that_leads_nowhere_is_told_with_its_line(book):
    book("By {eq}`eq-missing`.")
    with pytest.raises(SystemExit, match=r"two\.md:\d+: WARNING: .*eq-missing"):
        references.read_references()
