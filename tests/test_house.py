"""The plan of the house, held: who imports whom, what an import costs, and that nothing is written twice."""

import ast
import functools
import hashlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

import ncsn_lib

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "ncsn_lib"
FILES = sorted(LIBRARY.rglob("*.py"))
OWN = ("__init__", "__main__")
SIDE_PACKAGES = {"plotting": {"matplotlib"}, "labs": {"anywidget", "traitlets"}}  # what a side room may begin with


def plan():
    """The floor of each module in CONTRIBUTING.md's picture: 'losses' -> 2, 'plotting' -> None (a side room)."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = re.search(r"```\nncsn_lib/\n(.*?)```", text, re.DOTALL)[1]
    found = re.findall(r"^  (\w+)(?:\.py|/)\s+(L\d|side)", picture, re.MULTILINE)
    return {name: None if floor == "side" else int(floor[1:]) for name, floor in found}


def room(file):
    """The module of the plan that a file is, or lies in."""
    return file.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imports(tree):
    """The dotted names that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ([f"ncsn_lib.{alias.name}" for alias in node.names] if node.module == "ncsn_lib" else [])
            yield node.module


def parse(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def test_the_picture_shows_every_module():
    assert set(plan()) == {room(file) for file in FILES} - set(OWN)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(LIBRARY).as_posix())
def test_a_file_imports_from_lower_floors(file):
    floors, here = plan(), room(file)
    if here in OWN:
        return
    for name in imports(parse(file)):
        there = name.split(".")[1] if name.startswith("ncsn_lib.") else here
        if there == here:
            continue
        assert floors[there] is not None, f"{name} is a side room: only chapters go there"
        assert floors[here] is None or floors[there] < floors[here], f"{here} imports {name}, which is not below it"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(LIBRARY).as_posix())
def test_heavy_packages_are_imported_where_they_are_used(file):
    top = [node for node in parse(file).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.split(".")[0] for node in top for name in imports(ast.Module([node], []))}
    outside = names - set(sys.stdlib_module_names) - {"torch", "numpy", "ncsn_lib"}
    assert outside <= SIDE_PACKAGES.get(room(file), set())
    everywhere = {name.split(".")[0] for name in imports(parse(file))}
    for side, packages in SIDE_PACKAGES.items():
        assert room(file) == side or not packages & everywhere


def test_importing_the_library_imports_no_more_than_torch():
    script = (
        "import sys, torch, numpy; before = set(sys.modules); import ncsn_lib; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    extra = set(ast.literal_eval(done.stdout)) - {"ncsn_lib"} - set(sys.stdlib_module_names)
    # What torch itself loads late.
    assert extra <= {"torch", "numpy", "_distutils_hack", "setuptools"}


def test_public_names_are_sorted_documented_and_there():
    names = ncsn_lib.__all__
    assert len(set(names)) == len(names)
    for name in names:
        thing = getattr(ncsn_lib, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{name} has no docstring"
            assert thing.__module__.startswith("ncsn_lib.")


def without_docstring(body):
    first = body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(getattr(first, "value", None), ast.Constant)
    return body[1:] if is_docstring else body


@functools.cache
def definitions():
    """Every `def` of library, tools, tests and book that does something: where it stands, and a hash of its code."""
    sources = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
    for folder in ("tests", "benchmarks", "book/_tools", "book/_ext", "book/results"):
        for file in sorted((ROOT / folder).glob("*.py")):
            sources[file.relative_to(ROOT).as_posix()] = file.read_text(encoding="utf-8")
    for page in sorted((ROOT / "book").rglob("*.md")):
        cells = [c.source for c in jupytext.read(page).cells if c.cell_type == "code"]
        sources[page.relative_to(ROOT).as_posix()] = "\n\n".join(cells)
    found = []
    for where, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and (body := without_docstring(node.body)):
                code = ast.dump(node.args) + "".join(map(ast.dump, body))
                digest = hashlib.sha256(code.encode()).hexdigest()
                found.append((f"{where}:{node.name}", len(ast.unparse(body)), digest))
    return found


SHORT = 60  # characters; what is shorter, `return self.layers(x)` say, says one thing and cannot be shared


def test_no_function_is_written_twice():
    seen = {}
    for where, length, code in definitions():
        if length < SHORT:
            continue
        assert code not in seen, f"{where} is {seen[code]} once more"
        seen[code] = where
    assert len(seen) > 150


def test_no_chapter_takes_a_name_of_the_library():
    public = set(ncsn_lib.__all__)
    taken = [where for where, _, _ in definitions() if where.startswith("book/") and where.split(":")[1] in public]
    assert taken == []


def test_a_from_scratch_function_stands_in_one_chapter():
    names = [w.split(":")[1] for w, _, _ in definitions() if w.endswith("_scratch")]
    assert len(names) == len(set(names))
    assert len(names) >= 3
