"""Connections and outputs in MATLAB's spelling: "layer" and "layer/port"."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import count, islice, pairwise

from bridge.network.layer import Connection, Layer, LayerList
from bridge.tables.layers import table


def chain(layers: LayerList) -> tuple[Connection, ...]:
    """Connect each layer to the next, as a SeriesNetwork does."""
    return tuple(
        Connection(a.name, b.name, a.outputs[0], b.inputs[0]) for a, b in pairwise(layers) if a.outputs and b.inputs
    )


def connect(pairs: Iterable[tuple[str, str]], layers: LayerList) -> tuple[Connection, ...]:
    """Make connections of (source, destination) pairs in MATLAB's spelling ("add/in1")."""
    made = []
    for source, destination in pairs:
        a, out = split_port(source, layers, "outputs")
        b, into = split_port(destination, layers, "inputs")
        made.append(Connection(a, b, out, into))
    return tuple(made)


def automatic_names(constructors: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names of layers, and for each without one the name that MATLAB's training gives it.

    That is the kind's ("conv"), with a number where several of the kind have no name.

    Args:
        constructors: MATLAB's functions that make the layers ("convolution2dLayer").
        names: "" for a layer without a name.
    """
    of_kind = table("scripts")["automatic_names"]
    kinds = [str(of_kind.get(each, each.removesuffix("Layer").lower())) for each in constructors]
    unnamed = [kind for kind, name in zip(kinds, names, strict=True) if not name]
    taken, made = set(names), []
    for kind, name in zip(kinds, names, strict=True):
        if not name:
            numbered = (f"{kind}_{number}" for number in count(1))
            choices = (kind, *islice(numbered, len(names))) if unnamed.count(kind) == 1 else numbered
            name = next(each for each in choices if each not in taken)
            taken.add(name)
        made.append(name)
    return made


def with_named_ports(layers: LayerList, pairs: Sequence[tuple[str, str]], known: Container[str]) -> LayerList:
    """Give layers of unknown classes, but for those `known`, the ports that the connections name; nothing else tells of
    them.
    """
    named: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        for text, side in zip(pair, ("outputs", "inputs"), strict=True):
            name, port = split_port(text, layers, side)
            if text != name and layers.has(name) and name not in known and layers[name].row.is_unknown:
                named.setdefault((name, side), []).append(port)

    def renamed(layer: Layer) -> Layer:
        inputs, outputs = (tuple(dict.fromkeys(named.get((layer.name, side), ()))) for side in ("inputs", "outputs"))
        return (
            replace(layer, inputs=inputs or layer.inputs, outputs=outputs or layer.outputs)
            if inputs or outputs
            else layer
        )

    return LayerList(renamed(layer) for layer in layers)


def split_port(text: str, layers: LayerList, side: str) -> tuple[str, str]:
    """Split "layer/port"; a name without a port means the layer's first one. A name may hold "/" itself."""
    if layers.has(text):
        known = getattr(layers[text], side)
        return text, known[0] if known else side
    name, _, port = text.rpartition("/")
    return (name, port) if name else (text, "")


def port_name(layer: Layer, port: str) -> str:
    return layer.name if len(layer.outputs) == 1 else f"{layer.name}/{port}"


def shortest(connection: Connection, layers: LayerList) -> tuple[str, str]:
    """Return a connection in MATLAB's spelling, without the ports of layers that have one."""
    source, destination = layers[connection.source], layers[connection.destination]
    into = destination.name if len(destination.inputs) == 1 else f"{destination.name}/{connection.destination_port}"
    return port_name(source, connection.source_port), into


def ends(layers: LayerList, connections: Sequence[Connection]) -> list[str]:
    """Return what output layers take in; without any, the layers that nothing reads."""
    taken = [
        port_name(layers[c.source], c.source_port)
        for c in connections
        if layers.has(c.source) and layers.has(c.destination) and layers[c.destination].row.is_output
    ]
    read = {c.source for c in connections}
    return taken or [layer.name for layer in layers if layer.name not in read and not layer.row.is_output]


def class_names(layers: LayerList) -> tuple[str, ...] | None:
    """Return the class names of the one output layer that has some."""
    named = [
        layer.properties["Classes"]
        for layer in layers
        if layer.row.is_output and isinstance(layer.properties.get("Classes"), tuple)
    ]
    return named[0] if len(named) == 1 else None
