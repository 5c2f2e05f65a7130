"""What chapters show of the library and of stored results."""

import base64
import json
import re

import pytest

from ncsn_lib.recipes import RECIPES
from ncsn_lib.show import recipe_table, show_result


@pytest.fixture
def result(tmp_path):
    """A stored run with one picture."""
    row = {"name": "samples", "num_images": 1000, "sure_share": 0.5, "class_shares": [0.25, 0.75]}
    made = {"command": "python a.py <x>", "date": "2026-01-02", "machine": "a GPU"}
    content = {"recipe": "cifar10", "data": "CIFAR-10 (JPEG copy)", "step": 1234, "provenance": made}
    content["judged"] = {"rows": [row | {"feature_distance": 3.14159}]}
    path = tmp_path / "cifar10.json"
    path.write_text(json.dumps(content))
    (tmp_path / "cifar10_samples.png").write_bytes(b"a picture")
    return path


def test_a_result_is_shown_with_where_it_comes_from(result):
    shown = show_result(result, "make it", picture="samples", caption="Some <samples>.", alt='Sixty-four "images"').data
    assert base64.b64decode(re.search(r'base64,([^"]*)"', shown)[1]) == b"a picture"
    assert 'alt="Sixty-four &quot;images&quot;"' in shown
    assert "Some &lt;samples&gt;." in shown
    assert "cifar10 at step 1,234 on CIFAR-10 (JPEG copy), by <code>python a.py &lt;x&gt;</code>" in shown
    assert "2026-01-02, a GPU" in shown
    assert "not run yet" not in shown
    assert "make it" not in shown


def test_its_figures_are_a_table(result):
    shown = show_result(result, "make it", caption="Judged.").data
    cells = re.findall(r"<td>(.*?)</td>", shown)
    assert cells == ["", "samples", "1,000", "50.0%", "0.250, 0.750", "3.14"]  # the corner heads nothing
    assert "<th></th>" not in shown
    assert "CIFAR-10 (JPEG copy)" in shown


def test_what_is_not_stored_is_said_to_be_missing(result, tmp_path):
    shown = show_result(tmp_path / "celeba.json", "first <a>", "then b", picture="samples", alt="faces").data
    assert "celeba: not run yet" in shown
    assert re.findall(r"<code>(.*?)</code>", shown) == ["first &lt;a&gt;", "then b"]
    assert "<img" not in shown
    again = show_result(tmp_path / "celeba.json", picture="samples", alt="faces").data
    assert "celeba: not run yet" in again
    assert "made by" not in again
    with pytest.raises(ValueError, match="alt must say what the picture 'samples' shows"):
        show_result(result, picture="samples")
    with pytest.raises(FileNotFoundError, match=r"cifar10_neighbours\.png"):
        show_result(result, picture="neighbours", alt="rows")


def test_what_is_missing_is_made_if_asked_for(tmp_path, monkeypatch):
    results = tmp_path / "book" / "results"
    results.mkdir(parents=True)
    (tmp_path / "make.py").write_text(
        "import json, sys\n"
        "made = {'command': sys.argv[1], 'date': 'today', 'machine': 'this'}\n"
        "judged = {'rows': []}\n"
        "result = {'recipe': 'mnist', 'data': 'MNIST', 'step': 1, 'provenance': made, 'judged': judged}\n"
        "open('book/results/mnist.json', 'w').write(json.dumps(result))\n"
    )
    command = "python make.py 'one argument'"
    monkeypatch.setenv("NCSN_FULL", "0")
    assert "not run yet" in show_result(results / "mnist.json", command).data
    monkeypatch.setenv("NCSN_FULL", "1")
    assert "<code>one argument</code>" in show_result(results / "mnist.json", command).data
    with pytest.raises(RuntimeError, match=r"python missing\.py ended with status 2; NCSN_FULL=0"):
        show_result(results / "celeba.json", "python missing.py")


def test_recipes_stand_side_by_side():
    lines = recipe_table({"the paper's": RECIPES["cifar10"], "small": RECIPES["cifar10_small"]}).data.splitlines()
    assert lines[:2] == ["| constant | the paper's | small |", "| --- | --- | --- |"]
    cells = {line.split(" | ")[0].removeprefix("| "): line.removesuffix(" |").split(" | ")[1:] for line in lines}
    assert cells["parameters"][0] == "30,117,635"  # the authors' network
    assert cells["steps × batch"][0] == "200,000 × 128"
    assert cells["$T$"] == ["100", "–"]
    assert cells["mirrored at random"] == ["yes", "yes"]
    assert cells["calls a sample"][0] == "1000"
