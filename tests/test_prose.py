"""Numbers of prose come from cells, results or sources, and sentences can be read at one go."""

import re
import shutil

import prose_numbers
import pytest
from chapters import BOOK, chapters, pages
from prose_numbers import sentences, unaccounted

LONGEST = 40
"""Words of a sentence."""

PLAINER = [
    # A pattern, what it finds, and what to write instead.
    (r"\bin small\b(?!\.)", "the experiments hold in small", "the experiments hold at a small scale"),
    (r"\bSo many (it|the|they)\b", "So many the paper takes", "The paper takes that many"),
    (r"\bgone on with\b", "cut and gone on with", "interrupted and resumed"),
    (r"\bcomes? on top\b", "the gradient comes on top", "the gradient adds to that cost"),
    (
        r"\bh[eo]lds? [^.;:]{0,40}\bagainst\b",
        "hold the classes against real digits",
        "compare the classes with real digits",
    ),
    (
        r"\btakes? (this|that|it) for the (reason|cause)\b",
        "we take this for the reason",
        "we take this to be the reason",
    ),
    (r"\bweighed\b|\bweighs (each|input|the)\b", "weighed by their length", "weighted by their length"),
    (r"\bforth as back\b", "as much flows forth as back", "as much flows one way as the other"),
    (r"\bin eternity\b", "and in eternity", "and in the limit of infinitely many steps"),
    (r"\b[Ww]hoever\b|(^|[.;] )[Ww]ho \w+ (it|the|these)\b", "; who follows it fails", "; code that follows it fails"),
    (r"\b(Why|When|How many \w+) has (?!to\b)", "Why has the loss no minimum?", "Why does the loss have no minimum?"),
    (r"(^|[.;] )([Ll]eft|[Rr]ight) (is|are) ", "Left are the states", "On the left are the states"),
    (
        r"\bnot an?other\b|\bis another from\b",
        "each loss is another from the first step",
        "each loss differs from the first step",
    ),
]


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


@pytest.mark.parametrize(("pattern", "now", "better"), PLAINER, ids=[now for _, now, _ in PLAINER])
def test_no_page_has_a_phrase_that_reads_as_translated(pattern, now, better):
    """In captions and alternative texts, too."""
    assert re.search(pattern, now)
    assert not re.search(pattern, better)
    texts = {page.stem: " ".join(page.read_text(encoding="utf-8").split()) for page in pages() if page.exists()}
    found = {
        name: text[max(0, m.start() - 60) : m.end() + 40]
        for name, text in texts.items()
        if (m := re.search(pattern, text))
    }
    assert found == {}, f"better: {better}"


@pytest.mark.parametrize("page", [page for page in pages() if page.stem[:2].isdigit()], ids=lambda page: page.stem)
def test_a_chapter_says_how_long_its_lecture_is_and_ends_in_a_table(page):
    text = page.read_text(encoding="utf-8")
    head = text.partition("\n## ")[0]
    assert re.search(r"^\*A lecture on this (chapter|page) takes (45|90) minutes\.\*$", head, re.MULTILINE)
    summary = text.partition("\n## Summary\n")[2].partition("\n## ")[0]
    assert "\n|---|---|---|\n" in summary
