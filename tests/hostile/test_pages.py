"""A page of a network with hostile texts has the tags and attributes of one with plain texts, in the same order."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown import markdown
from markdown_it import MarkdownIt

from bridge.arrays.lazy import Array
from bridge.commands.inspect_page import page as inspect_page
from bridge.network import Network
from bridge.networks.plot import write as write_models
from bridge.pages import escaped
from bridge.parity.check import Check, check
from bridge.parity.differences import Comparison
from bridge.parity.report import page as report
from bridge.parity.report.evidence import Evidence
from bridge.tables.layers import unknown_row
from bridge.tables.pretrained import catalogue
from bridge.training.plot import page as training_page
from bridge.writers.folder import readme
from tests.hostile.texts import HOSTILE, NETWORKS, PLAIN, filled, signs

EVERY = pytest.mark.parametrize("text", HOSTILE.values(), ids=[*HOSTILE])
# those that mean something to a page or to the font of a chart, whose drawing takes seconds
DRAWN = ("script", "attribute", "tag", "svg", "lines", "terminal", "control", "surrogate", "long")
EVERY_DRAWN = pytest.mark.parametrize("text", [HOSTILE[name] for name in DRAWN], ids=DRAWN)
SHOWN = {"aria-label", "title", "alt"}  # attributes that hold texts
PLACED = {"x", "y", "d", "transform", "width", "height", "viewbox", "points"}  # where a drawing lays its texts


class Reader(HTMLParser):
    """What a browser makes of a page: its tags with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Any] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [(key, None if key in SHOWN | PLACED else value) for key, value in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


CHART = re.compile(r'(<div class="chart">)(.*?)(?=</svg>\s*</div>)', re.DOTALL)


def require_same(hostile: str, plain: str) -> None:
    """Equal but for the places in a chart, which follow the width of texts: there the kinds of tags are compared."""
    assert Reader(CHART.sub(r"\1", hostile)).tags == Reader(CHART.sub(r"\1", plain)).tags
    assert kinds(hostile) == kinds(plain)
    assert all(letter.isprintable() or letter in "\n\t" for letter in hostile)
    hostile.encode()


def kinds(page: str) -> set[Any]:
    """Return the tags in a page's charts with the names of their attributes, and whether links lead into the page."""
    tags = [tag for chart in CHART.finditer(page) for tag in Reader(chart[2]).tags if isinstance(tag, tuple)]
    return {
        (tag, *((key, value and key == "href" and value[0]) for key, value in attributes)) for tag, attributes in tags
    }


def with_an_unknown_class(network: Network, text: str) -> Network:
    """The network with one layer of a class of the user's own, whose ports are texts too."""
    layer = network.layers[1]
    row = unknown_row(f"my.{text}")
    return network.with_layers({layer.name: replace(layer, row=row, kind=row.name, learnables={}, state={})})


@EVERY
@pytest.mark.parametrize("make", NETWORKS)
def test_inspect(make: Callable[[], Network], text: str) -> None:
    pages = [inspect_page(filled(make(), each)) for each in (text, PLAIN)]
    require_same(*pages)
    assert escaped(f"{text}0") in pages[0]


@EVERY
def test_inspect_of_unknown_classes(text: str) -> None:
    require_same(*(inspect_page(with_an_unknown_class(filled(signs(), each), each)) for each in (text, PLAIN)))


@cache
def found() -> Check:
    """A difference in one layer, so that all parts of the page are there."""
    network = signs()
    layer = network.layers["batchnorm_2"]
    shifted = {
        name: replace(each, array=Array.of(each.value + np.float32(1))) for name, each in layer.learnables.items()
    }
    other = network.with_layers({layer.name: replace(layer, learnables=shifted)})
    return check(network, against=other, evidence=True)


def named(text: str) -> Check:
    """That difference between networks that are named otherwise."""
    network, held = filled(signs(), text), found()
    names = dict(zip((layer.name for layer in signs().layers), (layer.name for layer in network.layers), strict=True))
    layers = tuple(replace(each, layer=names[each.layer]) for each in held.layers)
    assert held.evidence is not None
    return replace(
        held,
        model=network.source.path,
        comparison=replace(held.comparison, oracle=text, layers=layers),
        profile=replace(held.profile, name=text, reason=text, overrides=((text, 0.1),)),
        notes=(text,),
        facts={text: text},
        evidence=replace(
            held.evidence,
            network=network,
            layer=names[held.evidence.layer],
            learnables={(names[layer], name): text for layer, name in held.evidence.learnables},
        ),
    )


@EVERY_DRAWN
def test_check(text: str) -> None:
    require_same(report.report(named(text)), plain_check())


@cache
def plain_check() -> str:
    return report.report(named(PLAIN))


@EVERY_DRAWN
def test_check_of_logs(text: str) -> None:
    """Two curves of a name, of files of a name."""
    values = np.array([3.0, 2.0, 1.0]), np.array([3.0, 2.5, 1.0])
    held = replace(found(), comparison=Comparison("log", (), "iteration"))
    pages = [
        report.report(replace(held, evidence=Evidence(curves={each: values}, names=(each, f"folder/{each}"))))
        for each in (text, PLAIN)
    ]
    require_same(*pages)


@EVERY
def test_training(text: str) -> None:
    pages = []
    for each in (text, PLAIN):
        rows = [
            {"Epoch": 1, "Iteration": n, "TrainingLoss": 1 / n, f"Training{each}": n, "BaseLearnRate": 0.1}
            for n in (1, 2, 3)
        ]
        pages.append(training_page(rows, [each], finished=False))
    require_same(*pages)


@EVERY_DRAWN
def test_models(text: str, tmp_path: Path) -> None:
    """Of a table that a user wrote, say."""
    pages = []
    entries = list(catalogue().values())[:3]
    for each in (text, PLAIN):
        named = [replace(entry, name=f"{each}{index}") for index, entry in enumerate(entries)]
        pages.append(write_models(named, tmp_path / "models.html").read_text(encoding="utf-8"))
    require_same(*pages)


@EVERY
@pytest.mark.parametrize("make", NETWORKS)
def test_readme(make: Callable[[], Network], text: str) -> None:
    """Oracles: two renderers of Markdown, one of them CommonMark with GitHub's additions, HTML not switched off."""
    hostile, plain = (readme(filled(make(), each)) for each in (text, PLAIN))
    for render in (MarkdownIt("gfm-like", {"html": True, "linkify": False}).render, markdown):
        assert Reader(render(hostile)).tags == Reader(render(plain)).tags
    hostile.encode(errors="backslashreplace")
