"""`make lab`: a reader's copies follow the book, and nothing that a reader wrote is lost."""

import json

import lab_copies
import nbformat
import pytest


def write(path, text, output="1"):
    """A notebook with a cell that says this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = nbformat.v4.new_code_cell(text, outputs=[nbformat.v4.new_output("stream", text=output)])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def read(path):
    """What a file says."""
    return nbformat.read(path, as_version=4).cells[0].source if path.suffix == ".ipynb" else path.read_text()


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A small book, and the folder for the reader's copies; gives a function that runs the program."""
    for name, text in (("a.ipynb", "A"), ("b.ipynb", "B"), ("solutions/a.ipynb", "S")):
        write(tmp_path / "book" / name, text)
    (tmp_path / "book" / "results").mkdir()
    for name in ("one.json", "made.py"):
        (tmp_path / "book" / "results" / name).write_text("1")
    monkeypatch.setattr(lab_copies, "ROOT", tmp_path)
    monkeypatch.setattr(lab_copies, "BOOK", tmp_path / "book")
    monkeypatch.setattr(lab_copies, "RESULTS", tmp_path / "book" / "results")
    monkeypatch.setattr(lab_copies, "LAB", tmp_path / "lab")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["lab_copies.py", "--no-browser", *arguments])
        assert lab_copies.main() == 0
        return {
            p.relative_to(lab_copies.LAB).as_posix(): read(p) for p in lab_copies.LAB.rglob("*[a-z]") if p.is_file()
        }

    return run


def without_note(files):
    return {name: text for name, text in files.items() if name != ".copied.json"}


def test_notebooks_and_what_they_read_are_copied_and_no_script(book):
    files = book()
    assert without_note(files) == {"a.ipynb": "A", "b.ipynb": "B", "solutions/a.ipynb": "S", "results/one.json": "1"}
    assert set(json.loads(files[".copied.json"])) == {"a.ipynb", "b.ipynb", "solutions/a.ipynb"}


def test_what_the_reader_has_not_changed_follows_the_book(book, capsys):
    book()
    write(lab_copies.LAB / "a.ipynb", "mine")
    write(lab_copies.BOOK / "a.ipynb", "A2")
    write(lab_copies.BOOK / "b.ipynb", "B2")
    files = book()
    assert (files["a.ipynb"], files["b.ipynb"]) == ("mine", "B2")
    assert (
        "The book has newer ones than yours of: a\nTo get one, and keep yours: make lab RESTORE=a\n"
        in capsys.readouterr().out
    )


def test_a_notebook_that_was_only_run_follows_the_book_too(book):
    book()
    write(lab_copies.LAB / "a.ipynb", "A", output="run by the reader")
    write(lab_copies.BOOK / "a.ipynb", "A2")
    assert book()["a.ipynb"] == "A2"


def test_a_notebook_comes_back_and_the_readers_is_kept(book, capsys):
    book()
    write(lab_copies.LAB / "a.ipynb", "mine")
    write(lab_copies.LAB / "solutions" / "a.ipynb", "mine, too")
    files = book("--restore", "a") | book("--restore", "solutions/a.ipynb")
    assert files["a.ipynb"] == "A"
    assert files["solutions/a.ipynb"] == "S"
    kept = {name: text for name, text in files.items() if "(yours, " in name}
    assert sorted(kept.values()) == ["mine", "mine, too"]
    told = capsys.readouterr().out
    assert all(f"yours is lab/{name}" in told for name in kept)
    assert without_note(book()) == without_note(files)


def test_a_name_that_is_none_is_refused(book, capsys):
    book()
    with pytest.raises(SystemExit):
        book("--restore", "c")
    assert "no notebook called c; there are: a.ipynb, b.ipynb, solutions/a.ipynb" in capsys.readouterr().err
