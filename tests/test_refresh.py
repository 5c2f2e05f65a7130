"""Drift between text and notebooks is found, and outputs are kept where the code that made them is the same."""

import copy

import nbformat
import pytest
import refresh
from chapters import ONLY
from nbclient.exceptions import CellTimeoutError


@pytest.fixture
def notebook():
    """A notebook as it is stored: prose, the chapter's code with its output, and a cell for an answer."""
    cells = [nbformat.v4.new_markdown_cell("# A", id="a"), nbformat.v4.new_code_cell("1 + 1", id="b")]
    cells.append(nbformat.v4.new_code_cell("# Your answer", id="c", metadata={"tags": [ONLY, "answer"]}))
    cells[1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    cells[1].execution_count, cells[2].execution_count = 1, 2
    return nbformat.v4.new_notebook(cells=cells)


def edit_source(notebook):
    notebook.cells[0].source = "# B"


def edit_tags(notebook):
    notebook.cells[1].metadata["tags"] = ["hide-input"]


def add_a_cell(notebook):
    notebook.cells.append(nbformat.v4.new_code_cell("2", execution_count=3))


def take_a_cell(notebook):
    del notebook.cells[2]


def forget_to_run(notebook):
    notebook.cells[1].execution_count = None


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (edit_source, ["cell 0: source differs from the chapter's text"]),
        (edit_tags, ["cell 1: metadata differs from the chapter's text"]),
        (add_a_cell, ["cell 3: cell_type differs from the chapter's text"]),
        (take_a_cell, ["cell 2: cell_type differs from the chapter's text"]),
        (forget_to_run, ["cell 1 was not executed"]),
    ],
)
def test_a_notebook_edited_by_hand_is_found(notebook, edit, told):
    edited = copy.deepcopy(notebook)
    assert list(refresh.cell_differences(notebook, edited)) == []
    edit(edited)
    assert list(refresh.cell_differences(notebook, edited)) == told


def test_drift_is_told_with_the_command_that_mends_it(monkeypatch, capsys):
    monkeypatch.setattr(refresh, "read_references", lambda: None)
    monkeypatch.setattr(refresh, "differences", lambda page, references: [f"{page.stem}: cell 0"])
    assert refresh.check(refresh.chapters()[:1]) == 1
    assert "intro: cell 0\nRun `make refresh`" in capsys.readouterr().out


def test_outputs_are_kept_where_the_code_is_the_same(notebook, tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook, path)
    new = copy.deepcopy(notebook)
    for cell in new.cells[1:]:
        cell.outputs, cell.execution_count = [], None
    new.cells[0].source, new.cells[2].source = "# B", "# Write here"  # an answer's cell makes no output
    assert refresh.keep_outputs({path: new})
    assert new.cells[1].outputs == notebook.cells[1].outputs
    assert [cell.execution_count for cell in new.cells[1:]] == [1, 2]
    new.cells[1].source = "1 + 2"
    assert not refresh.keep_outputs({path: new})
    assert not refresh.keep_outputs({tmp_path / "absent.ipynb": notebook})


@pytest.mark.parametrize("fails", [False, True])
def test_a_new_chapter_is_there_while_its_solutions_run_and_goes_where_they_fail(
    notebook, tmp_path, monkeypatch, fails
):
    path, seen = tmp_path / "01_new.ipynb", []

    def execute(notebooks):
        seen.append(path.exists())
        if fails:
            raise CellTimeoutError("too long")
        return 1.0

    monkeypatch.setattr(refresh, "execute", execute)
    monkeypatch.setattr(refresh, "made_notebooks", lambda page, references: {path: notebook})
    monkeypatch.setattr(refresh, "record", lambda page, seconds, key: None)
    monkeypatch.setattr(refresh, "chapter_key", lambda page, with_run_times: "")
    assert refresh.refresh(tmp_path / "01_new.md", None, forced=True) is not fails
    assert seen == [True]
    assert path.exists() is not fails
