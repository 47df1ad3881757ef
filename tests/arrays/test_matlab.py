"""MATLAB's values as Python's: strings, categoricals, tables, times, enumerations and function handles.

Oracle: mat-io, on the files of its own tests, which MATLAB wrote; they are in its source distribution only.
"""

from __future__ import annotations

from typing import Any

import matio
import numpy as np
import pandas as pd
import pytest

from bridge.arrays.matlab import Categorical, Cell, Handle, Object, Table, Unread, decoded, describe, names, texts
from bridge.errors import UnreadableError
from bridge.readers.mat.file import variables
from tests.real import MATIO, needs_matio

DATA = MATIO / "tests" / "data"
FILES = sorted(path.stem for path in DATA.glob("*.mat"))
VALUES = [
    name for name in FILES if name.startswith(("test_string", "test_t", "test_datetime")) and "type_s" not in name
]


def held(name: str) -> dict[str, Any]:
    return dict(variables(DATA / f"{name}.mat"))


@needs_matio
@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_mat_io(name: str) -> None:
    theirs = matio.load_from_mat(str(DATA / f"{name}.mat"))
    ours = held(name)
    assert set(ours) == set(theirs)
    for variable, expected in theirs.items():
        if describe(ours[variable]) != "calendarDuration":  # which is left as it is saved
            equal(ours[variable], expected)


def equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, pd.DataFrame):
        equal_tables(ours, theirs)
    elif isinstance(theirs, pd.Categorical):
        assert isinstance(ours, Categorical)
        assert ours.names == tuple(theirs.categories) and ours.labels.shape == theirs.shape
        np.testing.assert_array_equal(np.asarray(ours.codes, np.int64) - 1, theirs.codes)
    elif theirs.dtype.kind in "Mm":
        assert ours.shape == theirs.shape
        years = theirs.dtype == np.dtype("m8[Y]")  # mat-io takes 31,556,952 seconds for one, and tells whole ones
        unit = np.timedelta64(31_556_952, "s") if years else None
        if years:
            np.testing.assert_array_equal(ours / unit, theirs.astype(int))
        else:  # mat-io keeps nanoseconds, which are rounded here
            assert (abs(ours - microseconds(theirs)) <= np.timedelta64(1, "us")).all()
    else:
        expected = [str(text) for text in theirs.ravel(order="F")]
        assert list(texts(ours) or ()) == expected
        assert theirs.shape == (ours.dims if isinstance(ours, Cell) else (1, 1))


def microseconds(times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return times.astype(f"{times.dtype.kind}8[us]")


def equal_tables(ours: Any, theirs: pd.DataFrame) -> None:
    """Oracle's columns of several numbers are one column here; so are names of rows an attribute."""
    assert isinstance(ours, Table) and ours.rows == len(theirs)
    for name, column in ours.columns.items():
        if getattr(column, "ndim", 1) == 2 and column.shape[1] > 1:
            clash = (
                "_1" if f"{name}_1" in ours.columns else ""
            )  # mat-io names the first one m_1_1 where there is an m_1
            names = [f"{name}_1{clash}", *(f"{name}_{index}" for index in range(2, column.shape[1] + 1))]
            for part, each in zip(column.T, names, strict=True):
                equal_columns(part, list(theirs[each]))
        else:
            equal_columns(column, list(theirs[name]))
    if isinstance(ours.row_names, tuple):
        assert list(ours.row_names) == list(theirs.index)


def equal_columns(ours: Any, theirs: list[Any]) -> None:
    values = ours.labels if isinstance(ours, Categorical) else ours
    values = list(values) if isinstance(values, list) else list(np.asarray(values).ravel(order="F"))
    assert len(values) == len(theirs)
    for one, other in zip(values, theirs, strict=True):
        if isinstance(other, str) or other is None or (isinstance(other, float) and np.isnan(other)):
            missing = not isinstance(other, str)
            assert (one == "" or one != one) if missing else str(one).rstrip() == other.rstrip()
        elif isinstance(other, (float, np.floating, np.integer)):
            assert one == other
        elif isinstance(other, (pd.Timestamp, pd.Timedelta)):
            assert one == other.to_numpy().astype(one.dtype)


@needs_matio
@pytest.mark.parametrize("container", ["v7", "v73"])
def test_enumerations_are_names(container: str) -> None:
    """Oracle: the script that made the file, test_enum_gen.m beside it."""
    found = held(f"test_enum_{container}")
    assert found["enum_scalar"] == "enum1" and found["enum_uint32"] == "enum1"
    assert found["enum_array"].dims == (2, 3) and list(found["enum_array"]) == [f"enum{n}" for n in range(1, 7)]
    nested = found["enum_nested"].properties
    assert (nested["a"], list(nested["b"]), nested["c"]) == ("enum1", ["enum2"], {"InnerProp": "enum3"})


@needs_matio
@pytest.mark.parametrize("container", ["v7", "v73"])
def test_function_handles_have_their_text(container: str) -> None:
    """Oracle: the script that made the file, test_function_handle_gen.m beside it."""
    found = held(f"test_function_handles_{container}")
    assert {name: value.text for name, value in found.items()} == {
        "builtin_fh": "sin",
        "custom_fh": "myfunc",
        "anonymous_fh": "@(x)x.^2+1",
        "class_fh": "@(varargin)obj.square(varargin{:})",
        "nested_fh": "make_nested/inner",
        "empty_fh": "",
    }
    assert all(isinstance(value, Handle) for value in found.values())


# Forms that contradict themselves


def test_a_string_array_cut_short() -> None:
    packed = np.array([[1, 2, 3, 1, 5, 5, 5, 0]], np.uint64)
    found = decoded(Object("string", {"any": packed}))
    assert isinstance(found, Unread) and found.error is not None and "cut short" in found.error.error


def test_a_missing_string_is_empty() -> None:
    """MATLAB marks one by the largest length there is."""
    packed = np.array([[1, 2, 2, 1, 1, 2**64 - 1, ord("a")]], np.uint64)
    assert decoded(Object("string", {"any": packed})) == ["a", ""]


@pytest.mark.parametrize(
    ("class_name", "properties"),
    [
        ("string", {}),
        ("string", {"any": np.zeros((1, 3))}),
        ("categorical", {"categoryNames": 3.0, "codes": np.ones((2, 1), np.uint8)}),
        (
            "table",
            {
                "data": Cell([np.zeros((2, 1))], (1, 1)),
                "varnames": Cell([], (1, 0)),
                "nrows": np.ones((1, 1)),
                "props": {},
            },
        ),
        ("table", {"varnames": "x"}),
        ("datetime", {"data": "today"}),
        ("duration", {"millis": {}}),
    ],
)
def test_an_unknown_form_is_named(class_name: str, properties: dict[str, Any]) -> None:
    found = decoded(Object(class_name, properties))
    assert isinstance(found, Unread) and found.kind == class_name and found.error is not None
    assert class_name in found.error.error and found.error.cause and found.error.hint


def test_a_code_beyond_the_categories_is_told() -> None:
    with pytest.raises(UnreadableError, match="2 categories with a code 3"):
        _ = Categorical(("a", "b"), np.array([[1, 3]], np.uint8)).labels


def test_names_and_texts() -> None:
    assert texts(["ab ", "c  "]) == ("ab", "c")  # the rows of a char array are padded
    assert texts(Cell(["ab ", 1.0], (1, 2))) is None and texts(np.eye(2)) is None
    assert names("a text") == () and names(Cell(["b", "a"], (2, 1))) == ("b", "a")
    assert names(Categorical(("a", "b"), np.array([[2, 1]]))) == ("b", "a")
    assert names(Categorical(("a", "b"), np.array([[2, 1, 2]]))) == ("a", "b")
