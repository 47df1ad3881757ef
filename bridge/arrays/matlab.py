"""MATLAB's values as Python's.

    numbers, logicals  -> numpy array, MATLAB's dims; an `Array` where they are not read yet
    char 1 x n         -> str; m x n: list of m str
    cell, string array -> `Cell`: a list with dims; a string 1 x 1 is a str, a missing one ""
    struct 1 x 1       -> dict; a struct array is a `StructArray` of them
    categorical        -> `Categorical`
    table, timetable   -> `Table`
    datetime, duration -> numpy datetime64 and timedelta64, in microseconds
    enumeration        -> the names of its members, as texts
    function handle    -> `Handle`
    any other object   -> `Object`; an array of them is an `ObjectArray`
    nothing            -> None, for a null handle

What cannot be decoded is an `Unread`. How the classes keep their values in a file is not documented; it is read off
files, and held against mat-io in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnreadableError

MISSING = 2**64 - 1  # the length of a string that is <missing>
MICROSECONDS = 1000  # in a millisecond, which MATLAB counts in
ENUMERATION = "EnumerationInstanceTag"  # the field by which a saved enumeration is told from a struct
NUMBERS = {
    "float32": "single",
    "float64": "double",
    "bool": "logical",
    "complex64": "complex single",
    "complex128": "complex double",
}


class Cell(list[Any]):
    """A cell array: the elements in MATLAB's (column-major) order, and `dims`."""

    def __init__(self, items: Sequence[Any], dims: tuple[int, ...]) -> None:
        super().__init__(items)
        self.dims = dims


NO_CELLS = Cell([], (0, 0))


class StructArray(Cell):
    """A struct array: dicts with the same keys."""


class ObjectArray(Cell):
    """An array of objects, whose classes may differ; None where a handle leads nowhere."""


@dataclass
class Object:
    """One MATLAB object: `class_name` and its saved `properties` (what `saveobj` returned, where it did)."""

    class_name: str
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Handle:
    """A function handle: its source text ("@(x) x + 1", "relu"), "" where the file holds none."""

    text: str


@dataclass(frozen=True)
class Unread:
    """A value that is not decoded.

    Attributes:
        kind: what it is, in MATLAB's words ("sparse double").
        error: why it cannot be; None for a kind that no network and no data needs.
    """

    kind: str
    error: UnreadableError | None = None

    @staticmethod
    def because(kind: str, error: UnreadableError) -> Unread:
        """Keep an error without its traceback, whose frames would keep the file open."""
        return Unread(kind, UnreadableError(error.error, error.cause, error.hint))


@dataclass(frozen=True)
class Categorical:
    """A categorical array.

    Attributes:
        names: the categories, in their order.
        codes: for each element the number of its category from 1, 0 where it is undefined.
    """

    names: tuple[str, ...]
    codes: NDArray | Array

    @property
    def labels(self) -> NDArray:
        """The category of each element, "" where it is undefined; an object array of MATLAB's dims."""
        names = np.array(["", *self.names], dtype=object)
        codes = read(self.codes).astype(np.int64)
        if codes.size and not 0 <= codes.min() <= codes.max() < len(names):
            raise UnreadableError(f"a categorical of {len(self.names)} categories with a code {codes.max()}")
        return np.asarray(names[codes])


@dataclass(frozen=True)
class Table:
    """A table or timetable.

    Attributes:
        columns: by variable name; each has as many rows.
        rows: how many.
        row_names: names of the rows, or the times of a timetable; None without.
    """

    columns: Mapping[str, Any]
    rows: int
    row_names: Any = None


def read(value: Any) -> Any:
    """Return an array with its numbers read, anything else as it is."""
    return value.read() if isinstance(value, Array) else value


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same throughout; NaN is itself. Lazy arrays are read, until one differs."""
    if type(one) is not type(other) or dims(one) != dims(other):
        return False
    if isinstance(one, Object):
        return one is other or (one.class_name == other.class_name and equal(one.properties, other.properties))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return all(equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, Table):
        return equal(dict(one.columns), dict(other.columns))
    if isinstance(one, Categorical):
        return one.names == other.names and equal(read(one.codes), read(other.codes))
    if isinstance(one, (np.ndarray, Array)):
        a, b = read(one), read(other)
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return bool(one == other)


def texts(value: Any) -> tuple[str, ...] | None:
    """Return the texts of a char array, cell array or string array; None for anything else."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value) if isinstance(value, Cell) else tuple(each.rstrip(" ") for each in value)
    return None


def names(value: Any) -> tuple[str, ...]:
    """Return the names that a cell array, string array or categorical lists, () where it lists none.

    A categorical that has each category once gives its elements; labels of data give their categories.
    """
    if isinstance(value, Categorical):
        codes = read(value.codes).reshape(-1, order="F").tolist()
        once = sorted(codes) == list(range(1, len(value.names) + 1))
        return tuple(value.names[code - 1] for code in codes) if once else value.names
    return (texts(value) or ()) if isinstance(value, Cell) else ()


def describe(value: Any) -> str:
    """Say size and class of a value: "3x3x3x10000 single", "8x1 cell", "rl.agent.rlPPOAgent"."""
    if isinstance(value, Unread):
        return f"{value.kind}, unreadable" if value.error else value.kind
    size = "x".join(map(str, dims(value)))
    return size and f"{size} {class_of(value)}" if has_size(value) else class_of(value)


def has_size(value: Any) -> bool:
    """Whether the size of a value is told: that of texts, structs and objects is not."""
    return not isinstance(value, (str, dict, Object, Handle)) and (
        isinstance(value, Cell) or not isinstance(value, list)
    )


def dims(value: Any) -> tuple[int, ...]:
    """Return the size of a value in MATLAB."""
    if isinstance(value, Cell):
        return value.dims
    if isinstance(value, Categorical):
        return value.codes.shape
    if isinstance(value, Table):
        return value.rows, len(value.columns)
    if isinstance(value, str):
        return (1 if value else 0), len(value)
    if isinstance(value, list):
        return len(value), max(map(len, value), default=0)
    return tuple(getattr(value, "shape", (0, 0) if value is None else (1, 1)))


def class_of(value: Any) -> str:
    """Return the name of a value's class in MATLAB; what strings, enumerations and cells become is told as cell."""
    if isinstance(value, ObjectArray):
        found = {class_of(each) for each in value}
        return found.pop() if len(found) == 1 else "object"
    kinds = {StructArray: "struct", Cell: "cell", str: "char", list: "char", dict: "struct", Categorical: "categorical"}
    kinds |= {Table: "table", Handle: "function_handle", type(None): "null handle"}
    if isinstance(value, Object):
        return value.class_name
    if type(value) in kinds:
        return kinds[type(value)]
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return "logical" if isinstance(value, bool) else "double"
    return {"M": "datetime", "m": "duration"}.get(dtype.kind, NUMBERS.get(str(dtype), str(dtype)))


# How the classes keep their values


def decoded(value: Object) -> Any:
    """Return what an object of one of the classes above means; any other object as it is.

    A saved value of one of them that is not of the known form becomes an `Unread`.
    """
    decode = DECODERS.get(value.class_name)
    if decode is None:
        return value
    for each in value.properties.values():
        if isinstance(each, Unread) and each.error is not None:
            return Unread.because(value.class_name, each.error)
    try:
        return decode(value.properties)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"a {value.class_name} is of an unknown form"
        return Unread.because(value.class_name, UnreadableError(what, f"{type(error).__name__}: {error}"))
    except UnreadableError as error:
        return Unread.because(value.class_name, error)


def string_array(fields: Mapping[str, Any]) -> Any:
    """Unpack a string array: version, number of dims, dims, length of each text, then the texts in UTF-16, as 64-bit
    words.
    """
    words = read(fields["any"]).reshape(-1, order="F")
    if words.dtype != np.uint64:
        raise TypeError(f"{words.dtype} where uint64 belongs")
    count = int(words[1]) if words.size > 1 else 0
    size = tuple(int(each) for each in words[2 : 2 + count])
    start = 2 + count
    stored = [int(each) for each in words[start : start + math.prod(size)]]
    lengths = [0 if length == MISSING else length for length in stored]
    text = words[start + len(lengths) :].astype("<u8").tobytes()
    if len(lengths) != math.prod(size) or 2 * sum(lengths) > len(text):
        raise UnreadableError("a string array whose texts are cut short")
    ends = list(accumulate((2 * length for length in lengths), initial=0))
    found = [text[a:b].decode("utf-16-le", errors="replace") for a, b in pairwise(ends)]
    return found[0] if size == (1, 1) else Cell(found, size)


def categorical(fields: Mapping[str, Any]) -> Categorical:
    """Return a categorical of its saved categoryNames and codes."""
    known = texts(fields.get("categoryNames", NO_CELLS))
    codes = fields.get("codes", np.empty((0, 0), np.uint8))
    if known is None or not isinstance(codes, (np.ndarray, Array)):
        raise TypeError("no names of categories, or no codes")
    return Categorical(known, codes)


def table(fields: Mapping[str, Any]) -> Table:
    """Return a table of its saved columns; they have the names that were given, where MATLAB had to change them."""
    held = fields["props"]
    keys = (("useVariableNames2048", "VariableNames2048"), ("useVariableNamesOriginal", "VariableNamesOriginal"))
    columns = next((held[key] for flag, key in keys if _is_true(held.get(flag))), fields["varnames"])
    return _table(fields, columns, fields["nrows"], texts(fields.get("rownames")) or None)


def timetable(fields: Mapping[str, Any]) -> Table:
    """Return a timetable of its saved columns; regular times are left as they are saved: origin and step."""
    keys = (("useVarNames2048", "varNames2048"), ("useVarNamesOrig", "varNamesOrig"))
    columns = next((fields[key] for flag, key in keys if _is_true(fields.get(flag))), fields["varNames"])
    return _table(fields, columns, fields["numRows"], fields.get("rowTimes"))


def _table(fields: Mapping[str, Any], columns: Any, rows: Any, row_names: Any) -> Table:
    values, known = fields.get("data", NO_CELLS), texts(columns)
    if not isinstance(values, Cell) or known is None:
        raise TypeError("no columns, or no names of them")
    return Table(dict(zip(known, values, strict=True)), int(read(rows).item()), row_names)


def _is_true(value: Any) -> bool:
    return bool(np.any(read(value))) if value is not None else False


def datetime(fields: Mapping[str, Any]) -> NDArray:
    """Return datetimes as UTC, or as the clock showed where they have no time zone.

    `data` holds milliseconds since 1970; an imaginary part, the digits that a double cannot hold, is below a
    microsecond and left out.
    """
    return _microseconds(fields["data"]).astype("datetime64[us]")


def duration(fields: Mapping[str, Any]) -> NDArray:
    """Return durations, which are saved in milliseconds; one of 0 is not."""
    return _microseconds(fields.get("millis", np.zeros((1, 1))))


def _microseconds(milliseconds: Any) -> NDArray:
    values = np.real(read(milliseconds)).astype(np.float64)
    known = np.isfinite(values)
    counted = np.rint(np.where(known, values, 0) * MICROSECONDS).astype("timedelta64[us]")
    counted[~known] = np.timedelta64("NaT")
    return np.asarray(counted)


DECODERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "string": string_array,
    "categorical": categorical,
    "table": table,
    "timetable": timetable,
    "datetime": datetime,
    "duration": duration,
}
