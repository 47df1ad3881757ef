"""A network that bridge wrote as ONNX: what the graph cannot say lies in the file's metadata.

The metadata are those of network.json (docs/folder.md), and besides: `arrays`, for each layer the initializer of each
learnable and statistic and how its elements lie there; `values`, the tensor that each layer puts out; `graph`, the
digest of the nodes. Where the nodes are no longer those that were written, the file is read as any other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnreadableError, reading
from bridge.network import Layer, Learnable, Network
from bridge.network.tensors import given_sizes, tensors
from bridge.readers.folder import NETWORK, network_from, require, with_arrays
from bridge.readers.onnx.recurrent import GATES
from bridge.tables.layers import Mappings

KEY = "bridge.network/1"  # of the metadata
CHANGED = (
    "its nodes are no longer those that bridge wrote, so the names, factors and classes in its metadata are left aside"
)
STORED = {"initializer": str, "how": str}
FORM = {
    **{key: form for key, form in NETWORK.items() if key != "tensors_sha256"},
    "arrays": {str: {str: STORED}},
    "values": {str: str},
    "graph": str,
}


def digest(graph: Any) -> str:
    """Return the sha256 of the inputs, nodes and outputs of a GraphProto: of everything but its weights."""
    found = hashlib.sha256()
    for each in (*graph.input, *graph.node, *graph.output):
        found.update(each.SerializeToString(deterministic=True))
    return found.hexdigest()


def metadata(path: Path, model: Any) -> Mapping[str, Any] | None:
    """Return what bridge wrote into a file, or None.

    Raises:
        UnreadableError: it is damaged.
    """
    text = next((each.value for each in model.metadata_props if each.key == KEY), None)
    if text is None:
        return None
    with reading(f"the metadata of {path}"):
        facts = json.loads(text)
        require(facts, FORM, f"the metadata of {path}")
    return facts  # type: ignore[no-any-return]


def stored_network(
    path: Path, facts: Mapping[str, Any], constants: Mapping[str, Array], opset: int, tables: Mappings
) -> Network:
    """Return the network that the metadata tell of, its arrays those of the graph.

    Raises:
        UnreadableError: metadata and initializers disagree.
    """
    network = network_from(facts, tables, path)
    source = replace(
        network.source, path=str(path), format="onnx", opset=opset, batch=None, sha256="", values=facts["values"]
    )
    layers: dict[str, Layer] = {}
    held: dict[str, Array] = {}
    for layer in network.layers:
        places = {
            name: Place(*_found(layer, name, each, constants))
            for name, each in facts["arrays"].get(layer.name, {}).items()
        }
        gates = {
            name: in_matlab_order(layer, name, place.array) for name, place in places.items() if place.how == "gates"
        }
        layers[layer.name] = replace(layer, learnables={**layer.learnables, **gates})
        for each in tensors(layers[layer.name], given_sizes(network, layer)):
            key, place = f"{layer.name}.{each.local}", places.get(each.name)
            held[key] = (
                each.array if place is None or place.how == "gates" else place.in_torch_layout(key, each.array.shape)
            )
            if place is None and each.array.size:
                raise UnreadableError(
                    f"{each.name} of layer '{layer.name}' is not in {path}",
                    "its metadata name no initializer for it",
                    "export it again",
                )
    return replace(with_arrays(network.with_layers(layers), held, path), source=source)


@dataclass(frozen=True)
class Place:
    """An initializer, and how the elements of a layer's array lie in it: "torch", "transposed" or "gates"."""

    array: Array
    how: str

    def in_torch_layout(self, key: str, shape: tuple[int, ...]) -> Array:
        array = self.array.transpose((1, 0)) if self.how == "transposed" else self.array
        if array.size != math.prod(shape):
            raise UnreadableError(
                f"'{key}' has {array.size:,} values in the file", f"its shape should be {shape}", "export it again"
            )
        return array.reshape(shape)


def _found(layer: Layer, name: str, place: Mapping[str, str], constants: Mapping[str, Array]) -> tuple[Array, str]:
    if place["initializer"] not in constants:
        raise UnreadableError(
            f"{name} of layer '{layer.name}' is not in the file",
            f"there is no initializer '{place['initializer']}'",
            "export it again",
        )
    return constants[place["initializer"]], place["how"]


def in_matlab_order(layer: Layer, name: str, array: Array) -> Learnable:
    """Return a learnable of a recurrent layer; of the two halves of a bias those that MATLAB's layer has."""
    learnable = layer.learnables[name]
    gates = next(each for each in GATES.values() if len(each) * layer.row.directions == layer.row.gates)
    halves = 1 if len(array.shape) == 3 else 2
    block = array.size // (array.shape[0] * halves * len(gates))
    kept = learnable.array.size // (array.shape[0] * len(gates) * block)
    if (
        array.size != array.shape[0] * halves * len(gates) * block
        or learnable.array.size != array.shape[0] * kept * len(gates) * block
    ):
        cause = f"its initializer is {array.shape}"
        raise UnreadableError(
            f"{name} of layer '{layer.name}' should be {learnable.shape} in the file", cause, "export it again"
        )

    def load() -> NDArray:
        rows = array.read().reshape(array.shape[0], halves, len(gates), block)
        return np.ascontiguousarray(rows[:, :kept, gates]).reshape(learnable.shape)

    return replace(learnable, array=Array(learnable.shape, array.dtype, load, learnable.shape))
