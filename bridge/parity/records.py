"""The structs of a reference: recorded activations, numbers and texts, checked as they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import describe
from bridge.data.orders import arrange, by_format
from bridge.errors import UnreadableError, UsageError
from bridge.network.activations import Activation

NO_NETWORK = "pass network=, what the module was built from"


Values = NDArray | list[NDArray]  # observations along the first axis, or one array of one observation for each sequence


@dataclass(frozen=True)
class Record:
    """What a reference holds of one array: statistics of all its elements and samples of them.

    Attributes:
        sizes: the array's size in MATLAB's order; of sequences one for each.
        least, greatest, mean, deviation: over all elements, in double precision; the deviation is biased.
        index: 0-based positions of the samples in MATLAB's order, through sequences one after the other; ascending.
        value: the samples.
    """

    sizes: tuple[tuple[int, ...], ...]
    least: float
    greatest: float
    mean: float
    deviation: float
    index: NDArray
    value: NDArray

    @property
    def elements(self) -> int:
        """How many elements the array has."""
        return sum(math.prod(size) for size in self.sizes)

    @property
    def scale(self) -> float:
        """Largest absolute value of the array."""
        return max(abs(self.least), abs(self.greatest))

    @property
    def whole(self) -> bool:
        """Whether every element is a sample."""
        return len(self.index) == self.elements


def record_of(held: Mapping[str, Any], samples: int, seed: int, what: str) -> Record:
    """Return the record of an array; raises UnreadableError where its samples are not those of the seed."""
    size = number(held["Size"], array=True)
    sizes = tuple(tuple(int(n) for n in row) for row in size.reshape(-1, size.shape[-1]))
    least, greatest, mean, deviation = (float(number(held[name])) for name in ("Min", "Max", "Mean", "Std"))
    whole = held["Full"] if isinstance(held["Full"], list) else [held["Full"]]
    value = np.concatenate([number(each, array=True).reshape(-1, order="F") for each in whole])
    if value.size:
        return Record(sizes, least, greatest, mean, deviation, np.arange(value.size), value)
    index, value = (number(held[name], array=True).reshape(-1) for name in ("Index", "Value"))
    index, total = index.astype(np.int64) - 1, sum(math.prod(size) for size in sizes)
    if not index.size == value.size == min(total, samples) or not np.array_equal(
        index, sample_indices(total, samples, seed)
    ):
        raise UnreadableError(
            f"the samples of the {what} are not those of seed {seed}",
            "the file was changed, or its Size is not the array's",
            "save the reference again",
        )
    return Record(sizes, least, greatest, mean, deviation, index, value)


def whole_array(held: Mapping[str, Any], size: Activation | None, old: bool, what: str) -> Values:
    """Return an input or output: by its format, or as trainNetwork's networks have them, vectors as rows."""
    value, format = held["Value"], text(held, "Format")
    arrays = [number(each, array=True) for each in value] if isinstance(value, list) else number(value, array=True)
    what = f"{what} of the reference"
    if format and not isinstance(arrays, list):
        return by_format(arrays, format, size, what)
    size = size or _told_by(arrays, what)
    vectors = (
        not isinstance(arrays, list)
        and arrays.ndim == 2
        and not size.over_time
        and math.prod(n or 1 for n in size.spatial) == 1
    )
    return arrange(arrays, size, "NC" if old and vectors else None, what, matlab=True)


def _told_by(arrays: NDArray | list[NDArray], what: str) -> Activation:
    """Return the size of one observation as far as an array without a format tells it: H x W x C x N, N x C, cells of C
    x T.
    """
    if isinstance(arrays, list) and arrays[0].ndim in (2, 4):
        return Activation("CBT" if arrays[0].ndim == 2 else "SSCBT", arrays[0].shape[:-1])
    if isinstance(arrays, list) or arrays.ndim not in (2, 4) or (arrays.ndim == 2 and "input" in what):
        raise UsageError(f"{what} does not tell which of its dimensions is which", hint=NO_NETWORK)
    return Activation("SSCB", arrays.shape[:3]) if arrays.ndim == 4 else Activation("CB", arrays.shape[1:])


@cache
def _fractions(seed: int, count: int) -> NDArray:
    state, fractions = seed, np.empty(count)
    for k in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        fractions[k] = state / 2**32
    return fractions


def sample_indices(total: int, samples: int, seed: int) -> NDArray:
    """Return the 0-based positions of the samples of an array; the formula is in docs/mat-structs.md."""
    if total <= samples:
        return np.arange(total)
    return np.floor((np.arange(samples) + _fractions(seed, samples)) * total / samples).astype(np.int64)


def number(value: Any, array: bool = False) -> Any:
    """Return a numeric value as an array, or a 1 x 1 as a number.

    Raises:
        ValueError: it is something else.
    """
    found = value.read() if isinstance(value, Array) else value
    if not isinstance(found, (np.ndarray, np.generic, bool, int, float)) or np.asarray(found).dtype.kind not in "biuf":
        raise ValueError(f"{describe(value)} stands where real numbers belong")
    found = np.asarray(found)
    if not array and found.size != 1:
        raise ValueError(f"{describe(value)} stands where one number belongs")
    return found if array else found.reshape(-1)[0]


def count(held: Mapping[str, Any], name: str, least: int = 0) -> int:
    """Return a field that is a whole number, not below the least.

    Raises:
        ValueError: it is something else.
    """
    value = float(number(held[name]))
    if not (value.is_integer() and least <= value < 2**53):
        raise ValueError(f"its {name} is {value:g}, and a whole number from {least} belongs there")
    return int(value)


def text(held: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text.

    Raises:
        ValueError: it is something else.
    """
    value = held[name]
    if not isinstance(value, str):
        raise ValueError(f"its {name} is {describe(value)}, and a text belongs there")
    return value


def structs(held: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a field that is a cell or array of structs.

    Raises:
        ValueError: it is something else.
    """
    value = [held[name]] if isinstance(held[name], Mapping) else held[name]
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError(f"its {name} is {describe(held[name])}, and structs belong there")
    return value
