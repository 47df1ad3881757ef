"""Changes of the groups, datasets, attributes, references and links of a MAT v7.3 file."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from fuzz.changes import NUMBERS, REALS, changed_text

CLASSES = (
    "double", "single", "logical", "char", "cell", "struct", "function_handle", "uint8", "uint32", "int64", "string",
    "canonical empty", "FileWrapper__", "nnet.cnn.layer.ReLULayer", "table", "categorical", "",
)  # fmt: skip
ATTRIBUTES = (
    "MATLAB_class",
    "MATLAB_empty",
    "MATLAB_object_decode",
    "MATLAB_int_decode",
    "MATLAB_fields",
    "MATLAB_sparse",
)
Item = Any  # a group or a dataset


def change(path: Path, random: Random) -> None:
    """Change one to three things in a file, in its place."""
    with h5py.File(path, "r+") as file:
        for _ in range(random.choice((1, 1, 2, 3))):
            items = _items(file)
            if items:
                random.choice(_CHANGES)(file, file[random.choice(items)], random)


def _items(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)  # of an object with several names, the first
    return [name for name in found if isinstance(file.get(name, getlink=True), h5py.HardLink)]


def _value(file: h5py.File, item: Item, random: Random) -> None:
    """Put another value into one place of a dataset, or a reference to something else."""
    if not isinstance(item, h5py.Dataset) or not item.size or not item.shape:
        return
    at = tuple(random.randrange(length) for length in item.shape)
    if item.dtype == h5py.ref_dtype:
        targets = _items(file)
        item[at] = random.choice((h5py.Reference(), file[random.choice(targets)].ref, file.ref, item.ref))
    elif item.dtype.kind == "f":
        item[at] = random.choice(REALS if item.dtype.itemsize > 4 else (*REALS[:6], *REALS[8:]))
    elif item.dtype.kind in "iu":
        low, high = np.iinfo(item.dtype).min, np.iinfo(item.dtype).max
        near = int(item[at]) + random.randrange(-9, 10)
        item[at] = min(max(random.choice((near, near, random.randrange(64), random.choice(NUMBERS))), low), high)


def _attribute(file: h5py.File, item: Item, random: Random) -> None:
    """Take an attribute away, or give it another value."""
    name = random.choice((*item.attrs, *ATTRIBUTES))
    if name in item.attrs:
        del item.attrs[name]
    values = (
        None,
        np.bytes_(random.choice(CLASSES) or b"\0"),
        np.int32(random.choice((0, 1, 2, 3, 4, 5, -1, 1 << 30))),
        np.array(random.choices(NUMBERS[:20], k=3)),
        changed_text("net", random).replace("\0", "?") or "?",
        np.float64(random.choice(REALS)),
        h5py.Empty("f4"),
    )
    value = random.choice(values)
    if value is not None:
        item.attrs[name] = value


def _removed(file: h5py.File, item: Item, random: Random) -> None:
    del file[item.name]


def _linked(file: h5py.File, item: Item, random: Random) -> None:
    """Put a link in the place of an object: to another one, to a group around it, to another file, to nothing."""
    name, target = item.name, random.choice(_items(file))
    kind = random.randrange(4)
    held = file[target]
    del file[name]
    if kind == 0:
        file[name] = held
    elif kind == 1:
        file[name] = h5py.SoftLink(f"/{target}")
    elif kind == 2:
        file[name] = h5py.ExternalLink("other.mat", f"/{target}")
    else:
        file[name] = file["/"]


def _replaced(file: h5py.File, item: Item, random: Random) -> None:
    """Put a dataset of another shape or type in the place of an object, with its attributes."""
    name, attributes = item.name, dict(item.attrs.items()) if random.random() < 0.8 else {}
    del file[name]
    shape = random.choice(((), (0,), (1,), (1, 1), (0, 0), (3, 2), (1, 1, 1, 1), (1 << 20, 1 << 20), (5000, 5000)))
    dtype = random.choice(("f4", "f8", "u1", "u2", "u4", "u8", "i4", "S3", "c16", h5py.ref_dtype, h5py.string_dtype()))
    large = len(shape) > 0 and max(shape) > 100
    options = {"chunks": tuple(min(length, 64) for length in shape), "compression": "gzip"} if large else {}
    made = file.create_dataset(name, shape=shape, dtype=dtype, **options)
    for key, value in attributes.items():
        made.attrs[key] = value


def _grouped(file: h5py.File, item: Item, random: Random) -> None:
    """Put a group in the place of an object: empty, or with itself in it."""
    name = item.name
    held = file[name]
    del file[name]
    group = file.create_group(name)
    if random.random() < 0.7:
        group[random.choice(("x", "MCOS", "Layers", "Value", "a/b"))] = random.choice((held, group))
    if random.random() < 0.7:
        group.attrs["MATLAB_class"] = np.bytes_("struct")


_CHANGES = (_value, _value, _value, _value, _attribute, _attribute, _attribute, _removed, _linked, _replaced, _grouped)
