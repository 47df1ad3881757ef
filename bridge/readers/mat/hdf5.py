"""The variables of a MAT v7.3 file (HDF5), in the same Python values as v5.py gives.

Large arrays stay in the file: they come as `bridge.arrays.Array`, read when asked for.
No network that MATLAB itself saved as v7.3 was at hand; this module is tested on files of that layout made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bridge.arrays import Array
from bridge.readers.mat.objects import REFERENCE
from bridge.readers.mat.v5 import DEEPEST, Cell, Opaque, Unread, damaged

LAZY_ELEMENTS = 64  # arrays of more elements are not read until needed
OBJECT_DECODE = 3  # MATLAB_object_decode of an object reference


class File:
    """A MAT v7.3 file: its variables, one at a time, and its subsystem."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise damaged("HDF5 cannot open it") from error

    def variables(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) of every variable; an object's value is an `Opaque`."""
        with reading():
            for name in self._file:
                if not name.startswith("#"):
                    yield name, decode(self._file[name])

    def subsystem(self) -> Any:
        """Return the object data, or None: a dict whose "MCOS" is the wrapped cell, decoded lazily."""
        with reading():
            wrapper = self._file.get("#subsystem#/MCOS")
            if wrapper is None:
                return None
            references = wrapper[()].reshape(-1)
            return {"MCOS": Opaque("FileWrapper__", LazyCell(self._file, references))}


class LazyCell:
    """The cells of the `FileWrapper__`, decoded one at a time."""

    def __init__(self, file: h5py.File, references: Any) -> None:
        self._file, self._references = file, references

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, index: int) -> Any:
        with reading():
            value = decode(self._file[self._references[index]])
        return value.read() if index == 0 and isinstance(value, Array) else value


class reading:
    """Turns what h5py raises on damaged files into our error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, UnicodeDecodeError)):
            raise damaged("its HDF5 structure") from error


def decode(item: Any, depth: int = 0) -> Any:
    """Decode one HDF5 object."""
    if depth > DEEPEST:
        raise damaged(f"more than {DEEPEST} levels of nesting")
    attributes = item.attrs
    kind = attributes.get("MATLAB_class", b"").decode()
    if isinstance(item, h5py.Group):
        return _struct(item, depth)
    if attributes.get("MATLAB_empty"):
        return _empty(kind, tuple(int(n) for n in item[()].reshape(-1)))
    if attributes.get("MATLAB_object_decode") == OBJECT_DECODE:
        return Opaque(kind, item[()].T)
    if kind == "cell":
        return Cell([decode(item.file[ref], depth + 1) for ref in item[()].reshape(-1)], item.shape[::-1])
    if kind == "char":
        rows = [row.tobytes().decode("utf-16-le") for row in np.ascontiguousarray(item[()].T.astype("<u2"))]
        return rows[0] if len(rows) == 1 else rows
    if item.dtype.names:
        return Unread("complex") if item.dtype.names != ("real", "imag") else (item["real"] + 1j * item["imag"]).T
    if item.dtype.hasobject or item.dtype.kind not in "iuf":
        return Unread(kind or str(item.dtype))
    if kind == "logical":
        return item[()].T.astype(bool)
    if item.size > LAZY_ELEMENTS and not _is_reference(item):
        return Array(item.shape, item.dtype, _reader(item), item.shape).transpose(tuple(range(item.ndim))[::-1])
    return item[()].T


def _is_reference(item: Any) -> bool:
    return item.dtype == np.uint32 and item[(0,) * item.ndim] == REFERENCE


def _reader(item: Any) -> Any:
    def load() -> Any:
        with reading():
            return item[()]

    return load


def _struct(group: Any, depth: int) -> Any:
    if group.attrs.get("MATLAB_class", b"") == b"function_handle":
        return Opaque("function_handle", {name: decode(group[name], depth + 1) for name in group})
    members = [group[name] for name in group]
    if members and all(isinstance(m, h5py.Dataset) and m.dtype.hasobject and "MATLAB_class" not in m.attrs for m in members):
        rows = zip(*(m[()].reshape(-1) for m in members), strict=True)
        items = [{name: decode(group.file[ref], depth + 1) for name, ref in zip(group, row, strict=True)} for row in rows]
        return Cell(items, members[0].shape[::-1])
    return {name: decode(group[name], depth + 1) for name in group}


def _empty(kind: str, dims: tuple[int, ...]) -> Any:
    if kind == "char":
        return ""
    if kind in ("cell", "struct"):
        return Cell([], dims)
    if np.prod(dims) != 0:
        raise damaged(f"an empty array of size {dims}")
    return np.empty(dims, bool if kind == "logical" else np.float64)
