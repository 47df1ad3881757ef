"""A .mat file, v5 or v7.3: its variables with every object reference resolved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.arrays.matlab import Cell, Unread
from bridge.errors import UnreadableError, reading
from bridge.readers.mat import v5
from bridge.readers.mat.container import Opaque, Variable, damaged, named, of_file
from bridge.readers.mat.objects import Objects, without_objects

if TYPE_CHECKING:
    from bridge.readers.mat import hdf5


class MatFile:
    """An open .mat file.

    Attributes:
        path, format: the file, and "mat v5" or "mat v7.3".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = "mat v7.3" if is_hdf5(path) else "mat v5"
        self._damage: UnreadableError | None = None
        self._container = self._opened()

    def variables(self) -> Iterator[Variable]:
        """Yield every variable, decoded when its value is asked for."""
        for each in self._container.variables():
            yield replace(each, decode=partial(self._value, each))

    @property
    def damage(self) -> UnreadableError | None:
        """Why the object data cannot be decoded."""
        return self._damage if self._objects is None else None

    @property
    def class_names(self) -> frozenset[str]:
        """The classes that the file has objects of."""
        return self._objects.class_names if self._objects else frozenset()

    def may_hold(self, variable: Variable, fields: Collection[str], harmless: Collection[str]) -> bool:
        """Whether decoding may find a struct with one of the fields in a variable, or an object of another class than
        the harmless ones. Of v5 it takes decoding to tell, which is fast there.
        """
        if variable.plain or isinstance(self._container, v5.File):
            return not variable.plain
        try:
            with reading(str(self.path)):
                return self._container.may_hold(variable.name, fields, harmless)
        except UnreadableError:  # which decoding tells
            return True

    @cached_property
    def _objects(self) -> Objects | None:
        try:
            wrapper = self._container.subsystem()
            wrapped = wrapper.get("MCOS") if isinstance(wrapper, dict) else None
            content = wrapped.content if isinstance(wrapped, Opaque) else None
            if content is not None and self.format == "mat v5" and not isinstance(content, Cell):
                raise (isinstance(content, Unread) and content.error) or damaged("object data of another kind")
            return Objects(content.__getitem__, len(content), self.path) if content is not None else None
        except UnreadableError as error:
            self._damage = of_file(error, self.path)
            return None

    def _value(self, variable: Variable) -> Any:
        with named(self.path):
            value = variable.decode()
            return self._objects.resolve(value) if self._objects else without_objects(value, self._damage)

    def _opened(self) -> hdf5.File | v5.File:
        if self.format == "mat v5":
            return v5.File(self.path)
        from bridge.readers.mat import hdf5  # h5py takes a third of the time of inspecting a small v5 file

        return hdf5.File(self.path)


def variables(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of a .mat file; `bridge.arrays.matlab` tells what values there are.

    A value that cannot be decoded is an `Unread`.

    Raises:
        UnreadableError: it is no .mat file.
    """
    for each in MatFile(path).variables():
        yield each.name, each.value


def require_read(values: Iterable[Any], path: Path) -> None:
    """Raise the error of the first value that could not be decoded: what is missing may be in it."""
    for value in values:
        if isinstance(value, Unread) and value.error is not None:
            raise of_file(value.error, path)


def is_hdf5(path: Path) -> bool:
    """Whether a .mat file is v7.3; MATLAB puts 512 bytes of its own before the HDF5 signature."""
    with path.open("rb") as stream:
        head = stream.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])
