"""The elements of a MAT v5 file, inflated as far as they are needed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bridge.errors import UnreadableError
from bridge.files.allowance import Allowance
from bridge.readers.mat.container import damaged

MATRIX, COMPRESSED = 14, 15  # types of an element
PIECE = 1 << 16  # compressed bytes inflated at a time; with more, each result is fresh memory, which takes longer
SMALLEST, LARGEST = 1 << 12, 1 << 20  # bytes that are inflated at a time


@dataclass(frozen=True)
class Place:
    """How a byte of a buffer is named: where the buffer begins, and what it is."""

    base: int
    of: str = ""

    def __call__(self, at: int) -> str:
        return f"at byte {self.base + at:,}{self.of}"


class Element:
    """One element of a file, inflated when needed."""

    def __init__(self, at: int, compressed: bool, body: memoryview, order: str, allowance: Allowance) -> None:
        self.at, self.compressed, self.body, self._order, self._allowance = at, compressed, body, order, allowance

    @property
    def place(self) -> Place:
        """How bytes of the array's body are named."""
        return Place(0, f" of what inflates at byte {self.at:,}") if self.compressed else Place(self.at + 8)

    @cached_property
    def size(self) -> int:
        """The size of the array's body, as the element declares it."""
        if not self.compressed:
            return len(self.body)
        head = self._inflate(zlib.decompressobj(), self.body[:SMALLEST], 8)
        if len(head) < 8:
            raise self._ends_early()
        kind, size = struct.unpack(self._order + "II", head)
        if kind != MATRIX:
            raise damaged("a compressed element that holds no array", f"at byte {self.at:,}")
        return int(size)

    @cached_property
    def is_allowed(self) -> bool:
        """Whether the file may grow by it: asked once, and refused by ExhaustedError."""
        self._allowance.take(self.size if self.compressed else 0)
        return True

    @cached_property
    def inflated(self) -> memoryview:
        """The array's body in memory: the network survives when the file is written over.

        Raises:
            UnreadableError: it does not inflate to the size it declares, or to too much.
        """
        if not self.compressed:
            return np.array(self.body).data.toreadonly()
        assert self.is_allowed
        body = np.empty(self.size, np.uint8).data  # numpy asks for huge pages, which halve the cost of touching it
        filled = 0
        for piece in self.pieces(LARGEST):
            body[filled : filled + len(piece)] = piece
            filled += len(piece)
        return body.toreadonly()

    def pieces(self, most: int = SMALLEST) -> Iterator[bytes]:
        """Yield the body as it inflates, and no more of it than is declared.

        Args:
            most: bytes of the first piece; each further one may be twice as large.

        Raises:
            UnreadableError: it ends early, or does not inflate.
        """
        stream, left, skip = zlib.decompressobj(), self.size + 8, 8
        for start in range(0, len(self.body), PIECE):
            packed: Any = self.body[start : start + PIECE]
            while packed and left:
                found = self._inflate(stream, packed, min(left, most))
                left, packed, most = left - len(found), stream.unconsumed_tail, min(2 * most, LARGEST)
                yield found[skip:]
                skip = max(0, skip - len(found))
        if left:
            raise self._ends_early()

    def _inflate(self, stream: Any, packed: memoryview, most: int) -> bytes:
        try:
            return bytes(stream.decompress(packed, most))
        except zlib.error as error:
            raise damaged("a compressed element that does not inflate", f"at byte {self.at:,}") from error

    def _ends_early(self) -> UnreadableError:
        return damaged("a compressed element that ends early", f"at byte {self.at:,}")
