"""The elements of a MAT v5 ("-v6", "-v7") file as Python values, without copying an array.

The format is documented in MathWorks' "MAT-File Format". Values come out as

    struct 1x1   -> dict                     char 1xn -> str, mxn -> list of str
    struct array -> Cell of dict             numeric  -> read-only numpy array, MATLAB's dims
    cell         -> Cell (list with dims)    logical  -> numpy bool array
    object       -> Opaque (a reference into the subsystem, see objects.py)

Arrays are views of the inflated element, so a weight is not copied before it reaches its tensor.
Everything is bounds-checked, and a file may grow to a bounded size only.
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.errors import UnreadableError

HEADER_SIZE = 128
SUBSYSTEM_OFFSET = 116  # where the header keeps the file offset of the object data
NO_SUBSYSTEM = (0, int.from_bytes(b" " * 8))  # what stands there in a file without objects
DEEPEST = 64  # nesting of cells and structs; MATLAB's networks stay below 20
MOST_DIMS = 32  # dimensions of an array; numpy has as many

MATRIX, COMPRESSED = 14, 15
STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {1: "latin-1", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17

# Small files may grow to GROWN bytes, others GROWTH times; of the files MATLAB wrote none grew 10 times.
GROWN, GROWTH = 256 << 20, 64
ELEMENT_COST = 1024  # bytes that one element stands for: it takes that much time, if not memory
PIECE = (
    1 << 16
)  # compressed bytes inflated at a time; with more, each result is fresh memory, and touching that takes longer


class Cell(list[Any]):
    """A cell or struct array: the elements in MATLAB's (column-major) order, and `dims`."""

    def __init__(self, items: list[Any], dims: tuple[int, ...]) -> None:
        super().__init__(items)
        self.dims = dims


@dataclass(frozen=True)
class Opaque:
    """A value whose meaning lies in the subsystem: `class_name` and the reference or wrapped content."""

    class_name: str
    content: Any


@dataclass(frozen=True)
class Unread:
    """A value of a kind no network property has (sparse matrices); kept so that its name can be told."""

    kind: str


class Allowance:
    """What a file may still grow by while it is decoded: a small file must exhaust neither memory nor patience."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        self._left = max(GROWN, GROWTH * self._size)

    def take(self, size: int) -> None:
        """Raise UnreadableError once the file has grown too much; `size` in bytes."""
        self._left -= size
        if self._left < 0:
            raise UnreadableError(
                f"{self._path} is refused: its {self._size:,} bytes decode to more than "
                f"{max(GROWN, GROWTH * self._size):,}",
                "no network compresses that well; a file like this exhausts memory",
                "save the network alone, without other variables",
            )


class File:
    """A MAT v5 file: its variables, one at a time, and its subsystem."""

    def __init__(self, path: Path) -> None:
        self._allowance = Allowance(path)
        with path.open("rb") as stream:
            self._data: Any = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._data) < HEADER_SIZE or self._data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise UnreadableError(
                f"{path} is no MAT v5 file", "its header is missing or damaged", "save it again in MATLAB"
            )
        self._order = "<" if self._data[126:128] == b"IM" else ">"
        (self._subsystem,) = struct.unpack_from(self._order + "Q", self._data, SUBSYSTEM_OFFSET)

    def variables(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of every variable; an object's value is an `Opaque`."""
        for at, kind, body in self._elements():
            if at != self._subsystem:
                element = self._inflated(kind, body)
                yield Reader(element, self._order, self._allowance).matrix(0, len(element))

    def subsystem(self) -> Any:
        """Return the content of the object data, or None: a dict whose "MCOS" is the wrapped cell."""
        if self._subsystem in NO_SUBSYSTEM:
            return None
        kind, body = next(((kind, body) for at, kind, body in self._elements() if at == self._subsystem), (0, None))
        if body is None:
            raise damaged("its object data is missing")
        element = self._inflated(kind, body)
        _, stored = Reader(element, self._order, self._allowance).matrix(0, len(element))
        if not isinstance(stored, np.ndarray) or stored.dtype != np.uint8:
            raise damaged("object data that are no bytes")
        inner = np.ascontiguousarray(stored.reshape(-1, order="F")).data
        reader = Reader(inner, "<" if bytes(inner[2:4]) == b"IM" else ">", self._allowance)
        kind, start, size, _ = reader.tag(8, len(inner))
        return reader.matrix(start, start + size)[1] if kind == MATRIX else None

    def _elements(self) -> Iterator[tuple[int, int, memoryview]]:
        """Yield (file offset, type, body) of every element, not yet inflated."""
        at, data = HEADER_SIZE, memoryview(self._data)
        reader = Reader(data, self._order, self._allowance)
        while at < len(data):
            kind, start, size, after = reader.tag(at, len(data))
            if kind not in (MATRIX, COMPRESSED):
                raise damaged(f"an element of type {kind} at byte {at}")
            yield at, kind, data[start : start + size]
            at = after if kind == MATRIX else start + size

    def _inflated(self, kind: int, packed: memoryview) -> memoryview:
        """Return the body of a MATRIX element, inflated piece by piece into one buffer of the size it declares.

        It is in memory, so that the network survives when the file is written over.
        """
        if kind == MATRIX:
            return np.array(packed).data.toreadonly()
        stream = zlib.decompressobj()
        try:
            head = stream.decompress(packed[:1024], 8)
            if len(head) < 8:
                head += stream.decompress(stream.unconsumed_tail + packed[1024:], 8 - len(head))
            kind, size = struct.unpack(self._order + "II", head)
            if kind != MATRIX:
                raise damaged("a compressed element that holds no array")
            self._allowance.take(size)
            stream, filled = zlib.decompressobj(), 0
            body = np.empty(size + 8, np.uint8).data  # numpy asks for huge pages, which halve the cost of touching it
            for start in range(0, len(packed), PIECE):
                piece = stream.decompress(packed[start : start + PIECE], len(body) - filled)
                body[filled : filled + len(piece)] = piece
                filled += len(piece)
                if filled == len(body):
                    break
        except (zlib.error, struct.error) as error:
            raise damaged("a compressed element that does not inflate") from error
        if filled < len(body):
            raise damaged("a compressed element that ends early")
        return body.toreadonly()[8:]


class Reader:
    """Decodes the elements inside one buffer."""

    def __init__(self, data: memoryview, order: str, allowance: Allowance) -> None:
        self._data = data
        self._order = order
        self._allowance = allowance
        self._word = struct.Struct(order + "I").unpack_from
        self._pair = struct.Struct(order + "II").unpack_from

    def tag(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Return (type, first byte, size, offset of the next element) of the element at `at`."""
        if at + 8 > end:
            raise damaged("an element cut short")
        kind, size = self._pair(self._data, at)
        if kind >> 16:  # the short form keeps size and type in one word, the data in the next
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise damaged("a short element that is too long")
            return kind, at + 4, size, at + 8
        after = at + 8 + size
        if after > end:
            raise damaged(f"an element of {size:,} bytes where {end - at - 8:,} are left")
        return kind, at + 8, size, after + (-after + at) % 8

    def matrix(self, at: int, end: int, depth: int = 0) -> tuple[str, Any]:
        """Decode the array whose body lies in [at, end); return its name and value."""
        if depth > DEEPEST:
            raise damaged(f"more than {DEEPEST} levels of nesting")
        self._allowance.take(ELEMENT_COST)
        if at == end:
            return "", np.empty((0, 0))
        _, start, size, at = self.tag(at, end)
        if size < 8:
            raise damaged("an array without its flags")
        flags, _ = self._pair(self._data, start)
        kind = flags & 0xFF
        if kind == OPAQUE:
            name, at = self._text(at, end)
            _, at = self._text(at, end)
            class_name, at = self._text(at, end)
            return name, Opaque(class_name, self._child(at, end, depth)[0])
        if kind == FUNCTION:
            _, _, _, at = self.tag(at, end)
            name, at = self._text(at, end)
            return name, Opaque("function_handle", self._child(at, end, depth)[0])
        shape, at = self._array(at, end)
        dims = tuple(int(n) for n in shape[: MOST_DIMS + 1])
        name, at = self._text(at, end)
        if not 0 < len(dims) <= MOST_DIMS or min(dims) < 0:
            raise damaged(f"an array of size {dims}")
        count = math.prod(dims)
        if kind == CELL:
            self._check_count(count, 8, at, end)
            items: list[Any] = []
            for _ in range(count):
                value, at = self._child(at, end, depth)
                items.append(value)
            return name, Cell(items, dims)
        if kind in (STRUCT, OBJECT):
            if kind == OBJECT:
                _, at = self._text(at, end)
            return name, self._struct(at, end, dims, count, depth)
        if kind == CHAR:
            return name, self._char(at, end, dims, count)
        if kind in NUMERIC:
            return name, self._numbers(kind, flags, at, end, dims, count)
        return name, Unread("sparse" if kind == SPARSE else f"class {kind}")

    def _child(self, at: int, end: int, depth: int) -> tuple[Any, int]:
        kind, start, size, after = self.tag(at, end)
        if kind != MATRIX:
            raise damaged(f"an element of type {kind} where an array belongs")
        return self.matrix(start, start + size, depth + 1)[1], after

    def _numbers(self, kind: int, flags: int, at: int, end: int, dims: tuple[int, ...], count: int) -> Any:
        values, at = self._array(at, end)
        imaginary = self._array(at, end)[0] if flags & 0x0800 else None
        if values.size != count or (imaginary is not None and imaginary.size != count):
            raise damaged(f"{values.size:,} numbers for an array of size {dims}")
        dtype = np.dtype("c16" if imaginary is not None else bool if flags & 0x0200 else NUMERIC[kind])
        if values.dtype != dtype:
            self._allowance.take(count * dtype.itemsize)
        values = values.astype(dtype, copy=False) if imaginary is None else values + 1j * imaginary
        return values.reshape(dims, order="F")

    def _struct(self, at: int, end: int, dims: tuple[int, ...], count: int, depth: int) -> Any:
        length, at = self._array(at, end)
        _, start, size, at = self.tag(at, end)
        width = int(length[0]) if length.size else 0
        if width <= 0 or size % width:
            raise damaged("a struct whose field names are damaged")
        self._allowance.take(ELEMENT_COST * (size // width))
        names = [
            bytes(self._data[i : i + width]).split(b"\0")[0].decode("latin-1")
            for i in range(start, start + size, width)
        ]
        self._check_count(count * len(names), 8, at, end)
        if (not names and count > 1) or len(set(names)) < len(names):
            raise damaged("a struct array without fields, or with one twice")
        items: list[dict[str, Any]] = []
        for _ in range(count):
            item: dict[str, Any] = {}
            for field in names:
                item[field], at = self._child(at, end, depth)
            items.append(item)
        return items[0] if count == 1 else Cell(items, dims)

    def _char(self, at: int, end: int, dims: tuple[int, ...], count: int) -> str | list[str]:
        if at == end or count == 0:
            return ""
        kind, start, size, _ = self.tag(at, end)
        rows = dims[0]
        if rows > size:
            raise damaged(f"{size:,} bytes of text for an array of size {dims}")
        self._allowance.take(2 * size + ELEMENT_COST * (rows - 1))
        encoding = TEXT.get(kind, "latin-1")
        if "utf-16" in encoding or "utf-32" in encoding:
            encoding += "-le" if self._order == "<" else "-be"
        text = bytes(self._data[start : start + size]).decode(encoding, errors="replace")
        return text if rows == 1 else [text[row::rows] for row in range(rows)]

    def _text(self, at: int, end: int) -> tuple[str, int]:
        _, start, size, after = self.tag(at, end)
        return bytes(self._data[start : start + size]).decode("latin-1"), after

    def _array(self, at: int, end: int) -> tuple[np.ndarray[Any, Any], int]:
        kind, start, size, after = self.tag(at, end)
        if kind not in STORAGE:
            raise damaged(f"numbers of type {kind}")
        dtype = np.dtype(self._order + STORAGE[kind])
        return np.frombuffer(self._data, dtype, size // dtype.itemsize, start), after

    def _check_count(self, count: int, least: int, at: int, end: int) -> None:
        if count * least > end - at:
            raise damaged(f"{count:,} elements declared in {end - at:,} bytes")


def damaged(what: str) -> UnreadableError:
    return UnreadableError(
        f"the .mat file is damaged: {what}",
        "it was cut short or changed after MATLAB wrote it",
        "copy or save it again",
    )
