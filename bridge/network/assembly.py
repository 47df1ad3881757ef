"""What the readers of .mat files share: from layers and MATLAB's connection texts to a `Network`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from bridge.errors import UnreadableError
from bridge.network import Connection, Layer, LayerList, Network, Source, nearest


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


def assemble(
    kind: str,
    layers: LayerList,
    connections: tuple[Connection, ...],
    source: Source,
    *,
    inputs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
) -> Network:
    """Make a network.

    Args:
        kind: see `Network`.
        layers: in MATLAB's order.
        connections: between them.
        source: where they came from.
        inputs, outputs: MATLAB's InputNames and OutputNames; without them the layers nothing enters or leaves.
        classes: class names; without them those of the output layer, where one alone has them.

    Raises:
        UnreadableError: a name or connection means no layer.
    """
    if outputs:
        outputs = tuple(dict.fromkeys(_output(name, layers, connections) for name in outputs))
    return Network(
        kind,
        layers,
        connections,
        tuple(dict.fromkeys(_end(name, layers, "inputs")[0] for name in inputs)) or _entries(layers, connections),
        outputs or _exits(layers, connections),
        source,
        classes or _classes(layers),
    )


def _end(name: str, layers: LayerList, side: str) -> tuple[str, str]:
    layer, port = split_port(name, layers, side)
    if not layers.has(layer):
        known = (each.name for each in layers)
        raise UnreadableError(f"the network names '{name}' among its {side}, which is no layer", nearest(layer, known))
    return layer, port


def _output(name: str, layers: LayerList, connections: tuple[Connection, ...]) -> str:
    """Return what an entry of OutputNames means: an output layer stands for what enters it."""
    layer, port = _end(name, layers, "outputs")
    entering = next((c for c in connections if c.destination == layer), None)
    if layers[layer].row.is_output and entering is not None:
        return port_name(layers[entering.source], entering.source_port)
    return port_name(layers[layer], port)


def _entries(layers: LayerList, connections: tuple[Connection, ...]) -> tuple[str, ...]:
    fed = {c.destination for c in connections}
    return tuple(layer.name for layer in layers if layer.name not in fed and not layer.row.is_output)


def _exits(layers: LayerList, connections: tuple[Connection, ...]) -> tuple[str, ...]:
    ends = [
        c
        for c in connections
        if layers.has(c.source) and layers.has(c.destination) and layers[c.destination].row.is_output
    ]
    if ends:
        return tuple(dict.fromkeys(port_name(layers[c.source], c.source_port) for c in ends))
    read = {c.source for c in connections}
    return tuple(layer.name for layer in layers if layer.name not in read and not layer.row.is_output)


def _classes(layers: LayerList) -> tuple[str, ...] | None:
    named = [
        layer.properties["Classes"]
        for layer in layers
        if layer.row.is_output and isinstance(layer.properties.get("Classes"), tuple)
    ]
    return named[0] if len(named) == 1 else None
