"""The README's examples run as they stand there, where there is the wheel, what it asks for, and nothing else."""

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from chapters import ROOT
from packaging.requirements import Requirement
from torchvision.utils import save_image

from ncsn_lib import frechet_distance

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EXTRAS = {"own_images.py": "data", "tensors.py": "data"}
"""What an example needs beyond the wheel."""
linked = pytest.mark.skipif(sys.platform == "win32", reason="an environment of links is a thing of POSIX")


def with_dependencies(requirements):
    """The distributions that requirements name, and those that they name in turn, on this system, without extras."""
    found, waiting = {}, [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            found[requirement.name] = distribution(requirement.name)
        except PackageNotFoundError:  # of a torch without it: a build for the processor alone has no CUDA
            continue
        waiting += [Requirement(text) for text in found[requirement.name].requires or []]
    return found.values()


@pytest.fixture(scope="session")
def bare(installed, tmp_path_factory):
    """The environment of a Python that has nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("bare")
    (metadata,) = installed.glob("*.dist-info/METADATA")
    asked = re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata.read_text(encoding="utf-8"), re.MULTILINE)
    assert {Requirement(text).name for text in asked} == {"torch", "numpy", "safetensors", "filelock", "tqdm"}
    for package in with_dependencies(asked):
        for name in {file.parts[0] for file in package.files} - {"..", "__pycache__"}:
            if not (folder / name).exists():
                (folder / name).symlink_to(package.locate_file(name))
    path = os.pathsep.join([str(installed), str(folder)])
    own = {name: value for name, value in os.environ.items() if name != "NCSN_DATA"}
    return own | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_bare(environment, folder, *arguments):
    """Run a Python that looks in no site-packages but the environment's path."""
    return subprocess.run(
        [sys.executable, "-S", *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_examples_are_short_and_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        text = example.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 25, example.name
        assert f"```python\n{text}```\n" in readme, f"README.md shows another {example.name}"


@linked
@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.name not in EXTRAS], ids=lambda path: path.name)
def test_an_example_runs_where_there_is_only_the_wheel(example, bare, tmp_path):
    done = run_bare(bare, tmp_path, example)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    numbers = [float(number) for number in re.findall(r"(?<![\w.])\d+\.\d+", done.stdout)]
    expected = {
        "own_network.py": [1.0, 2.0, 0.3, 0.1],
        "own_sampler.py": [0.75, 0.75, 0.75, 0.75],
        "dicts.py": [0.15, 0.15],
    }
    # A few hundred steps and samples; a wrong sampler or loss is off by far more.
    assert numbers == pytest.approx(expected[example.name], abs=0.15), done.stdout


@pytest.fixture
def pictures(tmp_path):
    """A folder of twenty small pictures."""
    (tmp_path / "pictures").mkdir()
    for number in range(20):
        save_image(torch.rand(3, 10, 12), tmp_path / "pictures" / f"{number}.png")
    return tmp_path / "pictures"


def test_own_tensors_become_samples():
    """In ten lines: as near to the digits as 64 digits are, to a half."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        names = runpy.run_path(str(ROOT / "examples" / "tensors.py"))
    samples, images = names["samples"], names["images"]
    assert frechet_distance(samples, images) < 1.5 * frechet_distance(images[:64], images)


def test_own_images_become_samples(installed, tmp_path, pictures):
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "examples" / "own_images.py", pictures, "8", "3"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("pictures: 20 images of 1 class\n")
    assert (tmp_path / "mine.png").stat().st_size > 1000
    assert list((tmp_path / "runs" / "mine").glob("step-*"))


@linked
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ([ROOT / "examples" / "own_images.py", "pictures", "8", "3"], "data"),
        (["-m", "ncsn_lib", "train", "digits"], "cli"),
        (["-m", "ncsn_lib", "evaluate", "digits", "--inception"], "cli"),
        (["-c", "import ncsn_lib.plotting"], "plot"),
        (["-c", "import ncsn_lib.labs"], "labs"),
        (["-c", "from ncsn_lib import load_digits; load_digits()"], "data"),
        (["-c", "from ncsn_lib import load_mnist; load_mnist()"], "data"),
        (["-c", "from ncsn_lib.metrics.inception import load_inception; load_inception()"], "metrics"),
        (["-c", "from ncsn_lib.show import show_source; show_source(show_source)"], "plot"),
    ],
)
def test_what_is_missing_is_said_in_one_line(words, extra, bare, tmp_path, pictures):
    done = run_bare(bare, tmp_path, *words)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f'install it with: pip install "ncsn_lib[{extra}]"'), done.stderr


@linked
def test_the_import_costs_little(bare, tmp_path):
    """Seconds of the processor, which a busy machine does not lengthen, over those of torch itself."""
    script = "import time, torch; begun = time.process_time(); import ncsn_lib; print(time.process_time() - begun)"
    seconds = [float(run_bare(bare, tmp_path, "-c", script).stdout) for _ in range(3)]
    assert min(seconds) < 0.3


@linked
def test_the_version_is_one(bare, tmp_path):
    (metadata,) = Path(bare["PYTHONPATH"].split(os.pathsep)[0]).glob("*.dist-info/METADATA")
    said = run_bare(bare, tmp_path, "-m", "ncsn_lib", "--version").stdout
    version = re.search(r"^Version: (.+)$", metadata.read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert said == f"ncsn_lib {version}, torch {torch.__version__}\n"
