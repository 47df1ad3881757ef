"""The variables of a MAT v5 ("-v6", "-v7") file, without copying an array.

The format is documented in MathWorks' "MAT-File Format"; `bridge.arrays.matlab` tells what values become. Arrays are
views of the inflated element, so a weight is not copied before it reaches its tensor. Of a large element only the
headers are held until an array of it is asked for. Everything is bounds-checked, a file may grow to a bounded size
only, and a part that contradicts the format becomes an `Unread`: what lies beside it is still read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import watch
from bridge.errors import UnreadableError
from bridge.files.allowance import Allowance
from bridge.readers.mat.container import Variable, damaged
from bridge.readers.mat.v5_arrays import Reader, StreamReader
from bridge.readers.mat.v5_elements import COMPRESSED, MATRIX, Element, Place

HEADER_SIZE = 128
SUBSYSTEM_OFFSET = 116  # where the header keeps the file offset of the object data
NO_SUBSYSTEM = (0, int.from_bytes(b" " * 8))  # what stands there in a file without objects
LARGE = 16 << 20  # bytes; of larger elements only the headers are held


class File:
    """A MAT v5 file: its variables, one at a time, and its subsystem."""

    def __init__(self, path: Path) -> None:
        self._allowance, self._unchanged = Allowance(path), watch(path)
        with path.open("rb") as stream:
            self._data: Any = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._data) < HEADER_SIZE or self._data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise UnreadableError(
                f"{path} is no MAT v5 file", "its header is missing or damaged", "save it again in MATLAB"
            )
        self._order = "<" if self._data[126:128] == b"IM" else ">"
        (self._subsystem,) = struct.unpack_from(self._order + "Q", self._data, SUBSYSTEM_OFFSET)

    def variables(self) -> Iterator[Variable]:
        """Yield every variable, undecoded."""
        try:
            for element in self._elements():
                if element.at != self._subsystem:
                    yield self._variable(element)
        except UnreadableError as error:  # where the next element begins is not known
            yield Variable("", "the rest of the file", False, _raising(error))

    def subsystem(self) -> Any:
        """Return the content of the object data, or None: a dict whose "MCOS" is the wrapped cell.

        Raises:
            UnreadableError: it is missing or damaged.
        """
        if self._subsystem in NO_SUBSYSTEM:
            return None
        element = next((each for each in self._elements() if each.at == self._subsystem), None)
        if element is None:
            raise damaged("its object data is missing", f"at byte {self._subsystem:,}, where they belong")
        _, stored = self._held(element).matrix(0, element.size)
        if not isinstance(stored, np.ndarray) or stored.dtype != np.uint8:
            raise damaged("object data that are no bytes", f"at byte {element.at:,}")
        inner = np.ascontiguousarray(stored.reshape(-1, order="F")).data
        order = "<" if bytes(inner[2:4]) == b"IM" else ">"
        reader = Reader(inner, order, self._allowance, Place(0, " of its object data"))
        kind, start, size, _ = reader.tag(8, len(inner))
        return reader.matrix(start, start + size)[1] if kind == MATRIX else None

    def _elements(self) -> Iterator[Element]:
        """Yield every element, not yet inflated.

        Raises:
            UnreadableError: one contradicts the format, and so where the next one begins is not known.
        """
        at, data = HEADER_SIZE, memoryview(self._data)
        reader = Reader(data, self._order, self._allowance, Place(0))
        while at < len(data):
            kind, start, size, after = reader.tag(at, len(data))
            if kind not in (MATRIX, COMPRESSED):
                raise damaged(f"an element of type {kind}", f"at byte {at:,}")
            yield Element(at, kind == COMPRESSED, data[start : start + size], self._order, self._allowance)
            at = after if kind == MATRIX else start + size

    def _variable(self, element: Element) -> Variable:
        def decode() -> Any:
            return self._reader(element).matrix(0, element.size)[1]

        try:
            head = self._stream(element).header(0, element.size)
        except UnreadableError as error:
            return Variable("", "a variable", False, _raising(error))
        return Variable(head.name, head.described, head.is_plain, decode)

    def _reader(self, element: Element) -> Reader:
        if element.size <= LARGE:
            return self._held(element)
        assert element.is_allowed
        return self._stream(element)

    def _held(self, element: Element) -> Reader:
        return Reader(element.inflated, self._order, self._allowance, element.place)

    def _stream(self, element: Element) -> StreamReader:
        return StreamReader(element, self._order, self._allowance, self._unchanged)


def _raising(error: UnreadableError) -> Callable[[], Any]:
    def decode() -> Any:
        raise error

    return decode
