"""The ledger says what the stored results say, and stored results say where they come from."""

import json
import re
import shutil

import claims
import ledger
import nbformat
import pytest
from chapters import RESULTS, ROOT
from claims import Claim, Measured

STORED = [path for path in sorted(RESULTS.rglob("*.json")) if path.name != "run_times.json"]
PICTURES = sorted(RESULTS.rglob("*.png"))
PUBLISHED = re.compile(r"\bFID\b|inception score", re.IGNORECASE)


# --- the ledger


@pytest.fixture
def own_results(tmp_path, monkeypatch):
    """A copy of the stored results, to be changed."""
    copy = tmp_path / "results"
    shutil.copytree(RESULTS, copy)
    monkeypatch.setattr(claims, "RESULTS", copy)
    return copy


def test_the_page_is_what_the_results_say():
    assert ledger.stale() is None, "run python book/_tools/ledger.py"


def test_another_result_makes_another_page(own_results):
    before, path = ledger.written(), own_results / "toy_claims.json"
    stored = json.loads(path.read_text())
    for run in stored["runs"]:
        if "mass_langevin" in run:
            run["mass_langevin"] = 0.8
    path.write_text(json.dumps(stored))
    failed = ledger.written().split("### Not: ")[1].split("###")[0]
    (row,) = [line for line in failed.splitlines() if "| Fig. 3, middle |" in line]
    assert row not in before
    assert "0.800 ± 0.000 (20 seeds)" in row


def test_a_result_that_is_missing_is_not_run_yet(own_results):
    (own_results / "toy_score_seeds.json").unlink()
    (own_results / "mnist_small_quality.json").unlink()
    words = {claim.where: word for _, claim, _, word in ledger.entries() if claim.where in ("Fig. 2", "Fig. 5, MNIST")}
    assert words == {"Fig. 2": "not run yet", "Fig. 5, MNIST": "not run yet"}


def test_every_claim_has_a_verdict_and_reproduced_ones_a_number():
    rows = [*ledger.entries(), *ledger.entries(claims.LATER)]
    assert len(rows) >= 37
    for _, claim, measured, word in rows:
        assert word in ledger.VERDICTS, claim.says
        assert (ROOT / "book" / f"{claim.chapter}.md").exists(), claim.says
        if word == "not run yet":
            assert measured is None and claim.command, f"{claim.where}: no command"  # noqa: PT018
        else:
            assert re.search(r"\d", measured.number), f"{claim.where}: no number"
            assert (RESULTS / f"{measured.result}.json").exists()


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        (None, "not run yet"),
        (Measured("1", True, "r"), "reproduced"),
        (Measured("1", True, "r", "digits"), "partly"),
        (Measured("1", False, "r"), "not"),
        (Measured("1", False, "r", "digits"), "not"),
    ],
)
def test_verdicts(measured, word):
    assert claims.verdict(measured) == word


@pytest.mark.parametrize(
    ("result", "key", "is_ours", "where"),
    [
        ("five_rules", "distance", lambda run: run["rules"] == [1, 2, 3, 4, 5], "Techniques 1 to 5"),
        ("few_steps", "feature_distance", lambda run: run["method"] == "Heun", "Fig. 2"),
        ("one_family", "pixel_distance", lambda run: run["form"] == "edm", "Table 2"),
    ],
)
def test_a_later_claim_holds_only_if_every_seed_is_better(own_results, result, key, is_ours, where):
    def word():
        return next(word for _, claim, _, word in ledger.entries(claims.LATER) if claim.where == where)

    assert word() == "partly"
    path = own_results / f"{result}.json"
    stored = json.loads(path.read_text())
    worst = [run for run in stored["runs"] if is_ours(run)][-1]
    for run in stored["runs"]:
        if is_ours(run) and run["seed"] == worst["seed"]:
            run[key] = 99.0
    path.write_text(json.dumps(stored))
    assert word() == "not"


def test_the_papers_own_run_comes_before_its_stand_in(own_results):
    rows = [
        {"sure_share": s, "num_images": 10, "class_shares": [0.5, 0.5], "feature_distance": 1.0} for s in (0.9, 0.95)
    ]
    measure = claims.first_of(claims.samples("mnist"), claims.digits_judged)
    assert measure().stand_in
    stored = {"data": "mnist", "judged": {"rows": rows}, "provenance": {"command": "python paper_run.py mnist"}}
    (own_results / "mnist.json").write_text(json.dumps(stored))
    assert measure().stand_in == ""
    assert claims.verdict(claims.measure(Claim("here", "that", "13_mnist", measure))) == "reproduced"
    stored |= {"data": "a copy", "provenance": {"command": "python paper_run.py mnist --data copy.zip"}}
    (own_results / "mnist.json").write_text(json.dumps(stored))
    assert claims.verdict(measure()) == "partly"
    assert ledger.numbered(measure()).endswith("(a copy)")


# --- where stored results come from


def missing_origin(stored):
    """What a stored result does not say of where it comes from."""
    made = stored.get("provenance", stored)
    missing = [key for key in ("command", "date", "machine") if not made.get(key)]
    missing += [f"versions.{key}" for key in ("python", "torch") if not made.get("versions", {}).get(key)]
    if '"seed"' not in json.dumps(stored):
        missing.append("seed")
    if "--data" in made.get("command", "") and not stored.get("data"):
        missing.append("data")
    return missing


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_stored_result_says_where_it_comes_from(path):
    stored = json.loads(path.read_text())
    assert missing_origin(stored) == []
    command = stored.get("provenance", stored)["command"].split()
    assert command[0] == "python"
    assert (
        command[1:3] in (["-m", "ncsn_lib"], ["-m", "benchmarks"], ["-m", "benchmarks.choices"])
        or (ROOT / command[1]).exists()
    ), command


def test_a_result_without_origin_is_found():
    whole = json.loads((RESULTS / "toy_claims.json").read_text())
    for key in ("command", "date", "machine", "versions"):
        part = whole | {"provenance": {k: v for k, v in whole["provenance"].items() if k != key}}
        assert missing_origin(part), key
    copied = whole | {"provenance": whole["provenance"] | {"command": "python -m ncsn_lib train x --data y.zip"}}
    assert missing_origin(copied) == ["data"]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_stored_picture_has_its_result(path):
    assert any(path.stem.startswith(stored.stem) for stored in STORED if stored.parent == path.parent)


# --- numbers of copies beside published ones


def copied_numbers():
    """The Frechet distances, as a table would print them, of results made with a JPEG copy."""
    found = set()
    for path in STORED:
        stored = json.loads(path.read_text())
        if "JPEG" in str(stored.get("data", "")):
            for value in re.findall(r'"feature_distance": ([\d.]+)', json.dumps(stored)):
                found |= {f"{float(value):.{digits}f}" for digits in (1, 2, 3)}
    return found


def tables(text):
    """The tables of a text in Markdown, each a list of rows of cells."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("| ").split("|")])
        elif rows:
            found.append(rows)
            rows = []
    return found


def plain(cell):
    """A cell without its marks."""
    return re.sub(r"[*`]", "", cell)


def unlabelled(text, numbers):
    """Rows of tables with published numbers in which a number of a copy stands without saying so."""
    bad = []
    for head, *rows in tables(text):
        if any(map(PUBLISHED.search, head)):
            for row in rows:
                published = claims.TABLE_1.get(plain(row[0]), ())
                for name, cell in zip(head, row, strict=False):
                    copied = set(re.findall(r"\d+\.\d+", cell)) & numbers
                    if copied and plain(cell) not in published and "JPEG" not in name + " ".join(row):
                        bad.append(row)
    return bad


def test_table_1_is_as_published():
    page = (ROOT / "book" / "18_measuring_quality.md").read_text(encoding="utf-8")
    (rows,) = [table for table in tables(page) if table[0][:3] == ["model", "inception score", "FID"]]
    assert {plain(row[0]): (plain(row[1]), plain(row[2])) for row in rows[2:]} == claims.TABLE_1


def texts(path):
    """The Markdown of a page, and what its notebook printed as Markdown."""
    yield path.read_text(encoding="utf-8")
    if path.with_suffix(".ipynb").exists():
        for cell in nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells:
            yield from (
                o.data["text/markdown"] for o in cell.get("outputs", []) if "text/markdown" in o.get("data", {})
            )


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda page: page.stem)
def test_numbers_of_copies_are_labelled(page):
    for text in texts(page):
        assert unlabelled(text, copied_numbers()) == []


def test_a_number_without_its_label_is_found():
    table = "| model | FID | ours |\n|---|---|---|\n| NCSN | 25.32 | {} |\n"
    assert unlabelled(table.format("31.41"), {"31.41"}) == [["NCSN", "25.32", "31.41"]]
    assert unlabelled(table.format("31.41 (JPEG copy)"), {"31.41"}) == []
    assert unlabelled(table.replace("FID", "distance").format("31.41"), {"31.41"}) == []
    published = "| model | inception score | FID |\n|---|---|---|\n| PixelCNN | 4.60 | {} |\n"
    assert unlabelled(published.format("65.93"), {"4.60"}) == []
    assert unlabelled(published.format("4.60 here"), {"4.60"}) == [["PixelCNN", "4.60", "4.60 here"]]
