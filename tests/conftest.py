"""What all tests share: where NCSN_CI is set, a test that is skipped counts as failed."""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In continuous integration nothing is passed over in silence."""
    report = yield
    if os.environ.get("NCSN_CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"NCSN_CI is set, and this test was skipped: {reason}"
    return report
