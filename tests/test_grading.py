"""Marking a class: what is right gets its points, and what is hostile neither gets any nor reaches the teacher."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ncsn_lib.cli import main
from ncsn_lib.exercises import ENTRIES, Exercise, Question
from ncsn_lib.exercises.grading import grade, secret_seed, submissions, table
from ncsn_lib.exercises.sandbox import Fence, fences, strictest_fence
from ncsn_lib.exercises.sheets import call, make_sheet, notebook, read_sheet, stub, toml, write_otter, write_sheet

RIGHT = """\
import torch

from ncsn_lib.exercises import check

def to_level(sigma, x):
    return sigma.view(-1, *[1] * (x.ndim - 1))

def dsm_loss(score_fn, x, sigma, noise):
    x_tilde = x + to_level(sigma, x) * noise
    return 0.5 * (score_fn(x_tilde, sigma) + noise / to_level(sigma, x)).flatten(1).square().sum(1)

dsm_sum = 64
check("dsm-loss", dsm_loss)
"""
SHEET = make_sheet("Week 1", ["dsm-loss", "dsm-sum"])


def write(folder, **cells):
    folder.mkdir(exist_ok=True)
    for name, source in cells.items():
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), folder / f"{name}.ipynb")
    return submissions(folder)


@pytest.fixture(scope="module")
def fence():
    """Bubblewrap; where a container has none, what it is to keep out cannot be tried, unless NCSN_FENCE asks for it."""
    try:
        found = strictest_fence()
        if "bubblewrap" not in found.words:
            raise OSError(f"the strictest fence here is {found.words}")
    except OSError as error:
        if os.environ.get("NCSN_FENCE"):
            raise
        pytest.skip(str(error))
    return found


def listed(folder):
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


ORDINARY = {
    "right": (RIGHT, 2.0, "right."),
    "sign": (RIGHT.replace("+ noise / to", "- noise / to"), 1.0, ENTRIES["dsm-loss"].wrong["sign"].hint),
    "stub": (ENTRIES["dsm-loss"].stub, 0.0, "not written yet."),
    "empty": ("", 0.0, "there is no function dsm_loss."),
    "magics": ("%matplotlib inline\n!ls\n" + RIGHT, 2.0, "right."),
    "error": (RIGHT + "\n1 / 0", 2.0, "right."),
    "loop": ("def dsm_loss(*arguments):\n    while True: pass", 0.0, "did not end within 10 s"),
}


def test_ordinary_submissions_behind_the_fence(tmp_path, fence):
    files = write(tmp_path / "class", **{name: source for name, (source, _, _) in ORDINARY.items()})
    marks = {mark.name: mark for mark in grade(files, SHEET, secret_seed("a secret"), fence)}
    for name, (_, total, sentence) in ORDINARY.items():
        assert marks[name].total == total, marks[name]
        assert sentence in marks[name].verdicts["dsm-loss"].sentence
    assert marks["error"].problems == ["cell 1 raised ZeroDivisionError: division by zero"]


HOSTILE = {
    "gigabyte": "for _ in range(1000): print('x' * 10**6)\nimport os; os._exit(0)",
    "fork": "import os\nwhile True: os.fork()",
    "sleep": "import time\ntime.sleep(1000)",
    "reads": "open({secret!r}).read()",
    "writes": "open({folder!r} + '/evil', 'w').write('x')",
    "deletes": "import shutil\nfor place in ({folder!r}, '/usr', '/tmp', '/library'):\n    shutil.rmtree(place, True)",
    "socket": "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5)",
    "memory": "import torch\ntorch.ones(30 * 2**30, dtype=torch.uint8)",
    "redefines": "import ncsn_lib.exercises as e\ne.check = check = lambda *a: True\ndef dsm_loss(*a): return True",
    "ends": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos._exit(0)",
    "answers": "import os\nfor n in range(3, 20):\n    try: os.write(n, b'x' * 100)\n    except OSError: pass",
    "disk": "for number in range(1000): open(str(number), 'wb').write(b'x' * 2**24)",
}


def test_hostile_submissions_behind_the_fence_get_nothing_and_reach_nothing(tmp_path, fence):
    import socket

    folder, secret = tmp_path / "class", tmp_path / "teacher" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("the key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {"folder": str(secret.parent), "secret": str(secret), "port": server.getsockname()[1]}
        hostile = {name: source.format(**places) for name, source in HOSTILE.items()}
        files = write(folder, **hostile, last=RIGHT)
        (folder / "no_notebook.ipynb").write_text("{")
        files = submissions(folder)
        before = listed(tmp_path)
        marks = {mark.name: mark for mark in grade(files, SHEET, 1, fence, seconds=15)}
        server.settimeout(0)
        with pytest.raises(OSError, match="unavailable"):
            server.accept()
    assert listed(tmp_path) == before
    assert marks.pop("last").total == 2
    for name, mark in marks.items():
        assert mark.total == 0, (name, mark)
        assert mark.problems or name in ("redefines", "deletes"), name  # which run to their end


LEAVES = """\
import os
from pathlib import Path

with open("/tmp/note", "w") as note:
    note.write("for the next")
for place in ("/tmp", "/dev/shm", "/", "/library"):
    try:
        for number in range(100):
            Path(place, f"full{number}").write_bytes(b"x" * 2**24)
    except OSError:
        pass
memory = open(f"/proc/{os.getppid()}/mem", "rb")
"""


def test_a_submission_leaves_nothing_to_the_next(tmp_path, fence):
    finds = "import os\nassert not os.path.exists('/tmp/note')\n" + RIGHT
    files = write(tmp_path / "class", a_leaves=LEAVES, b_finds=finds)
    first, second = grade(files, SHEET, 1, fence, num_workers=1)
    assert first.problems == ["cell 1 raised PermissionError: [Errno 13] Permission denied: '/proc/2/mem'"]
    assert (second.total, second.problems) == (2, [])


@pytest.mark.skipif(os.name != "posix", reason="tries on POSIX what other systems do")
def test_without_forks_each_submission_has_a_process(tmp_path):
    files = write(tmp_path / "class", right=RIGHT, ends="import os; os._exit(1)", again=RIGHT)
    plain = Fence("none", False, flags=("--once",))
    marks = {mark.name: mark for mark in grade(files, SHEET, 1, plain, num_workers=1)}
    assert (marks["right"].total, marks["again"].total, marks["ends"].total) == (2, 2, 0)


def test_the_strictest_fence_comes_first():
    found = list(fences())
    assert found[-1].words.endswith("limits of time, memory and files")
    assert all(fence.keeps_files for fence in found if "bubblewrap" in fence.words)


def test_marks_by_the_command(tmp_path, monkeypatch, capsys, fence):
    write(tmp_path / "class", **{"=cmd|x": RIGHT, "zoë": RIGHT.replace("64", "8")})
    write_sheet(SHEET, tmp_path, "week1")
    monkeypatch.chdir(tmp_path)
    assert main(["grade", "class", "--sheet", "week1.toml", "--seed", "between us", "--out", "marks"]) == 0
    rows = list(csv.DictReader(Path("marks/marks.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["name"], row["dsm-loss"], row["dsm-sum"], row["total"], row["of"]) for row in rows] == [
        ("'=cmd|x", "1", "1", "2", "2"),
        ("zoë", "1", "0", "1", "2"),
    ]
    record = json.loads(Path("marks/marks.json").read_text())
    assert "between us" not in Path("marks/marks.json").read_text()
    assert record["marks"][1]["mistakes"] == {"dsm-sum": "8.0"}
    result = json.loads(Path("marks/gradescope/zoë/results.json").read_text())
    assert [(test["score"], test["max_score"]) for test in result["tests"]] == [(1, 1), (0, 1)]
    assert "that is one side of the image." in Path("marks/students/zoë.html").read_text()
    assert "2 submissions run behind bubblewrap" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["grade"], "which folder?"),
        (["grade", "class"], "which sheet?"),
        (["grade", "class", "--sheet", "none.toml"], "none.toml is no sheet that can be read"),
        (["grade", "none", "--sheet", "week1.toml"], "none is no folder"),
        (["grade", "class", "--sheet", "week1.toml"], "class has no files"),
        (["grade", "class", "--sheet", "bad.toml"], "there is no exercise dsm-los"),
        (["grade", "class", "--sheet", "zero.toml"], "the points of dsm-loss must be a positive number, got 0"),
        (["grade", "class", "--sheet", "week1.toml", "--seconds", "0"], "--seconds must be above 0"),
    ],
)
def test_what_the_command_refuses(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    Path("class").mkdir()
    write_sheet(SHEET, tmp_path, "week1")
    Path("bad.toml").write_text('title = "x"\n[points]\ndsm-los = 1\n')
    Path("zero.toml").write_text('title = "x"\n[points]\ndsm-loss = 0\n')
    assert main(words) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_sheet_holds_stubs_and_checks_and_no_solution():
    sheet = make_sheet("All", list(ENTRIES))
    made = notebook(sheet)
    nbformat.validate(made)
    sources = [cell.source for cell in made.cells if cell.cell_type == "code"]
    for entry in ENTRIES.values():
        assert stub(entry) in sources
        assert call(entry) in sources
        if isinstance(entry, Exercise):
            assert "raise NotImplementedError" in stub(entry)
    text = "\n".join(cell.source for cell in made.cells)
    for entry in ENTRIES.values():
        hints = entry.wrong.values() if isinstance(entry, Question) else [wrong.hint for wrong in entry.wrong.values()]
        assert not any(hint in text for hint in hints)


def test_a_sheet_runs_as_it_is_handed_out(tmp_path):
    made = notebook(make_sheet("All", list(ENTRIES)))
    script = "\n".join(f"print(repr({cell.source}))" if cell.source.startswith("check(") else cell.source
                       for cell in made.cells if cell.cell_type == "code")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(ENTRIES)
    assert all(line.endswith(("not written yet.", "not answered yet.")) for line in done.stdout.splitlines())


def test_a_sheet_is_read_as_it_was_written(tmp_path):
    write_sheet(SHEET, tmp_path, "week1")
    assert read_sheet(tmp_path / "week1.toml") == SHEET
    assert toml(SHEET).startswith('title = "Week 1"')


def test_the_tests_for_otter_are_doctests(tmp_path):
    import doctest

    for path in write_otter(SHEET, tmp_path):
        namespace = {}
        exec(path.read_text(), namespace)
        case = namespace["test"]["suites"][0]["cases"][0]
        exec(RIGHT, namespace)
        test = doctest.DocTestParser().get_doctest(case["code"], namespace, path.name, None, 0)
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


def test_the_table_names_every_exercise(tmp_path):
    assert table([], SHEET) == "name,dsm-loss,dsm-sum,total,of,remarks\n"


def test_a_fence_behind_which_nothing_starts_is_one_clear_error(tmp_path):
    broken = Fence("a wall", True, command=("false",))
    with pytest.raises(OSError, match="no worker starts behind this fence: a wall"):
        grade(write(tmp_path, first="1"), make_sheet("t", ["tweedie"]), 0, broken)
