"""Functions that make layers and graphs, and that change them: replacement, connections, factors, freezing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bridge.errors import UsageError, nearest
from bridge.layers import property_names, require_property
from bridge.network import factor_names
from bridge.scripts.language.evaluate import Call
from bridge.scripts.language.values import Graph, Item, Layers, Many, Table, Unknown, is_plain, owner, unknown_in
from bridge.scripts.reading.graphs import chained, exchanged, frozen, require_free, rows, with_names
from bridge.scripts.reading.known import named, reads

Names = (str, tuple)
WEIGHTED = ("W=layer.ClassWeights;", "N=size(Y,4);", "loss=-sum(W*(T.*log(Y)))/N;")


# Layers and graphs made


@reads(*rows())
def _constructor(call: Call) -> Any:
    """A layer: arguments by position, then by name in any case of letters."""
    row = rows()[call.function]
    known = {name.lower(): name for name in property_names(row)}
    by_name = (at for at, value in enumerate(call.values) if isinstance(value, str) and value.lower() in known)
    count = min(next(by_name, len(call.values)), len(row.arguments))
    given = dict(zip(row.arguments, call.values[:count], strict=False))
    for name, (value, _) in named(call, count).items():
        if name.lower() not in known:
            raise UsageError(f"{call.function} has no property '{name}'", nearest(name, known.values()))
        given[known[name.lower()]] = value
    if (len(call.values) - count) % 2:
        return call.unknown(f"the arguments of {call.function} are not understood")
    name = given.pop("Name", "")
    if not isinstance(name, str):
        return call.unknown(f"the Name of {call.function} is no text that is known")
    for key, value in given.items():
        if is_plain(value):
            require_property(row, key, value)
    return Layers((Item(name, call.function, row, call.place, given=given),))


@reads("custom layer")
def _custom(call: Call) -> Any:
    """A layer whose class is beside the script; `text` is its source. MathWorks' weighted classification becomes
    MATLAB's own.
    """
    name = next((str(each) for each in reversed(call.values) if isinstance(each, str)), "")
    weights = next((each for each in call.values if isinstance(each, (tuple, Unknown))), None)
    compact = re.sub(r"%[^\n]*|\s", "", call.text)
    if weights is None or not all(part in compact for part in WEIGHTED):
        return Layers((Item(name, call.function, None, call.place),))
    call.report(f"{call.function} is the documented weighted classification: classificationLayer with ClassWeights")
    return Layers(
        (Item(name, "classificationLayer", rows()["classificationLayer"], call.place, given={"ClassWeights": weights}),)
    )


@reads("layerGraph", "dlnetwork", "assembleNetwork", "DAGNetwork", "SeriesNetwork")
def _graph(call: Call) -> Any:
    value = call.values[0] if call.values else Layers()
    kind = {"layerGraph": "LayerGraph", "assembleNetwork": "DAGNetwork"}.get(call.function, call.function)
    if isinstance(value, Graph):
        return replace(value, kind=kind)
    if value == () or isinstance(value, Layers):
        layers = with_names(Layers(value))
        return Graph(layers, chained(layers), kind)
    return call.unknown("what the graph is made of is not known")


@reads("initialize", "resetState", takes=(object,))
def _same(call: Call, network: Any) -> Any:
    return network


# Layers replaced, connected, frozen


def _names(value: Any) -> list[str]:
    """Return names as a list; none where one of them is no text."""
    items = [value] if isinstance(value, str) else list(value)
    return items if all(isinstance(each, str) for each in items) else []


def _require(graph: Graph, names: Sequence[str]) -> None:
    for name in names:
        if name not in graph.names:
            raise UsageError(
                f"there is no layer '{name}'", nearest(name, graph.names), "check the name against the network"
            )


@reads("removeLayers", takes=(Graph, Names), why="which layers are removed is not known")
def _remove(call: Call, graph: Graph, given: Any) -> Any:
    gone = set(_names(given))
    if not gone:
        return call.unknown("which layers are removed is not known")
    _require(graph, sorted(gone))
    links = tuple(link for link in graph.links if not {owner(end) for end in link} & gone)
    return replace(graph, layers=Layers(item for item in graph.layers if item.name not in gone), links=links)


@reads("addLayers", takes=(Graph, (Layers, Graph)), why="which layers are added is not known")
def _add(call: Call, graph: Graph, given: Layers | Graph) -> Any:
    added = with_names(given.layers if isinstance(given, Graph) else given)
    require_free(added, graph.names)
    return replace(graph, layers=Layers((*graph.layers, *added)), links=(*graph.links, *chained(added)))


def _port(graph: Graph, end: str, default: str) -> str:
    """Return "layer/port" of what connectLayers takes."""
    if end in graph.names:
        return f"{end}/{default}"
    _require(graph, [owner(end) or end])
    return end


@reads("connectLayers", "disconnectLayers", takes=(Graph, str, str), why="which layers are connected is not known")
def _connect(call: Call, graph: Graph, source: str, destination: str) -> Any:
    link = _port(graph, source, "out"), _port(graph, destination, "in")
    if call.function == "connectLayers":
        return replace(graph, links=(*graph.links, link))
    if link not in graph.links:
        raise UsageError(
            f"'{source}' is not connected to '{destination}'", "there is nothing to disconnect", "check the names"
        )
    return replace(graph, links=tuple(each for each in graph.links if each != link))


@reads("replaceLayer", takes=(Graph, str, Layers), why="which layer is replaced by what is not known")
def _replace(call: Call, graph: Graph, name: str, new: Layers) -> Any:
    _require(graph, [name])
    return exchanged(graph, name, new) if new else call.unknown("the layer is replaced by nothing")


@reads("createLgraphUsingConnections", takes=(Layers, Table), why="the layers or connections are not known")
def _create(call: Call, layers: Layers, connections: Table) -> Any:
    if unknown_in(connections) or {"Source", "Destination"} - set(connections):
        return call.unknown("the layers or connections are not known")
    graph = Graph(layers, (), "LayerGraph")
    pairs = zip(connections["Source"], connections["Destination"], strict=True)
    return replace(graph, links=tuple((_port(graph, a, "out"), _port(graph, b, "in")) for a, b in pairs))


@reads("findLayersToReplace", "networkHead", takes=(Graph,))
def _find_head(call: Call, graph: Graph) -> Any:
    """The last layer with weights, walking up from the output, and the output layer."""
    ends = [item for item in graph.layers if item.row and item.row.is_output] or graph.sinks
    item = ends[0] if len(ends) == 1 else None
    while item is not None and not (item.row and "head" in item.row.traits):
        sources = graph.sources(item.name)
        item = graph.item(sources[0]) if len(sources) == 1 else None
    if item is None:
        return call.unknown("the network has no single head")
    if call.function == "findLayersToReplace":
        return Many((Layers((item,)), Layers(ends)))
    return Many((item.name, tuple(f"{item.name}/{name}" for name in item.learn_rates)))


@reads("freezeWeights", takes=(Layers,), why="which layers are frozen is not known")
def _freeze_weights(call: Call, layers: Layers) -> Any:
    """MathWorks' helper, where its source is not beside the script: every learn-rate factor, as the newer one does."""
    if any("Scale" in item.learn_rates for item in layers):
        call.report("freezeWeights is not in the folder; the newer one, which freezes Scale and Offset too, is taken")
    return Layers(frozen(item, call.place) for item in layers)


@reads("freezeNetwork", takes=(Graph,), why="which layers are frozen is not known")
def _freeze_network(call: Call, graph: Graph) -> Any:
    """MathWorks' helper: every layer but those that are named, by name or by class."""
    options = {name.lower(): value for name, (value, _) in named(call, 1).items()}
    known = len(call.values) % 2 and all(
        "ignore" in name and isinstance(value, Names) and _names(value) for name, value in options.items()
    )
    if not known:
        return call.unknown("which layers are frozen is not known")
    spared = {part for value in options.values() for each in _names(value) for part in (each, each.partition("/")[0])}
    kept = {item.name for item in graph.layers if spared & {item.name, item.matlab, item.matlab.rpartition(".")[2]}}
    return replace(
        graph, layers=Layers(item if item.name in kept else frozen(item, call.place) for item in graph.layers)
    )


@reads("setLearnRateFactor", "setL2Factor")
def _set_factor(call: Call) -> Any:
    """The three forms: (layer, learnable, factor), (network, layer, learnable, factor), (network, "layer/learnable",
    factor).
    """
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
    made.__dict__["names"] = held.names  # a loop over thousands of learnables would make them anew each time
    return made


def _with_factor(item: Item, learnable: str, factor: Any, call: Call) -> Item:
    if item.row is None or learnable not in item.learn_rates:
        known = ", ".join(item.learn_rates) or "none"
        raise UsageError(
            f"layer '{item.name}' has no learnable '{learnable}'", f"its learnables are {known}", "check the name"
        )
    return item.set(factor_names(item.row, learnable)[call.function == "setL2Factor"], factor, call.place)
