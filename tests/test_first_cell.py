"""Notebooks on other machines: the first cell brings library and files, keeps torch, fails in a line; Binder."""

import ast
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import venv
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution, packages_distributions

import jupytext
import nbformat
import pytest
import setup
from chapters import ROOT, chapters, files_below
from first_cell import first_cell
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

FILES = ["results/run_times.json", "results/models/mnist_small.safetensors.json"]
SILENCE = "http://127.0.0.1:9"  # nobody listens there


class Answers(SimpleHTTPRequestHandler):
    """A folder's files, and of one that is called "cut" the first half."""

    def log_message(self, *words):
        pass

    def do_GET(self):
        if not self.path.endswith("/cut"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"12345")


@contextmanager
def serve(folder):
    """A server that stands for GitHub; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def web(tmp_path):
    """The address of such a server, and the folder that it serves."""
    folder = tmp_path / "web"
    for name in FILES:
        path = folder / "raw" / "main" / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / "book" / name).read_bytes())
    with serve(folder) as address:
        yield address, folder


@pytest.fixture
def student(tmp_path, monkeypatch):
    """An empty folder, where a notebook is opened."""
    folder = tmp_path / "student"
    folder.mkdir()
    monkeypatch.delenv("NCSN_ADDRESS", raising=False)
    return folder


def outputs(folder, *cells):
    """What a kernel shows of cells that are executed in a folder, up to the one that fails; and the seconds of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": folder}}
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def test_at_home_it_does_nothing_and_takes_no_time():
    script = f"import time; begun = time.perf_counter()\n{first_cell(FILES, None)}\nprint(time.perf_counter() - begun)"
    script += "\nprint('ncsn_lib' in sys.modules or 'torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NCSN_ADDRESS": SILENCE}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT / "book", env=environment, capture_output=True, text=True, check=True)
    seconds, imported = done.stdout.split()
    assert float(seconds) < 2
    assert imported == "False"


def test_in_a_kernel_it_fetches_what_is_missing_or_fails_in_one_line(web, student, monkeypatch):
    """In one kernel, whose start takes the time; a library that is not there is played by an import that is blocked."""
    address, _ = web
    monkeypatch.setenv("PIP_RETRIES", "0")
    (student / "results").mkdir()
    (student / FILES[0]).write_text("the student's own")
    missing = first_cell([*FILES, "results/nowhere.json"], address)
    shown = outputs(
        student,
        first_cell(FILES, address),
        missing,
        first_cell(["results/cut"], address),
        "import sys\nsys.modules['ncsn_lib'] = None",
        first_cell([], SILENCE),
        first_cell([], None),
    )
    assert shown[0] == []
    assert (student / FILES[0]).read_text() == "the student's own"
    assert (student / FILES[1]).read_bytes() == (ROOT / "book" / FILES[1]).read_bytes()
    assert sorted(path.name for path in (student / "results").glob("*.json")) == ["run_times.json"]
    assert not (student / "results" / "cut").exists()
    for (error,), says in [
        (shown[1], f"({address}/raw/main/book): HTTP Error 404: File not found"),
        (shown[2], "got only 5 out of 10 bytes"),
        (shown[4], f"needs ncsn_lib[cli,labs,metrics,plot] @ {SILENCE}/archive/refs/heads/main.zip (pip)"),
        (shown[5], "needs ncsn_lib[cli,labs,metrics,plot] @ ADDRESS-OF-THE-BOOK/archive"),
    ]:
        assert error.output_type == "error"
        (line,) = error.traceback
        assert says in line
        assert "\n" not in line


EXTRAS = ("cli", "labs", "metrics", "plot")
"""What a chapter takes of the library's."""
TORCHES = [
    ("torch", "2.8.0+cu126", ""),
    ("torch", "2.10.0+cu126", ""),
    ("torch", "9.9", ""),
    ("torchvision", "0.25.0", "torch==2.10.0"),
    ("torchvision", "9.9", "torch==9.9"),
]


def needed():
    """What the library needs in a notebook besides these two, each in the oldest version that will do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + [line for name in ("data", *EXTRAS) for line in extras[name]]
    wanted = [re.match(r"([\w-]+)>=([\d.]+)", line) for line in lines if not line.startswith("ncsn_lib")]
    return [(match[1].replace("-", "_"), match[2], "") for match in wanted if match[1] not in ("torch", "torchvision")]


def write_wheel(folder, name, version, requirement):
    """A package that holds nothing but its name."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requirement}\n" if requirement else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}/__init__.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def write_archive(path):
    """The book's library as GitHub packs it."""
    path.parent.mkdir(parents=True)
    sources = [*files_below(ROOT / "ncsn_lib"), *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]
    with zipfile.ZipFile(path, "w") as file:
        for source in sources:
            file.write(source, f"name-main/{source.relative_to(ROOT).as_posix()}")


def make_environment(folder):
    """A new environment's Python and its packages: pip and setuptools, copied, since making them takes long."""
    venv.create(folder, symlinks=os.name != "nt")
    (packages,) = folder.rglob("site-packages")
    for file in [*distribution("pip").files, *distribution("setuptools").files]:
        if ".." not in file.parts:  # a script
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), packages / file)
    return next(path for path in folder.glob("*/python*") if path.stem == "python"), packages


VERSIONS = """
for name in ("torch", "torchvision", "ncsn_lib", "anywidget"):
    print(name, metadata.version(name))
"""


def test_pip_installs_the_library_and_keeps_the_torch_that_is_there(web, student, tmp_path):
    """All but the library and pip are wheels without content, so that nothing is downloaded.

    A torch that is too old for the library stays, too, where pip alone would put the newest in its place.
    """
    address, folder = web
    index = tmp_path / "index"
    index.mkdir()
    for package in [*TORCHES, *needed()]:
        write_wheel(index, *package)
    write_archive(folder / "archive" / "refs" / "heads" / "main.zip")
    python, packages = make_environment(tmp_path / "venv")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"NCSN_ADDRESS": address, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    environment["PIP_NO_BUILD_ISOLATION"] = "false"  # which means that there is none
    command = [python, "-c", first_cell(FILES, SILENCE) + VERSIONS]
    run = partial(subprocess.run, command, cwd=student, env=environment, capture_output=True, text=True)

    (old,), (fits,) = index.glob("torch-2.8*"), index.glob("torch-2.10*")
    zipfile.ZipFile(old).extractall(packages)
    done = run()
    assert done.returncode == 1
    assert "ERROR: Cannot install ncsn" in done.stderr.splitlines()[-1]
    assert [path.name for path in packages.glob("torch-*")] == ["torch-2.8.0+cu126.dist-info"]
    shutil.rmtree(packages / "torch-2.8.0+cu126.dist-info")

    zipfile.ZipFile(fits).extractall(packages)
    done = run()
    assert done.returncode == 0, done.stderr
    versions = dict(line.split() for line in done.stdout.splitlines())
    assert versions.pop("torch") == "2.10.0+cu126"
    assert versions.pop("torchvision") == "0.25.0"
    assert set(versions) == {"ncsn_lib", "anywidget"}
    assert all((student / name).exists() for name in FILES)


def comes_with(name, extras, found):
    """Add to what was found a package and all that it requires, by their canonical names."""
    for requirement in map(Requirement, distribution(name).requires or ()):
        marker = requirement.marker
        wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or ("",))
        if wanted and (key := canonicalize_name(requirement.name)) not in found:
            found.add(key)
            comes_with(key, requirement.extras, found)
    return found


def test_what_a_chapter_imports_comes_with_the_library_and_its_extras():
    names = set()
    for page in chapters():
        cells = [cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code"]
        for node in ast.walk(ast.parse("\n".join(cells))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {node.module} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"ncsn_lib"}
    assert {"torch", "torch_fidelity", "IPython"} <= outside
    installed = comes_with("ncsn_lib", EXTRAS, set())
    packages = packages_distributions()
    assert [name for name in outside if not {canonicalize_name(p) for p in packages[name]} & installed] == []


def test_binder_installs_the_library_as_it_lies_here_in_the_versions_of_the_lock():
    folder = ROOT / ".binder"
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == [
        f"--extra-index-url {setup.CPU_INDEX}",
        "-c ../requirements.lock",
        "-e .[cli,labs,metrics,plot]",
    ]
    assert "ncsn_lib[cli,labs,metrics,plot] @" in first_cell([], None)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = (folder / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python in SpecifierSet(project["requires-python"])


@pytest.mark.parametrize(
    "name", ["01_score_functions.ipynb", "12_training_on_a_gpu.ipynb", "solutions/20_the_ledger.ipynb"]
)
def test_a_notebook_runs_with_the_wheel_and_what_it_fetches(tmp_path, student, installed, monkeypatch, name):
    """As it is committed, alone in a folder. The second has a stored model, the third fetches its chapter."""
    (tmp_path / "web" / "raw" / "main").mkdir(parents=True)
    (tmp_path / "web" / "raw" / "main" / "book").symlink_to(ROOT / "book")
    notebook = nbformat.read(shutil.copy(ROOT / "book" / name, student), as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import ncsn_lib\nprint(ncsn_lib.__file__)"))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with serve(tmp_path / "web") as address:
        monkeypatch.setenv("NCSN_ADDRESS", address)
        NotebookClient(
            notebook, kernel_name="python3", timeout=900, resources={"metadata": {"path": student}}
        ).execute()
    assert notebook.cells[-1].outputs[0].text.startswith(str(installed))
