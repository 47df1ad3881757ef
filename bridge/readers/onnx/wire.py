"""Lift the weights out of an ONNX file without reading them.

A scan of the protobuf wire format finds each initializer's `raw_data` and leaves it in the file as (offset,
length); `onnx` parses the skeleton that is left. Field numbers are those of onnx.proto: ModelProto.graph 7,
GraphProto.initializer 5, TensorProto.dims 1, data_type 2, name 8, raw_data 9.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError, UnsupportedError

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
SMALLEST_LIFTED = 1024  # bytes; smaller constants stay in the skeleton, where passes and shape inference want them
DTYPES = {
    1: "<f4",
    2: "u1",
    3: "i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
}


@dataclass(frozen=True)
class Skeleton:
    """An ONNX model without its large weights.

    Attributes:
        model: the parsed ModelProto; lifted initializers are left with empty raw_data.
        lifted: (offset, length) in the file of every lifted initializer, by its position in the graph.
    """

    model: Any
    lifted: Mapping[int, tuple[int, int]]


def read_skeleton(path: Path) -> Skeleton:
    """Parse an ONNX file, leaving the weights where they are.

    Raises:
        UnreadableError: it is empty, cut short or no ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if path.stat().st_size == 0:
        raise UnreadableError(f"{path} is empty", "nothing was written to it", "export the network again")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            skeleton, lifted = _without_weights(data)
            model = onnx.ModelProto.FromString(skeleton)
        except (DecodeError, IndexError, ValueError) as error:
            cause = str(error) or "it was cut short or damaged"
            raise UnreadableError(f"{path} is no readable ONNX model", cause, "export or copy it again") from error
    if not model.graph.node and not model.graph.initializer and not model.graph.output:
        raise UnreadableError(
            f"{path} is no ONNX model", "it holds no graph", "export the network again with exportONNXNetwork"
        )
    if not model.opset_import:
        raise UnreadableError(
            f"{path} names no version of the ONNX operators", "it was cut short or damaged", "export or copy it again"
        )
    return Skeleton(model, lifted)


def _without_weights(data: Any) -> tuple[bytes, dict[int, tuple[int, int]]]:
    lifted: dict[int, tuple[int, int]] = {}
    count = 0
    model: list[bytes] = []
    for field, start, body, end in _fields(data, 0, len(data)):
        if field != GRAPH:
            model.append(data[start:end])
            continue
        graph: list[bytes] = []
        kept = body  # everything from here on is still to be copied
        for inner, at, inner_body, inner_end in _fields(data, body, end):
            if inner == INITIALIZER:
                payload = next(((b, e) for f, _, b, e in _fields(data, inner_body, inner_end) if f == RAW_DATA), None)
                if payload is not None and payload[1] - payload[0] >= SMALLEST_LIFTED:
                    lifted[count] = (payload[0], payload[1] - payload[0])
                    graph += [data[kept:at], message_field(INITIALIZER, _tensor_head(data, inner_body, inner_end))]
                    kept = inner_end
                count += 1
        graph.append(data[kept:end])
        model.append(message_field(GRAPH, b"".join(graph)))
    return b"".join(model), lifted


def _tensor_head(data: Any, start: int, end: int) -> bytes:
    return b"".join(data[at:stop] for field, at, _, stop in _fields(data, start, end) if field != RAW_DATA)


def _fields(data: Any, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, start, start of the body, end) of each field of a message."""
    while at < end:
        start = at
        key, at = read_varint(data, at, end)
        wire = key & 7
        if wire == 0:
            body, (_, at) = at, read_varint(data, at, end)
        elif wire == 2:
            length, body = read_varint(data, at, end)
            at = body + length
        elif wire in (1, 5):
            body, at = at, at + (8 if wire == 1 else 4)
        else:
            raise ValueError("it is no protobuf message")
        if at > end or key >> 3 == 0:
            raise ValueError("it was cut short or damaged")
        yield key >> 3, start, body, at


def read_varint(data: Any, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it was cut short or damaged")


def message_field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def initializer_arrays(path: Path, skeleton: Skeleton) -> dict[str, Array]:
    """Return every initializer as a lazy array.

    Raises:
        UnreadableError: a size disagrees with its data, or external data is missing or outside the file's folder.
        UnsupportedError: a data type that numpy has not.
    """
    return {
        tensor.name: _array(path, tensor, skeleton.lifted.get(index))
        for index, tensor in enumerate(skeleton.model.graph.initializer)
    }


def _array(path: Path, tensor: Any, where: tuple[int, int] | None) -> Array:
    from onnx import numpy_helper

    shape = tuple(int(n) for n in tensor.dims)
    if tensor.data_type not in DTYPES:
        cause = "only the plain numeric types can be read"
        raise UnsupportedError(f"initializer '{tensor.name}' has the ONNX data type {tensor.data_type}", cause)
    if tensor.data_location == 1:
        return _external(path, tensor, shape)
    if where is None:
        try:
            return Array.of(np.asarray(numpy_helper.to_array(tensor)))
        except (ValueError, TypeError) as error:
            raise UnreadableError(
                f"initializer '{tensor.name}' is damaged", str(error), "export the network again"
            ) from error
    return _slice(path, tensor, shape, *where)


def _slice(path: Path, tensor: Any, shape: tuple[int, ...], offset: int, length: int) -> Array:
    dtype = np.dtype(DTYPES[tensor.data_type])
    if min(shape, default=1) < 0 or int(np.prod(shape, dtype=object)) * dtype.itemsize != length:
        what = f"initializer '{tensor.name}' of size {shape} has {length:,} bytes"
        raise UnreadableError(what, "size and data disagree", "export the network again")
    return Array.in_file(path, offset, shape, dtype)


def _external(path: Path, tensor: Any, shape: tuple[int, ...]) -> Array:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    file = (folder / entries.get("location", "")).resolve()
    if not file.is_relative_to(folder) or file == folder:
        raise UnreadableError(
            f"initializer '{tensor.name}' lies in {entries.get('location')!r}, outside the model's folder",
            "files elsewhere are not opened",
            "keep the .onnx file and its data in one folder",
        )  # fmt: skip
    if not file.is_file():
        raise UnreadableError(
            f"initializer '{tensor.name}' lies in {file.name}, which is missing",
            "the weights are a file of their own",
            "copy it beside the .onnx file",
        )
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", file.stat().st_size - offset))
    except ValueError as error:
        raise UnreadableError(f"initializer '{tensor.name}' has a damaged offset or length", str(error)) from error
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        what = f"initializer '{tensor.name}' reaches beyond the end of {file.name}"
        raise UnreadableError(what, "the data file was cut short", "copy it again")
    return _slice(file, tensor, shape, offset, length)
