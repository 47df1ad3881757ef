"""What lies beside a network in its file and belongs to it: options, log, class names, data and their scaling."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bridge.arrays.matlab import equal, names
from bridge.errors import BridgeError
from bridge.network import Network
from bridge.readers.mat.contents import Contents, Held

MOST_TOLD = 8  # variables that a note names
SCALERS = ("mapminmax", "mapstd", "processpca", "removeconstantrows", "fixunknowns")
STATISTIC = re.compile(
    r"(mu|mean|sig|sigma|std|stddev)([XYT]|[xyt]|_?(train|input|output|target)s?)?|[XYT](mu|Mean|Std)"
)


def with_companions(network: Network, held: Held, found: Contents) -> Network:
    """Return a network with the options, log and class names that lie beside it, and notes of what else does."""
    notes: list[str] = []
    options = network.training_options or _nearest("training options", found.options, held, notes)
    log = network.training_info or _nearest("training logs", found.logs, held, notes)
    network = replace(network, training_options=options, training_info=log)
    classes = fitting_classes(network, found)
    if network.classes is None and len(set(classes.values())) == 1:
        name, listed = next(iter(classes.items()))
        network = replace(network, classes=listed)
        notes.append(f"the classes are those of '{name}' beside it, as many as the network has outputs")
    elif network.classes is None and classes:
        notes.append(f"as class names fit {', '.join(classes)}; --classes {found.path}:NAME takes one of them")
    return network.with_notes(*notes, *_others(held, found), *_data(network, found), *found.unread)


def _nearest(
    what: str, known: Mapping[str, Mapping[str, Any]], held: Held, notes: list[str]
) -> Mapping[str, Any] | None:
    """Return the options or log in the struct or cell that the network lies in, else among the variables, else any."""
    near = _parent(held.address)
    beside, variables = ([each for each in known if _parent(each) == parent] for parent in (near, ""))
    chosen = beside or variables or [*known]
    if len(chosen) > 1:
        notes.append(f"the file holds {len(chosen)} {what}, {', '.join(chosen)}; the first is taken")
    return known[chosen[0]] if chosen else None


def _parent(address: str) -> str:
    return address.rpartition(".")[0]


def fitting_classes(network: Network, found: Contents) -> dict[str, tuple[str, ...]]:
    """Return the lists of names beside a network that have one name for each score it gives, by variable."""
    if len(network.outputs) != 1 or network.detector is not None:
        return {}
    last = network.outputs[0].partition("/")[0]
    if not network.layers.has(last) or "scores" not in network.layers[last].row.traits:
        return {}
    try:
        channels = network.sizes[last][0].channels
    except BridgeError:  # which is told when the sizes are needed
        return {}
    listed = {name: names(found.values[name]) for name, kind in found.others.items() if _may_list(kind, channels)}
    return {name: each for name, each in listed.items() if len(each) == channels == len(set(each))}


def _may_list(described: str, count: int | None) -> bool:
    """Whether a variable can be a list of so many names: a cell, strings, or labels of any number."""
    size, _, kind = described.rpartition(" ")
    return kind == "categorical" or (kind in ("cell", "string") and math.prod(map(int, size.split("x"))) == count)


def _others(held: Held, found: Contents) -> Iterator[str]:
    others = [each for each in found.networks.values() if each.address != held.address]
    if others:
        shown = [f"{each.address} ({_relation(each, held)}{each.kind})" for each in others]
        yield f"'{held.address}' is read; the file also holds {_listed(shown)}"


def _relation(other: Held, held: Held) -> str:
    if not other.has_weights:
        return "untrained "
    return "equal " if other.kind == held.kind and equal(other.value, held.value) else ""


def _data(network: Network, found: Contents) -> Iterator[str]:
    """Yield notes on what else was saved with the network: settings of scalings, statistics, inputs and outputs."""
    structs = [name for name, kind in found.others.items() if kind == "struct"]
    settings = [f"{name} ({kind})" for name in structs if (kind := _scaler(found.values[name]))]
    if settings:
        yield f"beside it are settings of scalings, which are not applied: {_listed(settings)}"
    statistics = [f"{name} ({kind})" for name, kind in found.others.items() if STATISTIC.fullmatch(name)]
    if statistics:
        yield f"beside it are what may be statistics of its data, which are not applied: {_listed(statistics)}"
    inputs = [f"{name} ({kind})" for name, kind in found.others.items() if _is_input(network, kind)]
    if inputs:
        yield f"of the size of its input are {_listed(inputs)}"


def _scaler(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    name = value.get("name")
    return name if isinstance(name, str) and name in SCALERS else ""


def _is_input(network: Network, described: str) -> bool:
    """Whether an array of numbers has the size of the network's only input, and as many observations as it may."""
    size, _, kind = described.partition(" ")
    layer = network.layers[network.inputs[0]] if len(network.inputs) == 1 else None
    numeric = re.fullmatch(r"\d+(x\d+)+", size) and kind not in ("logical", "cell", "struct", "categorical")
    if layer is None or not numeric:
        return False
    wanted = layer.properties.get("InputSize")
    dims = tuple(map(int, size.split("x")))
    if isinstance(wanted, tuple):
        spatial = wanted[:-1] if wanted[-1] == 1 else wanted
        return dims[: len(wanted)] == wanted or dims == spatial
    return isinstance(wanted, int) and wanted > 1 and wanted in dims and len(dims) == 2


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - MOST_TOLD} more" if len(items) > MOST_TOLD else ""
    return ", ".join(items[:MOST_TOLD]) + more
