"""From the variables of a .mat file to a `Network`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError, UsageError, nearest
from bridge.network import LayerList, Network, Source
from bridge.network.assembly import network_of
from bridge.network.ports import chain, connect, with_named_ports
from bridge.readers.mat import nested, shallow, structs, v5
from bridge.readers.mat.layers import layer_from, plain
from bridge.readers.mat.objects import Object, Objects
from bridge.readers.mat.v5 import Cell
from bridge.tables.layers import Mappings

if TYPE_CHECKING:
    from bridge.readers.mat import hdf5

NETWORKS = ("SeriesNetwork", "DAGNetwork", "dlnetwork", "nnet.cnn.LayerGraph")
OPTIONS_PREFIX = "nnet.cnn.TrainingOptions"
MOST_NOTES = 5_000
UNTRUSTED_V73 = "no .mat v7.3 written by MATLAB itself has been compared with this reader yet"


@dataclass(frozen=True)
class Contents:
    """What a .mat file holds, by variable name.

    Attributes:
        networks: variables that are networks, detectors or layer arrays.
        options: class and plain fields of saved TrainingOptions objects.
        logs: training logs, as dicts of arrays.
        others: (class, dims) of everything else.
    """

    path: Path
    format: str
    networks: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    logs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


class NoNetworkError(UnreadableError):
    """A .mat file without a network; `held` is what it holds instead."""

    def __init__(self, held: Contents) -> None:
        holds = {
            **dict.fromkeys(held.options, "training options"),
            **dict.fromkeys(held.logs, "a training log"),
            **held.others,
        }
        listed = ", ".join(f"{name} ({kind})" for name, kind in list(holds.items())[:12]) or "nothing"
        super().__init__(
            f"{held.path} holds no network", f"it holds {listed}", "save the network itself: save('net.mat', 'net')"
        )
        self.held = held

    def __reduce__(self) -> tuple[type[NoNetworkError], tuple[Contents]]:  # type: ignore[override]
        return type(self), (self.held,)


def variables(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of a .mat file, v5 or v7.3, with every object reference resolved; an error names the file."""
    try:
        yield from _variables(path)
    except UnreadableError as error:
        if path.name in error.error:
            raise
        raise UnreadableError(f"{path}: {error.error}", error.cause, error.hint) from error


def _variables(path: Path) -> Iterator[tuple[str, Any]]:
    file = _opened(path)
    wrapper = file.subsystem()
    content = (
        wrapper["MCOS"].content if isinstance(wrapper, dict) and isinstance(wrapper.get("MCOS"), v5.Opaque) else None
    )
    objects = Objects(content.__getitem__, len(content)) if content is not None else None
    for name, value in file.variables():
        yield name, objects.resolve(value) if objects else value


def _opened(path: Path) -> hdf5.File | v5.File:
    if not is_hdf5(path):
        return v5.File(path)
    from bridge.readers.mat import hdf5  # h5py takes a third of the time of inspecting a small v5 file

    return hdf5.File(path)


def is_hdf5(path: Path) -> bool:
    """Whether a .mat file is v7.3; MATLAB puts 512 bytes of its own before the HDF5 signature."""
    with path.open("rb") as stream:
        head = stream.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])


def contents(path: Path) -> Contents:
    """Sort the variables of a .mat file by what they are."""
    found = Contents(path, "mat v7.3" if is_hdf5(path) else "mat v5", {}, {}, {}, {})
    for name, value in variables(path):
        kind = value.class_name if isinstance(value, Object) else ""
        if kind.startswith(OPTIONS_PREFIX):
            found.options[name] = {"class": kind, **{key: plain(each) for key, each in value.properties.items()}}  # type: ignore[index]
        elif is_network(value):
            found.networks[name] = value  # type: ignore[index]
        elif isinstance(value, dict) and ("TrainingLoss" in value or "TrainingHistory" in value):
            found.logs[name] = _in_memory(value)  # type: ignore[index]
        else:
            found.others[name] = describe(value)  # type: ignore[index]
    return found


def _in_memory(value: Any) -> Any:
    """Read the arrays of a log, which a v7.3 file leaves for later."""
    if isinstance(value, dict):
        return {key: _in_memory(each) for key, each in value.items()}
    return value.read() if isinstance(value, Array) else value


def is_network(value: Any) -> bool:
    if isinstance(value, Object):
        return value.class_name in NETWORKS or _is_layer(value) or is_network(value.properties.get("Network"))
    if isinstance(value, Cell):
        return bool(value) and all(isinstance(item, Object) and _is_layer(item) for item in value)
    return isinstance(value, dict) and (structs.is_struct_form(value) or shallow.is_shallow(value))


def _is_layer(value: Object) -> bool:
    return ".layer." in value.class_name or ("Name" in value.properties and value.class_name.endswith("Layer"))


def describe(value: Any) -> str:
    """Say class and size of a value: "3x3x3x10000 single"."""
    if isinstance(value, (Object, v5.Opaque)):
        return value.class_name
    if isinstance(value, v5.Unread):
        return value.kind
    if isinstance(value, Cell):
        return f"{'x'.join(map(str, value.dims))} cell"
    if isinstance(value, (str, list)):
        return "char"
    if isinstance(value, dict):
        return "struct"
    names = {"float32": "single", "float64": "double", "bool": "logical"}
    shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", type(value).__name__))
    return f"{'x'.join(map(str, shape))} {names.get(dtype, dtype)}" if shape is not None else dtype


def load(path: Path, tables: Mappings, variable: str | None = None) -> Network:
    """Read the network of a .mat file.

    Args:
        path: the file.
        tables: the layer rows.
        variable: which one, where the file holds several.

    Raises:
        UsageError: several networks and no choice, or a variable that is none.
        NoNetworkError: no network in the file; what it holds is listed.
    """
    held = contents(path)
    name = choose(held, variable)
    notes = [UNTRUSTED_V73] if held.format == "mat v7.3" else []
    network = network_from(held.networks[name], held, tables, notes)
    options, log = (
        _first(what, found, notes) for what, found in (("training options", held.options), ("training logs", held.logs))
    )
    return replace(
        network,
        notes=(*network.notes, *notes),
        training_options=network.training_options or options,
        training_info=network.training_info or log,
    )


def _first(what: str, found: Mapping[str, Mapping[str, Any]], notes: list[str]) -> Mapping[str, Any] | None:
    if len(found) > 1:
        notes.append(f"the file holds {len(found)} {what}, {', '.join(found)}; the first is taken")
    return next(iter(found.values()), None)


def choose(held: Contents, variable: str | None) -> str:
    """Return the name of the network variable to read."""
    if variable is not None:
        if variable not in held.networks:
            known = [*held.networks, *held.options, *held.logs, *held.others]
            raise UsageError(f"{held.path} holds no network named '{variable}'", nearest(variable, known))
        return variable
    if not held.networks:
        raise NoNetworkError(held)
    if len(held.networks) > 1:
        raise UsageError(
            f"{held.path} holds {len(held.networks)} networks",
            f"they are {', '.join(held.networks)}",
            "choose one with --variable NAME",
        )
    return next(iter(held.networks))


def network_from(
    value: Any, held: Contents, tables: Mappings, notes: list[str], within: tuple[str, ...] = ()
) -> Network:
    """Make a `Network` of a network variable's value; `within` names the network layers it lies in."""
    if len(within) > v5.DEEPEST:
        raise v5.damaged(f"more than {v5.DEEPEST} levels of networks")
    source = Source(str(held.path), held.format, "MATLAB")
    if isinstance(value, dict):
        read = structs.network_from if structs.is_struct_form(value) else shallow.network_from
        return read(value, source, tables)
    if isinstance(value, Object) and not _is_layer(value) and is_network(value.properties.get("Network")):
        return _with_detector(network_from(value.properties["Network"], held, tables, notes), value)
    saved, kind, fields = value, "Layers", {}
    if isinstance(value, Object) and not _is_layer(value):
        kind, fields = value.class_name.rpartition(".")[2], value.properties
        graph = fields.get("LayerGraph")
        inner = graph.properties if isinstance(graph, Object) else fields
        saved = inner.get("Layers")
        fields = {**inner, **fields}
    saved = [saved] if isinstance(saved, Object) else saved
    if not isinstance(saved, list) or not saved or not all(isinstance(each, Object) for each in saved):
        raise UnreadableError(
            f"{held.path}: the {kind} holds no layers",
            "its object data is damaged or of an unknown version",
            "save it again",
        )
    layers, blocks = _layers(saved, held, tables, notes, within)
    table = fields.get("Connections")
    if isinstance(table, Object):
        pairs = pairs_of(table)
        layers = with_named_ports(layers, pairs, known=blocks)
        connections = connect(pairs, layers)
    else:
        connections = chain(layers)
    names = plain(fields.get("OutputNames"))
    outputs = names if isinstance(names, tuple) else ()
    if blocks:
        layers, connections, outputs = nested.expanded(layers, connections, outputs, blocks)
    return network_of(Network, kind, layers, connections, source, outputs=outputs)


def _layers(
    saved: list[Object], held: Contents, tables: Mappings, notes: list[str], within: tuple[str, ...]
) -> tuple[LayerList, dict[str, Network]]:
    """Make the layers, and by layer name the networks that some of them hold."""
    made, blocks = [], {}
    for each in saved:
        network = nested.network_in(each)
        if network is None:
            made.append(layer_from(each, tables, notes))
            continue
        if len(notes) > MOST_NOTES:  # each network leaves one; shared ones can multiply without end
            raise v5.damaged(f"more than {MOST_NOTES:,} networks inside networks")
        name = str(plain(each.properties.get("Name")))
        blocks[name] = network_from(network, held, tables, notes, (*within, name))
        made.append(nested.placeholder(name, blocks[name]))
        notes.append(
            f"layer '{'/'.join((*within, name))}' holds a network, whose {len(blocks[name].layers)} layers have its "
            "name in front"
        )
    return LayerList(made), blocks


def pairs_of(table: Object) -> list[tuple[str, str]]:
    """Read the Connections table: its columns Source and Destination, with ports where a layer has several."""
    columns = table.properties.get("data")
    if not isinstance(columns, Cell) or len(columns) < 2:
        raise UnreadableError(
            "the table of connections is damaged", "it has no columns Source and Destination", "save the network again"
        )
    sources, destinations = ([each] if isinstance(each, str) else [str(item) for item in each] for each in columns[:2])
    if len(sources) != len(destinations):
        raise UnreadableError(
            "the table of connections is damaged", "its columns differ in length", "save the network again"
        )
    return list(zip(sources, destinations, strict=True))


def _with_detector(network: Network, detector: Object) -> Network:
    fields = {key: value for key, value in detector.properties.items() if key != "Network"}
    anchors = fields.get("AnchorBoxes")
    facts = {"class": detector.class_name, **{key: plain(value) for key, value in fields.items()}}
    if isinstance(anchors, np.ndarray):
        facts["AnchorBoxes"] = _pairs(anchors)
    elif isinstance(anchors, Cell) and all(
        isinstance(each, np.ndarray) for each in anchors
    ):  # one matrix for each head
        facts["AnchorBoxes"] = tuple(map(_pairs, anchors))
    classes = facts.get("ClassNames")
    return replace(network, detector=facts, classes=classes if isinstance(classes, tuple) else network.classes)


def _pairs(matrix: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    return tuple(tuple(pair) for pair in matrix.tolist())
