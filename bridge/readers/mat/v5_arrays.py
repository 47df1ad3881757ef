"""Arrays in the elements of a MAT v5 file: of one in memory, or of one that is too large to be held."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import NUMBERS, Cell, Object, ObjectArray, StructArray, Unread
from bridge.errors import UnreadableError
from bridge.files.allowance import Allowance, ExhaustedError
from bridge.readers.mat.container import DEEPEST, ELEMENT_COST, Opaque, damaged, named, of_file, too_deep
from bridge.readers.mat.v5_elements import MATRIX, Element, Place

MOST_DIMS = 32  # dimensions of an array; numpy has as many

INT8 = 1
STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {1: "latin-1", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
CLASSES = {CELL: "cell", STRUCT: "struct", CHAR: "char", SPARSE: "sparse double", FUNCTION: "function_handle"}
IMAGINARY, LOGICAL = 0x0800, 0x0200  # flags of an array

LARGE_ARRAY = 1 << 16  # bytes; larger arrays of an element that is not held are read when asked for


@dataclass(frozen=True)
class Header:
    """How an array begins: `dims`, `name`, the flags, and where its content starts."""

    kind: int
    flags: int
    dims: tuple[int, ...]
    name: str
    class_name: str
    at: int

    @property
    def is_plain(self) -> bool:
        return self.kind in NUMERIC or self.kind in (CHAR, SPARSE)

    @property
    def described(self) -> str:
        size = "x".join(map(str, self.dims))
        if self.kind == OPAQUE or self.kind == OBJECT:
            return self.class_name
        if self.kind in NUMERIC:
            return f"{size} {NUMBERS.get(str(self.dtype), str(self.dtype))}"
        name = "sparse logical" if self.kind == SPARSE and self.flags & LOGICAL else CLASSES.get(self.kind, "value")
        return f"{size} {name}" if self.kind == CELL or (self.kind == STRUCT and math.prod(self.dims) != 1) else name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a numeric array's numbers."""
        if self.flags & LOGICAL:
            return np.dtype(bool)
        if self.flags & IMAGINARY:
            return np.dtype("c8" if NUMERIC[self.kind] == "f4" else "c16")
        return np.dtype(NUMERIC[self.kind])


class Reader:
    """Decodes the arrays inside one buffer."""

    def __init__(self, data: Any, order: str, allowance: Allowance, place: Place) -> None:
        self._data, self._order, self._allowance, self._place = data, order, allowance, place
        self._unpack = struct.Struct(order + "II").unpack_from

    def _damaged(self, what: str, at: int) -> UnreadableError:
        return damaged(what, self._place(at))

    # What a reader of a stream does differently

    def _pair(self, at: int) -> tuple[int, int]:
        first, second = self._unpack(self._data, at)
        return first, second

    def _bytes(self, start: int, size: int) -> bytes:
        return bytes(self._data[start : start + size])

    def _assemble(self, parts: list[Stored], dtype: np.dtype[Any], dims: tuple[int, ...]) -> Any:
        """Return the array of its stored numbers: real ones, and imaginary ones where it has them."""
        return assembled([np.frombuffer(self._data, *each) for each in parts], dtype, dims)

    # Elements

    def tag(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Return (type, first byte, size, offset of the next element) of the element at `at`."""
        if at + 8 > end:
            raise self._damaged("an element cut short", at)
        kind, size = self._pair(at)
        if kind >> 16:  # the short form keeps size and type in one word, the data in the next
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise self._damaged("a short element that is too long", at)
            return kind, at + 4, size, at + 8
        after = at + 8 + size
        if after > end:
            raise self._damaged(f"an element of {size:,} bytes where {end - at - 8:,} are left", at)
        return kind, at + 8, size, after + (-after + at) % 8

    def header(self, at: int, end: int) -> Header:
        """Read the header of the array whose body lies in [at, end)."""
        if at == end:
            return Header(6, 0, (0, 0), "", "", at)
        _, start, size, after = self.tag(at, end)
        if size < 8:
            raise self._damaged("an array without its flags", at)
        flags, _ = self._pair(start)
        kind, at, class_name = flags & 0xFF, after, ""
        dims: tuple[int, ...] = (1, 1)
        if kind == OPAQUE:
            name, at = self._text(at, end)
            _, at = self._text(at, end)
            class_name, at = self._text(at, end)
        elif kind == FUNCTION:  # one that leads nowhere has empty dims, one inside an object none
            name, at = self._before_array(at, end)
        else:
            dims, at = self._dims(at, end)
            name, at = self._text(at, end)
            if kind == OBJECT:
                class_name, at = self._text(at, end)
        return Header(kind, flags, dims, name, class_name, at)

    def matrix(self, at: int, end: int, depth: int = 0) -> tuple[str, Any]:
        """Decode the array whose body lies in [at, end); return its name and value."""
        if depth > DEEPEST:
            raise too_deep("nesting")
        self._allowance.take(ELEMENT_COST)
        if at == end:
            return "", np.empty((0, 0))
        head = self.header(at, end)
        return head.name, self._content(head, end, depth)

    def _content(self, head: Header, end: int, depth: int) -> Any:
        kind, at, dims, count = head.kind, head.at, head.dims, math.prod(head.dims)
        if kind in (OPAQUE, FUNCTION):
            class_name = head.class_name if kind == OPAQUE else CLASSES[FUNCTION]
            return Opaque(class_name, self._child(at, end, depth)[0] if at < end else None)
        if kind == CELL:
            self._check_count(count, 8, at, end)
            items: list[Any] = []
            for _ in range(count):
                value, at = self._child(at, end, depth)
                items.append(value)
            return Cell(items, dims)
        if kind in (STRUCT, OBJECT):
            return self._struct(head, end, depth)
        if kind == CHAR:
            return self._char(at, end, dims, count)
        return self._numbers(head, end) if kind in NUMERIC else Unread(head.described)

    def _child(self, at: int, end: int, depth: int) -> tuple[Any, int]:
        """Decode the array at `at`. One that contradicts the format does so within its own bytes."""
        kind, start, size, after = self.tag(at, end)
        try:
            if kind != MATRIX:
                raise self._damaged(f"an element of type {kind} where an array belongs", at)
            return self.matrix(start, start + size, depth + 1)[1], after
        except ExhaustedError:
            raise
        except UnreadableError as error:
            return Unread.because("a value", of_file(error, self._allowance.path)), after

    def _before_array(self, at: int, end: int) -> tuple[str, int]:
        """Skip to the next array; return the text before it."""
        name = ""
        while at < end:
            kind, start, size, after = self.tag(at, end)
            if kind == MATRIX:
                break
            if kind == INT8:
                name = self._name(start, size)
            at = after
        return name, at

    def _dims(self, at: int, end: int) -> tuple[tuple[int, ...], int]:
        stored, after = self._stored(at, end)
        dtype, count, start = stored
        few = min(count, MOST_DIMS + 1)
        found = np.frombuffer(self._bytes(start, few * dtype.itemsize), dtype).tolist()
        if not 0 < len(found) <= MOST_DIMS or dtype.kind not in "iu" or min(found) < 0:
            raise self._damaged(f"an array of size {tuple(found)}", at)
        return tuple(map(int, found)), after

    def _numbers(self, head: Header, end: int) -> Any:
        count = math.prod(head.dims)
        values, at = self._stored(head.at, end)
        parts = [values, self._stored(at, end)[0]] if head.flags & IMAGINARY else [values]
        for each in parts:
            if each[1] != count:
                raise self._damaged(f"{each[1]:,} numbers for an array of size {head.dims}", head.at)
        if values[0] != head.dtype:
            self._allowance.take(count * head.dtype.itemsize)
        return self._assemble(parts, head.dtype, head.dims)

    def _struct(self, head: Header, end: int, depth: int) -> Any:
        at, count = head.at, math.prod(head.dims)
        (dtype, some, first), at = self._stored(at, end)
        width = int(np.frombuffer(self._bytes(first, dtype.itemsize), dtype)[0]) if some else 0
        _, start, size, at = self.tag(at, end)
        if width <= 0 or size % width:
            raise self._damaged("a struct whose field names are no names", head.at)
        self._allowance.take(ELEMENT_COST * (size // width))
        names = distinct(self._name(i, width).split("\0")[0] for i in range(start, start + size, width))
        self._check_count(count * len(names), 8, at, end)
        self._allowance.take(count * ELEMENT_COST if not names else 0)
        items: list[dict[str, Any]] = []
        for _ in range(count):
            item: dict[str, Any] = {}
            for field in names:
                item[field], at = self._child(at, end, depth)
            items.append(item)
        if head.kind == OBJECT:
            objects = [Object(head.class_name, item) for item in items]
            return objects[0] if count == 1 else ObjectArray(objects, head.dims)
        return items[0] if count == 1 else StructArray(items, head.dims)

    def _char(self, at: int, end: int, dims: tuple[int, ...], count: int) -> str | list[str]:
        if at == end or count == 0:
            return ""
        kind, start, size, _ = self.tag(at, end)
        rows = dims[0]
        if size == 0:  # blanks that nothing is stored of
            return ""
        if rows > size:
            raise self._damaged(f"{size:,} bytes of text for an array of size {dims}", at)
        self._allowance.take(2 * size + ELEMENT_COST * (rows - 1))
        encoding = TEXT.get(kind, "latin-1")
        if "utf-16" in encoding or "utf-32" in encoding:
            encoding += "-le" if self._order == "<" else "-be"
        text = self._bytes(start, size).decode(encoding, errors="replace")
        return text if rows == 1 else [text[row::rows] for row in range(rows)]

    def _text(self, at: int, end: int) -> tuple[str, int]:
        _, start, size, after = self.tag(at, end)
        return self._name(start, size), after

    def _name(self, start: int, size: int) -> str:
        stored = self._bytes(start, size)
        try:
            return stored.decode()
        except UnicodeDecodeError:
            return stored.decode("latin-1")

    def _stored(self, at: int, end: int) -> tuple[Stored, int]:
        kind, start, size, after = self.tag(at, end)
        if kind not in STORAGE:
            raise self._damaged(f"numbers of type {kind}", at)
        dtype = np.dtype(self._order + STORAGE[kind])
        return (dtype, size // dtype.itemsize, start), after

    def _check_count(self, count: int, least: int, at: int, end: int) -> None:
        if count * least > end - at:
            raise self._damaged(f"{count:,} elements declared in {end - at:,} bytes", at)


Stored = tuple[np.dtype[Any], int, int]  # numbers in a buffer: their type, how many, and where they begin


def assembled(parts: list[NDArray], dtype: np.dtype[Any], dims: tuple[int, ...]) -> NDArray:
    """Return an array of MATLAB's `dims` of its stored numbers: in column order, and perhaps of a smaller type."""
    values = parts[0].astype(dtype, copy=False) if len(parts) == 1 else (parts[0] + 1j * parts[1]).astype(dtype)
    return values.reshape(dims, order="F")


def distinct(names: Iterable[str]) -> list[str]:
    """Return field names, of which MATLAB itself has written two alike: a second one gets a number."""
    found: dict[str, None] = {}
    for name in names:
        count = 2
        other = name
        while other in found:
            other, count = f"{name}_{count}", count + 1
        found[other] = None
    return list(found)


class StreamReader(Reader):
    """Decodes a large element while it inflates, and holds what it passes only as far as headers and small arrays go.

    A larger array is read when it is asked for, which inflates the whole element once.
    """

    def __init__(self, element: Element, order: str, allowance: Allowance, unchanged: Callable[[], None]) -> None:
        super().__init__(None, order, allowance, element.place)
        self._element, self._unchanged = element, unchanged
        self._pieces, self._held, self._start = element.pieces(), b"", 0

    def _pair(self, at: int) -> tuple[int, int]:
        first, second = self._unpack(self._read(at, 8))
        return first, second

    def _bytes(self, start: int, size: int) -> bytes:
        self._allowance.take(size)
        return self._read(start, size)

    def _read(self, at: int, size: int) -> bytes:
        """Return bytes of the body; they are asked for in its order, and go back by one small array at most."""
        if not self._element.compressed:
            return bytes(self._element.body[at : at + size])
        while self._start + len(self._held) < at + size:
            passed = max(0, min(at - self._start, len(self._held)) - 2 * LARGE_ARRAY)
            self._held, self._start = self._held[passed:] + next(self._pieces), self._start + passed
        return self._held[at - self._start : at - self._start + size]

    def _assemble(self, parts: list[Stored], dtype: np.dtype[Any], dims: tuple[int, ...]) -> Any:
        if sum(each.itemsize * count for each, count, _ in parts) <= LARGE_ARRAY:
            held = [np.frombuffer(self._bytes(start, each.itemsize * count), each) for each, count, start in parts]
            return assembled(held, dtype, dims)

        def load() -> NDArray:
            self._unchanged()
            with named(self._allowance.path):
                return assembled([self._stored_now(*each) for each in parts], dtype, dims)

        return Array(dims, dtype, load, dims)

    def _stored_now(self, dtype: np.dtype[Any], count: int, start: int) -> NDArray:
        if self._element.compressed:
            return np.frombuffer(self._element.inflated, dtype, count, start)
        return np.frombuffer(self._bytes(start, count * dtype.itemsize), dtype)
