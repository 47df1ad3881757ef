"""Parity tests in anyone's repository: a mark that names MATLAB's numbers, and a fixture that holds a model against
them.

    @pytest.mark.parity("reference.mat")
    def test_same_network(matlab_reference):
        matlab_reference.check("net.mat")

pytest loads this module in every run where bridge is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import BridgeError
from bridge.parity.annotations import annotation, in_github_actions

if TYPE_CHECKING:
    from torch import nn

    from bridge.network import Network
    from bridge.parity.check import Check

MARK = (
    'parity(reference, profile="matlab", tolerances=None, **names): what MATLAB computed, for the fixture '
    "matlab_reference; see bridge.check"
)
FIXTURE = "matlab_reference"
REFERENCE, VERDICT, CAUSE, REPORT = (
    f"parity_{name}" for name in ("reference", "verdict", "cause", "report")
)  # properties of a test


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bridge", "parity with MATLAB")
    group.addoption(
        "--parity-report", metavar="DIR", help="write a report of every parity check into this folder, and an index"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    folder = config.getoption("--parity-report")
    if folder is not None:
        config.option.parity_report = str(config.invocation_params.dir / folder)  # processes of xdist get it from here
        _require_reports(Path(config.option.parity_report))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config.getoption("--parity-report")), "bridge-parity-summary")


def _require_reports(folder: Path) -> None:
    """Make the folder; raise where no report could be written, before anything is computed."""
    from bridge.pages import figures

    try:
        figures.require()
        folder.mkdir(parents=True, exist_ok=True)
    except (BridgeError, OSError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed without a check: it takes the fixture, or has the mark as its own and not from its class
    or file.
    """
    result = yield
    reference = getattr(item, "funcargs", {}).get(FIXTURE)
    meant = isinstance(reference, MatlabReference) or any(mark.name == "parity" for mark in item.own_markers)
    if meant and not getattr(reference, "checks", None):
        pytest.fail(f"nothing was checked: take the fixture {FIXTURE} and call {FIXTURE}.check(model)", pytrace=False)
    return result


@pytest.fixture
def matlab_reference(request: pytest.FixtureRequest) -> MatlabReference:
    """What MATLAB computed, as `@pytest.mark.parity("reference.mat")` names it; `matlab_reference.check(model)`
    compares.
    """
    mark = request.node.get_closest_marker("parity")
    if mark is None or len(mark.args) != 1:
        pytest.fail(f'{FIXTURE} needs @pytest.mark.parity("reference.mat")', pytrace=False)
    request.node.user_properties.append((REFERENCE, str(mark.args[0])))
    return MatlabReference(request.node, request.node.path.parent / mark.args[0], _options(mark.kwargs))


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `bridge.check` that a mark holds: the tolerance, and where a file has its inputs and
    outputs.
    """
    from bridge.parity.references import Names

    tolerance = {name: given[name] for name in ("profile", "tolerances") if name in given}
    places = {name: value for name, value in given.items() if name not in tolerance}
    known = [each.name for each in fields(Names)]
    strange = next((name for name in places if name not in known), None)
    if strange is not None:
        pytest.fail(
            f"the mark parity has no '{strange}'; it has profile, tolerances, {', '.join(known)}", pytrace=False
        )
    return {**tolerance, "data": Names(**places) if places else None}


class MatlabReference:
    """MATLAB's numbers, for one test.

    Attributes:
        path: the file, seen from the folder of the test's own file.
        checks: what was found so far.
    """

    def __init__(self, test: pytest.Item, path: Path, options: Mapping[str, Any]) -> None:
        self.path = path
        self.checks: list[Check] = []
        self._test, self._options = test, options

    def check(
        self,
        model: nn.Module | Network | str | Path,
        *,
        network: Network | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Check:
        """Compare a model with the reference layer by layer; the test fails with the first divergence and its cause.

        Args:
            model: a network, a module, or a network's file, seen from the folder of the test's own file.
            network: what a module was built from.
            names: layer name -> submodule path, for a module that bridge has not built.

        Returns:
            What was found, where the two agree.
        """
        __tracebackhide__ = True
        try:
            found = self._found(model, network, names)
            self.checks.append(found)
            self._tell(found)
        except BridgeError as error:
            pytest.fail(str(error), pytrace=False)
        if not found.passed:
            against = f"{found.model} against {found.comparison.oracle}, profile {found.profile.name}"
            pytest.fail("\n".join(filter(None, (found.verdict, found.explanation, against))), pytrace=False)
        return found

    def _found(
        self, model: nn.Module | Network | str | Path, network: Network | None, names: Mapping[str, str] | None
    ) -> Check:
        from bridge.parity.check import check
        from bridge.readers import load

        if isinstance(model, (str, Path)):
            model = load(self._test.path.parent / model)
        evidence = self._test.config.getoption("--parity-report") is not None
        return check(model, self.path, network=network, names=names, evidence=evidence, **self._options)

    def _tell(self, found: Check) -> None:
        """Leave properties, which JUnit files show and processes of xdist send home, and the report."""
        first, worst = found.first_divergence, found.comparison.worst
        facts = {
            "parity_profile": found.profile.name,
            VERDICT: found.verdict,
            "parity_worst": f"{worst.relative:.1e} at {worst.layer}" if worst else "",
            "parity_first_divergence": first.layer if first else "",
            CAUSE: str(found.cause or ""),
        }
        self._test.user_properties.extend((name, value) for name, value in facts.items() if value)
        folder = self._test.config.getoption("--parity-report")
        if folder is not None:
            self._test.user_properties.append(
                (REPORT, write_report(Path(folder), self._test.nodeid, len(self.checks), found))
            )


def write_report(folder: Path, test: str, number: int, found: Check) -> str:
    """Write the report of one check, the `number`th of a test, as a page and as JSON; return its name
    without a suffix.
    """
    from bridge.files.atomic import write_text
    from bridge.parity.check import SCHEMA
    from bridge.parity.report import page as report

    readable, unique = re.sub(r"[^\w.]+", "-", test).strip("-"), hashlib.sha256(test.encode()).hexdigest()[:8]
    name = f"{readable[-80:]}-{unique}{f'-{number}' if number > 1 else ''}"
    report.write(found, folder / f"{name}.html")
    write_text(folder / f"{name}.json", json.dumps({"schema": SCHEMA, **found.to_json()}, indent=1), force=True)
    return name


class Summary:
    """What the one process that prints does: annotations, and the index of the reports."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._tests: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (report.when == "call" or report.failed) and REFERENCE in dict(report.user_properties):
            self._tests.append(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        for report in self._tests if in_github_actions() else ():
            if report.failed:
                file, line, name = report.location
                terminalreporter.write_line(
                    annotation(name, report.longreprtext, config.rootpath / file, (line or 0) + 1)
                )
        if self._folder is not None:
            from bridge.files.atomic import write_text

            rows = "".join(_row(report) for report in sorted(self._tests, key=lambda each: (each.passed, each.nodeid)))
            page = INDEX.format(count=len(self._tests), failed=sum(report.failed for report in self._tests), rows=rows)
            index = write_text(Path(self._folder) / "index.html", page, force=True)
            terminalreporter.write_line(f"parity report: {index}")


INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Parity with MATLAB</title>
<style>body {{ font: 15px sans-serif; margin: 2em }} td, th {{ padding: .3em .8em; text-align: left; vertical-align: top
}} .failed {{ color: #b00 }}</style> <h1>Parity with MATLAB: {count} tests, {failed} failed</h1>
<table><tr><th>Test</th><th>Reference</th><th>Verdict</th><th>Reports</th></tr>
{rows}</table></html>
"""


def _row(report: pytest.TestReport) -> str:
    told = dict(report.user_properties)
    verdict = "; ".join(str(told[name]) for name in (VERDICT, CAUSE) if name in told) or report.longreprtext
    links = " ".join(
        f'<a href="{name}.html">page</a> <a href="{name}.json">JSON</a>'
        for key, name in report.user_properties
        if key == REPORT
    )
    cells = (report.nodeid, str(told[REFERENCE]), verdict)
    return (
        f'<tr class="{report.outcome}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        + f"<td>{links}</td></tr>\n"
    )
