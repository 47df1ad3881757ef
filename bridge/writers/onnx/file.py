"""An ONNX model written piece by piece, so that no more than one weight is in memory.

The fields of onnx.proto that are needed are those of `bridge.readers.onnx.wire`. Protobuf ends at 2^31 bytes: above,
the weights lie in a file beside, as ONNX's external data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.readers.onnx.wire import DTYPES, GRAPH, INITIALIZER, RAW_DATA, message_field, varint
from bridge.writers.outgoing import Outgoing

LARGEST = 2**31 - 2**20  # bytes of a model with its weights inside; the rest is for what stands before each of them
TYPES = {np.dtype(code).name: number for number, code in DTYPES.items()}
FLOAT = TYPES["float32"]
Read = Callable[[str, Array], NDArray]  # reads the array of an initializer


def is_large(model: Any, weights: Mapping[str, Array]) -> bool:
    """Whether the weights of a model need a file of their own."""
    return int(model.ByteSize()) + sum(map(_bytes, weights.values())) >= LARGEST


def write(path: Path, model: Any, weights: Mapping[str, Array], read: Read) -> None:
    """Write a model, which has no initializers, with its weights."""
    heads = {name: _tensor(name, array).SerializeToString() for name, array in weights.items()}
    tails = {name: varint(RAW_DATA << 3 | 2) + varint(_bytes(array)) for name, array in weights.items()}
    lengths = {name: len(heads[name]) + len(tails[name]) + _bytes(array) for name, array in weights.items()}
    starts = {name: varint(INITIALIZER << 3 | 2) + varint(length) for name, length in lengths.items()}
    head, graph = _without_graph(model)
    total = len(graph) + sum(len(starts[name]) + lengths[name] for name in weights)
    with Outgoing(path) as stream:
        stream.write(head + varint(GRAPH << 3 | 2) + varint(total) + graph)
        for name, array in weights.items():
            stream.write(starts[name] + heads[name] + tails[name])
            stream.write(_data(read(name, array)))


def write_data(path: Path, weights: Mapping[str, Array], read: Read) -> None:
    """Write weights alone, as `write_apart` says where they lie."""
    with Outgoing(path) as stream:
        for name, array in weights.items():
            stream.write(_data(read(name, array)))


def write_apart(path: Path, model: Any, weights: Mapping[str, Array], location: str) -> None:
    """Write a model whose weights lie in a file of its folder."""
    from onnx import StringStringEntryProto

    head, graph = _without_graph(model)
    offset = 0
    tensors = []
    for name, array in weights.items():
        tensor = _tensor(name, array)
        tensor.data_location = 1
        facts = {"location": location, "offset": str(offset), "length": str(_bytes(array))}
        tensor.external_data.extend(StringStringEntryProto(key=key, value=value) for key, value in facts.items())
        tensors.append(message_field(INITIALIZER, tensor.SerializeToString()))
        offset += _bytes(array)
    path.write_bytes(head + message_field(GRAPH, graph + b"".join(tensors)))


def _without_graph(model: Any) -> tuple[bytes, bytes]:
    from onnx import ModelProto

    head = ModelProto()
    head.CopyFrom(model)
    head.ClearField("graph")
    return head.SerializeToString(), model.graph.SerializeToString()


def _tensor(name: str, array: Array) -> Any:
    from onnx import TensorProto

    return TensorProto(name=name, dims=array.shape, data_type=TYPES[array.dtype.name])


def _bytes(array: Array) -> int:
    return math.prod(array.shape) * array.dtype.itemsize


def _data(value: NDArray) -> memoryview:
    little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return little.data.cast("B") if little.size else memoryview(b"")
