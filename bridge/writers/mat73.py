"""A variable as a MAT v7.3 file: HDF5 with MATLAB's header and attributes. Arrays are read one at a time.

Axes are reversed, a struct is a group, a cell holds references to datasets in /#refs#, an empty array is stored as its size.
The layout is that of files MATLAB wrote; no file written here has been loaded by MATLAB yet.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bridge.arrays import Array, NDArray
from bridge.writers.mat5 import Value, dims

HEADER = b"MATLAB 7.3 MAT-file, written by bridge HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\0\2IM"
USER_BLOCK = 512  # bytes before the HDF5 signature
CLASSES = {"float32": "single", "float64": "double", "bool": "logical", "object": "cell"}
LOGICAL, UTF16 = 1, 2  # MATLAB_int_decode: what integers stand for


def write(path: Path, name: str, value: Value, size: int) -> None:
    """Write a file with one variable of about `size` bytes.

    Raises:
        OSError: there is no room for it. That is asked first, as HDF5 cannot close a file once a write has failed.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        _Encoder(file).put(file, name, value)
    with path.open("r+b") as stream:
        stream.write(HEADER)


class _Encoder:
    def __init__(self, file: Any) -> None:
        self._file, self._items = file, 0

    def put(self, parent: Any, name: str, value: Value) -> Any:
        """Store a value under a name in a group and return its HDF5 object."""
        if isinstance(value, dict):
            return self._struct(parent, name, value) if value else _empty(parent, name, (1, 1), "struct")
        if isinstance(value, str):
            units = np.frombuffer(value.encode("utf-16-le", "surrogatepass"), "<u2").reshape(1, -1)
            return _marked(_dataset(parent, name, units, "char") if value else _empty(parent, name, (0, 0), "char"), UTF16)
        kind = CLASSES.get(value.dtype.name, value.dtype.name)
        if value.size == 0:
            return _empty(parent, name, dims(value.shape), kind)
        if isinstance(value, Array):
            return _dataset(parent, name, value.read(), kind)
        if kind == "cell":
            return self._cell(parent, name, value)
        return _marked(_dataset(parent, name, value.astype(np.uint8), kind), LOGICAL) if kind == "logical" else _dataset(parent, name, value, kind)

    def _struct(self, parent: Any, name: str, fields: dict[str, Value]) -> Any:
        group = parent.create_group(name)
        for field, value in fields.items():
            self.put(group, field, value)
        names = np.empty(len(fields), h5py.vlen_dtype(np.dtype("S1")))
        for index, field in enumerate(fields):
            names[index] = np.frombuffer(field.encode("ascii"), "S1")
        group.attrs.create("MATLAB_fields", names)
        return _of_class(group, "struct")

    def _cell(self, parent: Any, name: str, items: NDArray) -> Any:
        references = np.empty(items.shape, h5py.ref_dtype)
        for index, item in np.ndenumerate(items):
            self._items += 1
            references[index] = self.put(self._file.require_group("#refs#"), f"i{self._items}", item).ref
        return _of_class(parent.create_dataset(name, data=references.T, dtype=h5py.ref_dtype), "cell")


def _dataset(parent: Any, name: str, value: NDArray, kind: str) -> Any:
    return _of_class(parent.create_dataset(name, data=value.reshape(dims(value.shape)).T), kind)


def _empty(parent: Any, name: str, shape: tuple[int, ...], kind: str) -> Any:
    made = _of_class(parent.create_dataset(name, data=np.array(shape, np.uint64)), kind)
    made.attrs.create("MATLAB_empty", np.uint8(1))
    return made


def _of_class(made: Any, kind: str) -> Any:
    made.attrs.create("MATLAB_class", np.bytes_(kind))
    return made


def _marked(made: Any, decode: int) -> Any:
    made.attrs.create("MATLAB_int_decode", np.int32(decode))
    return made
