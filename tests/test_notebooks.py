"""Each chapter is whole: its notebook, its figures, its cells, and what its tags promise.

That a notebook holds its chapter's text is a check of its own: `book/_tools/refresh.py --check`.
"""

import jupytext
import nbformat
import pytest
from chapters import BOOK, chapters, pages

PAGES, CHAPTERS = pages(), chapters()
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
MOST_LINES = 15


def code_cells(path):
    """The code cells of a chapter or of its notebook, with their numbers."""
    notebook = nbformat.read(path, as_version=4) if path.suffix == ".ipynb" else jupytext.read(path)
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


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
    for number, cell in code_cells(page.with_suffix(".ipynb")):
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        if not pictures or "remove-output" in cell.metadata.get("tags", []):
            continue
        told = cell.metadata.get("mystnb", {})
        assert len(pictures) == 1, f"cell {number} draws {len(pictures)} figures: one figure, one cell, one caption"
        for part, key in (("figure", "caption"), ("figure", "name"), ("image", "alt")):
            assert str(told.get(part, {}).get(key, "")).strip(), f"cell {number}: no mystnb: {part}: {key}"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_cell_fits_the_eye(page):
    for number, cell in code_cells(page):
        lines = cell.source.count("\n") + 1
        hidden = HIDDEN & set(cell.metadata.get("tags", []))
        assert hidden or lines <= MOST_LINES, f"cell {number} has {lines} lines: {cell.source[:60]!r} ..."


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_tags_survive_the_way_to_the_notebook(page):
    source, notebook = code_cells(page), code_cells(page.with_suffix(".ipynb"))
    assert [c.metadata.get("tags") for _, c in source] == [c.metadata.get("tags") for _, c in notebook]
    for number, cell in source:
        skips = {"nbval-skip", "skip-execution"} & set(cell.metadata.get("tags", []))
        assert not skips, f"cell {number} would not be tested: {skips}"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_notebook_was_executed_without_error(page):
    for number, cell in code_cells(page.with_suffix(".ipynb")):
        assert cell.execution_count is not None, f"cell {number}"
        kinds = [o.output_type for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
        assert not kinds, f"cell {number} wrote {kinds}"
