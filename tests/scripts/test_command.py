"""`bridge recipe read`: what is printed and written, and the exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bridge.commands import main
from bridge.recipes.recipe import Recipe

SCRIPT = """imds = imageDatastore('photos','LabelSource','foldernames');
net = alexnet;
layers = [net.Layers(1:end-3); fullyConnectedLayer(5); softmaxLayer; classificationLayer];
options = trainingOptions('adam','MaxEpochs',2{});
trained = trainNetwork(imds,layers,options);
"""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["bridge", "recipe", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.m"
    path.write_text(SCRIPT.format(""), encoding="utf-8")
    return path


def test_table_and_recipe(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = script.parent / "recipe.toml"
    assert run(monkeypatch, "read", script, "-o", output) == 0
    printed = capsys.readouterr().out
    assert "network alexnet" in printed and "MaxEpochs = 2" in printed and "0 not understood" in printed
    assert Recipe.load(output).options.MaxEpochs == 2
    assert run(monkeypatch, "read", script, "-o", output) == 2, "an existing recipe is kept"
    capsys.readouterr()
    assert run(monkeypatch, "show", output, "--untrained") == 0
    assert "fc/Weights" in capsys.readouterr().out


def test_json_and_python(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "read", script, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "bridge.recipe.read/1" and told["exit_code"] == 0 and told["facts"][0]["line"] == 1
    assert run(monkeypatch, "read", script, "--python") == 0
    source = capsys.readouterr().out
    compile(source, "printed", "exec")
    assert 'bridge.load("alexnet.mat")' in source


def test_exit_code_3_with_the_lines(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script.write_text(SCRIPT.format(",'InitialLearnRate',rate"), encoding="utf-8")
    assert run(monkeypatch, "read", script) == 3
    assert "NOT UNDERSTOOD: InitialLearnRate" in capsys.readouterr().out
    assert run(monkeypatch, "read", script, "--json") == 3
    assert "line 4: InitialLearnRate" in capsys.readouterr().err


def test_errors(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script.write_text(SCRIPT.format("").replace("1:end-3", "1:end+3"), encoding="utf-8")
    assert run(monkeypatch, "read", script) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "no element 26" in told and "layers = [net.Layers(1:end+3)" in told
    assert run(monkeypatch, "read", script.parent / "nothing.m") == 2


def test_network_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layers are those of the file that is passed, and of one that lies beside the script."""
    files = Path(__file__).parents[2] / "fixtures" / "files"
    script = tmp_path / "train.m"
    script.write_text(
        "s = load('signs.mat');\nlayers = s.net.Layers;\nopts = trainingOptions('sgdm');\nt = trainNetwork(x,y,layers,opts);\n",
        encoding="utf-8",
    )
    assert run(monkeypatch, "read", script) == 3
    assert run(monkeypatch, "read", script, "--network", files / "signs.mat", "-o", tmp_path / "given.toml") == 0
    assert Path(tmp_path / Recipe.load(tmp_path / "given.toml").base.file).resolve() == files / "signs.mat"
    (tmp_path / "signs.mat").write_bytes((files / "signs.mat").read_bytes())
    assert run(monkeypatch, "read", script) == 0
    assert "network signs.mat" in capsys.readouterr().out
