"""The table of `bridge recipe show`. Oracle: the parameter groups that torch optimizers get."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bridge
from bridge.commands import main
from bridge.options.options import training_options
from bridge.recipes.effective import effects, frozen_notes
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.recipes.verbs import Edit
from tests.recipes.nets import residual, sequence

FILES = Path(__file__).parents[2] / "fixtures" / "files"
OPTIONS = training_options("sgdm", InitialLearnRate=3e-4, L2Regularization=2e-4)


def test_rates_decay_and_groups_are_those_of_the_optimizer() -> None:
    net = residual().freeze(residual().layers[:3]).set_learn_rate_factor("fc/Weights", 10).set_l2_factor("bn1/Scale", 0)
    rows = {row.learnable: row for row in effects(net, OPTIONS)}
    groups = bridge.param_groups(net.to_torch(), OPTIONS)
    learnable = {
        f"{layer.name}.{row.torch[0]}": f"{layer.name}/{name}"
        for layer in net.layers
        for name, row in layer.row.learnables.items()
    }
    for group in groups:
        members = [rows[learnable[name]] for name in group["param_names"]]
        assert {(row.learn_rate, row.l2) for row in members} == {(group["lr"], group["weight_decay"])}
        assert len({row.group for row in members}) == 1
    assert len(groups) == len({row.group for row in rows.values()} - {None})
    assert {name for name, row in rows.items() if row.frozen} == {
        "conv1/Weights",
        "conv1/Bias",
        "bn1/Offset",
        "bn1/Scale",
    }
    assert rows["conv1/Weights"].l2 == 0 and rows["conv1/Weights"].group is None


def test_gates_have_rates_of_their_own() -> None:
    net = (
        sequence()
        .set_learn_rate_factor("lstm/Bias", [1, 2, 0, 1])
        .set_learn_rate_factor("lstm/InputWeights", [2, 2, 2, 2])
    )
    rows = {row.learnable: row for row in effects(net, OPTIONS)}
    assert rows["lstm/Bias"].learn_rate == (3e-4, 6e-4, 0, 3e-4)
    assert rows["lstm/InputWeights"].learn_rate == 6e-4


def test_statistics_of_frozen_batch_normalisation_are_mentioned() -> None:
    assert frozen_notes(residual()) == []
    assert "bn1" in frozen_notes(residual().freeze("bn1"))[0]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    residual().save(tmp_path / "net")
    edits = (Edit("freeze", "1:3"), Edit("with_classes", "data", {"WeightLearnRateFactor": 10}))
    Recipe(Base(file="net"), training_options("sgdm", InitialLearnRate=0.003), edits, description="A test.").save(
        tmp_path / "recipe.toml"
    )
    return tmp_path / "recipe.toml"


def show(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge", "recipe", "show", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_show_prints_the_table_before_anything_runs(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch, saved)
    out = capsys.readouterr().out
    assert "A test." in out and "net = net.freeze(net.layers[:3])" in out
    (row,) = [line for line in out.splitlines() if "fc/Weights" in line]
    assert row.split() == ["fc/Weights", "3×4", "10", "1", "0.03", "0.0001", "3"]
    assert "frozen" in next(line for line in out.splitlines() if "conv1/Weights" in line)
    assert "InitialLearnRate" in out and "the classes come from the data; here they are a, b, c" in out


def test_show_json(saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    show(monkeypatch, saved, "--json")
    known = json.loads(capsys.readouterr().out)
    assert known["schema"] == "bridge.recipe.show/1"
    assert [row["name"] for row in known["options"]] == ["InitialLearnRate"]
    (row,) = [row for row in known["learnables"] if row["learnable"] == "fc/Weights"]
    assert (row["learn_rate_factor"], row["l2_factor"], row["frozen"]) == (10, 1, False)
    assert row["learn_rate"] == pytest.approx(0.03)
    assert known["recipe"]["edits"][0] == {"freeze": "1:3"}


def test_show_takes_another_network_and_says_what_is_assumed(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show(monkeypatch, "retrain-head", "--network", FILES / "signs.onnx", "--json")
    learnables = json.loads(capsys.readouterr().out)["learnables"]
    assert {row["learnable"] for row in learnables if not row["frozen"]} == {"fc/Weights", "fc/Bias"}
    show(monkeypatch, "retrain-head")
    assert "no network was given" in capsys.readouterr().out
    show(monkeypatch, "squeezenet-transfer", "--untrained")
    assert "new_conv" in capsys.readouterr().out
    show(monkeypatch, "googlenet-transfer", "--python")
    assert "net = net.freeze(net.layers[:10])" in capsys.readouterr().out


def test_show_needs_no_torch(saved: Path) -> None:
    lines = [
        f"import sys; sys.argv = ['bridge', 'recipe', 'show', {str(saved)!r}, '--json']",
        "from bridge.commands import main",
        "try: main()",
        "except SystemExit: pass",
        "assert 'torch' not in sys.modules, 'torch was imported'",
    ]
    code = "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
