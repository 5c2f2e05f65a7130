"""Numbers of prose come from cells, results or sources, and sentences can be read at one go."""

import re
import shutil

import prose_numbers
import pytest
from chapters import BOOK, chapters, pages
from prose_numbers import sentences, unaccounted

LONGEST = 40
"""Words of a sentence."""


@pytest.mark.parametrize("page", chapters(), ids=lambda page: page.stem)
def test_every_number_of_prose_is_accounted_for(page):
    assert list(unaccounted(page)) == [], "see book/_tools/prose_numbers.py"


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("The distance is 0.8437 here.", ["0.8437"]),
        ("It holds 12,345 of them, or 98.7 %.", ["12,345", "98.7"]),
        ("A step of 2e-7, in 2019, with 10 levels.", []),
        ("By $0.8437$ or `0.8437`, see [a page](http://a.b/0.8437).", []),
    ],
)
def test_a_number_from_nowhere_is_found(tmp_path, monkeypatch, sentence, found):
    """In a copy of a chapter, whose outputs stay."""
    source = BOOK / "08_slow_mixing.md"
    page = tmp_path / source.name
    head, rest = source.read_text(encoding="utf-8").split("## Summary")
    page.write_text(f"{head}## Summary\n\n{sentence}\n{rest}", encoding="utf-8")
    shutil.copy(source.with_suffix(".ipynb"), tmp_path)
    monkeypatch.setattr(prose_numbers, "read_results", lambda page: [])
    prose_numbers.known_numbers.cache_clear()
    assert [number for number, _ in unaccounted(page)] == found


def test_what_is_allowed_is_needed():
    """A line of prose_numbers.txt names a chapter and a number of its prose, with a reason."""
    text = prose_numbers.ALLOWED.read_text(encoding="utf-8")
    for line in filter(None, text.splitlines()):
        if not line.startswith("#"):
            name, number, reason = line.split(maxsplit=2)
            assert number in (BOOK / f"{name}.md").read_text(encoding="utf-8"), line
            assert len(reason) > 5, line


@pytest.mark.parametrize("page", [page for page in pages() if page.exists()], ids=lambda page: page.stem)
def test_no_sentence_is_longer_than_a_breath(page):
    words = {sentence: len(re.findall(r"\w[\w'’-]*", sentence)) for sentence in sentences(page)}
    assert {sentence: count for sentence, count in words.items() if count > LONGEST} == {}


@pytest.mark.parametrize("page", [page for page in pages() if page.stem[:2].isdigit()], ids=lambda page: page.stem)
def test_a_chapter_says_how_long_its_lecture_is_and_ends_in_a_table(page):
    text = page.read_text(encoding="utf-8")
    head = text.partition("\n## ")[0]
    assert re.search(r"^\*A lecture on this (chapter|page) takes (45|90) minutes\.\*$", head, re.MULTILINE)
    summary = text.partition("\n## Summary\n")[2].partition("\n## ")[0]
    assert "\n|---|---|---|\n" in summary
