"""MATLAB objects: the table behind the object references of a .mat file.

The layout is described in docs/mat.md. A container (v5.py, hdf5.py) hands over the cells of the
`FileWrapper__`; this module turns references into `Object`s. Nothing of a class is executed: an object is
its class name and its saved properties.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.readers.mat.v5 import DEEPEST, Cell, Opaque, damaged

REFERENCE = 0xDD000000
FIRST_VALUE = 2  # cells 0 and 1 are the metadata and an empty one
SAVEOBJ = "any"  # the property under which nnet's classes keep what saveobj returned
NAME, VALUE, LOGICAL = 0, 1, 2  # types of a property
LARGEST_TABLE = 16 << 20  # bytes; of the files MATLAB wrote none has more than 5,000
MOST_VALUES = 1_000_000  # a value may be reached on many ways; of the files MATLAB wrote none has more than 2,000


@dataclass
class Object:
    """One MATLAB object: `class_name` and its saved `properties` (what `saveobj` returned, where it did)."""

    class_name: str
    properties: dict[str, Any] = field(default_factory=dict)


class Objects:
    """Resolves references to objects.

    Args:
        cells: the values of the `FileWrapper__`, asked for by index and only when needed.
        count: how many cells there are.
    """

    def __init__(self, cells: Callable[[int], Any], count: int) -> None:
        self._cells, self._count = cells, count
        if count < FIRST_VALUE:
            raise damaged("object data without a table")
        table = cells(0)
        if not isinstance(table, np.ndarray) or table.dtype != np.uint8 or not 40 <= table.size <= LARGEST_TABLE:
            raise damaged("an object table that is none")
        metadata = table.tobytes()
        self._words = np.frombuffer(metadata, "<u4", len(metadata) // 4)
        names_count = int(self._words[1])
        self._at = [int(word) for word in self._words[2:10]]
        if any(a > b for a, b in pairwise((40, *self._at[:5], len(metadata)))):
            raise damaged("an object table whose parts overlap")
        self._names = ["", *(text.decode("latin-1") for text in metadata[40 : self._at[0]].split(b"\0")[:names_count])]
        self._classes, self._objects = self._rows(0, 4), self._rows(2, 6)
        self._seen: dict[int, Object] = {}
        self._resolved = 0

    @cached_property
    def _saveobj_blocks(self) -> list[NDArray]:
        return self._blocks(self._at[1], self._at[2])

    @cached_property
    def _plain_blocks(self) -> list[NDArray]:
        return self._blocks(self._at[3], self._at[4])

    def _rows(self, part: int, width: int) -> NDArray:
        words = self._words[self._at[part] // 4 : self._at[part + 1] // 4]
        return words[: len(words) // width * width].reshape(-1, width)

    def _blocks(self, start: int, end: int) -> list[NDArray]:
        """Return the property blocks, each an array of rows (name, type, value)."""
        words, blocks, at = self._words, [], start // 4
        while at < end // 4:
            count = int(words[at])
            if at + 1 + 3 * count > end // 4:
                raise damaged("a property block cut short")
            blocks.append(words[at + 1 : at + 1 + 3 * count].reshape(-1, 3))
            at += 1 + 3 * count
            at += at % 2  # blocks are padded to 8 bytes
        return blocks

    def _name(self, index: int) -> str:
        if index >= len(self._names):
            raise damaged(f"a name number {index} of {len(self._names) - 1}")
        return self._names[index]

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """Replace every reference inside `value` by the object (or Cell of objects) it means."""
        if depth > DEEPEST:
            raise damaged(f"more than {DEEPEST} levels of objects")
        self._resolved += 1
        if self._resolved > MOST_VALUES:
            raise damaged(f"more than {MOST_VALUES:,} values behind its objects")
        if isinstance(value, Opaque):
            return self._referenced(value.content, depth) if value.class_name != "function_handle" else value
        if isinstance(value, dict):
            return {key: self.resolve(item, depth + 1) for key, item in value.items()}
        if isinstance(value, Cell):
            return Cell([self.resolve(item, depth + 1) for item in value], value.dims)
        if (
            isinstance(value, np.ndarray)
            and value.dtype == np.uint32
            and value.size >= 5
            and value.flat[0] == REFERENCE
        ):
            return self._referenced(value, depth)
        return value

    def _referenced(self, reference: Any, depth: int) -> Any:
        if not isinstance(reference, np.ndarray) or reference.size < 5 or int(reference.flat[0]) != REFERENCE:
            return Opaque("unknown", reference)
        words = reference.reshape(-1, order="F").tolist()
        dims = tuple(words[2 : 2 + words[1]])
        ids = words[2 + words[1] : -1]
        if len(dims) != words[1] or math.prod(dims) != len(ids):
            raise damaged("an object reference whose size disagrees with its dims")
        objects = [self._object(number, depth) for number in ids]
        return objects[0] if len(objects) == 1 else Cell(objects, dims)

    def _object(self, number: int, depth: int) -> Object:
        if number in self._seen:
            return self._seen[number]
        if not 0 < number < len(self._objects):
            raise damaged(f"object number {number} of {len(self._objects) - 1}")
        class_id, _, _, saveobj, plain, _ = self._objects[number].tolist()
        if not 0 < class_id < len(self._classes):
            raise damaged(f"class number {class_id} of {len(self._classes) - 1}")
        names = [self._name(each) for each in self._classes[class_id].tolist()[:2]]
        made = self._seen[number] = Object(".".join(name for name in names if name))
        blocks = self._saveobj_blocks if saveobj else self._plain_blocks
        index = saveobj or plain
        if index >= len(blocks):
            raise damaged(f"property block {index} of {len(blocks) - 1}")
        for name, kind, value in blocks[index].tolist():
            made.properties[self._name(name)] = self._property(kind, value, depth)
        saved = made.properties.get(SAVEOBJ)
        if saveobj and isinstance(saved, dict):
            made.properties = saved
        return made

    def _property(self, kind: int, value: int, depth: int) -> Any:
        if kind == NAME:
            return self._name(value)
        if kind == LOGICAL:
            return bool(value)
        if kind == VALUE:
            if FIRST_VALUE + value >= self._count:
                raise damaged(f"value number {value} of {self._count - FIRST_VALUE}")
            return self.resolve(self._cells(FIRST_VALUE + value), depth + 1)
        raise damaged(f"a property of type {kind}")
