"""Surgery on a network: what replaceLayer, removeLayers, addLayers, connectLayers, disconnectLayers and assembleNetwork
do.

`Network` has each of these as a method. After every edit there the layers fit each other wherever their inputs are
connected, or the edit refuses and names both layers (`fitting`); unconnected inputs are allowed in between, as in
MATLAB's layer graphs. The functions here leave that to the end, as MATLAB does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.network.activations import Activation
from bridge.network.base import BaseNetwork, N
from bridge.network.initialize import shape_of
from bridge.network.layer import Connection, Layer, LayerList
from bridge.network.ports import chain, class_names, ends, split_port
from bridge.network.sizes import layer_sizes
from bridge.network.windows import numbers


def consistent(network: BaseNetwork) -> dict[str, tuple[Activation, ...]]:
    """Return the activations of every layer whose inputs are connected, after checking that it fits behind them.

    Raises:
        UsageError: a layer does not fit behind another; both are named.
    """
    sizes: dict[str, tuple[Activation, ...]] = {}
    for layer in network.order:
        sources = network.incoming[layer.name]
        if len(sources) < len(layer.inputs) or any(c.source not in sizes for c in sources):
            continue
        given = [sizes[c.source][network.layers[c.source].outputs.index(c.source_port)] for c in sources]
        try:
            sizes[layer.name] = layer_sizes(layer, given)
            _require_fitting(layer, given)
        except BridgeError as error:
            behind = " and ".join(f"'{c.source}'" for c in sources) or "nothing"
            fresh = (
                f"bridge.layers.fully_connected({_last(layer.OutputSize)})" if "flattens" in layer.row.traits else "..."
            )
            hint = f"replace layer '{layer.name}' too: net.replace({layer.name!r}, {fresh})"
            raise UsageError(
                f"layer '{layer.name}' does not fit behind {behind}", f"{error.error}; {error.cause}", hint
            ) from error
    return sizes


def _require_fitting(layer: Layer, given: Sequence[Activation]) -> None:
    for name, learnable in layer.learnables.items():
        shape = shape_of(layer, name, given)
        if learnable.array.size and shape is not None and math.prod(shape) != learnable.array.size:
            found = f"{name} of layer '{layer.name}' have the size {_by(learnable.shape)}"
            raise UsageError(found, f"behind {' and '.join(map(str, given))} they would have {_by(shape)}")


def replace_layers(network: N, what: str | Layer | Sequence[Layer], new: Layer | Sequence[Layer]) -> N:
    """Return `network` with layers in the place of others.

    Args:
        network: where.
        what: one layer, by name, in whose place one layer or a chain of them comes; or several layers, each of which
            one takes the place of (MATLAB's `layers(1:10) = ...`).
        new: what takes their place. A single layer without a name takes over the old one's.

    Raises:
        UsageError: there is no such layer, the numbers differ, a name is taken, or a layer does not fit.
    """
    made = [new] if isinstance(new, Layer) else list(new)
    if isinstance(what, (str, Layer)):
        old = network.layers[what if isinstance(what, str) else what.name]
        return replaced(network, {old.name: require_layers(made, old.name)})
    chosen = [network.layers[layer.name] for layer in what]  # their own, whatever was handed in
    if len(chosen) != len(made):
        counts = f"{len(made)} layer{'s' * (len(made) != 1)} cannot take the place of {len(chosen)}"
        raise UsageError(counts, "each layer takes the place of one", "name one layer to put a chain in its place")
    return replaced(network, {a.name: require_layers([b], a.name) for a, b in zip(chosen, made, strict=True)})


def replaced(network: N, chains: Mapping[str, list[Layer]]) -> N:
    """Return `network` with a chain of layers in the place of each named one."""
    layers = LayerList(layer for old in network.layers for layer in chains.get(old.name, [old]))
    inner = [c for made in chains.values() for c in chain(LayerList(made))]
    outer = []
    for c in network.connections:
        first, last = (
            chains.get(c.destination, [network.layers[c.destination]])[0],
            chains.get(c.source, [network.layers[c.source]])[-1],
        )
        into = _taken_over(network.layers[c.destination], first, c.destination_port, "inputs")
        out = _taken_over(network.layers[c.source], last, c.source_port, "outputs")
        outer.append(Connection(last.name, first.name, out, into))
    renamed = {name: made[-1].name for name, made in chains.items()}
    notes = [_replacement(name, made) for name, made in chains.items()]
    return _rebuilt(network, layers, (*outer, *inner), renamed, notes)


def _replacement(name: str, made: list[Layer]) -> str:
    names = ", ".join(layer.name for layer in made)
    return (
        f"layer '{name}' was replaced by a new {made[0].kind}"
        if names == name
        else f"layer '{name}' was replaced by {names}"
    )


def _taken_over(old: Layer, new: Layer, port: str, side: str) -> str:
    """Return the port of the new layer that takes over a connection of the old one."""
    ports: tuple[str, ...] = getattr(new, side)
    if old is new or port in ports:
        return port
    if len(ports) == 1 and len(getattr(old, side)) == 1:
        return ports[0]
    raise UsageError(
        f"layer '{new.name}' cannot take the place of '{old.name}'",
        f"it has the {side} {', '.join(ports) or 'none'}, '{port}' is connected",
    )


def remove(network: N, what: Iterable[Layer]) -> N:
    """Return `network` without some layers and their connections, as removeLayers does."""
    gone = {layer.name for layer in what}
    layers = LayerList(layer for layer in network.layers if layer.name not in gone)
    if not layers:
        raise UsageError("no layer would be left", "every layer was chosen")
    kept = tuple(c for c in network.connections if not {c.source, c.destination} & gone)
    return _rebuilt(network, layers, kept, {}, [f"layers were removed: {', '.join(sorted(gone))}"])


def add(network: N, new: Layer | Sequence[Layer]) -> N:
    """Return `network` with layers added, each connected to the next one, as addLayers does.

    Raises:
        UsageError: a name is missing or taken.
    """
    made = require_layers([new] if isinstance(new, Layer) else list(new))
    notes = [f"layers were added: {', '.join(layer.name for layer in made)}"]
    return _rebuilt(
        network, LayerList([*network.layers, *made]), (*network.connections, *chain(LayerList(made))), {}, notes
    )


def connected(network: N, source: str, destination: str) -> N:
    """Return `network` with a connection added ("pool1/indices", "unpool1/indices"), as connectLayers does.

    Raises:
        UsageError: there is no such layer or port, the input is taken, or the layers do not fit.
    """
    made = _connection(network, source, destination)
    return _rebuilt(
        network, network.layers, (*network.connections, made), {}, [f"'{source}' was connected to '{destination}'"]
    )


def disconnected(network: N, source: str, destination: str) -> N:
    """Return `network` without a connection, as disconnectLayers does.

    Raises:
        UsageError: there is no such connection.
    """
    gone = _connection(network, source, destination)
    if gone not in network.connections:
        leaving = [f"'{c.destination}/{c.destination_port}'" for c in network.connections if c.source == gone.source]
        raise UsageError(
            f"'{source}' is not connected to '{destination}'", f"it is connected to {', '.join(leaving) or 'nothing'}"
        )
    kept = tuple(c for c in network.connections if c != gone)
    return _rebuilt(network, network.layers, kept, {}, [f"'{source}' was disconnected from '{destination}'"])


def _connection(network: BaseNetwork, source: str, destination: str) -> Connection:
    ends = []
    for text, side in ((source, "outputs"), (destination, "inputs")):
        name, port = split_port(text, network.layers, side)
        ports: tuple[str, ...] = getattr(network.layers[name], side)
        if not ports:
            raise UsageError(f"layer '{name}' has no {side}", f"it is a {network.layers[name].kind}")
        if port not in ports:
            raise UsageError(f"layer '{name}' has no port '{port}'", f"its {side} are {', '.join(ports)}")
        if side == "inputs" and text == name and len(ports) > 1:
            raise UsageError(
                f"layer '{name}' has several inputs", f"they are {', '.join(ports)}", f"name one: '{name}/{ports[0]}'"
            )
        ends.append((name, port))
    (a, out), (b, into) = ends
    return Connection(a, b, out, into)


def require_classes(classes: Any) -> tuple[str, ...]:
    """Return class names as a tuple.

    Raises:
        UsageError: they are no list of names, or one is there twice.
    """
    names = tuple(classes) if isinstance(classes, Iterable) and not isinstance(classes, str) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise UsageError(f"the classes are {classes!r}", "they are a list of names, each once", 'write ["cap", "cube"]')
    return names


def with_input_size(network: N, size: Sequence[int]) -> N:
    """Return `network` for inputs of another size; see `Network.with_input_size`."""
    entries = [network.layers[name] for name in network.inputs if "InputSize" in network.layers[name].properties]
    if len(entries) != 1:
        names = ", ".join(layer.name for layer in entries) or "none"
        raise UsageError(
            "the network has no single input layer with a size",
            f"input layers: {names}",
            "replace the input layer by name",
        )
    fixed = next((layer for layer in network.layers if layer.row.size == "from_file"), None)
    if fixed is not None:
        found = f"the size behind layer '{fixed.name}' ({fixed.kind}) is the file's"
        raise UsageError(found, "it cannot be computed anew", "export the network again")
    layer, old = entries[0], numbers(entries[0].properties["InputSize"], 1)
    new = _input_size(size, old)
    per_pixel = [name for name, array in layer.state.items() if new != old and array.size > old[-1]]
    state = {name: array for name, array in layer.state.items() if name not in per_pixel}
    changed = replace(layer, properties={**layer.properties, "InputSize": new}, state=state)
    notes = [f"the input size of '{layer.name}' was changed from {_by(old)} to {_by(new)}"]
    if per_pixel:
        notes.append(
            f"{' and '.join(per_pixel)} of '{layer.name}' had a value for each pixel of {_by(old)}: dropped, training "
            "computes new ones"
        )
    try:
        layers = LayerList(changed if each is layer else each for each in network.layers)
        return fitting(_rebuilt(network, layers, network.connections, {}, notes))
    except UsageError as error:
        raise UsageError(f"an input of {_by(new)} is not possible: {error.error}", error.cause, error.hint) from error


def _input_size(size: Any, old: tuple[int, ...]) -> tuple[int, ...]:
    given = tuple(size) if isinstance(size, Iterable) and not isinstance(size, str) else (size,)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in given)
    if not whole or len(given) not in (len(old), max(len(old) - 1, 1)):
        raise UsageError(
            f"{size!r} is no input size",
            f"the input is {_by(old)}",
            "give height and width, and channels if they change",
        )
    return given if len(given) == len(old) else (*given, old[-1])


def require_layers(made: list[Any], name: str | None = None) -> list[Layer]:
    """Return the layers; one without a name gets `name` if it is the only one.

    Raises:
        UsageError: there is none, something else is among them, or one has no name.
    """
    strange = next((each for each in made if not isinstance(each, Layer)), None)
    if strange is not None or not made:
        what = f"{strange!r} is no layer" if made else "no layer is given"
        raise UsageError(what, "bridge.layers makes layers", "bridge.layers.relu(name='relu1')")
    if len(made) == 1 and not made[0].name and name:
        made = [replace(made[0], name=name)]
    unnamed = next((layer for layer in made if not layer.name), None)
    if unnamed is not None:
        raise UsageError(f"a {unnamed.kind} has no name", "every layer of a network has one", "pass name='...'")
    return made


def _rebuilt(
    network: N,
    layers: LayerList,
    connections: tuple[Connection, ...],
    renamed: Mapping[str, str],
    notes: Sequence[str],
) -> N:
    """Return `network` with other layers and connections; inputs and outputs follow.

    Args:
        network: before the edit.
        layers, connections: after it.
        renamed: layers that others took the place of.
        notes: what was done.
    """
    named = class_names(layers)
    try:
        made = replace(
            network,
            layers=layers,
            connections=connections,
            inputs=_inputs(network, layers, connections, renamed),
            outputs=_outputs(network, layers, connections, renamed),
            source=replace(network.source, values={}),  # a tensor of the file is no longer what a layer puts out
            classes=named if named != class_names(network.layers) else network.classes,
            notes=(*network.notes, *notes),
        )
    except UnreadableError as error:
        raise UsageError(error.error, error.cause, error.hint) from error
    return made


def fitting(network: N) -> N:
    """Return a network whose layers fit each other, without class names that its one output has not.

    Raises:
        UsageError: a layer does not fit behind another; both are named.
    """
    return _with_fitting_classes(network, consistent(network))


def _with_fitting_classes(network: N, sizes: Mapping[str, tuple[Activation, ...]]) -> N:
    """Return `network` without class names that its one output has another number of channels for; a detector has
    several channels of each class.
    """
    detects = network.detector is not None or any("AnchorBoxes" in layer.properties for layer in network.layers)
    if network.classes is None or detects or len(network.outputs) != 1:
        return network
    size = sizes.get(split_port(network.outputs[0], network.layers, "outputs")[0])
    if size is None or size[0].channels in (None, len(network.classes)):
        return network
    return replace(network, classes=None).with_notes(
        f"its {len(network.classes)} class names do not fit {size[0].channels} outputs: dropped"
    )


def _inputs(
    network: N, layers: LayerList, connections: tuple[Connection, ...], renamed: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the inputs of before, or what took their place, then new input layers. An input need not be an input
    layer.
    """
    fed = {c.destination for c in connections}
    first = [layer.name for layer in layers if not layer.inputs and not layer.row.is_output]
    kept = {
        name for name in network.inputs if layers.has(name) and layers[name] is network.layers[name] and name not in fed
    }
    still = [renamed.get(name, name) for name in network.inputs]
    return tuple(dict.fromkeys([*(name for name in still if name in kept or name in first), *first]))


def _outputs(
    network: N, layers: LayerList, connections: tuple[Connection, ...], renamed: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what the network puts out: what it chose to before, and every end."""
    before, after = ends(network.layers, network.connections), ends(layers, connections)
    chosen = {_renamed(name, network.layers, renamed) for name in network.outputs if name not in before}
    still = [_renamed(name, network.layers, renamed) for name in network.outputs]
    kept = [
        name
        for name in still
        if name in after or (name in chosen and layers.has(split_port(name, layers, "outputs")[0]))
    ]
    return tuple(dict.fromkeys([*kept, *after]))


def _renamed(output: str, layers: LayerList, renamed: Mapping[str, str]) -> str:
    name, port = split_port(output, layers, "outputs")
    return output if name not in renamed else renamed[name] if output == name else f"{renamed[name]}/{port}"


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, tuple) else value


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))
