"""Arrays of .npy and .npz files: only what is asked for is read, never more than declared, and any header is answered."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.arrays.npy import read_npy, read_npz
from bridge.data.variables import Variables
from bridge.errors import UnreadableError
from tests.bad_input.trial import in_bounds, refused

MEGABYTE = 1 << 20
ARRAYS: dict[str, Any] = {
    "double": np.random.default_rng(0).standard_normal((3, 4)),
    "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "scalar": np.float32(3.5),
    "empty": np.empty((0, 3)),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "texts": np.array(["ab", "ü"]),
    "bytes": np.array([b"ab", b""]),
    "big-endian": np.arange(5, dtype=">i4"),
    "five": np.arange(32, dtype=np.uint8).reshape(2, 2, 2, 2, 2),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_numpys(tmp_path: Path, name: str) -> None:
    """Oracle: numpy.load."""
    np.save(tmp_path / "a.npy", ARRAYS[name])
    np.savez(tmp_path / "plain.npz", x=ARRAYS[name], other=np.ones(2))
    np.savez_compressed(tmp_path / "packed.npz", x=ARRAYS[name])
    held = [read_npy(tmp_path / "a.npy")]
    held += [read_npz(tmp_path / f"{each}.npz")["x"] for each in ("plain", "packed")]
    for array in held:
        expected = np.load(tmp_path / "a.npy")
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(array.read(), expected, strict=True)


def peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_only_the_array_that_is_asked_for_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=np.ones(3), large=np.zeros(16 * MEGABYTE))
    assert peak(lambda: Variables.find(f"{path}:x", None)) < 2 * MEGABYTE
    assert peak(lambda: str(Variables.of(path))) < 2 * MEGABYTE  # its size is told without reading it
    assert "large (16777216 double)" in str(Variables.of(path))
    assert read_npz(path)["large"].read().shape == (16 * MEGABYTE,)


def member(path: Path, content: bytes, name: str = "x.npy", **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), content, **options)
    return path


def written(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text.encode()


def test_no_more_is_read_than_is_declared(tmp_path: Path) -> None:
    """Behind three numbers lie 256 megabytes of zeros."""
    path = member(tmp_path / "data.npz", written(np.arange(3.0)) + bytes(256 * MEGABYTE))
    array = read_npz(path)["x"]
    assert peak(array.read) < 2 * MEGABYTE and array.read().tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1 << 40,)", "(3,)", "(-3,)", "(2147483647, 2147483647)"])
def test_what_is_declared_and_not_there(tmp_path: Path, shape: str) -> None:
    content = header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n")
    (tmp_path / "a.npy").write_bytes(content + bytes(8))
    member(tmp_path / "a.npz", content + bytes(8))
    for read in (lambda: read_npy(tmp_path / "a.npy").read(), lambda: read_npz(tmp_path / "a.npz")["x"].read()):
        assert in_bounds([("read", read)])["read"].startswith("error")


HEADERS = {
    "nothing": b"",
    "no magic": b"PK is no array",
    "cut short": b"\x93NUM",
    "no header": b"\x93NUMPY\1\0",
    "version 9": header("{}", (9, 0)),
    "version 3": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", (3, 0)),
    "no dictionary": header("[1, 2, 3]"),
    "a brace": header("{"),
    "a quote": header("{'descr"),
    "an indent": header("  x\n y"),
    "code": header("__import__('os').getcwd()"),
    "keys": header("{'descr': '<f8'}"),
    "no type": header("{'descr': 'what', 'fortran_order': False, 'shape': (1,), }"),
    "a type of types": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
    "dates": header("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }"),
    "a shape of texts": header("{'descr': '<f8', 'fortran_order': False, 'shape': ('a',), }"),
    "a shape that is none": header("{'descr': '<f8', 'fortran_order': False, 'shape': 3, }"),
    "an order of its own": header("{'descr': '<f8', 'fortran_order': 'maybe', 'shape': (1,), }"),
    "deep": header("(" * 5000),
    "NUL": header("{'descr': '\0'}"),
    "no UTF-8": b"\x93NUMPY\1\0\4\0\xff\xfe\xfd\xfc",
    "a pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0cos\ngetcwd\n)R.",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_any_kind_is_answered(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npy").write_bytes(HEADERS[name] + bytes(16))
    member(tmp_path / "a.npz", HEADERS[name] + bytes(16))
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        error = refused(lambda path=path: Variables.find(str(path), None), UnreadableError)  # type: ignore[misc]
        assert str(path) in error.error and "cannot be read" in error.error


def test_archives_that_are_none(tmp_path: Path) -> None:
    whole = member(tmp_path / "a.npz", written(np.arange(1000.0))).read_bytes()
    for content in (b"", whole[:-30], whole[: len(whole) // 2], whole[:60] + bytes(200) + whole[260:]):
        path = tmp_path / "b.npz"
        path.write_bytes(content)
        assert refused(lambda path=path: Variables.find(f"{path}:x", None), UnreadableError)  # type: ignore[misc]


def test_a_file_that_changes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(1000))
    array = read_npy(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.ones(10))
    assert "has changed" in refused(array.read, UnreadableError).error


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "Python objects" in refused(lambda: read_npy(tmp_path / "a.npy"), UnreadableError).cause
