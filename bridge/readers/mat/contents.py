"""What a .mat file holds: networks wherever they lie, training options, logs, and the rest.

A value has an address, written as MATLAB would write it: `net`, `s(2).net`, `results{3}.net`,
`agent.Critic.Model_.Network_`. Objects are looked into by their saved properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.arrays.lazy import Array
from bridge.arrays.matlab import Cell, Object, ObjectArray, StructArray, Table, Unread, describe
from bridge.errors import UnreadableError
from bridge.readers.mat import shallow, structs
from bridge.readers.mat.container import DEEPEST, Variable
from bridge.readers.mat.file import MatFile
from bridge.readers.mat.layers import plain

NETWORKS = ("SeriesNetwork", "DAGNetwork", "dlnetwork")  # classes of networks that can be trained
GRAPH = "nnet.cnn.LayerGraph"
OPTIONS_PREFIX = "nnet.cnn.TrainingOptions"
LOG_FIELDS = ("TrainingLoss", "TrainingHistory")  # one of them is in a training log
STRUCT_FIELDS = (*LOG_FIELDS, *shallow.FIELDS, structs.FIELD)  # of structs that are networks or logs
VALUE_CLASSES = ("categorical", "string", "datetime", "duration")  # whose objects hold no other object, and have a size
MOST_SPOILED = 20  # parts that cannot be read and are told one by one


@dataclass(frozen=True)
class Held:
    """A network in a file.

    Attributes:
        address: where it lies.
        value: its saved value.
        kind: its class, or "Layers" for an array of layers.
        has_weights: whether every learnable has a value.
    """

    address: str
    value: Any
    kind: str
    has_weights: bool

    @property
    def is_trained(self) -> bool:
        """Whether it is a network with weights, and not the layers of one."""
        return self.has_weights and self.kind not in ("Layers", GRAPH)


@dataclass(frozen=True)
class Contents:
    """What a .mat file holds.

    Attributes:
        networks: networks, detectors, layer graphs and layer arrays, by address.
        options: class and plain fields of saved TrainingOptions objects, by address.
        logs: training logs, as mappings of arrays, by address.
        others: size and class of every other variable.
        values: variables that are more than numbers.
        spoiled: parts that cannot be decoded, by address, and why.
    """

    path: Path
    format: str
    networks: Mapping[str, Held] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    logs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    spoiled: Mapping[str, UnreadableError] = field(default_factory=dict)

    @property
    def listed(self) -> str:
        """What the file holds apart from networks, for messages."""
        known = {**dict.fromkeys(self.options, "training options"), **dict.fromkeys(self.logs, "a training log")}
        shown = [f"{name} ({kind})" for name, kind in {**known, **self.others}.items()]
        return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "") or "nothing"

    @property
    def unread(self) -> list[str]:
        """What cannot be read and why, for notes on the file."""
        causes = {address: error.error.removeprefix(f"{self.path}: ") for address, error in self.spoiled.items()}
        return [f"{address or 'a part of the file'} cannot be read: {cause}" for address, cause in causes.items()]


def contents(path: Path) -> Contents:
    """Find everything that a .mat file holds.

    Raises:
        UnreadableError: it is no .mat file.
    """
    file, search = MatFile(path), Search()
    others: dict[str, str] = {}
    variables = list(file.variables())
    values = Decoded(each for each in variables if not each.plain)
    for each in variables:
        if each.described not in VALUE_CLASSES and not file.may_hold(each, STRUCT_FIELDS, VALUE_CLASSES):
            others[each.name] = each.described
            continue
        value = values[each.name]
        search.visit(value, each.name)
        if not {each.name} & {*search.networks, *search.options, *search.logs, *search.spoiled}:
            others[each.name] = describe(value)
    if file.damage is not None and file.damage not in search.spoiled.values():
        search.spoiled["the object data"] = file.damage
    found = search.networks, search.options, search.logs
    return Contents(path, file.format, *found, others, values, search.spoiled)


class Decoded(Mapping[str, Any]):
    """Variables by name, each decoded when it is asked for."""

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._variables = {each.name: each for each in variables}
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = self._variables[name].value
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:  # what decodes them holds the file open
        return dict, (dict(self),)


class Search:
    """Looks into values for networks, options and logs; each object is looked into once."""

    def __init__(self) -> None:
        self.networks: dict[str, Held] = {}
        self.options: dict[str, Mapping[str, Any]] = {}
        self.logs: dict[str, Mapping[str, Any]] = {}
        self.spoiled: dict[str, UnreadableError] = {}
        self._seen: set[int] = set()

    def visit(self, value: Any, address: str, depth: int = 0) -> None:
        """Find everything in a value that lies at an address."""
        if isinstance(value, Unread) and value.error is not None and len(self.spoiled) < MOST_SPOILED:
            self.spoiled[address] = value.error
        if depth > DEEPEST or not isinstance(value, (Object, Cell, dict, Table)):
            return
        if isinstance(value, Object):
            if id(value) in self._seen:
                return
            self._seen.add(id(value))
        if not self._is_found(value, address, depth):
            for part, step in parts(value):
                self.visit(part, address + step, depth + 1)

    def _is_found(self, value: Any, address: str, depth: int) -> bool:
        """Take a value that is a network, options or a log; its parts are its own."""
        if isinstance(value, Object) and value.class_name.startswith(OPTIONS_PREFIX):
            fields = {key: plain(each) for key, each in value.properties.items() if not isinstance(each, Unread)}
            self.options[address] = {"class": value.class_name, **fields}
        elif is_network(value) and (depth == 0 or not is_layer(value)):
            self.networks[address] = Held(address, value, kind_of(value), has_weights(value))
        elif any(name in _fields(value) for name in LOG_FIELDS):
            self.logs[address] = _in_memory(_fields(value))
        else:
            return False
        return True


def _fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of a struct, or of an object (trainnet's info is one), none of anything else."""
    return value.properties if isinstance(value, Object) else value if isinstance(value, dict) else {}


def _in_memory(value: Any) -> Any:
    """Read the arrays of a log, which a v7.3 file leaves for later; its tables become mappings of their columns."""
    if isinstance(value, Table):
        value = dict(value.columns)
    if isinstance(value, dict):
        return {key: _in_memory(each) for key, each in value.items()}
    return value.read() if isinstance(value, Array) else value


# Addresses


def parts(value: Any) -> Iterator[tuple[Any, str]]:
    """Yield what lies in a value, each part with the step of its address that leads there."""
    if isinstance(value, Object):
        value = value.properties
    if isinstance(value, Table):
        value = value.columns
    if isinstance(value, Mapping):
        yield from ((each, f".{name}") for name, each in value.items())
    elif isinstance(value, (StructArray, ObjectArray)):
        yield from ((each, f"({index})") for index, each in enumerate(value, 1))
    elif isinstance(value, Cell):
        yield from ((each, f"{{{index}}}") for index, each in enumerate(value, 1))


def at(found: Contents, address: str) -> Any:
    """Return the value at an address, None where there is none; spaces do not matter, nor (1) behind one value."""
    wanted = address.replace(" ", "")
    places = [(found.values[name], name) for name in found.values if wanted.startswith(name)]
    for _ in range(DEEPEST):
        places = [(value, step) for value, step in places if wanted.startswith(step)]
        exact = [value for value, place in places if wanted == place]
        if exact:
            return exact[0]
        inside = [(part, place + step) for value, place in places for part, step in parts(value)]
        inside += [(value, place + "(1)") for value, place in places if isinstance(value, (dict, Object))]
        places = inside
    return None


# What is a network


def is_network(value: Any) -> bool:
    """Whether a value can be read as a network: a network, a detector, layers in a graph, an array or alone."""
    if isinstance(value, Object):
        known = value.class_name in (*NETWORKS, GRAPH) or is_layer(value) or shallow.is_shallow(value.properties)
        return known or network_within(value) is not None
    if isinstance(value, Cell):
        return bool(value) and all(is_layer(item) for item in value)
    return isinstance(value, dict) and (structs.is_struct_form(value) or shallow.is_shallow(value) or has_layers(value))


def is_layer(value: Any) -> bool:
    """Whether a value is a layer."""
    if not isinstance(value, Object):
        return False
    return ".layer." in value.class_name or ("Name" in value.properties and value.class_name.endswith("Layer"))


def has_layers(value: Mapping[str, Any]) -> bool:
    """Whether a struct is a network of a detector from before layer graphs: Layers, and RegLayers that branch off."""
    layers = value.get("Layers")
    return isinstance(layers, Cell) and bool(layers) and all(is_layer(each) for each in layers)


def network_within(value: Object) -> Object | Mapping[str, Any] | None:
    """Return the network that a detector holds as its Network, and no other beside it but one that finds regions; None
    for any other object.
    """
    network = value.properties.get("Network")
    if isinstance(network, dict) and has_layers(network):
        return network
    held = [each for each in value.properties.values() if isinstance(each, Object) and each.class_name in NETWORKS]
    return network if held and len(held) == 1 and held[0] is network else None


def kind_of(value: Any) -> str:
    """Return the class of a network's value, "Layers" for layers without a graph."""
    if isinstance(value, Object):
        return "Layers" if is_layer(value) else value.class_name
    if isinstance(value, Cell):
        return "Layers"
    return str(value["Kind"]) if structs.is_struct_form(value) else "DAGNetwork" if has_layers(value) else "network"


def has_weights(value: Any) -> bool:
    """Whether a network's learnables have values. Those of the user's own layers cannot be told from properties."""
    if isinstance(value, Object):
        inner = network_within(value)
        if inner is not None:
            return has_weights(inner)
        if shallow.is_shallow(value.properties):
            return shallow.has_weights(value.properties)
        if value.class_name in NETWORKS[:2]:
            return True
        graph = value.properties.get("LayerGraph")
        held = graph.properties if isinstance(graph, Object) else value.properties
        value = value if is_layer(value) else held.get("Layers")
    elif isinstance(value, dict) and shallow.is_shallow(value):
        return shallow.has_weights(value)
    elif isinstance(value, dict):
        value = value.get("Layers")
    sizes = list(_sizes(value))
    return bool(sizes) and all(sizes)


def _sizes(layers: Any) -> Iterator[int]:
    """Yield the number of values of every learnable that is saved with its factors."""
    for layer in layers if isinstance(layers, Cell) else [layers]:
        held = layer.properties if isinstance(layer, Object) else {}
        if isinstance(layer, dict):  # of the struct form
            held = layer.get("Learnables", held)
        for value in held.values() if isinstance(held, Mapping) else ():
            if isinstance(value, dict) and "LearnRateFactor" in value:
                yield getattr(value.get("Value"), "size", 0)
