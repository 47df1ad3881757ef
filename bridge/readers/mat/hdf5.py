"""The variables of a MAT v7.3 file (HDF5), in the same Python values as v5.py gives.

Large arrays stay in the file: they come as `bridge.arrays.lazy.Array`, read when asked for. Nothing outside the file is
opened, whatever its links say, and what it declares without holding it is never allocated.
No network that MATLAB itself saved as v7.3 was at hand; this module is tested on files of that layout made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bridge.arrays.lazy import Array, NDArray, watch
from bridge.errors import reading
from bridge.readers.mat.objects import REFERENCE
from bridge.readers.mat.v5 import DEEPEST, ELEMENT_COST, GROWTH, Allowance, Cell, Opaque, Unread, damaged

LAZY_ELEMENTS = 64  # arrays of more elements are not read until needed
OBJECT_DECODE = 3  # MATLAB_object_decode of an object reference
OBJECT_COST = (
    16 * ELEMENT_COST
)  # one HDF5 object takes h5py as long as sixteen elements of a v5 file, and 500 bytes there
SMALL = 16 << 20  # bytes; smaller arrays may be stored at any ratio


class File:
    """A MAT v7.3 file: its variables, one at a time, and its subsystem."""

    def __init__(self, path: Path) -> None:
        self._path, self._allowance, self._unchanged = path, Allowance(path), watch(path)
        with self._reading():
            self._file = h5py.File(path, "r")

    def variables(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of every variable; an object's value is an `Opaque`."""
        with self._reading():
            for name in self._file:
                if not name.startswith("#"):
                    yield name, self.decode(_member(self._file, name))

    def subsystem(self) -> Any:
        """Return the object data, or None: a dict whose "MCOS" is the wrapped cell, decoded lazily."""
        with self._reading():
            if "#subsystem#" not in list(self._file):
                return None
            references = self._read(_member(_member(self._file, "#subsystem#"), "MCOS")).reshape(-1)
            return {"MCOS": Opaque("FileWrapper__", LazyCell(self, references))}

    def follow(self, reference: h5py.Reference) -> Any:
        """Decode what a reference of this file leads to."""
        with self._reading():
            return self.decode(self._file[reference])

    def decode(self, item: Any, depth: int = 0) -> Any:
        """Decode one HDF5 object."""
        if depth > DEEPEST:
            raise damaged(f"more than {DEEPEST} levels of nesting")
        self._allowance.take(OBJECT_COST)
        attributes = item.attrs
        kind = attributes.get("MATLAB_class", b"").decode()
        if isinstance(item, h5py.Group):
            return self._struct(item, kind, depth)
        if item.is_virtual or item.external:
            raise damaged("an array that lies in another file")
        if attributes.get("MATLAB_empty"):
            return _empty(kind, tuple(int(n) for n in self._read(item).reshape(-1)))
        if attributes.get("MATLAB_object_decode") == OBJECT_DECODE:
            return Opaque(kind, self._read(item).T)
        if kind == "cell":
            return Cell(
                [self.decode(self._file[each], depth + 1) for each in self._read(item).reshape(-1)], item.shape[::-1]
            )
        if kind == "char":
            return self._text(item)
        if item.dtype.names:
            return (
                (self._read(item)["real"] + 1j * self._read(item)["imag"]).T
                if item.dtype.names == ("real", "imag")
                else Unread("complex")
            )
        if item.dtype.hasobject or item.dtype.kind not in "iuf":
            return Unread(kind or str(item.dtype))
        if kind == "logical":
            return self._read(item).T.astype(bool)
        if item.size > LAZY_ELEMENTS and not _is_reference(item):
            return Array(item.shape, item.dtype, self._reader(item), item.shape).transpose(
                tuple(range(item.ndim))[::-1]
            )
        return self._read(item).T

    def _struct(self, group: Any, kind: str, depth: int) -> Any:
        members = {name: _member(group, name) for name in group}
        if kind == "function_handle":
            return Opaque(kind, {name: self.decode(each, depth + 1) for name, each in members.items()})
        if members and all(
            isinstance(each, h5py.Dataset) and each.dtype.hasobject and "MATLAB_class" not in each.attrs
            for each in members.values()
        ):
            rows = zip(*(self._read(each).reshape(-1) for each in members.values()), strict=True)
            items = [
                {name: self.decode(self._file[each], depth + 1) for name, each in zip(members, row, strict=True)}
                for row in rows
            ]
            return Cell(items, next(iter(members.values())).shape[::-1])
        return {name: self.decode(each, depth + 1) for name, each in members.items()}

    def _text(self, item: Any) -> str | list[str]:
        units = np.ascontiguousarray(self._read(item).T.astype("<u2"))
        self._allowance.take(ELEMENT_COST * len(units))
        rows = [row.tobytes().decode("utf-16-le", errors="replace") for row in units]
        return rows[0] if len(rows) == 1 else rows

    def _read(self, item: Any) -> Any:
        """Read a dataset now."""
        self._allowance.take(item.size * ELEMENT_COST if item.dtype.hasobject else _bytes(item))
        return item[()]

    def _reader(self, item: Any) -> Callable[[], NDArray]:
        """Return what reads a dataset when it is asked for."""

        def load() -> NDArray:
            self._unchanged()
            with self._reading():
                stored = item.id.get_storage_size()
                if _bytes(item) > max(SMALL, GROWTH * stored) or _holes(item):
                    raise damaged(f"{_bytes(item):,} bytes are declared for {item.name}, {stored:,} are stored")
                value: NDArray = item[()]
                return value

        return load

    def _reading(self) -> Any:
        return reading(f"{self._path}")


class LazyCell:
    """The cells of the `FileWrapper__`, decoded one at a time."""

    def __init__(self, file: File, references: Any) -> None:
        self._file, self._references = file, references

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, index: int) -> Any:
        value = self._file.follow(self._references[index])
        return value.read() if index == 0 and isinstance(value, Array) else value


def _member(group: Any, name: str) -> Any:
    """Return what lies in a group. A link is not followed: MATLAB writes none, and it may lead into another file."""
    if group.id.links.get_info(name.encode(errors="surrogateescape")).type != h5py.h5l.TYPE_HARD:
        raise damaged(f"'{name}' is a link to somewhere else")
    return group[name]


def _bytes(item: Any) -> int:
    """What reading a dataset needs: HDF5 reads whole chunks, which may be larger than the dataset."""
    return int(item.dtype.itemsize * max(item.size, math.prod(item.chunks or ())))


def _holes(item: Any) -> bool:
    """Whether parts of a dataset were never written; HDF5 would make them up."""
    if item.chunks is None:
        return bool(item.id.get_storage_size() < item.nbytes)
    return bool(
        item.id.get_num_chunks()
        < math.prod(-(-length // chunk) for length, chunk in zip(item.shape, item.chunks, strict=True))
    )


def _is_reference(item: Any) -> bool:
    return item.dtype == np.uint32 and _bytes(item) < SMALL and item[(0,) * item.ndim] == REFERENCE


def _empty(kind: str, dims: tuple[int, ...]) -> Any:
    if kind == "char":
        return ""
    if kind in ("cell", "struct"):
        return Cell([], dims)
    if math.prod(dims) != 0:
        raise damaged(f"an empty array of size {dims}")
    return np.empty(dims, bool if kind == "logical" else np.float64)
