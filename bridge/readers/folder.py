"""A saved folder -> Network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray, watch
from bridge.errors import UnreadableError, reading
from bridge.files.atomic import named_by_content, sha256
from bridge.network import Connection, Layer, LayerList, Learnable, Network, Source, require_ports
from bridge.network.tensors import given_sizes, tensors, with_tensors
from bridge.tables.layers import LayerRow, Mappings, foreign_input, foreign_row, unknown_output_row, unknown_row

SCHEMA = "bridge.network/1"
WEIGHTS = "model.safetensors"
# The form of network.json: a type, [the form of each item], {str: the form of each value}, a mapping of exactly these
# keys, or a tuple of alternatives. docs/network.schema.json says the same for other programs.
FACTOR = (int, float, [(int, float)])
LEARNABLE = {
    "size": [int],
    "learn_rate_factor": FACTOR,
    "l2_factor": FACTOR,
    "assumed": bool,
    "initializer": (str, NoneType),
}
LAYER = {
    "name": str, "kind": str, "class": str, "properties": {str: object}, "inputs": [str], "outputs": [str],
    "learnables": {str: LEARNABLE},
    "state": {str: [int]},
}  # fmt: skip
SOURCE = {
    "path": str, "format": str, "producer": str, "release": str, "opset": (int, NoneType), "batch": (int, NoneType),
    "factors": str, "sha256": str,
    "values": {str: str},
}  # fmt: skip
NETWORK = {
    "schema": str,
    "bridge": str,
    "kind": str,
    "source": SOURCE,
    "inputs": [str],
    "outputs": [str],
    "classes": ([str], NoneType),
    "notes": [str],
    "layers": [LAYER],
    "connections": [[str]],
    "training_options": ({str: object}, NoneType),
    "training_info": ({str: object}, NoneType),
    "detector": ({str: object}, NoneType),
    "tensors_sha256": str,
}
DTYPES = {
    "F32": "f4", "F64": "f8", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4",
    "U16": "u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
NUMBERS = {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}  # what JSON cannot write as a number


def load(folder: Path, tables: Mappings) -> Network:
    """Read a saved network; its weights stay in the file until asked for.

    Raises:
        UnreadableError: a file is missing, damaged, or not the one that was saved with the other.
    """
    with reading(f"{folder / 'network.json'}"):
        facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        if isinstance(facts, dict) and facts.get("schema") != SCHEMA:
            raise UnreadableError(
                f"{folder} has the schema {facts.get('schema')!r}",
                f"this version reads {SCHEMA}",
                "import the network again",
            )
        require(facts, NETWORK, f"{folder / 'network.json'}")
        network = network_from(facts, tables, folder)
        own = named_by_content(folder / WEIGHTS, facts["tensors_sha256"])  # where a saving was cut off
    return _with_file(network, own if own.is_file() else folder / WEIGHTS, facts["tensors_sha256"])


def require(value: Any, form: Any, where: str) -> None:
    """Raise UnreadableError, naming the place, unless a JSON value has the form."""
    alternatives = form if isinstance(form, tuple) else (form,)
    form = next(
        (
            each
            for each in alternatives
            if each is object or type(value) is (each if isinstance(each, type) else type(each))
        ),
        None,
    )
    if form is None:
        raise _damaged(where, f"it is {str(value)[:40]!r}, a {type(value).__name__}")
    if isinstance(form, list):
        for index, item in enumerate(value):
            require(item, form[0], f"{where}[{index}]")
    elif isinstance(form, dict):
        forms = dict.fromkeys(value, form[str]) if str in form else form
        if forms.keys() != value.keys():
            raise _damaged(where, f"it has the keys {', '.join(value)}, not {', '.join(forms)}")
        for key, item in value.items():
            require(item, forms[key], f"{where}.{key}")


def _damaged(where: str, found: str) -> UnreadableError:
    return UnreadableError(f"{where} is damaged", found, "import the network again")


def network_from(facts: Mapping[str, Any], tables: Mappings, folder: Path) -> Network:
    """Return the network of a JSON of the form NETWORK; its arrays are places of the right size."""
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
        _tuples(facts["training_options"]),
        _tuples(facts["training_info"]),
        _tuples(facts["detector"]),
    )


def _layer(facts: Mapping[str, Any], tables: Mappings) -> Layer:
    kind = facts["kind"]
    known = tables.by_class(facts["class"] or kind)
    if known is not None and known.name != kind:
        raise _damaged(f"layer '{facts['name']}'", f"it is a {kind} and a {known.name}")
    row = known or _other_row(kind, facts)
    learnables = {
        name: Learnable(
            _absent(each["size"]),
            _tuples(each["learn_rate_factor"]),
            _tuples(each["l2_factor"]),
            each["assumed"],
            each["initializer"],
        )
        for name, each in facts["learnables"].items()
    }
    state = {name: _absent(size) for name, size in facts["state"].items()}
    properties = {key: _tuples(value) for key, value in facts["properties"].items()}
    layer = Layer(
        facts["name"], kind, row, properties, learnables, state, tuple(facts["inputs"]), tuple(facts["outputs"])
    )
    return layer if known is None else require_ports(layer)


def _other_row(kind: str, facts: Mapping[str, Any]) -> LayerRow:
    if kind == "onnx:Input":
        return foreign_input(kind)
    if kind.startswith("onnx:"):
        return foreign_row(kind, kind.removeprefix("onnx:"))
    of_class = unknown_row if facts["outputs"] else unknown_output_row
    return of_class(facts["class"] or kind)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, str):
        return NUMBERS.get(value, value)
    if not isinstance(value, list):
        return value
    items = tuple(map(_tuples, value))
    is_text = all(isinstance(each, str) for each in value) and any(isinstance(each, str) for each in items)
    return tuple(value) if is_text else items  # a class may be called "nan"


def _absent(size: list[int]) -> Array:
    """A place for an array of known size that is not found yet."""
    shape = tuple(size)
    if min(shape, default=0) < 0:
        raise _damaged("a size in network.json", f"it is {shape}")
    return Array(shape, np.dtype(np.float32), lambda: np.zeros(shape, np.float32), shape)


def _with_file(network: Network, path: Path, digest: str) -> Network:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UnreadableError(
            f"{path} is missing",
            "the weights of a saved network lie in it",
            "copy the whole folder, or import the network again",
        )
    unchanged = _requirement(path, digest)
    try:
        file, starts = safe_open(path, framework="numpy"), _starts(path)
        held = {key: _stored(path, file.get_slice(key), key, starts[key], unchanged) for key in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError) as error:
        raise UnreadableError(f"{path} is damaged", str(error), "copy or import the network again") from error
    return with_arrays(network, held, path)


def with_arrays(network: Network, held: dict[str, Array], path: Path) -> Network:
    """Return a network with the arrays of a file, in torch's layout by state-dict key, in the places that
    `network_from` left for them.

    Raises:
        UnreadableError: one is missing, is of another shape, or has no place.
    """
    held, changed = dict(held), {}
    for layer in network.layers:
        given = given_sizes(network, layer)
        expected = {each.local: each.array.shape for each in tensors(layer, given)}
        values = {}
        for local, shape in expected.items():
            array = held.pop(f"{layer.name}.{local}", None)
            if array is None or array.shape != shape:
                found = "is not there" if array is None else f"has shape {array.shape}"
                if layer.row.is_unknown:
                    raise UnreadableError(
                        f"{path}: '{layer.name}.{local}' {found}",
                        f"no table knows the class {layer.row.matlab[0]}",
                        "pass the --mappings it was saved with",
                    )
                raise _of_another(path, f"'{layer.name}.{local}' {found}, its shape should be {shape}")
            values[local] = array
        changed[layer.name] = with_tensors(layer, given, values)
    if held:
        raise _of_another(path, f"it holds {', '.join(list(held)[:5])}, of no layer")
    return network.with_layers(changed)


def _of_another(path: Path, difference: str) -> UnreadableError:
    return UnreadableError(
        f"{path} is not the one saved with network.json",
        difference,
        "copy the whole folder, or import the network again",
    )


def _requirement(path: Path, digest: str) -> Callable[[], None]:
    """Return a check that a file is still the one that was saved; it is hashed when its first array is read."""
    unchanged = watch(path)

    @cache
    def saved() -> bool:
        return sha256(path) == digest

    def check() -> None:
        unchanged()
        if not saved():
            raise _of_another(path, "its sha256 differs")

    return check


def _starts(path: Path) -> dict[str, int]:
    """Return where in a file, whose header safetensors has checked, the bytes of each tensor begin."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    return {key: 8 + length + entry["data_offsets"][0] for key, entry in header.items() if key != "__metadata__"}


def _stored(path: Path, part: Any, key: str, start: int, require: Callable[[], None]) -> Array:
    """Return a tensor that is read from the file, not through safetensors' map of it, whose pages would
    stay in memory.
    """
    shape, name = tuple(part.get_shape()), part.get_dtype()
    if name not in DTYPES:
        raise UnreadableError(
            f"tensor '{key}' has the type {name}",
            f"a network is saved in {', '.join(DTYPES)}",
            "import the network again",
        )
    dtype = np.dtype(DTYPES[name]).newbyteorder("<")

    def load() -> NDArray:
        require()
        return np.fromfile(path, dtype, math.prod(shape), offset=start).reshape(shape)

    return Array(shape, np.dtype(DTYPES[name]), load, shape)
