"""Variables as a MAT v7.3 file: HDF5 with MATLAB's header and attributes. Arrays are read one at a time.

Axes are reversed, a struct is a group, a cell holds references to datasets in /#refs#, an empty array is stored as its
size. The layout is that of files MATLAB wrote; no file written here has been loaded by MATLAB yet.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.writers.mat5 import Value, dims

HEADER = b"MATLAB 7.3 MAT-file, written by bridge HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\0\2IM"
USER_BLOCK = 512  # bytes before the HDF5 signature
CLASSES = {"float32": "single", "float64": "double", "bool": "logical", "object": "cell"}
LOGICAL, UTF16 = 1, 2  # MATLAB_int_decode: what integers stand for


def write(path: Path, variables: Mapping[str, Value], size: int) -> None:
    """Write a file with variables of about `size` bytes in all.

    Raises:
        OSError: there is no room for it. That is asked first, as HDF5 cannot close a file once a write has failed.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        encoder = _Encoder(file)
        for name, value in variables.items():
            encoder.put(file.id, name.encode("ascii"), value)
    with path.open("r+b") as stream:
        stream.write(HEADER)


class _Encoder:
    """Writes values through HDF5's own calls: h5py's own objects take twice as long for the thousands of small ones
    that a network has.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._items = file.id, 0
        self._references: Any = None

    def put(self, parent: Any, name: bytes, value: Value) -> Any:
        """Store a value under a name in a group and return its HDF5 object."""
        if isinstance(value, dict):
            return self._struct(parent, name, value) if value else _empty(parent, name, (1, 1), "struct")
        if isinstance(value, str):
            units = np.frombuffer(value.encode("utf-16-le", "surrogatepass"), "<u2").reshape(1, -1)
            return _marked(
                _dataset(parent, name, units, "char") if value else _empty(parent, name, (0, 0), "char"), UTF16
            )
        kind = CLASSES.get(value.dtype.name, value.dtype.name)
        if value.size == 0:
            return _empty(parent, name, dims(value.shape), kind)
        if isinstance(value, Array):
            return _dataset(parent, name, value.read(), kind)
        if kind == "cell":
            return self._cell(parent, name, value)
        return (
            _marked(_dataset(parent, name, value.astype(np.uint8), kind), LOGICAL)
            if kind == "logical"
            else _dataset(parent, name, value, kind)
        )

    def _struct(self, parent: Any, name: bytes, fields: dict[str, Value]) -> Any:
        group = h5py.h5g.create(parent, name)
        for field, value in fields.items():
            self.put(group, field.encode("ascii"), value)
        names = np.empty(len(fields), h5py.vlen_dtype(np.dtype("S1")))
        for index, field in enumerate(fields):
            names[index] = np.frombuffer(field.encode("ascii"), "S1")
        h5py.Group(group).attrs.create("MATLAB_fields", names)
        return _of_class(group, "struct")

    def _cell(self, parent: Any, name: bytes, items: NDArray) -> Any:
        if self._references is None:
            self._references = h5py.h5g.create(self._file, b"#refs#")
        references = np.empty(items.shape, h5py.ref_dtype)
        for index, item in np.ndenumerate(items):
            self._items += 1
            key = b"i%d" % self._items
            self.put(self._references, key, item)
            references[index] = h5py.h5r.create(self._references, key, h5py.h5r.OBJECT)
        made = h5py.h5d.create(parent, name, h5py.h5t.STD_REF_OBJ, h5py.h5s.create_simple(references.T.shape))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(references.T))
        return _of_class(made, "cell")


def _dataset(parent: Any, name: bytes, value: NDArray, kind: str) -> Any:
    return _stored(parent, name, np.ascontiguousarray(value.reshape(dims(value.shape)).T), kind)


def _stored(parent: Any, name: bytes, data: NDArray, kind: str) -> Any:
    made = h5py.h5d.create(parent, name, _type(data.dtype), h5py.h5s.create_simple(data.shape))
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
    return _of_class(made, kind)


@cache
def _type(dtype: np.dtype[Any]) -> Any:
    return h5py.h5t.py_create(dtype, logical=True)


def _empty(parent: Any, name: bytes, shape: tuple[int, ...], kind: str) -> Any:
    made = _stored(parent, name, np.array(shape, np.uint64), kind)
    _attribute(made, b"MATLAB_empty", np.array(1, np.uint8))
    return made


def _of_class(made: Any, kind: str) -> Any:
    _attribute(made, b"MATLAB_class", np.array(kind.encode("ascii")))
    return made


def _marked(made: Any, decode: int) -> Any:
    _attribute(made, b"MATLAB_int_decode", np.array(decode, np.int32))
    return made


def _attribute(made: Any, name: bytes, value: NDArray) -> None:
    h5py.h5a.create(made, name, _type(value.dtype), h5py.h5s.create(h5py.h5s.SCALAR)).write(value)
