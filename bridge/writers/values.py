"""Plain Python values as MATLAB has them, for the .mat writers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.writers.mat5 import NUMERIC, Value

FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")  # what MATLAB takes as the name of a field
EMPTY: NDArray = np.empty((0, 0))
NUMBER = (bool, np.bool_, int, float, np.number)


def lowered(value: Any, *, tall: bool = False) -> Value | None:
    """Return a plain value as MATLAB has it, None where it has none.

    Numbers are double. A list of numbers is a row, in a struct inside of another (a table's column) a column; a list of
    rows of numbers is a matrix, any other list a cell; None is [].
    """
    if value is None:
        return EMPTY
    if isinstance(value, (str, Array)):
        return value
    if isinstance(value, Mapping):
        found = {str(name): lowered(each, tall=True) for name, each in value.items()}
        held = fields(found.items())
        return held if len(held) == len(found) else None
    if isinstance(value, np.ndarray):
        return np.atleast_2d(value) if value.dtype.str[1:] in NUMERIC else None
    if isinstance(value, NUMBER):
        return number(value)
    return _list(value, tall) if isinstance(value, Sequence) else None


def _list(value: Sequence[Any], tall: bool) -> Value | None:
    if value and all(isinstance(each, NUMBER) for each in value):
        return number(value).T if tall else number(value)
    if _is_matrix(value):
        return number(value)
    items = [lowered(each) for each in value]
    return None if any(each is None for each in items) else row(each for each in items if each is not None)


def _is_matrix(value: Sequence[Any]) -> bool:
    rows = [each for each in value if isinstance(each, tuple) and all(isinstance(item, NUMBER) for item in each)]
    return bool(rows) and len(rows) == len(value) and len({len(each) for each in rows}) == 1


def fields(items: Iterable[tuple[str, Value | None]]) -> dict[str, Value]:
    """Return a struct of the items that MATLAB can hold."""
    return {name: value for name, value in items if value is not None and FIELD.fullmatch(name)}


def number(value: Any) -> NDArray:
    """Return a number, or rows of numbers, as double or logical."""
    array = np.atleast_2d(np.asarray(value))
    return array if array.dtype == bool else array.astype(np.float64)


def row(items: Iterable[Value]) -> NDArray:
    """Return a 1 x n cell, {} (0 x 0) where empty."""
    made = _cell(list(items))
    return made.reshape(1, -1) if made.size else made.reshape(0, 0)


def column(items: Iterable[Value]) -> NDArray:
    """Return an n x 1 cell, {} (0 x 0) where empty."""
    return row(items).T


def pairs(texts: Sequence[tuple[str, str]]) -> NDArray:
    """Return pairs of texts as a K x 2 cellstr."""
    return _cell([text for pair in texts for text in pair]).reshape(-1, 2)


def _cell(items: Sequence[Value]) -> NDArray:
    made = np.empty(len(items), object)
    for index, item in enumerate(items):  # made[:] = items would spread arrays of one shape
        made[index] = item
    return made
