"""Functions that change networks: layers and connections, factors, freezing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bridge.errors import UsageError
from bridge.network import factor_names, nearest
from bridge.recipes.head import KINDS
from bridge.recipes.script.evaluate import Call
from bridge.recipes.script.graphs import chained, exchanged, frozen, with_names
from bridge.recipes.script.registry import named, reads
from bridge.recipes.script.values import Graph, Item, Layers, Many, Table, owner, unknown_in


def _names(value: Any) -> list[str] | None:
    items = [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) and not isinstance(value, Layers) else None
    return items if items is not None and all(isinstance(each, str) for each in items) else None


def _require(graph: Graph, names: Sequence[str]) -> None:
    for name in names:
        if name not in graph.names:
            raise UsageError(f"there is no layer '{name}'", nearest(name, graph.names), "check the name against the network")


@reads("removeLayers", least=2)
def _remove(call: Call) -> Any:
    graph, names = (*call.values, None)[0], _names((*call.values, None)[1])
    if not isinstance(graph, Graph) or names is None:
        return call.unknown("which layers are removed is not known")
    _require(graph, names)
    gone = set(names)
    links = tuple(link for link in graph.links if not {owner(end) for end in link} & gone)
    return replace(graph, layers=Layers(item for item in graph.layers if item.name not in gone), links=links)


@reads("addLayers")
def _add(call: Call) -> Any:
    graph, added = (*call.values, None, None)[:2]
    if isinstance(added, Graph):
        added = added.layers
    if not isinstance(graph, Graph) or not isinstance(added, Layers):
        return call.unknown("which layers are added is not known")
    added = with_names(added)
    twice = next((item.name for item in added if item.name in graph.names), None)
    if twice is not None:
        raise UsageError(f"there is a layer '{twice}' already", "names of layers are unique", "give the new layer another name")
    return replace(graph, layers=Layers((*graph.layers, *added)), links=(*graph.links, *chained(added)))


def _port(graph: Graph, end: str, default: str) -> str:
    """Return "layer/port" of what connectLayers takes."""
    if end in graph.names:
        return f"{end}/{default}"
    _require(graph, [owner(end) or end])
    return end


@reads("connectLayers", "disconnectLayers")
def _connect(call: Call) -> Any:
    graph, source, destination = (*call.values, None, None, None)[:3]
    if not isinstance(graph, Graph) or not isinstance(source, str) or not isinstance(destination, str):
        return call.unknown("which layers are connected is not known")
    link = _port(graph, source, "out"), _port(graph, destination, "in")
    if call.function == "connectLayers":
        return replace(graph, links=(*graph.links, link))
    if link not in graph.links:
        raise UsageError(f"'{source}' is not connected to '{destination}'", "there is nothing to disconnect", "check the names")
    return replace(graph, links=tuple(each for each in graph.links if each != link))


@reads("replaceLayer")
def _replace(call: Call) -> Any:
    graph, name, new = (*call.values, None, None, None)[:3]
    if not isinstance(graph, Graph) or not isinstance(name, str) or not isinstance(new, Layers) or not new:
        missing = unknown_in((new,))
        return missing if missing and missing.why else call.unknown("which layer is replaced by what is not known")
    _require(graph, [name])
    return exchanged(graph, name, new)


@reads("createLgraphUsingConnections")
def _create(call: Call) -> Any:
    layers, connections = (*call.values, None, None)[:2]
    if not isinstance(layers, Layers) or unknown_in((connections,)) or not isinstance(connections, Table) or {"Source", "Destination"} - set(connections):
        return call.unknown("the layers or connections are not known")
    graph = Graph(layers, (), "LayerGraph")
    pairs = zip(connections["Source"], connections["Destination"], strict=True)
    return replace(graph, links=tuple((_port(graph, a, "out"), _port(graph, b, "in")) for a, b in pairs))


@reads("findLayersToReplace", "networkHead")
def _find_head(call: Call) -> Any:
    """The last layer with weights, walking up from the output, and the output layer."""
    graph = call.values[0] if call.values else None
    ends = [item for item in graph.layers if item.row and item.row.is_output] if isinstance(graph, Graph) else []
    ends = ends or [item for item in graph.layers if not any(owner(a) == item.name for a, _ in graph.links)] if isinstance(graph, Graph) else []
    item = ends[0] if len(ends) == 1 and isinstance(graph, Graph) else None
    while item is not None and isinstance(graph, Graph) and not (item.row and item.row.name in KINDS):
        sources = graph.sources(item.name)
        item = graph.item(sources[0]) if len(sources) == 1 else None
    if item is None:
        return call.unknown("the network has no single head")
    if call.function == "findLayersToReplace":
        return Many((Layers((item,)), Layers(ends)))
    learnables = tuple(f"{item.name}/{name}" for name in item.learn_rates)
    return Many((item.name, learnables))


@reads("freezeWeights")
def _freeze_weights(call: Call) -> Any:
    """MathWorks' helper, where its source is not beside the script: every learn-rate factor, as the newer one does."""
    layers = call.values[0] if call.values else None
    if not isinstance(layers, Layers):
        return call.unknown("which layers are frozen is not known")
    if any("Scale" in item.learn_rates for item in layers):
        call.report("freezeWeights is not in the folder; the newer one, which freezes Scale and Offset too, is taken")
    return Layers(replace(frozen(item, call.place), frozen=call.place) for item in layers)


@reads("freezeNetwork")
def _freeze_network(call: Call) -> Any:
    """MathWorks' helper: every layer but those that are named, by name or by class."""
    graph = call.values[0] if call.values else None
    options = {name.lower(): value for name, (value, _) in named(call, 1).items()}
    spared = [each for value in options.values() for each in (_names(value) or [""])]
    if not isinstance(graph, Graph) or "" in spared or any("ignore" not in name for name in options) or len(call.values) % 2 == 0:
        return call.unknown("which layers are frozen is not known")
    spared = [part for each in spared for part in (each, each.partition("/")[0])]
    kept = {item.name for item in graph.layers if item.name in spared or item.matlab in spared or item.matlab.rpartition(".")[2] in spared}
    return replace(graph, layers=Layers(item if item.name in kept else replace(frozen(item, call.place), frozen=call.place) for item in graph.layers))


@reads("setLearnRateFactor", "setL2Factor")
def _set_factor(call: Call) -> Any:
    """The three forms: (layer, learnable, factor), (network, layer, learnable, factor), (network, "layer/learnable", factor)."""
    held, *rest = call.values or (None,)
    if isinstance(held, Layers) and len(held) == 1 and len(rest) == 2:
        return Layers((_with_factor(held[0], rest[0], rest[1], call),))
    if len(rest) == 2 and isinstance(rest[0], str):
        rest = [*rest[0].rpartition("/")[::2], rest[1]]
    if not isinstance(held, Graph) or len(rest) != 3 or not all(isinstance(each, str) for each in rest[:2]):
        return call.unknown("whose factor is set is not known")
    layer, learnable, factor = rest
    _require(held, [layer])
    at = held.names[layer]
    changed = _with_factor(held.layers[at], learnable, factor, call)
    made = replace(held, layers=Layers((*held.layers[:at], changed, *held.layers[at + 1 :])))
    made.__dict__["names"] = held.names
    return made


def _with_factor(item: Item, learnable: str, factor: Any, call: Call) -> Item:
    if item.row is None or learnable not in item.learn_rates:
        known = ", ".join(item.learn_rates) or "none"
        raise UsageError(f"layer '{item.name}' has no learnable '{learnable}'", f"its learnables are {known}", "check the name")
    return item.set(factor_names(item.row, learnable)[call.function == "setL2Factor"], factor, call.place)
