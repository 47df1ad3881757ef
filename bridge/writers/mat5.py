"""A variable as a MAT v5 file ("-v7", uncompressed), whose arrays are read only when their turn comes.

The format is documented in MathWorks' "MAT-File Format". scipy writes it too, but takes all arrays at once and about 35
microseconds for each of the thousands of small elements of a network, twice as long as for its weights.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.writers.outgoing import Outgoing

Value = (
    dict[str, "Value"] | str | NDArray | Array
)  # struct, char row, numbers (or a cell: an array of objects), numbers not yet read
Piece = bytes | Array

HEADER = b"MATLAB 5.0 MAT-file, written by bridge".ljust(116) + bytes(8) + b"\0\1IM"
INT8, INT32, UINT32, MATRIX, UTF8, UTF16 = 1, 5, 6, 14, 16, 17
CELL, STRUCT, CHAR = 1, 2, 4
NUMERIC = {  # numpy's kind and size -> MATLAB's class, and the type of its data
    "f8": (6, 9), "f4": (7, 7), "i1": (8, 1), "u1": (9, 2), "i2": (10, 3), "u2": (11, 4), "i4": (12, 5), "u4": (13, 6),
    "i8": (14, 12), "u8": (15, 13),
    "b1": (9, 2),
}  # fmt: skip
LOGICAL = 0x0200
LARGEST = 2**32 - 1  # bytes of an element; what is larger is encoded only to learn its size
SHORT = 4  # bytes of data that fit beside their tag


def encoded(name: str, value: Value) -> list[Piece]:
    """Encode a variable as the pieces of its element; arrays that are not read yet stay so.

    Args:
        name: of the variable.
        value: numeric arrays of a type that MATLAB has, of any number of dimensions.
    """
    return _matrix(value, name)


def size_of(pieces: Iterable[Piece]) -> int:
    """Return how many bytes pieces take in the file."""
    return sum(len(each) if isinstance(each, bytes) else each.size * each.dtype.itemsize for each in pieces)


def write(path: Path, variables: Iterable[Piece]) -> None:
    """Write a file of encoded variables, one behind the other."""
    with Outgoing(path) as stream:
        stream.write(HEADER)
        for piece in variables:
            stream.write(piece if isinstance(piece, bytes) else _column_order(piece.read()))


def dims(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a size as MATLAB has it: of two dimensions or more, without ones at the end."""
    shape = (*shape, *(1,) * (2 - len(shape)))
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _column_order(value: NDArray) -> memoryview:
    return (
        np.ascontiguousarray(value.T, value.dtype.newbyteorder("<")).data.cast("B") if value.size else memoryview(b"")
    )


def _matrix(value: Value, name: str = "") -> list[Piece]:
    if isinstance(value, dict):
        pieces = _joined([_head(STRUCT, (1, 1), name) + _names(tuple(value)), *_items(value.values())])
    elif isinstance(value, str):
        pieces = [_text(value, name)]
    elif isinstance(value, np.ndarray) and value.dtype == object:
        pieces = _joined([_head(CELL, value.shape, name), *_items(value.ravel(order="F").tolist())])
    else:
        pieces = _numbers(value, name)
    return _joined([_tag(MATRIX, size_of(pieces)), *pieces])


def _items(values: Iterable[Value]) -> Iterator[Piece]:
    for value in values:
        yield from _matrix(value)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with all bytes between two arrays in one."""
    joined: list[Piece] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            run.append(piece)
        else:
            joined += [b"".join(run), piece]
            run = []
    return [*joined, b"".join(run)]


@cache
def _head(kind: int, shape: tuple[int, ...], name: str, flags: int = 0) -> bytes:
    sizes = dims(shape)
    flag, size = struct.pack("<II", kind | flags, 0), struct.pack(f"<{len(sizes)}i", *sizes)
    return _data(UINT32, flag) + _data(INT32, size) + _data(INT8, name.encode("ascii"))


@cache
def _names(fields: tuple[str, ...]) -> bytes:
    width = max(map(len, fields), default=0) + 1
    return _data(INT32, struct.pack("<i", width)) + _data(
        INT8, b"".join(name.encode("ascii").ljust(width, b"\0") for name in fields)
    )


def _text(value: str, name: str) -> bytes:
    units = value.encode("utf-16-le", "surrogatepass")
    return _head(CHAR, (1, len(units) // 2) if units else (0, 0), name) + (
        _data(UTF8, value.encode()) if value.isascii() else _data(UTF16, units)
    )


def _numbers(value: NDArray | Array, name: str) -> list[Piece]:
    code, size = value.dtype.str[1:], value.size * value.dtype.itemsize
    kind, stored = NUMERIC[code]
    head = _head(kind, value.shape, name, LOGICAL if code == "b1" else 0)
    if isinstance(value, Array) and size > SHORT:
        return [head + _tag(stored, size), value, bytes(-size % 8)]
    return [head + _data(stored, bytes(_column_order(value.read() if isinstance(value, Array) else value)))]


def _data(kind: int, data: bytes) -> bytes:
    if 0 < len(data) <= SHORT:
        return struct.pack("<HH", kind, len(data)) + data.ljust(SHORT, b"\0")
    return _tag(kind, len(data)) + data + bytes(-len(data) % 8)


def _tag(kind: int, size: int) -> bytes:
    return struct.pack("<II", kind, min(size, LARGEST))
