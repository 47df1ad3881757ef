"""A saved folder -> Network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays import Array
from bridge.errors import UnreadableError
from bridge.mapping import LayerRow, Mappings
from bridge.network import Connection, Layer, LayerList, Learnable, Network, Source, unknown_row
from bridge.tensors import given_sizes, tensors, with_tensors

SCHEMA = "bridge.network/1"


def load(folder: Path, tables: Mappings) -> Network:
    """Read a saved network; its weights stay in the file until asked for.

    Raises:
        UnreadableError: a file is missing, damaged, or not the one that was saved with the other.
    """
    try:
        facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA:
            raise UnreadableError(f"{folder} has the schema {facts['schema']!r}", f"this version reads {SCHEMA}", "import the network again")
        network = _network(facts, tables, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"{folder}/network.json is damaged", f"{type(error).__name__}: {error}", "import the network again") from error
    return _with_arrays(network, folder / "model.safetensors")


def _network(facts: Mapping[str, Any], tables: Mappings, folder: Path) -> Network:
    source = facts["source"]
    return Network(
        facts["kind"],
        LayerList(_layer(each, tables) for each in facts["layers"]),
        tuple(Connection(a, b, port_a, port_b) for a, port_a, b, port_b in facts["connections"]),
        tuple(facts["inputs"]),
        tuple(facts["outputs"]),
        Source(**{**source, "path": source["path"] or str(folder)}),
        tuple(facts["classes"]) if facts["classes"] is not None else None,
        tuple(facts["notes"]),
        facts["training_options"],
        facts["training_info"],
        facts["detector"],
    )


def _layer(facts: Mapping[str, Any], tables: Mappings) -> Layer:
    kind = facts["kind"]
    row = tables.by_class(facts["class"]) or tables.by_class(kind) or _other_row(kind, facts)
    learnables = {
        name: Learnable(_absent(each["size"]), _factor(each["learn_rate_factor"]), _factor(each["l2_factor"]), each["assumed"], each["initializer"])
        for name, each in facts["learnables"].items()
    }
    state = {name: _absent(size) for name, size in facts["state"].items()}
    properties = {key: _tuples(value) for key, value in facts["properties"].items()}
    return Layer(facts["name"], kind, row, properties, learnables, state, tuple(facts["inputs"]), tuple(facts["outputs"]))


def _other_row(kind: str, facts: Mapping[str, Any]) -> LayerRow:
    if kind == "onnx:Input":
        return LayerRow(kind, (), "", torch="Identity", size="from_file", evidence="documented", inputs=())
    if kind.startswith("onnx:"):
        return LayerRow(kind, (), "", (kind.removeprefix("onnx:"),), "onnx2torch", "foreign", "from_file", evidence="documented")
    return unknown_row(facts["class"] or kind)


def _factor(value: Any) -> Any:
    return tuple(float(each) for each in value) if isinstance(value, list) else float(value)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _absent(size: list[int]) -> Array:
    """A place for an array of known size that is not found yet."""
    shape = tuple(int(n) for n in size)
    if any(n < 0 for n in shape):
        raise ValueError(f"a size of {shape}")
    return Array(shape, np.dtype(np.float32), lambda: np.zeros(shape, np.float32), shape)


def _with_arrays(network: Network, path: Path) -> Network:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UnreadableError(f"{path} is missing", "the weights of a saved network lie in it", "copy the whole folder, or import the network again")
    try:
        file = safe_open(path, framework="numpy")
        held = {key: _stored(file, key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError) as error:
        raise UnreadableError(f"{path} is damaged", str(error), "copy or import the network again") from error
    changed = {}
    for layer in network.layers:
        given = given_sizes(network, layer)
        expected = {each.local: each.array.shape for each in tensors(layer, given)}
        values = {}
        for local, shape in expected.items():
            array = held.get(f"{layer.name}.{local}")
            if array is None or array.shape != shape:
                found = "is not there" if array is None else f"has shape {array.shape}"
                raise UnreadableError(f"{path} is not the one saved with network.json: '{layer.name}.{local}' {found}", f"its shape should be {shape}", "import the network again")
            values[local] = array
        changed[layer.name] = with_tensors(layer, given, values)
    return network.with_layers(changed)


def _stored(file: Any, key: str) -> Array:
    part = file.get_slice(key)
    shape = tuple(part.get_shape())
    dtype = np.dtype({"F32": "f4", "F64": "f8", "F16": "f2", "I64": "i8", "I32": "i4", "U8": "u1", "I8": "i1", "BOOL": "?"}[part.get_dtype()])
    return Array(shape, dtype, lambda: file.get_tensor(key), shape)
