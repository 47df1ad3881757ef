"""bridge models: the catalogue, filtered, sorted and described."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.commands import main
from bridge.networks import catalogue
from docs.generate import NETWORKS_PAGE, networks_page


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bridge", "models", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def models(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert run(monkeypatch, *arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "bridge.models/1"
    found: list[dict[str, Any]] = document["models"]
    return found


def test_filters_and_orders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: MathWorks' published numbers."""
    names = [each["name"] for each in models(monkeypatch, capsys, "--for", "edge", "--max-mb", "10")]
    assert names == ["shufflenet", "squeezenet"]
    assert models(monkeypatch, capsys)[0]["name"] == "inceptionv3"
    sizes = [each["megabytes"] for each in models(monkeypatch, capsys, "--sort", "size")]
    assert sizes == sorted(sizes) and len(sizes) == len(catalogue())


def test_one_network_is_described(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "resnet50") == 0
    text = capsys.readouterr().out
    assert "74.46 % top-1" in text and "fc1000, fc1000_softmax" in text and "strides in the first 1 x 1" in text
    assert run(monkeypatch, "nasnetmobile") == 0
    assert "unconfirmed  normalization, learnables" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["squeezent"], "there is no network 'squeezent'"),
        (["--for", "cars"], "--for cars is unknown"),
        (["--sort", "beauty"], "--sort beauty is unknown"),
        (["--max-mb", "1"], "no network is that small"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_page_follows_the_table() -> None:
    assert NETWORKS_PAGE.read_text(encoding="utf-8") == networks_page(), "run: python docs/generate.py"
