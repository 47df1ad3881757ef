"""The version 5 files that scipy ships, written by MATLAB 5.3 to 8 on machines of either byte order. Oracle: what scipy reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.matlab
from scipy.sparse import issparse

from bridge.arrays.matlab import Cell, Object
from bridge.readers.mat.v5 import File
from tests.real import SCIPY, needs_scipy

FILES = [path for path in sorted(SCIPY.glob("*.mat")) if path.read_bytes()[126:128] in (b"IM", b"MI")]
BIG_ENDIAN = [path for path in FILES if path.read_bytes()[126:128] == b"MI"]

pytestmark = needs_scipy


def same(ours: Any, theirs: Any, where: str, classes: bool) -> int:
    """Hold a value against scipy's, and with `classes` its class in MATLAB too; return how many arrays were compared."""
    if (
        (isinstance(ours, dict) and not ours)
        or issparse(theirs)
        or isinstance(theirs, (scipy.io.matlab.MatlabFunction, scipy.io.matlab.MatlabOpaque))
    ):
        return 0
    if theirs.dtype.names is not None:
        ours = dict(ours.properties) if isinstance(ours, Object) else ours
        items = [ours] if theirs.size == 1 else ours
        fields = [(item, record) for item, record in zip(items, theirs.ravel(order="F"), strict=True)]
        assert all(tuple(item) == theirs.dtype.names for item in items), where
        return sum(
            same(item[name], record[name], f"{where}.{name}", classes) for item, record in fields for name in item
        )
    if theirs.dtype == object:
        assert isinstance(ours, Cell) and ours.dims == theirs.shape, where
        pairs = zip(ours, theirs.ravel(order="F"), strict=True)
        return sum(same(a, b, f"{where}{{{at}}}", classes) for at, (a, b) in enumerate(pairs))
    if theirs.dtype.kind == "U":
        assert ours == ("" if theirs.size == 0 else str(theirs[0]) if theirs.size == 1 else list(map(str, theirs))), (
            where
        )
        return 1
    assert ours.shape == theirs.shape, where
    if classes:
        assert ours.dtype == theirs.dtype.newbyteorder("=") or ours.dtype.kind == "c", (
            where
        )  # scipy drops imaginary parts then
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=where)
    return 1


def compared(path: Path) -> int:
    ours, count = {each.name: each.value for each in File(path).variables()}, 0
    for classes in (True, False):
        theirs = scipy.io.loadmat(path, mat_dtype=classes)
        count = sum(same(ours[name], value, name, classes) for name, value in theirs.items() if name in ours)
    return count


def is_read(path: Path) -> bool:
    try:
        return bool(scipy.io.loadmat(path)) and path.stem != "nasty_duplicate_fieldnames"  # whose fields scipy renames
    except Exception:  # some are damaged on purpose
        return False


@pytest.mark.parametrize("path", [path for path in FILES if is_read(path)], ids=lambda path: path.stem)
def test_values_are_those_that_scipy_reads(path: Path) -> None:
    compared(path)


def test_files_of_both_byte_orders_hold_the_same() -> None:
    """Numbers, complex numbers, texts, cells and structs."""
    assert len(BIG_ENDIAN) > 10 and sum(map(compared, BIG_ENDIAN)) > 30
