"""The course's weeks, and the sheets that are made of them."""

import nbformat
import pytest
import sheet
from chapters import chapters

from ncsn_lib.exercises import ENTRIES
from ncsn_lib.exercises.sheets import call, read_sheet

WEEKS = sheet.weeks()


def test_the_weeks_read_each_chapter_once_in_order():
    pages = [page for week in WEEKS for page in week["pages"]]
    assert pages == [path.stem for path in chapters() if path.stem[:2].isdigit()]


@pytest.mark.parametrize("week", WEEKS, ids=lambda week: week["title"])
def test_a_week_asks_for_what_it_reads(week):
    assert {ENTRIES[id].chapter for id in week["exercises"]} <= set(week["pages"])
    assert len(set(week["exercises"])) == len(week["exercises"])
    # A sheet is an afternoon's work.
    assert 30 <= sum(ENTRIES[id].minutes for id in week["exercises"]) <= 120


def test_a_week_as_a_sheet(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sheet, "SHEETS", tmp_path)
    assert sheet.main(["--week", "2"]) == 0
    assert "week2.ipynb to hand out" in capsys.readouterr().out
    sources = [cell.source for cell in nbformat.read(tmp_path / "week2.ipynb", 4).cells]
    assert [call(ENTRIES[id]) in sources for id in WEEKS[1]["exercises"]] == [True] * len(WEEKS[1]["exercises"])
    assert list(read_sheet(tmp_path / "week2.toml").points) == WEEKS[1]["exercises"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give one of the two"),
        (["--week", "7"], "the course has the weeks 1 to 6, got 7"),
        (["--ids", "dsm-los"], "there is no exercise dsm-los"),
        (["--ids", "dsm-loss", "dsm-loss"], "each once"),
    ],
)
def test_what_no_sheet_can_be_made_of(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        sheet.main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
