"""What all tests share: the marker of slow tests, and the list of cases that no oracle checked."""

from __future__ import annotations

import pytest

WITHOUT_ORACLE = "without oracle"  # record_property(WITHOUT_ORACLE, "what was not checked") lists it after the run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds; runs with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found if getattr(report, "when", "") == "call"]
    listed = sorted({str(what) for report in reports for key, what in report.user_properties if key == WITHOUT_ORACLE})
    if listed:
        terminalreporter.section(f"{len(listed)} cases without an oracle")
        for what in listed:
            terminalreporter.line(what)
