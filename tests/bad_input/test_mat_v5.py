"""MAT v5 files whose elements lie about their sizes, or grow without end."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bridge.errors import UnreadableError
from bridge.readers import load
from bridge.readers.mat import v5
from bridge.readers.mat.networks import contents
from fixtures import mat
from tests.bad_input.trial import in_bounds, refused

INT8, UINT8, INT32, UINT32, DOUBLE, MATRIX, COMPRESSED, UTF8 = 1, 2, 5, 6, 9, 14, 15, 16
CELL, STRUCT, CHAR, SPARSE, DOUBLES, UINT8S = 1, 2, 4, 5, 6, 9
COMPLEX = 0x0800


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    """An element that says it has `size` bytes."""
    return struct.pack("<II", kind, len(data) if size is None else size) + data + bytes(-len(data) % 8)


def array(kind: int, dims: tuple[int, ...], content: bytes, name: str = "x", flags: int = 0) -> bytes:
    head = (
        element(UINT32, struct.pack("<II", kind | flags, 0))
        + element(INT32, struct.pack(f"<{len(dims)}i", *dims))
        + element(INT8, name.encode())
    )
    return element(MATRIX, head + content)


def packed(content: bytes, level: int = 1) -> bytes:
    data = zlib.compress(content, level)
    return struct.pack("<II", COMPRESSED, len(data)) + data


def zeros(head: bytes, count: int) -> bytes:
    """A compressed element of `head` and `count` zero bytes, made of the same compressed megabyte over and over."""
    squeeze = zlib.compressobj(1)
    start = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
    megabyte = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    data = start + megabyte * (count >> 20)
    return struct.pack("<II", COMPRESSED, len(data)) + data


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(*elements: bytes, subsystem: int = 0) -> Path:
        path = tmp_path / "net.mat"
        path.write_bytes(
            b"MATLAB 5.0 MAT-file".ljust(116) + struct.pack("<Q", subsystem) + b"\0\1IM" + b"".join(elements)
        )
        return path

    return write


EMPTY = element(MATRIX, b"")
FLAGS = element(UINT32, struct.pack("<II", DOUBLES, 0))
HUGE = 2**31 - 1


@pytest.mark.parametrize(
    "content",
    [
        array(DOUBLES, (HUGE, HUGE, HUGE), element(DOUBLE, bytes(8))),
        array(DOUBLES, (-1, 3), element(DOUBLE, bytes(8))),
        array(DOUBLES, (-1, -1), element(DOUBLE, bytes(8))),
        array(DOUBLES, (), element(DOUBLE, bytes(8))),
        array(DOUBLES, (1,) * 100, element(DOUBLE, bytes(8))),
        array(DOUBLES, (1, 2), element(DOUBLE, bytes(8))),
        array(DOUBLES, (1, 1), element(DOUBLE, bytes(8), size=2**32 - 1)),
        array(DOUBLES, (1, 1), element(99, bytes(8))),
        array(DOUBLES, (1, 1), b""),
        array(DOUBLES, (1, 2), element(DOUBLE, bytes(16)) + element(DOUBLE, bytes(8)), flags=COMPLEX),
        array(CELL, (HUGE, 1), EMPTY),
        array(CELL, (3, 1), EMPTY),
        array(CELL, (1, 1), element(DOUBLE, bytes(8))),
        array(STRUCT, (1, 1), element(INT32, struct.pack("<i", 8)) + element(INT8, b"a".ljust(8, b"\0")) + b""),
        array(STRUCT, (HUGE, 1), element(INT32, struct.pack("<i", 8)) + element(INT8, b"a".ljust(8, b"\0")) + EMPTY),
        array(STRUCT, (HUGE, 1), element(INT32, struct.pack("<i", 8)) + element(INT8, b"")),
        array(STRUCT, (1, 1), element(INT32, struct.pack("<i", -8)) + element(INT8, b"a".ljust(8, b"\0")) + EMPTY),
        array(STRUCT, (1, 1), element(INT32, struct.pack("<i", 0)) + element(INT8, b"a".ljust(8, b"\0")) + EMPTY),
        array(STRUCT, (1, 1), element(INT32, struct.pack("<i", 3)) + element(INT8, b"a".ljust(8, b"\0")) + EMPTY),
        array(
            STRUCT, (1, 1), element(INT32, struct.pack("<i", 8)) + element(INT8, b"a".ljust(8, b"\0") * 2) + EMPTY * 2
        ),
        array(CHAR, (HUGE, 1), element(UTF8, b"text")),
        array(CHAR, (5, HUGE), element(UTF8, b"text")),
        element(MATRIX, b"", size=16),
        element(MATRIX, element(UINT32, b"")),
        element(77, bytes(16)),
        packed(element(DOUBLE, bytes(64))),
        packed(b"abc"),
        packed(element(MATRIX, bytes(64), size=2**32 - 1)),
        struct.pack("<II", COMPRESSED, 8) + b"no zlib!",
        struct.pack("<II", COMPRESSED, 2**31) + bytes(64),
        packed(array(DOUBLES, (1, 1), element(DOUBLE, bytes(8))))[:-9],
        b"\x0e\0\0",
        element(MATRIX, FLAGS + element(DOUBLE, struct.pack("<2d", math.nan, 1)) + element(INT8, b"x")),
        element(MATRIX, FLAGS + element(DOUBLE, struct.pack("<2d", math.inf, 1)) + element(INT8, b"x")),
    ],
)
def test_sizes_that_lie(file: Callable[..., Path], content: bytes) -> None:
    path = file(content)
    assert refused(lambda: load(path), UnreadableError)
    assert in_bounds([("load", lambda: load(path))])["load"].startswith("error")


@pytest.mark.parametrize("where", [1, 64, 1 << 40, 2**64 - 1])
def test_missing_object_data(file: Callable[..., Path], where: int) -> None:
    path = file(array(DOUBLES, (1, 1), element(DOUBLE, bytes(8))), subsystem=where)
    assert f"at byte {where:,}, where they belong: its object data is missing" in refused(lambda: load(path)).error


@pytest.mark.parametrize(
    "content",
    [
        array(CHAR, (1, 24), element(UTF8, b"not bytes but text, twice")),
        array(DOUBLES, (1, 3), element(DOUBLE, bytes(24))),
        array(UINT8S, (1, 0), element(UINT8, b"")),
        array(UINT8S, (1, 16), element(UINT8, bytes(16))),
        array(UINT8S, (1, 24), element(UINT8, mat.PREAMBLE + element(MATRIX, b"", size=2**31))),
        array(SPARSE, (1, 1), b""),
    ],
)
def test_damaged_object_data(file: Callable[..., Path], content: bytes) -> None:
    assert refused(lambda: load(file(content, subsystem=128)), UnreadableError)


def test_deep_nesting(file: Callable[..., Path]) -> None:
    content = EMPTY
    for _ in range(2000):
        content = array(CELL, (1, 1), content, "")
    path = file(content)
    assert "levels of nesting" in refused(lambda: load(path)).error


GIGABYTE = 1 << 30


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: zeros(struct.pack("<II", MATRIX, GIGABYTE * 3), GIGABYTE * 3),
        lambda: b"".join(
            [zeros(array(UINT8S, (1, 200 << 20), b"")[:48] + struct.pack("<II", UINT8, 200 << 20), 201 << 20)] * 3
        ),
        lambda: zeros(struct.pack("<II", MATRIX, 8), GIGABYTE * 3),  # small, and followed by much
        lambda: packed(
            array(DOUBLES, (1, 100 << 20), element(UINT8, bytes(100 << 20)))
        ),  # eight times as large as doubles
        lambda: packed(array(CHAR, (1, 150 << 20), element(UTF8, bytes(150 << 20)))),
        lambda: packed(array(CHAR, (100 << 20, 1), element(UTF8, bytes(100 << 20)))),
        lambda: packed(array(CELL, (8 << 20, 1), EMPTY * (8 << 20))),
        lambda: packed(
            array(
                STRUCT,
                (8 << 20, 1),
                element(INT32, struct.pack("<i", 2)) + element(INT8, b"a\0" + bytes(6), size=2) + EMPTY * (8 << 20),
            )
        ),
        lambda: packed(array(STRUCT, (0, 1), element(INT32, struct.pack("<i", 1)) + element(INT8, bytes(64 << 20)))),
    ],
    ids=["one", "several", "behind", "doubles", "text", "lines", "cells", "structs", "fields"],
)
def test_bombs(file: Callable[..., Path], bomb: Callable[[], bytes]) -> None:
    path = file(bomb())
    assert path.stat().st_size < 16 << 20
    assert in_bounds([("load", lambda: load(path))])["load"].startswith("error")


def test_a_large_file_of_real_numbers_is_no_bomb(file: Callable[..., Path], tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((1000, 1000)).astype(np.float32)
    mat.write(tmp_path / "data.mat", {"x": values, "zeros": np.zeros((1000, 1000)), "names": ["a"] * 20_000})
    assert contents(tmp_path / "data.mat").others == {
        "x": "1000x1000 single",
        "zeros": "1000x1000 double",
        "names": "1x20000 cell",
    }


def test_a_file_that_changes_after_loading_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    """Nothing of a v5 file is read later; a mapped file that shrinks would end the process."""
    path = tmp_path / "data.mat"
    mat.write(path, {"x": np.arange(100_000, dtype=np.float64) + 0.5}, compress=False)
    (held,) = v5.File(path).variables()
    values = held.value
    with path.open("r+b") as stream:
        stream.truncate(16)
    assert values[0, -1] == 99_999.5
