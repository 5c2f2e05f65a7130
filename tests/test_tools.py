"""The scripts behind `make`: what a build keeps and refuses, what ends it, and what an environment is made with."""

import os
import shutil
import subprocess
import sys

import chapters
import jupytext
import kernels
import nbformat
import plain
import pytest
import setup
from jupyter_cache import get_cache
from references import References

ROOT = chapters.ROOT
HEAD = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n"


def write_chapter(folder, name, code):
    page = folder / f"{name}.md"
    page.write_text(f"{HEAD}\n# {name}\n\n```{{code-cell}}\n{code}\n```\n", encoding="utf-8")
    return page


EXECUTE = """
import pathlib, sys, build
folder = pathlib.Path(sys.argv[1])
build.CACHE, build.EXECUTED = folder / "cache", folder / "executed"
build.chapters, build.share_cores = (lambda: sorted(folder.glob("*.md"))), (lambda tasks: 2)
build.use_own_folders = lambda: None
print("failed:", build.execute_chapters("--executed" in sys.argv))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "book" / "_tools"), "OMP_NUM_THREADS": "1"}


def run_python(script, folder, *arguments, status=0):
    """What a script printed that runs in a process and a folder of its own, and ends with this status."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def execute(folder, *options, **code):
    """What the build says of a book with chapters of this code, added to those that are in the folder."""
    for name, text in code.items():
        write_chapter(folder, name, text)
    return run_python(EXECUTE, folder, folder, *options)


def cached(folder):
    """The executed chapters in the cache, by name."""
    cache = get_cache(str(folder / "cache"))
    return {os.path.basename(r.uri): cache.get_cache_bundle(r.pk).nb for r in cache.list_cache_records()}


def test_the_first_failure_ends_the_others(tmp_path):
    """The sleepers take longer than `execute` waits."""
    sleep = "import time\ntime.sleep(900)"
    said = execute(tmp_path, a_slow=sleep, b_fails="1 / 0", c_never=sleep)
    assert "b_fails failed:" in said
    assert "ZeroDivisionError" in said
    assert said.endswith("failed: b_fails\n")
    assert cached(tmp_path) == {}


def test_what_writes_to_stderr_is_refused_and_not_kept(tmp_path):
    said = execute(tmp_path, loud="import sys\nprint('a notice', file=sys.stderr)")
    assert "code cell 0 wrote to stderr: a notice" in said
    assert cached(tmp_path) == {}
    assert execute(tmp_path, loud="print('a line')").endswith("failed: None\n")
    assert list(cached(tmp_path)) == ["loud.md"]
    assert execute(tmp_path, "--executed").endswith("failed: None\n")  # it is in the cache


SOLVED = """
```{exercise}
:label: ex-token
**Check** (two minutes). *In capitals.* Write the token so.
```

````{solution-start} ex-token
````
```{code-cell}
:tags: [nbval-ignore-output]
token.upper()
```
````{solution-end}
````
"""


def run_nbval(folder, name, status=0):
    """Execute a notebook in the folder and compare it, with the plugin; returns what was said."""
    keep = "import pathlib, sys, chapters, pytest; chapters.EXECUTED = pathlib.Path('executed').absolute(); "
    keep += "sys.exit(pytest.main(sys.argv[1:]))"
    nbval = ["--nbval", "--nbval-current-env", "-p", "keep_outputs", "-p", "no:cacheprovider", "--rootdir", folder]
    return run_python(keep, folder, *nbval, folder / name, status=status)


@pytest.mark.parametrize(("size", "status"), [("192x96", 0), ("288x96", 1)])
def test_nbval_compares_the_size_of_a_figure_and_not_its_lines(tmp_path, size, status):
    code = "from ncsn_lib.plotting import plt, use_style\nuse_style()\nplt.subplots(figsize=(2, 1))\nplt.show()"
    page = write_chapter(tmp_path, "drawn", code)
    notebook = jupytext.read(page)
    shown = {"image/png": "of another machine", "text/plain": f"<Figure size {size} with 1 Axes>"}
    (cell,) = kernels.code_cells(notebook)
    cell.update(execution_count=1, outputs=[nbformat.v4.new_output("display_data", shown)])
    nbformat.write(notebook, tmp_path / "drawn.ipynb")
    assert ("Figure size" in run_nbval(tmp_path, "drawn.ipynb", status)) == bool(status)
    if not status:
        (cell,) = kernels.code_cells(nbformat.read(tmp_path / "executed" / "drawn.ipynb", as_version=4))
        assert ["<svg" in twin["data"] for twin in cell.outputs[0].metadata["image/png"]["twins"]] == [True, True]


def test_nbval_executes_and_the_build_takes_its_outputs(tmp_path):
    """By the very plugin: what each execution draws anew is the same on the page, and in the solution."""
    page = write_chapter(
        tmp_path, "drawn", ":tags: [nbval-ignore-output]\nimport secrets\ntoken = secrets.token_hex()\ntoken"
    )
    page.write_text(page.read_text(encoding="utf-8") + SOLVED, encoding="utf-8")
    known = References({"ex-token": "Exercise 1"}, {"drawn": {}})
    (tmp_path / "solutions").mkdir()
    for folder, notebook in zip((tmp_path, tmp_path / "solutions"), plain.make_notebooks(page, known), strict=True):
        for number, cell in enumerate(kernels.code_cells(notebook), 1):
            cell.execution_count = number
        nbformat.write(notebook, folder / "drawn.ipynb")
    assert "7 passed" in run_nbval(tmp_path, "drawn.ipynb")
    kept = nbformat.read(tmp_path / "executed" / "drawn.ipynb", as_version=4).cells
    token, capitals = (cell.outputs[0].data["text/plain"] for cell in kept)
    assert capitals == token.upper()
    assert execute(tmp_path, "--executed").endswith("failed: None\n")
    shown = [cell for cell in cached(tmp_path)["drawn.md"].cells if cell.cell_type == "code"]
    assert [cell.outputs[0].data["text/plain"] for cell in shown] == [token, capitals]


def test_outputs_of_other_code_or_another_library_are_not_taken(tmp_path):
    page = write_chapter(tmp_path, "changed", "1 + 1")
    (tmp_path / "executed").mkdir()
    for code, key in [("1 + 2", chapters.chapter_key(page)), ("1 + 1", "another")]:
        notebook = jupytext.reads(page.read_text(encoding="utf-8").replace("1 + 1", code), fmt="md:myst")
        notebook.metadata.executed = {"key": key, "seconds": 1.0}
        nbformat.write(notebook, tmp_path / "executed" / "changed.ipynb")
        said = execute(tmp_path, "--executed")
        assert "nbval has kept no outputs of these chapters as they stand: changed" in said
        assert said.endswith("failed: changed\n")


def test_a_chapter_reads_what_it_names_and_what_belongs_to_that(tmp_path):
    code = 'load_run("results/models/mnist_small.safetensors")\nshow_result(results / "cifar10_small.json")\n'
    page = write_chapter(tmp_path, "one", code + 'Path("results/benchmarks").glob("*.json")')
    found = set(chapters.read_results(page))
    assert {f"results/models/mnist_small.safetensors{ending}" for ending in ("", ".json")} <= found
    assert {f"results/cifar10_small_{name}.png" for name in ("real", "inpainting", "neighbours")} <= found
    assert [name for name in found if "/benchmarks/" in name]
    assert not [name for name in found if "wide" in name or "celeba" in name]


def test_a_chapter_depends_on_what_it_imports(tmp_path):
    page = write_chapter(tmp_path, "one", "from ncsn_lib.schedules import geometric_sigmas\nimport math")
    files = {file.relative_to(ROOT).as_posix() for file in chapters.imported_files(chapters.imported_modules(page))}
    assert {"ncsn_lib/__init__.py", "ncsn_lib/schedules.py", "ncsn_lib/training.py"} <= files
    assert not [name for name in files if "/cli/" in name or "/labs/" in name]
    page = write_chapter(tmp_path, "two", "from ncsn_lib import labs\nfrom ncsn_lib.cli import main")
    files = {file.relative_to(ROOT).as_posix() for file in chapters.imported_files(chapters.imported_modules(page))}
    assert {"ncsn_lib/labs/score_lab.py", "ncsn_lib/cli/command.py"} <= files


@pytest.fixture
def project(tmp_path, monkeypatch):
    """`setup` for a folder of its own, and what it would install."""
    installed = []
    monkeypatch.setattr(setup, "ROOT", str(tmp_path))
    monkeypatch.setattr(setup, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(setup, "STAMP", str(tmp_path / ".venv" / "installed.sha256"))
    monkeypatch.setattr(setup, "pip", lambda *arguments: installed.append(arguments))
    for name in setup.INPUTS:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.delenv("NCSN_TORCH", raising=False)
    return installed


def script_for(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_environment_is_made_once_and_again_if_it_is_broken(project, tmp_path, capsys):
    setup.main()
    assert project == [("-r", "requirements.txt", "-c", "requirements.lock")]
    assert setup.version_of(setup.venv_python()) == sys.version_info[:2]
    assert "7 GB" in capsys.readouterr().out  # said before it begins
    setup.main()
    assert len(project) == 1
    (tmp_path / ".venv" / "installed.sha256").unlink()
    os.remove(setup.venv_python())
    script_for(tmp_path / ".venv" / "bin" / "python", "echo 2 7")
    setup.main()
    assert "does not work, or is of another Python" in capsys.readouterr().out
    assert setup.version_of(setup.venv_python()) == sys.version_info[:2]


def test_a_python_that_does_not_run_is_passed_over(project, tmp_path, monkeypatch):
    script_for(tmp_path / "path" / "python3.14", "echo 'pyenv: python3.14: command not found' >&2; exit 127")
    good = script_for(tmp_path / "path" / "python3.12", "echo 3 12")
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=os.pathsep)
    assert setup.find_python() == good
    os.remove(good)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(SystemExit, match=r"The book needs Python 3\.11, 3\.12, 3\.13 or 3\.14"):
        setup.find_python()


def test_torch_for_the_processor_alone(project, monkeypatch):
    monkeypatch.setenv("NCSN_TORCH", "cpu")
    setup.main()
    first, second = project
    assert [word.partition("==")[0] for word in first[:2]] == ["torch", "torchvision"]
    assert first[2:] == ("--index-url", setup.CPU_INDEX)
    assert second[0] == "-r"
    monkeypatch.setenv("NCSN_TORCH", "gpu")
    with pytest.raises(SystemExit, match="must be cpu or nothing, got gpu"):
        setup.main()
