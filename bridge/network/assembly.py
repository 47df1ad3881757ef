"""What the readers of .mat files share: from layers and MATLAB's connection texts to a `Network`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.errors import UnreadableError, UsageError, nearest
from bridge.network.base import N, Source
from bridge.network.edit import consistent, require_classes, require_layers
from bridge.network.layer import Connection, Layer, LayerList
from bridge.network.ports import chain, class_names, connect, ends, port_name, split_port


def assemble(
    form: type[N],
    layers: Iterable[Layer],
    connections: Iterable[tuple[str, str]] | None = None,
    classes: Sequence[str] | None = None,
) -> N:
    """Return a network of layers; see `Network.assemble`."""
    made = LayerList(require_layers(list(layers)))
    joined = chain(made) if connections is None else connect(connections, made)
    kind = (
        "dlnetwork"
        if not any(layer.row.is_output for layer in made)
        else "SeriesNetwork"
        if connections is None
        else "DAGNetwork"
    )
    named = require_classes(classes) if classes is not None else ()
    try:
        network = network_of(form, kind, made, joined, Source("", "layers"), classes=named)
    except UnreadableError as error:
        raise UsageError(error.error, error.cause, error.hint) from error
    consistent(network)
    return network


def network_of(
    form: type[N],
    kind: str,
    layers: LayerList,
    connections: tuple[Connection, ...],
    source: Source,
    *,
    inputs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
) -> N:
    """Make a network.

    Args:
        form: `bridge.Network`, which cannot be imported here.
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
    return form(
        kind,
        layers,
        connections,
        tuple(dict.fromkeys(_end(name, layers, "inputs")[0] for name in inputs)) or _entries(layers, connections),
        outputs or tuple(dict.fromkeys(ends(layers, connections))),
        source,
        classes or class_names(layers),
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
