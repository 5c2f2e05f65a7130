"""Each chapter is whole: its notebook, its figures, its cells, and what its tags promise.

That a notebook holds its chapter's text is a check of its own: `book/_tools/refresh.py --check`.
"""

import re
import subprocess
import sys

import jupytext
import nbformat
import plain
import pytest
from chapters import BOOK, ONLY, chapters, pages
from kernels import code_cells

from ncsn_lib.plotting import WIDTH

PAGES, CHAPTERS = pages(), chapters()
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
MOST_LINES = 15


def source_cells(page):
    """The code cells of a chapter, with their numbers."""
    return list(enumerate(code_cells(jupytext.read(page))))


def cells_in_notebook_order(page):
    """The same cells as the notebooks have them: those of solutions after all others."""
    parts = plain.read_parts(page)
    solved = [one for part in parts if part.kind == "solution" for one in part.parts]
    found = [part for part in parts if part.kind == "code"] + [one for one in solved if one.kind == "code"]
    return [(number, part.cell) for number, part in enumerate(found)]


def notebook_cells(page):
    """The same cells in its notebooks, that of its solutions included."""
    paths = [page.with_suffix(".ipynb"), BOOK / "solutions" / f"{page.stem}.ipynb"]
    cells = [cell for path in paths if path.exists() for cell in code_cells(nbformat.read(path, as_version=4))]
    return list(enumerate(cell for cell in cells if ONLY not in cell.metadata.get("tags", [])))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_of_the_toc_exists(page):
    assert page.exists()


def test_every_source_is_in_the_toc():
    assert set(BOOK.glob("*.md")) == set(PAGES)


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_notebook_stands_beside_its_source(page):
    assert page.with_suffix(".ipynb").exists(), "run `make refresh`"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_figures_have_captions_and_alternative_texts(page):
    for number, cell in notebook_cells(page):
        # The picture that a slider or an animation leaves where nothing runs stands beside a text/html.
        kinds = [output.get("data", {}) for output in cell.outputs]
        pictures = [kind for kind in kinds if "image/png" in kind and "text/html" not in kind]
        if not pictures or "remove-output" in cell.metadata.get("tags", []):
            continue
        told = cell.metadata.get("mystnb", {})
        assert len(pictures) == 1, f"cell {number} draws {len(pictures)} figures: one figure, one cell, one caption"
        for part, key in (("figure", "caption"), ("figure", "name"), ("image", "alt")):
            assert str(told.get(part, {}).get(key, "")).strip(), f"cell {number}: no mystnb: {part}: {key}"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_phone_can_show_the_type_of_figures(page):
    for number, cell in source_cells(page):
        for width in re.findall(r"figsize=\(([\d.]+)", cell.source):
            assert float(width) <= WIDTH, f"cell {number}: a figure of {width} inches; the most are {WIDTH}"
        assert "fontsize" not in cell.source, f"cell {number}: all type has the size of ncsn_lib/plotting.py"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_cell_fits_the_eye(page):
    for number, cell in source_cells(page):
        lines = cell.source.count("\n") + 1
        hidden = HIDDEN & set(cell.metadata.get("tags", []))
        assert hidden or lines <= MOST_LINES, f"cell {number} has {lines} lines: {cell.source[:60]!r} ..."


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_code_and_tags_survive_the_way_to_the_notebooks(page):
    source, notebooks = cells_in_notebook_order(page), notebook_cells(page)
    assert len(source) == len(source_cells(page))
    assert [c.source for _, c in source] == [c.source for _, c in notebooks]
    assert [c.metadata.get("tags") for _, c in source] == [c.metadata.get("tags") for _, c in notebooks]
    for number, cell in source:
        skips = {"nbval-skip", "skip-execution"} & set(cell.metadata.get("tags", []))
        assert not skips, f"cell {number} would not be tested: {skips}"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_notebook_was_executed_without_error(page):
    for number, cell in notebook_cells(page):
        assert cell.execution_count is not None, f"cell {number}"
        kinds = [o.output_type for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
        assert not kinds, f"cell {number} wrote {kinds}"
        prints = [o.name for o in cell.outputs if o.output_type == "stream"]
        assert len(prints) == len(set(prints)), f"what cell {number} prints is cut where the kernel paused"


def test_a_page_needs_no_cell_that_only_a_notebook_has(tmp_path):
    """Every name is the page's own: ruff looks at its cells alone."""
    for page in CHAPTERS:
        nbformat.write(jupytext.read(page), tmp_path / f"{page.stem}.ipynb")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_no_rounding_error_is_compared_digit_by_digit(page):
    """What is left of a sum depends on the processor, on the number of threads and on the load: a bound is told."""
    left_over = re.compile(r"(differ|distance).*\de-(0[6-9]|[1-9]\d)")
    for number, cell in notebook_cells(page):
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.outputs)
            assert not left_over.search(printed), f"cell {number}: {left_over.search(printed)[0]}"
