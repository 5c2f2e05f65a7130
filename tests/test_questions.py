"""Predictions and quizzes in the chapters: each is whole, and its right answer is what the chapter's cells find."""

import ast
import functools
import re
from types import SimpleNamespace

import nbformat
import plain
import pytest
from chapters import ONLY, chapters
from items import KINDS, OPTIONS, as_number, check_apart, evaluate, find_printed, read_item
from kernels import code_cells
from lab_pages import make_site
from prose_numbers import outputs_of
from references import ROLE

GOOD = "How many?\n\n- [ ] one\n  > Too few.\n- [x] two\n  > Both of\n  > them."
NUMBER = {"key": "2", "tolerance": "5%"}


CHAPTERS = [page for page in chapters() if page.stem[:2].isdigit()]


@functools.cache
def parts_of(page):
    return plain.read_parts(page)


def items(*kinds):
    """Tests of each item of these kinds, by its page and its place among the parts."""
    found = [(page, place, part) for page in CHAPTERS for place, part in enumerate(parts_of(page))]
    found = [(page, place, f"{page.stem}-{part.label}") for page, place, part in found if part.kind in kinds]
    return pytest.mark.parametrize(("page", "place"), [pytest.param(page, place, id=id) for page, place, id in found])


def test_an_item_is_read():
    item = read_item(GOOD, {})
    assert item.text == "How many?"
    assert [tuple(option) for option in item.options] == [("one", "Too few.", False), ("two", "Both of them.", True)]
    assert item.right.text == "two"


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (GOOD.replace("[x]", "[ ]"), {}, "one option is the right one (- [x] ...), not 0 of 2"),
        (GOOD.replace("[ ]", "[x]"), {}, "one option is the right one (- [x] ...), not 2 of 2"),
        (GOOD.replace("  > Too few.\n", ""), {}, 'the wrong option "one" has no reply'),
        ("How many?\n\n- [x] two", {}, "a choice has two options or more (- [ ] ...), not 1"),
        ("How many?\n\n- [ ] 3\n  > No.", {"key": "2"}, "a number has a `tolerance`"),
        ("See {ref}`the\npart <part>`.", {}, "a role or a piece of code is broken over two lines"),
        ("How many?\n\n- [ ] three\n  > No.", NUMBER, 'the wrong number "three" is no number'),
        ("How many?\n\n- [x] 2", NUMBER, "the right number is computed, not written"),
        ("How many?", {"key": "2", "printed": "NUMBER", "tolerance": "1"}, "a `key` or is `printed`, one of the two"),
    ],
)
def test_an_item_that_is_not_whole_says_what_it_lacks(content, settings, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_item(content, settings)


def test_two_numbers_that_one_answer_may_mean_are_refused():
    check_apart(2.0, [4.0, -1.0], "10%")
    with pytest.raises(ValueError, match=r"with the tolerance 10% an answer may be both 2 and 2\.1"):
        check_apart(2.0, [4.0, 2.1], "10%")


def test_a_printed_number_is_found_where_its_words_are():
    text = "before: 3\nloss  before training: 1,234.5; predicted -2e-3."
    assert find_printed("before training: NUMBER;", text) == 1234.5
    assert find_printed("predicted NUMBER.", text) == -2e-3
    for printed in ("after: NUMBER", "before"):
        with pytest.raises(ValueError, match="no number where"):
            find_printed(printed, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```{question} low-zeros\n```", "no number or choice called low-zeros; near it: low-zero"),
        ("```{question} langevin-step\n```", "no number or choice called langevin-step; near it: "),  # it is a function
        (f"```{{predict}} many\n{GOOD.replace('[x]', '[ ]')}\n```", "predict many: one option is the right one"),
        ("```{quiz} n\n:key: 1 / 0 + x\n:tolerance: 1%\nHow?\n```", "quiz n: the key '1 / 0 + x' computes no number"),
        ("```{quiz} n\n:key: 2\n:tolerance: 1%\nHow?\n\n- [ ] 2.01\n  > No.\n```", "quiz n: with the tolerance 1%"),
        ("```{predict} n\n:printed: it is NUMBER\n:tolerance: 1%\nHow?\n```", "predict-n: the output has no number"),
    ],
)
def test_a_directive_that_is_wrong_stops_the_build(tmp_path, text, said):
    done = make_site(tmp_path / "site", {"index": f"# A page\n\n{text}"}, ("myst_parser", "questions"))
    assert done.returncode != 0
    assert said in done.stderr


# The chapters


def claims_of(source):
    """What the asserts of a cell claim, each and each part of it that is joined by `and`, as ruff would write it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            yield ast.unparse(node.test)
            if isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And):
                yield from map(ast.unparse, node.test.values)


@functools.cache
def output_texts(page):
    """What the cells of a chapter wrote in its notebook, as text, by their code; only those that wrote anything."""
    cells = code_cells(nbformat.read(page.with_suffix(".ipynb"), as_version=4))
    cells = [cell for cell in cells if ONLY not in cell.metadata.get("tags", []) and cell.outputs]
    return {cell.source: "\n".join(outputs_of(SimpleNamespace(cells=[cell]))) for cell in cells}


def below(page, place):
    """The cells below a prediction, up to the next one and in its section."""
    for part in parts_of(page)[place + 1 :]:
        if part.kind == "predict" or (part.kind == "text" and re.search(r"^## ", part.text, re.MULTILINE)):
            return
        if part.kind == "code":
            yield part.cell.source


def covered(page, place):
    """What the cells wrote that a prediction covers."""
    number = int(parts_of(page)[place].options.get("covers", 1))
    return [output_texts(page)[source] for source in below(page, place) if source in output_texts(page)][:number]


def item_of(page, place):
    part = parts_of(page)[place]
    return part.options, read_item(part.text, part.options)


def check_number(options, item, output):
    """Hold the numbers of an item apart; the right one is computed, or found in an output."""
    key = evaluate(options["key"]) if "key" in options else find_printed(options["printed"], output)
    check_apart(key, [as_number(option.text) for option in item.options if not option.right], options["tolerance"])


@items("predict")
def test_a_prediction_is_what_the_covered_cells_find(page, place):
    options, item = item_of(page, place)
    assert len(covered(page, place)) == int(options.get("covers", 1)), "no output to cover; run `make refresh`?"
    if item.is_number:
        assert "printed" in options, "a prediction is compared with what its cell prints"
        check_number(options, item, "\n".join(covered(page, place)))
    else:
        claims = {claim for source in below(page, place) for claim in claims_of(source)}
        assert ast.unparse(ast.parse(options["assert"])) in claims


@items("quiz")
def test_an_item_of_a_quiz_is_what_the_chapter_has_shown(page, place):
    options, item = item_of(page, place)
    if item.is_number:
        check_number(options, item, "\n".join(output_texts(page).values()))
    elif "assert" in options:
        claims = {claim for part in parts_of(page) if part.kind == "code" for claim in claims_of(part.cell.source)}
        assert ast.unparse(ast.parse(options["assert"])) in claims
    else:
        assert ROLE.search(item.right.reply), "the reply to the right option refers to where the chapter shows it"


@items(*KINDS)
def test_no_item_has_an_option_that_nothing_reads(page, place):
    assert set(parts_of(page)[place].options) <= set(OPTIONS)


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_each_item_has_a_name_of_its_own(page):
    names = [part.label for part in parts_of(page) if part.kind in KINDS]
    assert len(set(names)) == len(names)


def read_items(page, kind):
    return [read_item(part.text, part.options) for part in parts_of(page) if part.kind == kind]


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_asks_for_two_predictions_and_ends_in_a_quiz_of_five(page):
    assert len(read_items(page, "predict")) >= 2
    quiz = page.read_text(encoding="utf-8").partition("\n## Quiz\n")[2].partition("\n## ")
    assert quiz[0].count("```{quiz}") == len(read_items(page, "quiz")) == 5
    assert quiz[2].startswith("Summary\n")


def test_the_book_asks_for_many_predictions():
    assert sum(len(read_items(page, "predict")) for page in CHAPTERS) >= 45


@pytest.mark.parametrize("kind", KINDS)
def test_a_letter_says_nothing_of_the_right_answer(kind):
    """None of the first three letters is right in more than half of the choices, or in less than a fifth."""
    found = [item for page in CHAPTERS for item in read_items(page, kind) if not item.is_number]
    places = [item.options.index(item.right) for item in found]
    shares = [places.count(place) / len(places) for place in range(3)]
    assert min(shares) > 0.2, shares
    assert max(shares) < 0.5, shares


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_the_word_predict_is_followed_by_a_question_that_can_be_answered(page):
    """Outside of exercises, which are answered in code."""
    prose = "\n".join(part.text for part in parts_of(page) if part.kind == "text")
    assert "**Predict**" not in prose
