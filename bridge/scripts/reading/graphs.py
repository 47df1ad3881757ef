"""Layers and connections as values: what a network is made of, chains, names, replacement."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

from bridge.errors import UsageError
from bridge.scripts.language.values import Graph, Item, Layers, Link, Origin, Place, links_of, owner
from bridge.scripts.reading.known import entries
from bridge.tables.layers import LayerRow, layer_mappings


@cache
def rows() -> dict[str, LayerRow]:
    """Return the rows of the layer tables by constructor."""
    return {row.constructor: row for row in layer_mappings() if row.constructor}


def graph_of(origin: Origin, kind: str) -> Graph:
    """Return a network's layers and connections as a script sees them."""
    chosen = [layer for layer in origin.network.layers if kind != "dlnetwork" or not layer.row.is_output]
    items = [Item(layer.name, layer.row.constructor, layer.row, origin.place, layer, origin) for layer in chosen]
    names = {item.name for item in items}
    links = list(links_of(origin.network))
    end = entries("dlnetwork_ends").get(origin.name) if kind == "dlnetwork" else None
    if end:
        links.append((f"{items[-1].name}/out", f"{end}/in"))
        items.append(Item(end, "flattenLayer", rows().get("flattenLayer"), origin.place, origin=origin))
        names.add(end)
    return Graph(Layers(items), tuple(link for link in links if {owner(end) for end in link} <= names), kind)


def chained(layers: Sequence[Item]) -> tuple[Link, ...]:
    """Return the connections of layers in a row."""
    return tuple((f"{a.name}/out", f"{b.name}/{'in1' if _joins(b) else 'in'}") for a, b in pairwise(layers))


def _joins(item: Item) -> bool:
    ports = item.base.inputs if item.base else item.row.inputs if item.row and not item.row.ports else ()
    return "in1" in ports or bool(item.row and item.row.ports)


def with_names(layers: Layers) -> Layers:
    """Return layers of which each has a name, as training gives them: the kind's, with a number where there are
    several.
    """
    kinds = [
        entries("automatic_names").get(item.constructor, item.constructor.removesuffix("Layer").lower())
        for item in layers
    ]
    unnamed = [kind for item, kind in zip(layers, kinds, strict=True) if not item.name]
    taken = {item.name for item in layers}
    made = []
    for item, kind in zip(layers, kinds, strict=True):
        if not item.name:
            choices = [kind] * (unnamed.count(kind) == 1) + [f"{kind}_{number}" for number in range(1, len(layers) + 2)]
            item = replace(item, name=next(each for each in choices if each not in taken), automatic=True)
            taken.add(item.name)
        made.append(item)
    return Layers(made)


def require_free(layers: Layers, taken: Container[str]) -> None:
    """Raise a UsageError where a layer has a name that is taken."""
    twice = next((item.name for item in layers if item.name in taken), None)
    if twice is not None:
        raise UsageError(
            f"there is a layer '{twice}' already", "names of layers are unique", "give the new layer another name"
        )


def exchanged(graph: Graph, name: str, new: Layers) -> Graph:
    """Return a graph with a chain of layers in the place of one."""
    require_free(new, graph.names.keys() - {name})
    named_ones = (
        Layers(item if item.name else replace(item, name=name, automatic=True) for item in new)
        if len(new) == 1
        else with_names(new)
    )
    at = graph.names[name]
    links = [(_moved(a, name, named_ones[-1].name), _moved(b, name, named_ones[0].name)) for a, b in graph.links]
    return replace(
        graph,
        layers=Layers((*graph.layers[:at], *named_ones, *graph.layers[at + 1 :])),
        links=(*links, *chained(named_ones)),
    )


def _moved(end: str, name: str, new: str) -> str:
    return f"{new}/{end.rpartition('/')[2]}" if owner(end) == name else end


def frozen(item: Item, place: Place) -> Item:
    """Return a layer of an array that was frozen, every learn-rate factor 0."""
    return replace(
        item, changes={**item.changes, **{rate: (0, place) for rate in item.learn_rates.values()}}, frozen=place
    )
