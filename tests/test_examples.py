"""The notebooks run, and the documentation becomes a site without a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bridge

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
WITH_OUTPUT = "a_seeded_script"  # whose numbers are the point


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "a_seeded_script",
        "check_a_transfer_recipe",
        "matlab_to_pytorch_and_back",
    ]


@pytest.mark.parametrize("path", [each for each in NOTEBOOKS if each.stem != WITH_OUTPUT], ids=lambda path: path.stem)
def test_notebook_runs_and_is_saved_without_output(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            assert cell["execution_count"] is None
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)


def test_a_seeded_script_prints_what_its_notebook_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the notebook as it is kept, whose losses are those that MATLAB printed."""
    names: dict[str, object] = {}
    shown = 0
    for cell in json.loads((ROOT / "examples" / f"{WITH_OUTPUT}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), WITH_OUTPUT, "exec"), names)
            kept = "".join(line for output in cell["outputs"] for line in output["text"])
            assert capsys.readouterr().out == kept
            shown += len(kept.splitlines())
    assert shown >= 8


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Each verb and each public name has its place, made of the code."""
    build = pytest.importorskip("mkdocs.commands.build", reason="mkdocs is not installed: pip install . --group test")
    config = pytest.importorskip("mkdocs.config")
    made = config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build.build(made)  # raises where a link leads nowhere
    assert (tmp_path / "parity" / "index.html").is_file()
    for verb, option in {"check": "--against", "train": "--resume", "recipe-read": "--output"}.items():
        assert option in (tmp_path / "commands" / verb / "index.html").read_text(encoding="utf-8")
    api = (tmp_path / "api" / "bridge" / "index.html").read_text(encoding="utf-8")
    assert all(f"bridge.{name}<" in api for name in bridge.PUBLIC)
    assert "batchnorm_variance" in (tmp_path / "trainers" / "index.html").read_text(encoding="utf-8")
