"""A plugin of pytest: where NCSN_CI is set, a test that is skipped has failed, unless .ci/allowed_skips.txt lets it."""

import os
from fnmatch import fnmatchcase

import pytest


def entries(root):
    """The lines of the list: a variable, a pattern of names, and why these tests may be skipped without it."""
    lines = (root / ".ci" / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    return [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]


def reason_to_skip(root, name):
    """Why a test may be skipped here; nothing where it may not."""
    for variable, pattern, reason in entries(root):
        if fnmatchcase(name, pattern) and not os.environ.get(variable):
            return f"{reason} ({variable} is not set)"
    return None


def judged(report, root):
    """The report, failed where it tells of a skip that is not allowed."""
    skipped = os.environ.get("NCSN_CI") and report.skipped and not hasattr(report, "wasxfail")
    if skipped and reason_to_skip(root, report.nodeid) is None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"NCSN_CI is set, and this test was skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Judge a test."""
    return judged((yield), item.config.rootpath)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Judge a file, which can be skipped as a whole."""
    return judged((yield), collector.config.rootpath)


def pytest_terminal_summary(terminalreporter, config):
    """Name each test that was skipped because it may be."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("NCSN_CI") and skipped:
        terminalreporter.section("skipped, as .ci/allowed_skips.txt allows")
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {reason_to_skip(config.rootpath, report.nodeid)}")
