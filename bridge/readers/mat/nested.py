"""Networks inside a network: the layers of a `networkLayer`, put in its place.

A layer "fc" of the network in layer "block" becomes "block/fc", as MATLAB names its learnables ("block/fc/Weights").
Such layers exist from R2024a on; no file with one has been seen. Unconfirmed is what MATLAB calls the ports of a
layer whose network has several inputs or outputs: here in1, in2, ... are the input layers and unconnected inputs of
the network in the order of its layers, and out1, out2, ... its outputs in its own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bridge.arrays.matlab import Object
from bridge.errors import UnreadableError
from bridge.network import Connection, Layer, LayerList, Network, make_layer
from bridge.network.layer import ports
from bridge.network.ports import split_port
from bridge.readers.mat.layers import required
from bridge.tables.layers import unknown_row

NETWORK_LAYER = "nnet.cnn.layer.NetworkLayer"
MOST_LAYERS = 100_000  # a small file may hold one network many times over; no real network is larger

End = tuple[str, str]  # layer and port


def network_in(saved: Object) -> Object | None:
    """Return the network that a saved layer holds, None for any other layer."""
    network = required(saved.properties.get("Network")) if saved.class_name == NETWORK_LAYER else None
    return network if isinstance(network, Object) else None


def placeholder(name: str, inner: Network) -> Layer:
    """Return a layer with the ports that a network layer has, to be connected and then expanded."""
    layer = make_layer(unknown_row(NETWORK_LAYER), name, {})
    return replace(layer, inputs=_ports("in", _entries(inner)), outputs=_ports("out", _exits(inner)))


def expanded(
    layers: LayerList, connections: Sequence[Connection], outputs: tuple[str, ...], inner: Mapping[str, Network]
) -> tuple[LayerList, tuple[Connection, ...], tuple[str, ...]]:
    """Put the layers of networks in the place of their placeholders.

    Args:
        layers, connections: with placeholders.
        outputs: MATLAB's OutputNames.
        inner: the network of each placeholder, flat itself.

    Returns:
        The layers, connections and output names without placeholders.

    Raises:
        UnreadableError: a connection names a port that its network does not have.
    """
    if sum(len(network.layers) for network in inner.values()) > MOST_LAYERS:
        raise UnreadableError(
            f"a network of more than {MOST_LAYERS:,} layers", "it holds networks in networks", "save the inner ones"
        )
    entries = {name: _entries(network) for name, network in inner.items()}
    exits = {name: _exits(network) for name, network in inner.items()}
    rewired = []
    for each in connections:
        source, source_port = _inside(exits, layers, (each.source, each.source_port), "outputs")
        destination, destination_port = _inside(entries, layers, (each.destination, each.destination_port), "inputs")
        rewired.append(Connection(source, destination, source_port, destination_port))
    named = ("/".join(_inside(exits, layers, split_port(name, layers, "outputs"), "outputs")) for name in outputs)
    own = [
        Connection(f"{name}/{c.source}", f"{name}/{c.destination}", c.source_port, c.destination_port)
        for name, network in inner.items()
        for c in network.connections
    ]
    fed = {each.destination for each in rewired}
    flat = [
        made
        for layer in layers
        for made in (_renamed(layer.name, inner[layer.name], fed) if layer.name in inner else [layer])
    ]
    return LayerList(flat), (*rewired, *own), tuple(named)


def _entries(network: Network) -> list[End]:
    fed = {(c.destination, c.destination_port) for c in network.connections}
    inside = [layer for layer in network.layers if not layer.row.is_output]
    return [(layer.name, port) for layer in inside for port in layer.inputs or ("in",) if (layer.name, port) not in fed]


def _exits(network: Network) -> list[End]:
    return [split_port(name, network.layers, "outputs") for name in network.outputs]


def _ports(side: str, ends: list[End]) -> tuple[str, ...]:
    return (side,) if len(ends) == 1 else ports((side + "#",), len(ends))


def _inside(ends: Mapping[str, list[End]], layers: LayerList, end: End, side: str) -> End:
    """Return the end inside a placeholder's network that one of its ports is; any other end as it is."""
    name, port = end
    if name not in ends:
        return end
    known: tuple[str, ...] = getattr(layers[name], side)
    if port not in known:
        raise UnreadableError(
            f"layer '{name}' has no port '{port}'", f"its network has the {side} {', '.join(known) or 'none'}"
        )
    layer, inner_port = ends[name][known.index(port)]
    return f"{name}/{layer}", inner_port


def _renamed(outer: str, network: Network, fed: set[str]) -> list[Layer]:
    """Return the layers under their new names; an input layer that is fed from outside gets a port for it."""
    named = [replace(layer, name=f"{outer}/{layer.name}") for layer in network.layers]
    return [replace(layer, inputs=("in",)) if layer.name in fed and not layer.inputs else layer for layer in named]
