"""In continuous integration no test is passed over in silence."""

import re

import pytest
from allowed_skips import entries
from chapters import ROOT

pytest_plugins = ["pytester"]
TESTS = """
    import pytest

    @pytest.mark.parametrize("part", [1, 2])
    def test_listed(part):
        pytest.skip("no data")

    def test_other():
        pytest.skip("no wish")

    @pytest.mark.xfail(strict=True)
    def test_known():
        assert False
"""


@pytest.fixture
def outcome(pytester, monkeypatch):
    """Gives a function that runs tests with NCSN_CI set, one of which may be skipped where SOME_DATA is not set."""
    folder = pytester.mkdir(".ci")
    (folder / "allowed_skips.txt").write_text("# A remark.\n\nSOME_DATA  test_a.py::test_listed*  it is large\n")
    monkeypatch.setenv("NCSN_CI", "1")
    monkeypatch.delenv("SOME_DATA", raising=False)

    def run(source=TESTS):
        pytester.makepyfile(test_a=source)
        return pytester.runpytest_inprocess("-p", "allowed_skips")

    return run


def test_a_listed_skip_is_named_and_another_one_fails(outcome):
    result = outcome()
    result.assert_outcomes(skipped=2, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*NCSN_CI is set, and this test was skipped: Skipped: no wish",
            "*skipped, as .ci/allowed_skips.txt allows*",
            "test_a.py::test_listed[[]1]: it is large (SOME_DATA is not set)",
            "test_a.py::test_listed[[]2]: it is large (SOME_DATA is not set)",
        ]
    )


def test_where_the_data_is_nothing_is_skipped(outcome, monkeypatch):
    monkeypatch.setenv("SOME_DATA", "here")
    outcome().assert_outcomes(failed=3, xfailed=1)


def test_a_file_that_is_skipped_as_a_whole_fails(outcome):
    outcome("import pytest\npytest.importorskip('no_such_module')").assert_outcomes(errors=1)


def test_elsewhere_tests_may_be_skipped(outcome, monkeypatch):
    monkeypatch.delenv("NCSN_CI")
    result = outcome()
    result.assert_outcomes(skipped=3, xfailed=1)
    result.stdout.no_fnmatch_line("*allows*")


def test_the_list_names_tests_that_exist():
    for variable, pattern, _ in entries(ROOT):
        file, name = pattern.split("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert variable in text
        assert name == "*" or re.search(rf"^def {name}\(", text, re.MULTILINE)
