"""Functions that give networks: pretrained ones, files, networks that MATLAB builds."""

from __future__ import annotations

from typing import Any

from bridge.errors import BridgeError
from bridge.network import Factor, Learnable, Network, factor_names
from bridge.network.head import head
from bridge.readers import load
from bridge.recipes.verbs import COUNTS
from bridge.scripts.language.evaluate import Call
from bridge.scripts.language.values import (
    Graph,
    Item,
    Layers,
    Many,
    Origin,
    Struct,
    Symbol,
    Unknown,
    links_of,
    unknown_in,
)
from bridge.scripts.reading.graphs import exchanged, graph_of
from bridge.scripts.reading.known import named, named_value, reads, words
from bridge.tables.layers import LayerRow, table

DERIVED = ("InputSize", "NumChannels", "NumClasses")
DEEPEST_ENCODER = 16  # each stage halves the image
UNBUILT = "the layers of {} are not built in; pass the saved network with --network"
PRETRAINED = tuple(sorted({*table("pretrained"), *words("pretrained_elsewhere")}))


@reads(*PRETRAINED)
def _pretrained(call: Call) -> Any:
    weights = named_value(call, 0, "Weights", "imagenet")
    if not isinstance(weights, str):
        return call.unknown("which weights the network has is not known")
    weights = weights.lower()
    other = f"{call.function}-{weights}"  # the name of these weights in imagePretrainedNetwork
    name = other if other in PRETRAINED else call.function
    found = _network(call, name)
    if found is None:
        return Unknown(call.text, call.place, UNBUILT.format(name), network=name)
    if weights not in ("imagenet", "none") and name != other:
        call.report(f"the weights are those of '{weights}'; pass the saved network with --network")
    untrained = weights == "none"
    chain = all(len(sources) == 1 for name, sources in found.incoming.items() if name not in found.inputs)
    graph = graph_of(
        Origin(name, "", found, call.place),
        "LayerGraph" if untrained else "SeriesNetwork" if chain else "DAGNetwork",
    )
    return graph.layers if untrained and chain else graph


@reads("imagePretrainedNetwork")
def _image_pretrained(call: Call) -> Any:
    known = {name.lower(): name for name in PRETRAINED}
    first = call.values[0] if call.values else ""
    by_position = isinstance(first, str) and first.lower() in known
    if len(call.values) % 2 != by_position:
        return call.unknown(f"{call.texts[0]} is no network that is known")
    name = known[first.lower()] if by_position else table("scripts")["default_pretrained"]
    network = _network(call, name)
    if network is None:
        return Unknown(call.text, call.place, UNBUILT.format(name), network=name)
    graph = graph_of(Origin(name, "", network, call.place), "dlnetwork")
    count, weights = (named_value(call, int(by_position), each) for each in ("NumClasses", "Weights"))
    if weights is not None and not isinstance(weights, str):
        return call.unknown("which weights the network has is not known")
    if count is not None:
        layer = head(network).layer
        size = next(key for key in COUNTS if key in layer.row.properties)
        given = {
            key: value for key, value in layer.properties.items() if key in layer.row.properties and key not in DERIVED
        }
        graph = exchanged(
            graph,
            layer.name,
            Layers((Item(layer.name, layer.row.constructor, layer.row, call.place, given={**given, size: count}),)),
        )
    return Many((graph, Symbol("class names"))) if call.outputs > 1 else graph


def _network(call: Call, name: str) -> Network | None:
    """Return the network that was passed, or an untrained one of that name."""
    from bridge.networks import BUILDERS, architecture

    return call.reader.network if call.reader.network is not None else architecture(name) if name in BUILDERS else None


@reads("load", "importNetworkFromONNX", "importONNXNetwork")
def _load(call: Call) -> Any:
    """A file of the script's own folder, or the network that was passed instead."""
    name = next((each for each in call.values if isinstance(each, str)), None)
    graph = _loaded(call, name)
    missing = (
        f"{name} holds no network that could be read, or is not beside the script; pass the network with --network"
    )
    found = graph if graph is not None else Unknown(call.text, call.place, missing, file=str(name or ""))
    if call.function != "load":
        return found
    if call.outputs == 0:
        call.reader.loaded = found
        return None
    return Struct({"": found})


def _loaded(call: Call, name: str | None) -> Graph | None:
    if name is None:
        return None
    network, file = call.reader.network, name if "." in name else f"{name}.mat"
    path = call.reader.script.file(file)
    if network is None and path is not None:
        try:
            network = load(path)
        except BridgeError:
            return None
    return graph_of(Origin("", file, network, call.place), network.kind) if network is not None else None


@reads("yolov2Layers", "unetLayers", "segnetLayers")
def _made(call: Call) -> Any:
    """Networks that MATLAB builds: by the same builders, on the layers of another network where they take one."""
    from bridge import networks

    builders = {
        "yolov2Layers": networks.yolov2_layers,
        "unetLayers": networks.unet_layers,
        "segnetLayers": networks.segnet_layers,
    }
    values = [count_of(each) for each in call.values]
    base = next((each for each in values if isinstance(each, Graph)), None)
    if (
        unknown_in(tuple(values))
        or any(isinstance(each, Symbol) for each in values)
        or (base is not None and base.origin is None)
    ):
        return call.unknown(f"an argument of {call.function} is not known")
    first = 5 if base is not None else 3 if call.function == "segnetLayers" else 2
    given = [
        each.origin.network if isinstance(each, Graph) and each.origin else str(each) if isinstance(each, str) else each
        for each in values[:first]
    ]
    if base is not None and isinstance(given[2], tuple) and not isinstance(given[2][0], tuple):
        given[2] = (given[2],)
    options = {
        name: value
        for name, (value, _) in named(call, first).items()
        if name in ("EncoderDepth", "NumFirstEncoderFilters", "FilterSize")
    }
    depth = options.get("EncoderDepth", given[-1] if call.function == "segnetLayers" else 0)
    if isinstance(depth, int) and depth > DEEPEST_ENCODER:
        return call.unknown(f"the encoder of {call.function} is deeper than any image allows")
    if call.function == "segnetLayers" and isinstance(given[2], str):
        what = (
            f"the encoder starts with the weights of {given[2]}, the recipe's with new ones; pass the saved "
            "network with --network"
        )
        call.reader.findings.problem(call.place, what)
    made = builders[call.function](*given, **options)  # type: ignore[operator]
    return _of_network(made, base, call)


def count_of(value: Any) -> Any:
    """Return a number for a list of class names."""
    return len(value) if isinstance(value, tuple) and value and all(isinstance(each, str) for each in value) else value


def _of_network(made: Network, base: Graph | None, call: Call) -> Graph:
    """Return a network as a script's layers: those that it shares with another stay that one's."""
    known = {item.name: item for item in base.layers} if base is not None else {}
    items = []
    for layer in made.layers:
        old = known.get(layer.name)
        told = [key for key in layer.properties if key not in DERIVED or key in layer.row.arguments]
        given = {key: layer.properties[key] for key in told if layer.properties[key] != layer.row.properties[key].made}
        learned = {key: (each, layer.row.learnables[key].initializer) for key, each in layer.learnables.items()}
        starts = {
            f"{key}Initializer": each.initializer
            for key, (each, usual) in learned.items()
            if each.initializer not in (None, usual)
        }
        rates = {
            name: value for key, each in layer.learnables.items() for name, value in _factors(layer.row, key, each)
        }
        same = old is not None and (old.base is None or old.base.properties == layer.properties)
        new = Item(layer.name, layer.row.constructor, layer.row, call.place, given={**given, **starts, **rates})
        items.append(old if same and old is not None else new)
    return Graph(Layers(items), links_of(made), "LayerGraph")


def _factors(row: LayerRow, key: str, learnable: Learnable) -> list[tuple[str, Factor]]:
    names, defaults = factor_names(row, key), row.learnables[key].defaults
    found = zip(names, (learnable.learn_rate_factor, learnable.l2_factor), defaults, strict=True)
    return [(name, value) for name, value, default in found if value != default]
