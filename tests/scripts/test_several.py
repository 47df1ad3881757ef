"""A script that trains several times gives the recipe of each training; the oracle is what MATLAB would train, worked out by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bridge.commands import main
from bridge.errors import UsageError
from bridge.recipes.recipe import Recipe
from bridge.scripts import Reading, read, read_all

START = "net = alexnet;\nlayers = net.Layers;\n"
LOOP = """rates = [0.1 0.01 0.001];
for i = 1:3
    opts = trainingOptions('sgdm','InitialLearnRate',rates(i));
    net = trainNetwork(x, y, layers, opts);
end
"""
TWO = """first = trainNetwork(x, y, layers, trainingOptions('adam','MaxEpochs',2));
layers(23) = fullyConnectedLayer(4,'Name','new');
second = trainNetwork(x, y, layers, trainingOptions('sgdm','MaxEpochs',5));
"""


def readings(folder: Path, source: str) -> list[Reading]:
    path = folder / "script.m"
    path.write_text(source, encoding="utf-8")
    return read_all(path)


def test_a_loop_over_rates_gives_each(tmp_path: Path) -> None:
    found = readings(tmp_path, START + LOOP)
    rates = [each.recipe.options.InitialLearnRate for each in found if each.recipe is not None]
    assert rates == [0.1, 0.01, 0.001] and [each.exit_code for each in found] == [0, 0, 0]
    assert [(each.number, each.count) for each in found] == [(1, 3), (2, 3), (3, 3)]


def test_calls_one_after_another(tmp_path: Path) -> None:
    one, two = readings(tmp_path, START + TWO)
    assert one.recipe is not None and two.recipe is not None
    assert (one.recipe.options.solver, one.recipe.edits) == ("adam", ())
    assert two.recipe.options.MaxEpochs == 5 and [edit.verb for edit in two.recipe.edits] == ["replace"]


def test_what_a_loop_repeats_is_one_recipe(tmp_path: Path) -> None:
    loop = "for run = 1:5\n net = alexnet;\n t = trainNetwork(x, y, net.Layers, trainingOptions('sgdm'));\nend\n"
    (found,) = readings(tmp_path, loop)
    assert found.exit_code == 0 and any("5 times, all alike" in entry.what for entry in found.reports)


@pytest.mark.parametrize("form", ["one.Layers", "layerGraph(one)", "[one.Layers(1:end-3); net.Layers(end-2:end)]"])
def test_a_training_that_goes_on_with_another(form: str, tmp_path: Path) -> None:
    """The second starts from weights that the first makes, which no recipe holds."""
    calls = "one = trainNetwork(x, y, layers, {0});\ntwo = trainNetwork(x, y, {1}, {0});\n"
    first, second = readings(tmp_path, START + calls.format("trainingOptions('sgdm')", form))
    assert first.exit_code == 0 and second.exit_code == 3
    assert any("line 3 trains" in entry.what for entry in second.not_understood)


def test_one_of_them(tmp_path: Path) -> None:
    readings(tmp_path, START + TWO)
    path = tmp_path / "script.m"
    assert read(path).number == 2
    chosen = read(path, training=1)
    assert chosen.recipe is not None and chosen.recipe.options.solver == "adam"
    for number in (0, 3):
        with pytest.raises(UsageError, match=f"no training number {number}"):
            read(path, training=number)


def test_only_so_many(tmp_path: Path) -> None:
    loop = "for i = 1:150\n t = trainNetwork(x, y, reluLayer, trainingOptions('sgdm','MaxEpochs',i));\nend\n"
    found = readings(tmp_path, loop)
    assert len(found) == 100 and any("only 100 of 150" in entry.what for entry in found[0].not_understood)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["bridge", "recipe", "read", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    readings(tmp_path, START + TWO)
    script, output = tmp_path / "script.m", tmp_path / "recipe.toml"
    assert run(monkeypatch, script, "-o", output) == 0
    printed = capsys.readouterr().out
    assert "training 1 of 2" in printed and "training 2 of 2" in printed and not output.exists()
    solvers = [Recipe.load(tmp_path / f"recipe-{number}.toml").options.solver for number in (1, 2)]
    assert solvers == ["adam", "sgdm"]
    assert run(monkeypatch, script, "--training", "1", "-o", output) == 0
    assert Recipe.load(output).options.solver == "adam"
    capsys.readouterr()
    assert run(monkeypatch, script, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["training"], told["trainings"]) == (2, 2) and len(told["all"]) == 2
    assert run(monkeypatch, script, "--training", "3") == 2
