"""MATLAB objects: the table behind the object references of a .mat file.

The layout is described in docs/mat.md. A container (v5.py, hdf5.py) hands over the cells of the
`FileWrapper__`; this module turns references into objects. Nothing of a class is executed: an object is
its class name and its saved properties, or one of the values of `bridge.arrays.matlab`. An object that cannot be
decoded becomes an `Unread`, and spoils only what needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.arrays.matlab import ENUMERATION, Cell, Handle, Object, ObjectArray, Unread, decoded, read
from bridge.errors import UnreadableError, reading
from bridge.files.allowance import ExhaustedError
from bridge.readers.mat.container import DEEPEST, Opaque, damaged, of_file, too_deep

REFERENCE = 0xDD000000
FIRST_VALUE = 2  # cells 0 and 1 are the metadata and an empty one
SAVEOBJ = "any"  # the property under which nnet's classes keep what saveobj returned
NULL = 0  # the number of the object behind a handle that leads nowhere
HANDLE = "function_handle"
NAME, VALUE, LOGICAL = 0, 1, 2  # types of a property
LARGEST_TABLE = 16 << 20  # bytes; of the files MATLAB wrote none has more than 5,000
MOST_VALUES = 1_000_000  # a value may be reached on many ways; of the files MATLAB wrote none has more than 2,000


class Objects:
    """Resolves references to objects.

    Args:
        cells: the values of the `FileWrapper__`, asked for by index and only when needed.
        count: how many cells there are.
        path: the file, which errors name.
        decode: what is made of each object.
    """

    def __init__(
        self, cells: Callable[[int], Any], count: int, path: Path, decode: Callable[[Object], Any] = decoded
    ) -> None:
        self._cells, self._count, self._path, self._decode = cells, count, path, decode
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
        self._seen: dict[int, Any] = {}
        self._resolved = 0

    @property
    def class_names(self) -> frozenset[str]:
        """The full names of the classes that the file has objects of."""
        found = (self._class_name(number) for number in range(1, len(self._classes)))
        return frozenset(name for name in found if name)

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
                raise damaged("a property block cut short", f"at byte {4 * at:,} of its object table")
            blocks.append(words[at + 1 : at + 1 + 3 * count].reshape(-1, 3))
            at += 1 + 3 * count
            at += at % 2  # blocks are padded to 8 bytes
        return blocks

    def _name(self, index: int) -> str:
        if index >= len(self._names):
            raise damaged(f"a name number {index} of {len(self._names) - 1}")
        return self._names[index]

    def _class_name(self, number: int) -> str:
        return ".".join(name for name in map(self._name, self._classes[number].tolist()[:2]) if name)

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """Replace every reference inside `value` by the object (or array of objects) it means."""
        return self._kept(
            value.class_name if isinstance(value, Opaque) else "a value", lambda: self._resolve(value, depth)
        )

    def _kept(self, kind: str, decode: Callable[[], Any]) -> Any:
        """Decode a part. One that contradicts the format spoils nothing beside it."""
        try:
            return decode()
        except ExhaustedError:
            raise
        except UnreadableError as error:
            return Unread.because(kind, of_file(error, self._path))

    def _resolve(self, value: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise too_deep("objects")
        self._resolved += 1
        if self._resolved > MOST_VALUES:
            what = f"{self._path}: more than {MOST_VALUES:,} values behind the objects of the file are not read"
            raise ExhaustedError(what, "what MATLAB saves of a network has fewer", "save the network alone")
        if isinstance(value, Opaque):
            return self._opaque(value, depth)
        if isinstance(value, dict):
            found = {key: self.resolve(item, depth + 1) for key, item in value.items()}
            return self._members(found) if ENUMERATION in found else found
        if isinstance(value, Cell):
            if _is_handle(value):
                return Handle(source_text(value[1]))
            return type(value)([self.resolve(item, depth + 1) for item in value], value.dims)
        if isinstance(value, Object):  # of a class from before classdef
            return Object(value.class_name, self.resolve(value.properties, depth + 1))
        return self._referenced(value, depth) if _is_reference(value) else value

    def _opaque(self, value: Opaque, depth: int) -> Any:
        if isinstance(value.content, Unread):
            return value.content
        if value.class_name == HANDLE:
            return Handle(source_text(value.content))
        if _is_reference(value.content):
            return self._referenced(value.content, depth)
        content = self.resolve(value.content, depth + 1)
        return content if _is_names(content) else Object(value.class_name)  # an enumeration; a Java object, ...

    def _referenced(self, reference: NDArray, depth: int) -> Any:
        words = reference.reshape(-1, order="F").tolist()
        dims = tuple(words[2 : 2 + words[1]])
        ids = words[2 + words[1] : -1]
        if len(dims) != words[1] or math.prod(dims) != len(ids):
            raise damaged("an object reference whose size disagrees with its dims")
        if len(ids) == 1:
            return self._object(ids[0], depth)
        return ObjectArray([self._kept("an object", partial(self._object, number, depth)) for number in ids], dims)

    def _object(self, number: int, depth: int) -> Any:
        if number == NULL:
            return None
        if number not in self._seen:
            if number >= len(self._objects):
                raise damaged(f"object number {number} of {len(self._objects) - 1}", self._place(2, 0))
            class_id = int(self._objects[number][0])
            if not 0 < class_id < len(self._classes):
                raise damaged(f"class number {class_id} of {len(self._classes) - 1}", self._place(2, 6 * number))
            made = self._seen[number] = Object(self._class_name(class_id))  # for what it holds may hold it
            self._seen[number] = self._kept(made.class_name, lambda: self._decode(self._filled(made, number, depth)))
        return self._seen[number]

    def _filled(self, made: Object, number: int, depth: int) -> Object:
        """Give an object its saved properties."""
        _, _, _, saveobj, plain, _ = self._objects[number].tolist()
        blocks = self._saveobj_blocks if saveobj else self._plain_blocks
        index = saveobj or plain
        if index >= len(blocks):
            what = f"property block {index} of {len(blocks) - 1}"
            raise damaged(what, self._place(2, 6 * number + (3 if saveobj else 4)))
        for name, kind, value in blocks[index].tolist():
            made.properties[self._name(name)] = self._kept("a value", partial(self._property, kind, value, depth))
        saved = made.properties.get(SAVEOBJ)
        if saveobj and isinstance(saved, Unread) and saved.error is not None:
            raise UnreadableError(saved.error.error, saved.error.cause, saved.error.hint)  # there is nothing else
        if saveobj and isinstance(saved, dict):
            made.properties = saved
        return made

    def _property(self, kind: int, value: int, depth: int) -> Any:
        if kind == NAME:
            return self._name(value)
        if kind == LOGICAL:
            return bool(value)
        if kind != VALUE:
            raise damaged(f"a property of type {kind}", self._place(1, 0))
        if FIRST_VALUE + value >= self._count:
            raise damaged(f"value number {value} of {self._count - FIRST_VALUE}", self._place(1, 0))
        return self.resolve(self._cells(FIRST_VALUE + value), depth + 1)

    def _members(self, fields: Mapping[str, Any]) -> Any:
        """Return the names of the members that a saved enumeration holds."""
        with reading("an enumeration"):
            numbers, indices = (read(fields[key]) for key in ("ValueNames", "ValueIndices"))
            names = [self._name(int(number)) for number in numbers.reshape(-1, order="F")]
            found = [names[int(index)] for index in indices.reshape(-1, order="F")]
            return found[0] if indices.size == 1 else Cell(found, indices.shape)

    def _place(self, part: int, word: int) -> str:
        return f"at byte {self._at[part] + 4 * word:,} of its object table"


def without_objects(value: Any, error: UnreadableError | None = None) -> Any:
    """Return a value of a file that has no object data, or none that can be read: `error` tells why."""
    if isinstance(value, Opaque):
        if value.class_name == HANDLE:
            return Handle(source_text(value.content))
        return Unread.because(value.class_name, error) if error else Object(value.class_name)
    if isinstance(value, dict):
        return {key: without_objects(item, error) for key, item in value.items()}
    if isinstance(value, Cell):
        return type(value)([without_objects(item, error) for item in value], value.dims)
    if isinstance(value, Object):
        return Object(value.class_name, without_objects(value.properties, error))
    return value


def source_text(content: Any) -> str:
    """Return the source text of a saved function handle."""
    inner = content.get("function_handle") if isinstance(content, dict) else None
    text = inner.get("function") if isinstance(inner, dict) else content
    if not isinstance(text, str):
        return ""
    return (
        text[text.index("@") :] if text.startswith("sf%") and "@" in text else text
    )  # "sf%13@(x) x": numbered in a file


def _is_reference(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint32 and value.size >= 5 and value.flat[0] == REFERENCE


def _is_handle(value: Cell) -> bool:
    """Whether a cell is how files up to R2023a keep a function handle in an object: a mark, and a struct."""
    if len(value) != 2 or not isinstance(value[0], np.ndarray) or not isinstance(value[1], dict):
        return False
    return value[0].dtype == np.uint32 and value[0].tolist() == [[REFERENCE]] and "function_handle" in value[1]


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Cell) and all(isinstance(each, str) for each in value))
