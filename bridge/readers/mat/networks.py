"""From a network in a .mat file to a `Network`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.matlab import Cell, Object, Table, Unread, texts
from bridge.errors import UnreadableError
from bridge.network import Connection, LayerList, Network, Source
from bridge.network.assembly import network_of
from bridge.network.ports import automatic_names, chain, connect, with_named_ports
from bridge.readers.mat import faster_rcnn, nested, shallow, structs
from bridge.readers.mat.choice import NoNetworkError as NoNetworkError
from bridge.readers.mat.choice import choose
from bridge.readers.mat.companions import with_companions
from bridge.readers.mat.container import DEEPEST, of_file, too_deep
from bridge.readers.mat.contents import Contents, Held, contents, has_layers, is_layer, network_within
from bridge.readers.mat.layers import layer_from, plain, required, with_output_layers
from bridge.tables.layers import Mappings

MOST_NOTES = 5_000


def load(path: Path, tables: Mappings, variable: str | None = None) -> Network:
    """Read the network of a .mat file.

    Args:
        path: the file.
        tables: the layer rows.
        variable: the address of one, where the file holds several.

    Raises:
        SeveralNetworksError: several networks and no choice.
        UsageError: an address that leads to no network.
        NoNetworkError: no network in the file; what it holds is listed.
    """
    found = contents(path)
    held = choose(found, variable)
    return with_companions(read_held(held, found, tables), held, found)


def read_held(held: Held, found: Contents, tables: Mappings) -> Network:
    """Make a `Network` of a network in a file."""
    notes: list[str] = []
    try:
        network = network_from(held.value, found, tables, notes)
    except UnreadableError as error:
        raise of_file(error, found.path) from error
    return network.with_notes(*notes)


def network_from(
    value: Any, held: Contents, tables: Mappings, notes: list[str], within: tuple[str, ...] = ()
) -> Network:
    """Make a `Network` of a network's saved value; `within` names the network layers it lies in."""
    if len(within) > DEEPEST:
        raise too_deep("networks")
    source = Source(str(held.path), held.format, "MATLAB")
    if isinstance(value, Object) and shallow.is_shallow(value.properties):
        value = value.properties
    if isinstance(value, dict) and not has_layers(value):
        read = structs.network_from if structs.is_struct_form(value) else shallow.network_from
        return read(value, source, tables)
    inner = network_within(value) if isinstance(value, Object) else None
    if inner is not None:
        network = network_from(inner, held, tables, notes)
        proposals = value.properties.get(faster_rcnn.PROPOSALS)
        if isinstance(proposals, dict):
            network = faster_rcnn.joined(network, network_from(proposals, held, tables, notes), value, tables)
        return _with_detector(network, value)
    return _layered(value, held, tables, notes, within)


def _layered(value: Any, held: Contents, tables: Mappings, notes: list[str], within: tuple[str, ...]) -> Network:
    """Make a `Network` of layers and the table of their connections."""
    saved, kind, fields = value, "Layers", {}
    if isinstance(value, dict):
        kind, fields = "DAGNetwork", value
    elif isinstance(value, Object) and not is_layer(value):
        kind, fields = value.class_name.rpartition(".")[2], value.properties
        graph = required(fields.get("LayerGraph"))
        fields = {**(graph.properties if isinstance(graph, Object) else {}), **fields}
    if fields:
        saved = required(fields.get("Layers"))
    layers, blocks = _layers(_checked(saved, kind), held, tables, notes, within)
    table = required(fields.get("Connections"))
    branch = fields.get("RegLayers")
    if isinstance(table, Table):
        pairs = pairs_of(table)
        layers = with_named_ports(layers, pairs, known=blocks)
        connections = connect(pairs, layers)
    elif branch is not None:
        more, _ = _layers(_checked(branch, kind), held, tables, notes, within)
        layers, connections = _branched(layers, more, plain(fields.get("BranchLayerIdx")))
        layers, connections = faster_rcnn.with_region_input(layers, connections, tables)
    else:
        connections = chain(layers)
    layers = with_output_layers(layers, connections, kind, notes)
    names = plain(fields.get("OutputNames"))
    outputs = names if isinstance(names, tuple) else ()
    if blocks:
        layers, connections, outputs = nested.expanded(layers, connections, outputs, blocks)
    source = Source(str(held.path), held.format, "MATLAB")
    return network_of(Network, kind, layers, connections, source, outputs=outputs)


def _layers(
    saved: list[Object], held: Contents, tables: Mappings, notes: list[str], within: tuple[str, ...]
) -> tuple[LayerList, dict[str, Network]]:
    """Make the layers, and by layer name the networks that some of them hold."""
    made, blocks = [], {}
    for each, name in zip(saved, _names(saved, tables, notes), strict=True):
        network = nested.network_in(each)
        if network is None:
            made.append(layer_from(each, name, tables, notes))
            continue
        if len(notes) > MOST_NOTES:  # each network leaves one; shared ones can multiply without end
            raise UnreadableError(
                f"more than {MOST_NOTES:,} networks inside networks", "they multiply", "save one of them"
            )
        blocks[name] = network_from(network, held, tables, notes, (*within, name))
        made.append(nested.placeholder(name, blocks[name]))
        notes.append(
            f"layer '{'/'.join((*within, name))}' holds a network, whose {len(blocks[name].layers)} layers have its "
            "name in front"
        )
    return LayerList(made), blocks


def _checked(saved: Any, kind: str) -> list[Object]:
    """Return saved layers.

    Raises:
        UnreadableError: they are none, or one of them cannot be decoded.
    """
    layers = [required(each) for each in (saved if isinstance(saved, Cell) else [saved])]
    if not layers or not all(isinstance(each, Object) for each in layers):
        missing = [number for number, each in enumerate(layers, 1) if each is None]
        cause = f"layer {missing[0]} is a null handle" if missing else "its object data are of an unknown form"
        raise UnreadableError(f"the {kind} holds no layers", cause, "save it again in MATLAB")
    strange = next((each for each in layers if not is_layer(each) and "Name" not in each.properties), None)
    if strange is not None:
        raise UnreadableError(f"the {kind} holds a {strange.class_name} among its layers", "a layer has a name")
    return layers


def _name(saved: Object) -> str:
    """Return a layer's name, "" where it has none; layers of detectors of R2018 keep it in the layer that they wrap."""
    wrapped = saved.properties.get("PrivateLayer")
    held = (saved.properties, wrapped.properties if isinstance(wrapped, Object) else {})
    name = next((name for each in held if (name := plain(each.get("Name")))), "")
    if not isinstance(name, str):
        raise UnreadableError(f"a layer of class {saved.class_name} has the name {name!r}", "a name is a text")
    return name


def _names(saved: Sequence[Object], tables: Mappings, notes: list[str]) -> list[str]:
    """Return the names of layers; layers of an array that was never trained may have none yet."""
    names = [_name(each) for each in saved]
    if "" not in names:
        return names
    rows = [tables.by_class(each.class_name) for each in saved]
    constructors = [
        row.constructor if row else each.class_name.rpartition(".")[2] for row, each in zip(rows, saved, strict=True)
    ]
    made = automatic_names(constructors, names)
    new = [name for name, old in zip(made, names, strict=True) if not old]
    notes.append(f"layers without a name have the one that training gives them: {', '.join(new)}")
    return made


def _branched(layers: LayerList, branch: LayerList, after: Any) -> tuple[LayerList, tuple[Connection, ...]]:
    """Join a chain and one that branches off behind its layer number `after`, as detectors up to R2018 keep them."""
    if not isinstance(after, int) or not 0 < after <= len(layers):
        raise UnreadableError(
            f"a branch behind layer {after} of {len(layers)}", "BranchLayerIdx is the number of a layer"
        )
    source, first = layers[after - 1], branch[0]
    branching = Connection(source.name, first.name, source.outputs[0], first.inputs[0])
    return LayerList((*layers, *branch)), (*chain(layers), branching, *chain(branch))


def pairs_of(table: Table) -> list[tuple[str, str]]:
    """Read the Connections table: its columns Source and Destination, with ports where a layer has several."""
    columns = [texts(each) for each in list(table.columns.values())[:2]]
    if len(columns) < 2 or None in columns:
        raise UnreadableError(
            "the table of connections is damaged", "it has no columns Source and Destination", "save the network again"
        )
    sources, destinations = (each or () for each in columns)
    if len(sources) != len(destinations):
        raise UnreadableError(
            "the table of connections is damaged", "its columns differ in length", "save the network again"
        )
    return list(zip(sources, destinations, strict=True))


def _with_detector(network: Network, detector: Object) -> Network:
    networks = ("Network", faster_rcnn.PROPOSALS)
    saved = detector.properties.items()
    fields = {key: each for key, each in saved if key not in networks and not isinstance(each, Unread)}
    anchors = fields.get("AnchorBoxes")
    facts = {"class": detector.class_name, **{key: plain(value) for key, value in fields.items()}}
    if isinstance(anchors, np.ndarray):
        facts["AnchorBoxes"] = _pairs(anchors)
    elif isinstance(anchors, Cell) and all(isinstance(each, np.ndarray) for each in anchors):  # a matrix for each head
        facts["AnchorBoxes"] = tuple(map(_pairs, anchors))
    classes = facts.get("ClassNames")
    return replace(network, detector=facts, classes=classes if isinstance(classes, tuple) else network.classes)


def _pairs(matrix: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    return tuple(tuple(pair) for pair in matrix.tolist())
