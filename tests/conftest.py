"""What all tests share: threads and seeds, the marker of slow tests, the list of cases that no oracle checked, and a browser for pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.shell import Command, runner

# A busy machine is no failure. The same examples in every run, or with --slow new ones.
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, database=None, **PATIENT)
settings.register_profile("search", **PATIENT)

WITHOUT_ORACLE = "without oracle"  # record_property(WITHOUT_ORACLE, "what was not checked") lists it after the run


torch.set_num_threads(
    1
)  # networks this small gain nothing from threads, and lose much where several processes test at once


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The random numbers of a test are the same alone and in any order."""
    torch.manual_seed(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("search" if config.getoption("--slow") else "same")
    config.addinivalue_line("markers", "slow: takes more than a few seconds; runs with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report for found in terminalreporter.stats.values() for report in found if getattr(report, "when", "") == "call"
    ]
    listed = sorted({str(what) for report in reports for key, what in report.user_properties if key == WITHOUT_ORACLE})
    if listed:
        terminalreporter.section(f"{len(listed)} cases without an oracle")
        for what in listed:
            terminalreporter.line(what)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `bridge` with the given arguments."""
    return runner(monkeypatch, capsys)


CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium of the system, without a window."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium is installed, so pages are not looked at")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so pages are not looked at")
    with api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in 1280 x 800 pixels; in the end it must have been free of errors, and have asked for nothing but itself."""
    complaints, opened = [], []

    def open_page(path: Path, **options: Any) -> Any:
        url = path.resolve().as_uri()
        page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == url or request.url.startswith("data:")
                else complaints.append(f"request: {request.url}")
            ),
        )
        page.goto(url)
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not complaints


def references(text: str) -> set[str]:
    """Return what a page refers to outside itself: addresses, sources, links and styles that are neither its own parts nor data."""
    named = re.findall(
        r"""(?:src|href|action|srcset)\s*=\s*["']?([^"'\s>]+)|url\(\s*["']?([^"')]+)|@import\s+(\S+)""", text
    )
    return {each for group in named for each in group if each and not each.startswith(("#", "data:"))} | set(
        re.findall(r"\w+://[^\s\"<]*", text)
    )
