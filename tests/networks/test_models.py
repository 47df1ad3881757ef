"""bridge models: the catalogue, filtered, sorted and described."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bridge.commands import main
from bridge.networks import catalogue, plot
from bridge.networks.deeplab import BACKBONES
from bridge.networks.plot import MARKS
from docs.generate import NETWORKS_PAGE, networks_page
from tests.conftest import references

DRAWN = {name: entry for name, entry in catalogue().items() if entry.top1}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bridge", "models", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[dict[str, Any]]:
    assert run(monkeypatch, *arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "bridge.models/1"
    found: list[dict[str, Any]] = document["models"]
    return found


def test_filters_and_orders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: MathWorks' published numbers."""
    names = [each["name"] for each in models(monkeypatch, capsys, "--for", "edge", "--max-mb", "10")]
    assert names == ["shufflenet", "squeezenet"]
    bases = [each["name"] for each in models(monkeypatch, capsys, "--for", "segmentation")]
    assert bases == ["inceptionresnetv2", "xception", "resnet50", "mobilenetv2", "vgg19", "vgg16", "resnet18"]
    assert set(bases) == {*BACKBONES, "vgg16", "vgg19"}
    assert [each["name"] for each in models(monkeypatch, capsys, "--for", "detection")] == [
        "darknet53",
        "resnet50",
        "darknet19",
    ]
    every = models(monkeypatch, capsys)
    assert (every[0]["name"], every[-1]["name"], every[-1]["top1"]) == ("nasnetlarge", "googlenet-places365", None)
    sizes = [each["megabytes"] for each in models(monkeypatch, capsys, "--sort", "size")]
    assert sizes == sorted(sizes) and len(sizes) == len(catalogue())


def test_one_network_is_described(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "resnet50") == 0
    text = capsys.readouterr().out
    assert "74.46 % top-1" in text and "fc1000, fc1000_softmax" in text and "strides in the first 1 x 1" in text
    assert run(monkeypatch, "nasnetmobile") == 0
    assert "unconfirmed  the names of its layers, which are derived from NASNet-Large's" in capsys.readouterr().out
    assert run(monkeypatch, "resnet18") == 0
    assert "before       up to R2019a 72 layers" in capsys.readouterr().out
    assert run(monkeypatch, "googlenet-places365") == 0
    assert "accuracy     not stated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["squeezent"], "there is no network 'squeezent'"),
        (["--for", "cars"], "--for cars is unknown"),
        (["--sort", "beauty"], "--sort beauty is unknown"),
        (["--max-mb", "1"], "no network is that small"),
        (["googlenet-places365", "--plot", "one.svg"], "there is nothing to draw in one.svg"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["svg", "png", "html"])
def test_accuracy_against_size_is_drawn(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"models.{kind}"
    assert run(monkeypatch, "--plot", str(path)) == 0
    if kind == "png":
        assert min(Image.open(path).size) > 1000
        return
    text = path.read_text(encoding="utf-8")
    assert all(text.count(f">{name}<") == (2 if kind == "html" else 1) for name in DRAWN)
    assert {colour for colour, _ in MARKS.values() if colour in text} == {
        MARKS[entry.category][0] for entry in DRAWN.values()
    }
    assert kind == "svg" or not references(text)


def test_names_in_the_plot_cover_no_other(tmp_path: Path, look: Callable[..., Any]) -> None:
    """Oracle: where a browser puts the names, and the order of sizes and accuracies in the catalogue."""
    page = look(plot.write(list(catalogue().values()), tmp_path / "models.html"))
    texts = page.locator(".chart text").evaluate_all(
        "(all) => all.map((t) => [t.textContent, t.getBoundingClientRect().toJSON()])"
    )
    boxes = [box for text, box in texts if text in DRAWN]
    assert len(boxes) == len(DRAWN)
    for a, b in combinations(boxes, 2):
        assert (
            a["right"] <= b["left"]
            or b["right"] <= a["left"]
            or a["bottom"] <= b["top"] + 3
            or b["bottom"] <= a["top"] + 3
        )
    rows = page.locator("#models tbody tr td:nth-child(4)")
    page.locator("#models th", has_text="MB").locator("button").click()
    assert [float(text) for text in rows.all_inner_texts()] == sorted(entry.megabytes for entry in DRAWN.values())


def test_a_plot_is_a_picture_or_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--plot", str(tmp_path / "net.mat")) == 2
    assert "a plot is written as .svg, .png, .html" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(monkeypatch, "--plot", str(tmp_path / "models.svg")) == 4
    assert "pip install matplotlib" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_page_follows_the_table() -> None:
    assert NETWORKS_PAGE.read_text(encoding="utf-8") == networks_page(), "run: python docs/generate.py"
