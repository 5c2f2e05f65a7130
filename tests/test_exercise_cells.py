"""The chapters carry the graded exercises: the stub as it is, what checks the answer, and a solution that is right."""

import ast
import functools
import re

import jupytext
import plain
import pytest
from chapters import BOOK

from ncsn_lib.exercises import ENTRIES, Exercise, Question, check

ALL = list(ENTRIES.values())
TIMES = {
    2: "two minutes",
    5: "five minutes",
    10: "ten minutes",
    15: "fifteen minutes",
    20: "twenty minutes",
    30: "half an hour",
    60: "an hour",
}


def each(entries):
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry.id)


@functools.cache
def parts(chapter):
    return plain.read_parts(BOOK / f"{chapter}.md")


def code(part):
    return part.cell.source.strip() if part.kind == "code" else ""


def tags(part):
    return part.cell.metadata.get("tags", []) if part.kind == "code" else []


@functools.cache
def imported(chapter):
    """The names that a chapter's own cells import."""
    lines = [node for part in parts(chapter) if part.kind == "code" for node in ast.parse(part.cell.source).body]
    lines = [node for node in lines if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {}
    exec(compile(ast.Module(lines, []), "<imports>", "exec"), names)
    return names


@each(ALL)
def test_the_exercise_has_its_stub_and_its_check(entry):
    found = parts(entry.chapter)
    (at,) = [number for number, part in enumerate(found) if part.kind == "exercise" and part.label == f"ex-{entry.id}"]
    if isinstance(entry, Exercise):
        cells, wanted = found[at + 1 : at + 3], [entry.stub.strip(), f'check("{entry.id}", {entry.function})']
        assert [tags(part) for part in cells] == [["stub"], ["check"]]
    else:
        word = "choice" if entry.choices else "number"
        cells, wanted = found[at + 1 : at + 2], [f'check("{entry.id}", None)  # your {word} in place of None']
        assert [tags(part) for part in cells] == [["check"]]
    assert [code(part) for part in cells] == wanted
    after = found[at + 1 + len(cells) :]
    if isinstance(entry, Question):  # which the page asks, too
        assert (after[0].kind, after[0].label) == ("question", entry.id)
        after = after[1:]
    assert (after[0].kind, after[0].label) == ("solution", f"ex-{entry.id}")


@each(ALL)
def test_grade_and_time_are_those_of_the_chapter(entry):
    (part,) = [part for part in parts(entry.chapter) if part.kind == "exercise" and part.label == f"ex-{entry.id}"]
    told = plain.STATEMENT.match(part.parts[0].text)
    assert (told["grade"].lower(), told["time"]) == (entry.grade, TIMES[entry.minutes])


@each(ALL)
def test_the_solution_is_right(entry):
    """Its cell that checks the answer needs nothing of the chapter but what that imports."""
    (solution,) = [part for part in parts(entry.chapter) if part.kind == "solution" and part.label == f"ex-{entry.id}"]
    (cell,) = [code(part) for part in solution.parts if f'check("{entry.id}"' in code(part)]
    assert re.search(rf'\ncheck\("{entry.id}", .+\)$', f"\n{cell}")
    verdicts = []

    def check_on_seeds(id, answer):
        verdicts.extend(check(id, answer, seed=seed) for seed in range(5))

    exec(cell, imported(entry.chapter) | {"check": check_on_seeds})
    assert len(verdicts) == 5
    assert all(verdicts), verdicts


@pytest.mark.parametrize("chapter", sorted({entry.chapter for entry in ALL}))
def test_no_cell_of_a_chapter_checks_what_is_not_graded(chapter):
    text = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    ids = {entry.id for entry in ALL if entry.chapter == chapter}
    assert set(re.findall(r'check\("([\w-]+)"', text)) == ids


@pytest.mark.parametrize("chapter", sorted({entry.chapter for entry in ALL}))
def test_readers_see_stubs_and_no_solution(chapter):
    """In the cells that plain.py makes of the page; what the notebooks hold is compared with the page elsewhere."""
    found = parts(chapter)
    solutions = {code(one) for part in found if part.kind == "solution" for one in part.parts if code(one)}
    shown = [code(part) for part in found if code(part)]
    assert not solutions & set(shown)
    defined = {entry.function for entry in ALL if entry.chapter == chapter and isinstance(entry, Exercise)}
    for source in shown:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name in defined:
                assert isinstance(node.body[-1], ast.Raise), f"{node.name} is more than a stub"


def test_no_function_of_a_stub_takes_a_name_of_its_chapter():
    for entry in ALL:
        if isinstance(entry, Exercise):
            cells = jupytext.read(BOOK / f"{entry.chapter}.md").cells
            others = [c.source for c in cells if c.cell_type == "code" and f'check("{entry.id}"' not in c.source]
            uses = [source for source in others if re.search(rf"\b{entry.function}\b", source)]
            assert len(uses) == 1 or entry.id == "mixing-tempering", (entry.id, uses)  # whose solution tries it, too
