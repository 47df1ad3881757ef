"""What the fields of values are: properties of layers, networks, options, datastores, structs and tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tree_sitter import Node

from bridge.errors import UsageError
from bridge.recipes.script.syntax import text
from bridge.recipes.script.values import Cell, Char, Column, ColumnCell, Graph, Layers, Many, Options, Place, Sourced, Store, Struct, Symbol, Table, Unknown

if TYPE_CHECKING:
    from bridge.recipes.script.evaluate import Evaluator

OF_DATA = {"Labels": "labels", "Files": "files", "NumObservations": "observations", "NumFiles": "observations"}


def field(reader: Evaluator, value: Any, key: str, node: Node) -> Any:
    """Return a field of a value."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Struct) and "" in value and key not in value:
        return loaded(value[""], key, Unknown(text(node), reader.place(node)))
    if isinstance(value, Many):
        return Many(field(reader, each, key, node) for each in value)
    found = _field(value, key)
    return Unknown(text(node), reader.place(node), f"'{key}' is not known here") if found is None else found


def loaded(found: Any, key: str, nothing: Unknown) -> Any:
    """Return a variable of a file: its network under any name that speaks of one; data is not read."""
    is_network = any(word in key.lower() for word in ("net", "lgraph", "layers", "detector"))
    return found if is_network else nothing


def _field(value: Any, key: str) -> Any:
    if isinstance(value, (Struct, Table)):
        return value.get(key)
    if isinstance(value, Layers):
        found = [item.get("Classes" if key == "ClassNames" else key) for item in value]
        return found[0] if len(found) == 1 else Many(found) if None not in found else None
    if isinstance(value, Graph):
        return _of_graph(value, key)
    if isinstance(value, Options):
        return value.given[key].value if key in value.given else None
    if isinstance(value, Store):
        given = value.arguments.get(key)
        return given.value if given else Symbol(OF_DATA[key], data=value) if key in OF_DATA else None
    if isinstance(value, Symbol) and value.kind == "label counts" and key == "Label":
        return Symbol("classes", data=value.data)
    if isinstance(value, tuple) and value and all(isinstance(each, Struct) for each in value):
        found = [each.get(key) for each in value]
        return Many(found) if None not in found else None
    return None


def _of_graph(graph: Graph, key: str) -> Any:
    if key == "Layers":
        return graph.layers
    if key == "Connections":
        short = [[end.removesuffix("/out").removesuffix("/in") for end in link] for link in graph.links]
        return Table(Source=ColumnCell(Char(a) for a, _ in short), Destination=ColumnCell(Char(b) for _, b in short))
    if key == "Learnables":
        rows = [(item.name, learnable) for item in graph.layers for learnable in item.learn_rates]
        return Table(Layer=Column(a for a, _ in rows), Parameter=Column(b for _, b in rows), Value=ColumnCell(() for _ in rows))
    if key in ("InputNames", "OutputNames"):
        ends = {destination if key == "InputNames" else source for source, destination in graph.links}
        return Cell(Char(item.name) for item in graph.layers if not any(end.rpartition("/")[0] == item.name for end in ends))
    return None


def set_field(held: Any, key: str, value: Any, place: Place, nothing: Unknown) -> Any:
    """Return a value with a field set; `nothing` where that cannot be followed. A datastore changes in place, as in MATLAB."""
    if isinstance(held, Struct):
        return type(held)({**held, key: value})
    if isinstance(held, Layers) and len(held) == 1:
        if key == "Name" and not isinstance(value, str):
            return value if isinstance(value, Unknown) and value.why else nothing
        if held[0].row is not None and key.endswith("Factor") and key not in held[0].properties:
            raise UsageError(f"layer '{held[0].name}' has no property {key}", f"it is a {held[0].row.name}", "MATLAB refuses this assignment")
        return Layers((held[0].set(key, value, place),))
    if isinstance(held, Options):
        return replace(held, given={**held.given, key: Sourced(value, place)})
    if isinstance(held, Store):
        held.arguments[key] = Sourced(value, place)
        return held
    return held if isinstance(held, Graph) and key in ("Learnables", "State") else nothing
