"""The course's weeks, its sheets and exams, and the teacher's guide."""

import subprocess
import sys

import exam
import nbformat
import pytest
import sheet
import teach
from chapters import ROOT, chapters

from ncsn_lib.exercises import ENTRIES
from ncsn_lib.exercises.sheets import call, read_sheet

WEEKS = teach.course()["week"]


def test_the_weeks_read_each_chapter_on_the_paper_once_in_order():
    """The six weeks are the paper's; what came after it is for a course that goes on."""
    pages = [page for week in WEEKS for page in week["pages"]]
    assert pages == [path.stem for path in chapters() if path.stem[:2].isdigit() and path.stem < "21"]


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


def test_the_teachers_guide_says_what_chapters_and_exercises_say():
    done = subprocess.run([sys.executable, "book/_tools/teach.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_guide_that_says_something_else_is_found(tmp_path, monkeypatch, capsys):
    page = teach.PAGE.read_text(encoding="utf-8").replace("90 min", "91 min", 1)
    monkeypatch.setattr(teach, "PAGE", tmp_path / "teach.md")
    teach.PAGE.write_text(page, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["teach.py", "--check"])
    assert teach.main() == 1
    assert "run python book/_tools/teach.py" in capsys.readouterr().out


def test_each_chapter_builds_on_earlier_ones_and_is_in_the_graph():
    needs, read = teach.course()["needs"], []
    assert list(needs) == [path.stem for path in chapters() if path.stem[:2].isdigit()]
    for stem, before in needs.items():
        assert set(before) <= set(read), stem
        read.append(stem)
    assert teach.graph().count("<line ") == sum(map(len, needs.values()))


@pytest.mark.parametrize("one", teach.course()["misconception"], ids=lambda one: one["exercise"])
def test_what_students_say_is_exposed_by_a_known_wrong_answer(one):
    assert teach.hint(ENTRIES[one["exercise"]], one["wrong"])
    lab, _, task = one.get("lab", "").partition(" ")
    page = (ROOT / "book" / "labs.md").read_text(encoding="utf-8")
    assert not lab or (f"(lab-{lab})=" in page and task in "123")


def test_one_seed_draws_one_exam_and_another_seed_another():
    questions, key = exam.draw_exam("a")
    assert exam.draw_exam("a") == (questions, key)
    assert exam.draw_exam("b")[0] != questions
    assert len(questions) == len(key) == exam.MISTAKES + exam.BY_HAND + exam.NUMBERS


def test_a_key_holds_what_one_works_out_by_hand():
    """A Langevin step from 1 with the score -1, alpha = 0.04 and z = 1: 1 - 0.02 + 0.2; without noise it is 0.98."""
    question, key = exam.by_hand(ENTRIES["langevin-step"])
    assert "alpha = 0.04" in question
    assert key.startswith("1.18.")
    assert "0.98: without noise the chain climbs" in key
    assert "0.98" not in question


def test_no_paper_holds_an_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exam, "TEACHER", tmp_path)
    assert exam.main(["--seed", "autumn 1"]) == 0
    paper, key = ((tmp_path / f"{kind}-autumn-1.html").read_text(encoding="utf-8") for kind in ("exam", "key"))
    assert str(tmp_path) in capsys.readouterr().out
    hints = [str(getattr(wrong, "hint", wrong)) for entry in ENTRIES.values() for wrong in entry.wrong.values()]
    assert not any(hint in paper for hint in hints)
    assert any(hint in key for hint in hints)


def test_a_seed_that_names_no_file_is_refused(capsys):
    with pytest.raises(SystemExit):
        exam.main(["--seed", " !"])
    assert "a seed has a letter or a digit, got ' !'" in capsys.readouterr().err


def test_the_readme_counts_the_exercises():
    words = {108: "one hundred and eight"}
    assert f"hold {words[len(ENTRIES)]} graded exercises" in (ROOT / "README.md").read_text(encoding="utf-8")
