"""Networks saved as plain structs by `bridgeExport.m` (the layout is in docs/mat-structs.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.arrays.matlab import Cell, Object
from bridge.errors import UnreadableError, UnsupportedError
from bridge.network import Layer, LayerList, Network, Source, require_ports
from bridge.network.assembly import network_of
from bridge.network.ports import connect
from bridge.readers.mat.layers import as_array, layer_from, plain, with_output_layers
from bridge.tables.layers import Mappings, table

FIELD = "Format"  # which tells the struct form
FORMAT = "bridge.network/"
VERSION = FORMAT + "1"


def is_struct_form(value: dict[str, Any]) -> bool:
    return str(value.get(FIELD, "")).startswith(FORMAT)


def network_from(value: dict[str, Any], source: Source, tables: Mappings) -> Network:
    """Make a `Network` of the struct that bridgeExport.m saved.

    Raises:
        UnsupportedError: it has a later format, or a layer has learnables that its row does not know.
        UnreadableError: a part is missing or contradicts another.
    """
    if value["Format"] != VERSION:
        hint = "export with the bridgeExport.m of this version of bridge"
        raise UnsupportedError(f"{source.path} has the format {value['Format']}", f"{VERSION} is read here", hint)
    saved = value.get("Layers")
    if not isinstance(saved, Cell) or not saved or not all(isinstance(each, dict) for each in saved):
        raise UnreadableError(
            f"{source.path} holds no layers", "Layers is a column of structs", "export the network again"
        )
    notes: list[str] = []
    layers = LayerList(_layer(each, tables, notes) for each in saved)
    kind, connections = _text(value, "Kind"), connect(_pairs(value, source), layers)
    network = network_of(
        Network,
        kind,
        with_output_layers(layers, connections, kind, notes),
        connections,
        _origin(value, source),
        inputs=_texts(value, "InputNames"),
        outputs=_texts(value, "OutputNames"),
        classes=_texts(value, "Classes"),
    )
    options, info = _training_options(_struct(value, "TrainingOptions")), _struct(value, "TrainingInfo")
    return replace(network, notes=tuple(notes), training_options=options, training_info=info or None)


def _origin(value: dict[str, Any], source: Source) -> Source:
    release, toolbox = _text(value, "Release"), _text(value, "Toolbox")
    producer = f"MATLAB Deep Learning Toolbox {toolbox}" if toolbox else source.producer
    return replace(source, producer=producer, release=f"R{release}" if release else "")


def _layer(saved: dict[str, Any], tables: Mappings, notes: list[str]) -> Layer:
    learnables, state = _struct(saved, "Learnables"), _struct(saved, "State")
    fields = {**_struct(saved, "Properties"), **learnables, **state, "Name": saved.get("Name")}
    layer = layer_from(Object(_text(saved, "Class"), fields), _name(saved), tables, notes)
    if layer.row.is_unknown:
        arrays = {name: array for name, each in state.items() if (array := as_array(each)) is not None}
        layer = replace(
            layer, state=arrays, properties={key: each for key, each in layer.properties.items() if key not in state}
        )
    lost = sorted(set(learnables) - set(layer.learnables))
    if lost:
        what = f"layer '{layer.name}' ({layer.kind}) has the learnables {', '.join(lost)}"
        raise UnsupportedError(what, "its row of the tables does not know them")
    unsaved = [name for name in _texts(saved, "Skipped") if name in layer.row.properties]
    if unsaved:
        notes.append(f"layer '{layer.name}': MATLAB did not give its {', '.join(unsaved)}")
    layer = replace(
        layer, inputs=_texts(saved, "InputNames") or layer.inputs, outputs=_texts(saved, "OutputNames") or layer.outputs
    )
    return layer if layer.row.is_unknown else require_ports(layer)


def _name(saved: dict[str, Any]) -> str:
    name = _text(saved, "Name")
    if not name:
        raise UnreadableError(f"a layer of class {_text(saved, 'Class')} has no name", "every exported layer has one")
    return name


def _training_options(saved: dict[str, Any]) -> Mapping[str, Any] | None:
    """Return the options as those of a saved object are: the class, then the fields as plain values."""
    if not saved:
        return None
    solvers, rows = table("solvers")["solvers"].values(), table("training_options")["options"]
    class_name = next((row["matlab"] for row in solvers if row["told_by"] in saved), "")
    schedules = {name for name in saved if rows.get(name, {}).get("kind") == "schedule"}
    return {
        "class": class_name,
        **{name: _schedule(each) if name in schedules else plain(each) for name, each in saved.items()},
    }


def _schedule(saved: Any) -> Any:
    """Return a text, a schedule object as a mapping that `bridge.options.values.schedule` knows, or a
    tuple of them.
    """
    if isinstance(saved, Cell):
        return tuple(_schedule(each) for each in saved)
    if isinstance(saved, dict):
        properties = {name: plain(each) for name, each in _struct(saved, "Properties").items()}
        return {"schedule": _text(saved, "Class").rpartition(".")[2], **properties}
    return plain(saved)


def _pairs(value: dict[str, Any], source: Source) -> list[tuple[str, str]]:
    """Return Connections, a K x 2 cell in column order, as (source, destination)."""
    ends = _texts(value, "Connections")
    if len(ends) % 2:
        what = f"{source.path}: Connections hold {len(ends)} names"
        raise UnreadableError(what, "they are pairs of source and destination", "export the network again")
    return list(zip(ends[: len(ends) // 2], ends[len(ends) // 2 :], strict=True))


def _struct(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    return value if isinstance(value, str) else ""


def _texts(parent: dict[str, Any], name: str) -> tuple[str, ...]:
    value = parent.get(name)
    return tuple(value) if isinstance(value, Cell) and all(isinstance(each, str) for each in value) else ()
