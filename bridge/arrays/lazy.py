"""Arrays that are read when asked for.

An `Array` knows its shape and dtype without reading. Reshapes and transposes are recorded and joined, so that
a weight which ONNX and torch keep in the same order passes through MATLAB's order without being copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bridge.errors import UnreadableError

NDArray = np.ndarray[Any, Any]
Step = tuple[Literal["reshape", "transpose"], tuple[int, ...]]


def watch(path: Path) -> Callable[[], None]:
    """Return a check that raises UnreadableError once a file is no longer what it is now."""

    def stamp() -> tuple[int, int, int]:
        now = path.stat()
        return now.st_ino, now.st_mtime_ns, now.st_size

    then = stamp()

    def check() -> None:
        if not path.exists() or stamp() != then:
            raise UnreadableError(
                f"{path} has changed since it was loaded", "its weights are read when needed", "load it again"
            )

    return check


@dataclass(frozen=True)
class Array:
    """A lazily read array.

    Attributes:
        shape, dtype: known without reading.
        base_shape: the shape of what `load` returns, before `steps`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], NDArray]
    base_shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @staticmethod
    def of(value: NDArray) -> Array:
        """Wrap an array in memory. It becomes read-only where it is ours to protect."""
        view = value.view()
        view.flags.writeable = False
        return Array(view.shape, view.dtype, lambda: view, view.shape)

    @staticmethod
    def in_file(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A slice of a file, in C order. Reading fails if the file has changed since."""
        unchanged = watch(path)

        def load() -> NDArray:
            unchanged()
            return np.fromfile(path, dtype, math.prod(shape), offset=offset).reshape(shape)

        return Array(shape, dtype, load, shape)

    def __reduce__(self) -> tuple[Callable[[NDArray], Array], tuple[NDArray]]:
        """Pickle what it holds, read now: another process may not see the file."""
        return Array.of, (self.read(),)

    def __copy__(self) -> Array:
        return self  # it cannot change

    def __deepcopy__(self, memo: object) -> Array:
        return self

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def reshape(self, shape: tuple[int, ...]) -> Array:
        """Reshape in C order."""
        steps = self.steps
        if steps and steps[-1][0] == "reshape":
            steps = steps[:-1]
        if shape != self._shape_after(steps):
            steps = (*steps, ("reshape", shape))
        return self._with(shape, steps)

    def transpose(self, order: tuple[int, ...]) -> Array:
        """Permute the axes."""
        shape, steps = tuple(self.shape[axis] for axis in order), self.steps
        if steps and steps[-1][0] == "transpose":
            order, steps = tuple(steps[-1][1][axis] for axis in order), steps[:-1]
        if order != tuple(range(len(order))):
            steps = (*steps, ("transpose", order))
        return self._with(shape, steps)

    def rows(self, start: int, stop: int) -> Array:
        """Return a range along the first axis."""
        shape = (stop - start, *self.shape[1:])

        def load() -> NDArray:
            part = self.read()[start:stop].view()
            part.flags.writeable = False  # the rows share their memory
            return part

        return Array(shape, self.dtype, load, shape)

    def read(self) -> NDArray:
        """Read the array. It is writeable only if nothing else holds it."""
        value = self.load()
        for kind, argument in self.steps:
            fresh = value.flags.writeable
            value = value.reshape(argument) if kind == "reshape" else value.transpose(argument)
            value.flags.writeable = fresh
        return value

    def _with(self, shape: tuple[int, ...], steps: tuple[Step, ...]) -> Array:
        return Array(shape, self.dtype, self.load, self.base_shape, steps)

    def _shape_after(self, steps: tuple[Step, ...]) -> tuple[int, ...]:
        shape = self.base_shape
        for kind, argument in steps:
            shape = argument if kind == "reshape" else tuple(shape[axis] for axis in argument)
        return shape
