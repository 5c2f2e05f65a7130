"""The pages of the reference: each has an example that runs, and together they list every module of the library."""

import re
from pathlib import Path

import pytest
from chapters import BOOK, ROOT

PAGES = sorted(BOOK.glob("reference_*.md"))
MODULE = re.compile(r"automodule:: (ncsn_lib[\w.]*)")
# A package lists the labs; the others serve the module beside them, and no reader calls them.
UNLISTED = re.compile(r"ncsn_lib(\.__main__|\.starting|\.labs\.\w+|\.exercises\.(chapter_\w+|registry|fields))?")


def modules():
    """The names of the library's modules; a package whose names all stand in its modules is none."""
    for path in (ROOT / "ncsn_lib").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if "def " in path.read_text(encoding="utf-8") or path.name != "__init__.py":
            yield name.removesuffix(".__init__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, page.name, "exec"), {"__name__": "example"})
    assert "assert" in code or capsys.readouterr().out.strip()


def test_every_module_stands_on_one_page():
    listed = [name for page in PAGES for name in MODULE.findall(page.read_text(encoding="utf-8"))]
    assert len(listed) == len(set(listed))
    assert [name for name in modules() if name not in listed and not UNLISTED.fullmatch(name)] == []


def test_the_map_leads_to_every_page():
    told = (BOOK / "reference.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\((reference_\w+\.md)\)", told)) == [Path(page).name for page in PAGES]
