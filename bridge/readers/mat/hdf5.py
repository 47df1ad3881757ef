"""The variables of a MAT v7.3 file (HDF5), in the same Python values as v5.py gives.

Large arrays stay in the file: they come as `bridge.arrays.lazy.Array`, read when asked for. Nothing outside the file is
opened, whatever its links say, and what it declares without holding it is never allocated. HDF5 objects are read by
h5py's low-level interface, which takes less than half the time: a layer is about 18 of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5r, h5s, h5t

from bridge.arrays.lazy import Array, NDArray, watch
from bridge.arrays.matlab import NUMBERS, Cell, Object, StructArray, Unread
from bridge.errors import DAMAGE, UnreadableError, reading
from bridge.files.allowance import GROWTH, Allowance, ExhaustedError
from bridge.readers.mat.container import DEEPEST, ELEMENT_COST, Opaque, Variable, damaged, named, of_file, too_deep
from bridge.readers.mat.objects import REFERENCE

LAZY_ELEMENTS = 64  # arrays of more elements are not read until needed
OLD_OBJECT, OBJECT = 2, 3  # MATLAB_object_decode of an object of a class from before classdef, and of a reference
OBJECT_COST = 16 * ELEMENT_COST  # one HDF5 object takes h5py as long as sixteen elements of a v5 file
MOST_LOOKED_AT = 100_000  # HDF5 objects; references may lead in circles
REFERENCE_SIZE = 4  # bytes of a number in a reference to an object
SMALL = 16 << 20  # bytes; smaller arrays may be stored at any ratio
COMPLEX = ("real", "imag")
COMPLEXES = {"f4": "c8", "f8": "c16"}


class File:
    """A MAT v7.3 file: its variables, one at a time, and its subsystem."""

    def __init__(self, path: Path) -> None:
        self._path, self._allowance, self._unchanged = path, Allowance(path), watch(path)
        with self._reading():
            self._file = h5py.File(path, "r")
            self._root = self._file["/"].id

    def variables(self) -> Iterator[Variable]:
        """Yield every variable, undecoded."""
        with self._reading():
            names = [name for name in _members(self._root) if not name.startswith(b"#")]
        for name in names:
            yield self._variable(name)

    def _variable(self, name: bytes) -> Variable:
        shown = name.decode(errors="replace")
        try:
            item = self._member(self._root, name)
            described, plain = _described(item), self._is_plain(item)
        except (UnreadableError, *DAMAGE):
            described, plain = "a variable", False  # decoding it tells what is wrong

        def decode() -> Any:
            with self._reading():
                return self.decode(self._member(self._root, name))

        return Variable(shown, described, plain, decode)

    def may_hold(self, name: str, fields: Collection[str], harmless: Collection[str]) -> bool:
        """Whether a struct with one of the fields, an object of another class than the harmless, or damage lies in a
        variable.

        It is told without decoding: a cell of a thousand texts takes ten times as long to decode.
        """
        wanted = {each.encode() for each in fields}
        waiting, seen = [self._member(self._root, name.encode())], 0
        while waiting and seen < MOST_LOOKED_AT:
            item, seen = waiting.pop(), seen + 1
            if isinstance(item, h5g.GroupID):
                names = _members(item)
                if not wanted.isdisjoint(names):
                    return True
                waiting += [self._member(item, each) for each in names]
                continue
            kind = item.get_type()
            if kind.get_class() == h5t.REFERENCE:
                waiting += map(self._target, self._references(item))
            elif kind.get_size() == REFERENCE_SIZE and self._is_object(item) and _class(item) not in harmless:
                return True
        return bool(waiting)

    def _is_object(self, item: Any) -> bool:
        return _number(item, b"MATLAB_object_decode") != 0

    def _is_plain(self, item: Any) -> bool:
        return isinstance(item, h5d.DatasetID) and _class(item) != "cell" and not self._is_object(item)

    def subsystem(self) -> Any:
        """Return the object data, or None: a dict whose "MCOS" is the wrapped cell, decoded lazily.

        Raises:
            UnreadableError: they are damaged.
        """
        with self._reading():
            if b"#subsystem#" not in _members(self._root):
                return None
            group = self._member(self._root, b"#subsystem#")
            if not isinstance(group, h5g.GroupID) or b"MCOS" not in _members(group):
                return None
            return {"MCOS": Opaque("FileWrapper__", LazyCell(self, self._references(self._member(group, b"MCOS"))))}

    def follow(self, reference: h5r.Reference) -> Any:
        """Decode what a reference of this file leads to."""
        with self._reading():
            return self.decode(self._target(reference))

    def decode(self, item: Any, depth: int = 0) -> Any:
        """Decode one HDF5 object, a group or dataset."""
        if depth > DEEPEST:
            raise too_deep("nesting")
        self._allowance.take(OBJECT_COST)
        kind = _class(item)
        if isinstance(item, h5g.GroupID):
            return self._group(item, kind, depth)
        if _is_elsewhere(item):
            raise damaged("an array that lies in another file", _place(item))
        if _number(item, b"MATLAB_empty"):
            return _empty(kind, item, tuple(int(n) for n in self._read(item).reshape(-1)))
        if _number(item, b"MATLAB_object_decode") == OBJECT:
            return Opaque(kind, self._read(item).T)
        if kind == "cell":
            return Cell([self._child(each, depth) for each in self._references(item)], item.shape[::-1])
        return self._text(item) if kind == "char" else self._numbers(item, kind)

    def _numbers(self, item: Any, kind: str) -> Any:
        dtype = item.dtype
        if dtype.names:
            if dtype.names != COMPLEX or any(dtype[name].str[1:] not in COMPLEXES for name in COMPLEX):
                return Unread(kind or "compound")
            value = self._read(item)
            return (value["real"] + 1j * value["imag"]).astype(COMPLEXES[dtype["real"].str[1:]]).T
        if dtype.hasobject or dtype.kind not in "iuf":
            return Unread(kind or str(dtype))
        if kind == "logical":
            return self._read(item).T.astype(bool)
        if math.prod(item.shape) > LAZY_ELEMENTS and not self._is_reference(item):
            shape = item.shape
            return Array(shape, dtype, self._reader(item), shape).transpose(tuple(range(len(shape)))[::-1])
        return self._read(item).T

    def _child(self, reference: h5r.Reference, depth: int) -> Any:
        return self._part(partial(self._target, reference), depth)

    def _target(self, reference: h5r.Reference) -> Any:
        found = h5r.dereference(reference, self._root)
        if found is None:
            raise damaged("a reference that leads nowhere")
        return found

    def _part(self, find: Callable[[], Any], depth: int) -> Any:
        """Decode a part. One that cannot be decoded spoils nothing beside it."""
        try:
            return self.decode(find(), depth + 1)
        except ExhaustedError:
            raise
        except DAMAGE as error:
            return self._unread(damaged(f"{type(error).__name__}: {error}"))
        except UnreadableError as error:
            return self._unread(error)

    def _unread(self, error: UnreadableError) -> Unread:
        """Keep why a part cannot be decoded. It counts: a cell may refer to what is damaged a million times."""
        self._allowance.take(OBJECT_COST)
        return Unread.because("a value", of_file(error, self._path))

    def _group(self, group: Any, kind: str, depth: int) -> Any:
        names = _members(group)
        if h5a.exists(group, b"MATLAB_sparse"):
            return Unread(f"sparse {kind or 'double'}")
        columns = [] if kind == "function_handle" else self._columns(group, names)
        if columns:
            rows = zip(*(self._references(each) for each in columns), strict=True)
            items = [
                {_text(name): self._child(each, depth) for name, each in zip(names, row, strict=True)} for row in rows
            ]
            return StructArray(items, columns[0].shape[::-1])
        fields = {_text(name): self._part(partial(self._member, group, name), depth) for name in names}
        if kind == "function_handle":
            return Opaque(kind, fields)
        return Object(kind, fields) if _number(group, b"MATLAB_object_decode") == OLD_OBJECT else fields

    def _columns(self, group: Any, names: list[bytes]) -> list[Any]:
        """Return the datasets of references that a struct array has for its fields; [] for a struct."""
        columns = []
        for name in names:
            item = self._member(group, name) if _is_hard(group, name) else None
            if not isinstance(item, h5d.DatasetID) or h5a.exists(item, b"MATLAB_class") or not item.dtype.hasobject:
                return []
            columns.append(item)
        return columns

    def _text(self, item: Any) -> str | list[str]:
        units = np.ascontiguousarray(self._read(item).T.astype("<u2"))
        self._allowance.take(ELEMENT_COST * len(units))
        rows = [row.tobytes().decode("utf-16-le", errors="replace") for row in units]
        return rows[0] if len(rows) == 1 else rows

    def _references(self, item: Any) -> Any:
        return self._read(item).reshape(-1)

    def _read(self, item: Any) -> Any:
        """Read a dataset now."""
        dtype = item.dtype
        self._allowance.take(math.prod(item.shape) * ELEMENT_COST if dtype.hasobject else _bytes(item, dtype))
        return _values(item, dtype)

    def _reader(self, item: Any) -> Callable[[], NDArray]:
        """Return what reads a dataset when it is asked for."""

        def load() -> NDArray:
            self._unchanged()
            with named(self._path), self._reading():
                dtype, stored = item.dtype, item.get_storage_size()
                if _bytes(item, dtype) > max(SMALL, GROWTH * stored) or _holes(item, dtype):
                    declared = f"{_bytes(item, dtype):,} bytes are declared, {stored:,} are stored"
                    raise damaged(declared, _place(item))
                return _values(item, dtype)

        return load

    def _is_reference(self, item: Any) -> bool:
        return item.dtype == np.uint32 and _bytes(item, item.dtype) < SMALL and self._read(item).flat[0] == REFERENCE

    def _member(self, group: Any, name: bytes) -> Any:
        """Return what lies in a group. A link is not followed: MATLAB writes none, and one may lead to another file."""
        if not _is_hard(group, name):
            raise damaged(f"'{_text(name)}' is a link to somewhere else", _place(group))
        return h5py.h5o.open(group, name)

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


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _place(item: Any) -> str:
    name = h5py.h5i.get_name(item)
    return f"in its HDF5 object {_text(name)}" if name else ""


def _members(group: Any) -> list[bytes]:
    return list(group)


def _is_hard(group: Any, name: bytes) -> bool:
    return bool(group.links.get_info(name).type == h5l.TYPE_HARD)


def _class(item: Any) -> str:
    return _text(_attribute(item, b"MATLAB_class") or b"")


def _number(item: Any, name: bytes) -> int:
    value = _attribute(item, name)
    return value if isinstance(value, int) else 0


def _attribute(item: Any, name: bytes) -> Any:
    """Return an attribute that holds a text of fixed length or an integer, None where there is none."""
    if not h5a.exists(item, name):
        return None
    held = h5a.open(item, name)
    dtype = held.dtype
    if dtype.kind not in "SiuO" or dtype.hasobject or math.prod(held.shape) != 1:
        return None
    value = np.empty(held.shape, dtype)
    held.read(value)
    return value.reshape(-1)[0].item()


def _values(item: Any, dtype: np.dtype[Any]) -> NDArray:
    value = np.empty(item.shape, dtype)
    item.read(h5s.ALL, h5s.ALL, value)
    return value


def _is_elsewhere(item: Any) -> bool:
    """Whether the values of a dataset lie in another file."""
    plan = item.get_create_plist()
    return bool(plan.get_layout() == h5d.VIRTUAL or plan.get_external_count())


def _chunks(item: Any) -> tuple[int, ...] | None:
    plan = item.get_create_plist()
    return tuple(plan.get_chunk()) if plan.get_layout() == h5d.CHUNKED else None


def _bytes(item: Any, dtype: np.dtype[Any]) -> int:
    """What reading a dataset needs: HDF5 reads whole chunks, which may be larger than the dataset."""
    return int(dtype.itemsize * max(math.prod(item.shape), math.prod(_chunks(item) or ())))


def _holes(item: Any, dtype: np.dtype[Any]) -> bool:
    """Whether parts of a dataset were never written; HDF5 would make them up."""
    chunks = _chunks(item)
    if chunks is None:
        return bool(item.get_storage_size() < math.prod(item.shape) * dtype.itemsize)
    whole = math.prod(-(-length // chunk) for length, chunk in zip(item.shape, chunks, strict=True))
    return bool(item.get_num_chunks() < whole)


def _empty(kind: str, item: Any, dims: tuple[int, ...]) -> Any:
    if kind == "struct" and 0 not in dims:  # without fields
        return {} if set(dims) == {1} else StructArray([], dims)
    if not dims or 0 not in dims:
        raise damaged(f"an empty array of size {dims}", _place(item))
    if kind == "char":
        return ""
    if kind in ("cell", "struct"):
        return (Cell if kind == "cell" else StructArray)([], dims)
    if kind == "function_handle":
        return Opaque(kind, None)
    return np.empty(dims, bool if kind == "logical" else np.float64)


def _described(item: Any) -> str:
    """Say size and class of a variable without decoding it."""
    kind = _class(item)
    if isinstance(item, h5g.GroupID):
        return kind or "struct"
    if kind == "char" or _number(item, b"MATLAB_object_decode"):
        return kind
    shape = _values(item, item.dtype).reshape(-1)[:32] if _number(item, b"MATLAB_empty") else item.shape[::-1]
    dtype = item.dtype
    complexity = "complex " if dtype.names == COMPLEX else ""
    kind = kind or NUMBERS.get(str(dtype), str(dtype))
    return f"{'x'.join(str(int(n)) for n in shape)} {complexity}{kind}"
