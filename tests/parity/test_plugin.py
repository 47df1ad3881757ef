"""The pytest plugin, in a small repository of its own; the verdicts in it are those of `bridge.check`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from scipy.io import savemat

import bridge
from bridge.parity.annotations import annotation
from bridge.parity.check import check
from fixtures import mat, networks

pytest_plugins = ["pytester"]
Make = Callable[..., Any]
ROOT = Path(__file__).parents[2]
NAME = "bridge.parity.pytest_plugin"
LOADED = any(each.value == NAME for each in entry_points(group="pytest11"))  # where the project is installed
TESTS = """
import bridge, pytest

@pytest.mark.parity("reference.mat", profile="float32")
def test_same(matlab_reference):
    assert matlab_reference.check("net.mat").passed

@pytest.mark.parity("reference.mat")
def test_broken(matlab_reference):
    matlab_reference.check("broken.mat")
"""


@pytest.fixture
def repository(pytester: pytest.Pytester, load: Make, recorded: Make, inputs: Make) -> Path:
    """A network, a broken one, and the reference of the first, beside the tests in a folder of their own."""
    folder = pytester.mkdir("parity")
    network = load("residual")
    mat.write(folder / "net.mat", {"net": networks.residual(1)})
    broken = networks.residual(1)
    conv = next(layer for layer in broken.layers if layer.name == "conv1")
    conv.params["Weights"].value[0, 0, 0, 0] += 1
    mat.write(folder / "broken.mat", {"net": broken})
    path = recorded(network, inputs(network))
    assert check(network, path).passed
    path.rename(folder / "reference.mat")
    (folder / "test_parity.py").write_text(TESTS, encoding="utf-8")
    return folder


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run pytest with the plugin in this process."""
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def ran(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*(() if LOADED else ("-p", NAME)), "--strict-markers", *arguments)

    return ran


def test_a_failure_is_the_verdict_and_its_cause(repository: Path, run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback; GitHub's runner gets it as an annotation too."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(Path.cwd()))
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    failure = text.partition("test_broken _")[2].partition("::error")[0].splitlines()[1:]
    assert len(failure) == 3 and "Traceback" not in text
    assert re.match(r"FIRST DIVERGENCE conv1: max \|d\| \S+ \(allowed \S+\); the layer before it agrees", failure[0])
    assert re.match(
        r"cause: agrees to \S+ when conv1 has the reference's Weights \(different by up to 1\.0e\+00 in 1 of",
        failure[1],
    )
    assert failure[2].endswith("broken.mat against reference.mat, profile matlab")
    assert re.search(r"^FAILED \S+::test_broken - Failed: FIRST DIVERGENCE conv1", text, re.MULTILINE)
    (annotated,) = (line for line in result.outlines if line.startswith("::"))
    line = TESTS.splitlines().index("def test_broken(matlab_reference):")  # pytest counts from the decorator
    assert re.match(
        rf"::error file=parity/test_parity\.py,line={line},title=test_broken::FIRST DIVERGENCE conv1: .*%0Acause: agrees to",
        annotated,
    )


def test_the_report_and_properties_for_junit_from_two_processes(repository: Path, run: Make) -> None:
    """A page and JSON for each check, and an index with the failed ones first."""
    result = run("--parity-report", "report", "--junitxml", "junit.xml", "-n", "2")
    result.assert_outcomes(passed=1, failed=1)
    folder = Path("report")
    facts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    assert [(each["schema"], each["passed"]) for each in facts] == [("bridge.check/1", False), ("bridge.check/1", True)]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert (
        "2 tests, 1 failed" in page
        and page.index("test_broken") < page.index("test_same")
        and "FIRST DIVERGENCE conv1" in page
    )
    links = re.findall(r'href="([^"]+)"', page)
    assert (
        {Path(link).suffix for link in links} == {".html", ".json"}
        and len(links) == 4
        and all((folder / link).is_file() for link in links)
    )
    assert not list(repository.glob("report")), "the folder is seen from where pytest was started"
    assert "parity report: " in result.stdout.str()
    cases = {case.get("name"): case for case in ElementTree.parse("junit.xml").iter("testcase")}
    told = {
        name: {each.get("name"): each.get("value") for each in case.iter("property")} for name, case in cases.items()
    }
    same, broken = told["test_same"], told["test_broken"]
    assert (
        same["parity_reference"] == "reference.mat"
        and same["parity_profile"] == "float32"
        and str(same["parity_verdict"]).startswith("PASSED 20 layers")
    )
    assert "parity_worst" in same and "parity_cause" not in same
    assert broken["parity_first_divergence"] == "conv1" and str(broken["parity_cause"]).startswith("agrees to")


def test_an_annotation_is_one_line() -> None:
    """Oracle: GitHub's documentation: %25, %0D and %0A everywhere, %3A and %2C in properties."""
    found = annotation("a: b,c", "50 %\nof: it, all\r", Path("net.mat"), 3)
    assert found == "::error file=net.mat,line=3,title=a%3A b%2Cc::50 %25%0Aof: it, all%0D"
    assert annotation("a", "\x1b[31m", Path("net.mat")).endswith("::?[31m")


MISTAKES = """
import pytest

def test_no_mark(matlab_reference):
    pass

@pytest.mark.parity("reference.mat")
def test_no_check(matlab_reference):
    pass

@pytest.mark.parity("reference.mat")
def test_no_fixture():
    pass

@pytest.mark.parity("other.mat")
def test_no_file(matlab_reference):
    matlab_reference.check("net.mat")

@pytest.mark.parity("reference.mat", input="X")
def test_no_such_name(matlab_reference):
    matlab_reference.check("net.mat")

@pytest.mark.parity("reference.mat", tolerances={"no_layer": 1e-3})
def test_no_layer(matlab_reference):
    matlab_reference.check("net.mat")

@pytest.mark.parity("reference.mat", profile="loose")
def test_no_profile(matlab_reference):
    matlab_reference.check("net.mat")
"""


def test_a_mistake_in_a_test_is_named(repository: Path, run: Make) -> None:
    (repository / "test_parity.py").write_text(MISTAKES, encoding="utf-8")
    result = run("-rN")
    text = result.stdout.str()
    assert (
        set(result.parseoutcomes()) == {"failed", "errors"} and "Traceback" not in text and "site-packages" not in text
    )
    for message in (
        'matlab_reference needs @pytest.mark.parity("reference.mat")', "other.mat does not exist",
        "the mark parity has no 'input'; it has profile, tolerances, inputs", "there is no tolerance profile 'loose'",
        "there is a tolerance for 'no_layer', and no such layer is compared",
    ):  # fmt: skip
        assert message in text
    assert (
        text.count("\nnothing was checked: take the fixture matlab_reference and call matlab_reference.check(model)\n")
        == 2
    )


def test_a_folder_that_cannot_be_made_is_refused_at_once(pytester: pytest.Pytester, run: Make) -> None:
    pytester.makefile(".txt", taken="a file")
    result = run("--parity-report", "taken.txt")
    assert (
        result.ret == pytest.ExitCode.USAGE_ERROR
        and "taken.txt" in result.stderr.str()
        and "Traceback" not in result.stderr.str()
    )


def test_variables_tolerances_and_parameters(repository: Path, run: Make) -> None:
    """A file with values under names of its own; one mark for each case; tolerances for single layers."""
    (repository / "test_parity.py").write_text(
        "import numpy as np, pytest, torch, bridge\n"
        "here = __import__('pathlib').Path(__file__).parent\n"
        "net = bridge.load(here / 'net.mat')\n"
        "x = np.random.default_rng(0).uniform(0, 255, (20, 3, 16, 12)).astype(np.float32)\n"
        "np.savez(here / 'data.npz', images=x, scores=net.to_torch()(torch.from_numpy(x)).detach().numpy())\n"
        "own = pytest.mark.parity('data.npz', inputs='images', outputs='scores', input_dims='NCHW')\n"
        "loose = pytest.mark.parity('reference.mat', tolerances={'*': 1e9})\n"
        "@pytest.mark.parametrize('file', [pytest.param('net.mat', marks=own), pytest.param('broken.mat', marks=loose)])\n"
        "def test_it(file, matlab_reference):\n"
        "    model = bridge.load(here / file)\n"
        "    matlab_reference.check(model.to_torch(), network=model)\n",
        encoding="utf-8",
    )
    run().assert_outcomes(passed=2)


def test_the_repository_of_the_documentation(
    pytester: pytest.Pytester, run: Make, recorded: Make, inputs: Make
) -> None:
    """Its files as they stand in docs/parity-tests.md, with a network of the fixtures and what it computes."""
    network = bridge.load(ROOT / "fixtures" / "files" / "signs.mat")
    shutil.copy(network.source.path, pytester.path / "signs.mat")
    x = inputs(network, 8)
    shutil.copy(recorded(network, x), pytester.path / "reference.mat")
    with torch.no_grad():
        scores = network.to_torch()(torch.from_numpy(x)).numpy()
    savemat(pytester.path / "validation.mat", {"XVal": x.transpose(2, 3, 1, 0), "YPred": scores})
    text = (ROOT / "docs" / "parity-tests.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert set(files) == {"signs.py", "test_parity.py", "test_predictions.py"}
    for name, code in files.items():
        (pytester.path / name).write_text(code, encoding="utf-8")
    run().assert_outcomes(passed=3)
    broken = files["signs.py"].replace(
        "return model.eval()",
        "conv = model.features[4].weight\n    conv.data = conv.data.swapaxes(2, 3)\n    return model.eval()",
    )
    (pytester.path / "signs.py").write_text(broken, encoding="utf-8")
    result = run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "FIRST DIVERGENCE conv_2: *",
            "cause: agrees to * when height and width of the Weights of conv_2 are swapped",
            "Signs against*",
        ]
    )


def test_loading_the_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    """pytest loads it in every run, of any project."""
    code = f"import {NAME}, sys; print({{'numpy', 'torch', 'scipy', 'onnx', 'rich', 'h5py'}} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert run.stdout.strip() == "set()"


def test_the_package_names_the_plugin() -> None:
    import tomllib

    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert held["project"]["entry-points"]["pytest11"] == {"bridge": NAME}
