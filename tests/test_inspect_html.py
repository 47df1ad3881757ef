"""`bridge inspect --html`: graph, tables and search as one page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge.commands import main
from bridge.commands.inspect_page import page as inspect_page
from bridge.network import LayerList
from bridge.networks import build
from tests.conftest import references
from tests.test_imports import command, loaded_after

FILES = Path(__file__).parents[1] / "fixtures" / "files"


def inspect(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bridge", "inspect", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_graph_table_and_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[..., Any]) -> None:
    network = bridge.load(FILES / "segnet.mat")
    assert inspect(monkeypatch, FILES / "segnet.mat", "--html", tmp_path / "net.html") == 0
    page = look(tmp_path / "net.html")
    rows, layers = page.locator("#layers tbody tr:visible"), page.locator(".graph .layer:not(.faded)")
    assert rows.locator("td:nth-child(2)").all_inner_texts() == [layer.name for layer in network.layers]
    assert layers.count() == rows.count() == len(network.layers)
    page.locator("form[data-table=layers] [type=search]").fill("maxpool")
    expected = [layer.name for layer in network.layers if "pool" in layer.name and "unpool" not in layer.name]
    assert rows.locator("td:nth-child(2)").all_inner_texts() == expected and layers.count() == len(expected)
    page.locator("form[data-table=layers] [type=search]").fill("")
    page.locator("form[data-table=layers] [data-flag=frozen]").check()
    frozen = [
        layer.name
        for layer in network.layers
        if layer.learnables and all(each.frozen for each in layer.learnables.values())
    ]
    assert rows.locator("td:nth-child(2)").all_inner_texts() == frozen
    factors = page.locator("#learnables tbody tr", has_text="encoder1_conv1").first.locator("td").all_inner_texts()
    assert factors[:2] == ["encoder1_conv1", "Weights"] and factors[2] == "×".join(
        map(str, network.layers["encoder1_conv1"].Weights.shape)
    )
    assert page.locator("#connections tbody tr").count() == len(network.connections)


def test_numbers_sort_as_numbers(tmp_path: Path, look: Callable[..., Any]) -> None:
    network = build("googlenet")
    (tmp_path / "net.html").write_text(inspect_page(network), encoding="utf-8")
    page = look(tmp_path / "net.html")
    heading = page.locator("#layers th", has_text="Learnables").locator("button")
    for _ in range(2):
        heading.click()
    counts = [
        int(text.replace(",", "") or 0) for text in page.locator("#layers tbody td:nth-child(5)").all_inner_texts()
    ]
    assert counts == sorted(
        (sum(each.array.size for each in layer.learnables.values()) for layer in network.layers), reverse=True
    )
    page.locator('.graph a[href="#layer-2"]').click()
    assert page.locator("tr:target td").nth(1).inner_text() == network.layers[1].name


def test_what_files_hold_is_only_text(tmp_path: Path, look: Callable[..., Any]) -> None:
    nasty = "</title><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"
    network = bridge.load(FILES / "signs.mat")
    renamed = {layer.name: f"{layer.name}{nasty}" for layer in network.layers}
    network = replace(
        network, kind=nasty, classes=(nasty,), notes=(nasty,), source=replace(network.source, path=nasty, producer=nasty),
        layers=LayerList(replace(layer, name=renamed[layer.name]) for layer in network.layers),
        connections=tuple(replace(each, source=renamed[each.source], destination=renamed[each.destination]) for each in network.connections),
        inputs=tuple(map(renamed.__getitem__, network.inputs)), outputs=tuple(map(renamed.__getitem__, network.outputs)),
    )  # fmt: skip
    (tmp_path / "net.html").write_text(inspect_page(network), encoding="utf-8")
    page = look(tmp_path / "net.html")
    assert page.locator("h1").inner_text() == nasty and page.title() == nasty
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0


@pytest.mark.parametrize("file", ["signs.onnx", "segnet.mat"])
def test_the_page_needs_neither_torch_nor_matplotlib_and_refers_to_nothing(file: str, tmp_path: Path) -> None:
    loaded = loaded_after(command("inspect", str(FILES / file), "--html", str(tmp_path / "net.html")))
    assert not loaded & {"torch", "matplotlib", "onnxruntime"}
    assert not references((tmp_path / "net.html").read_text(encoding="utf-8"))


def test_a_page_takes_the_place_of_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(monkeypatch, FILES / "signs.mat", "--html", tmp_path / "net.onnx") == 2
    assert "only pages are written" in capsys.readouterr().err
