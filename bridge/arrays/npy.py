"""Arrays of .npy and .npz files, read when asked for, and never more of them than they declare.

The format is NumPy's (numpy.lib.format), versions 1 and 2; its headers are parsed by NumPy, no pickle is.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from bridge.arrays.lazy import Array, NDArray, watch
from bridge.errors import DAMAGE, UnreadableError
from bridge.files.allowance import Allowance

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
KINDS = "biufcSU"  # of numbers and texts
PACKED = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # how many times its size a member may hold
PIECE = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Header:
    """What an array in a file says of itself: its form, and the byte at which its values begin."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]
    begin: int

    @property
    def size(self) -> int:
        """The bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: Path) -> Array:
    """Return the array of a .npy file.

    Raises:
        UnreadableError: its header is none, or declares more than the file holds, or Python objects.
    """
    with _reading(str(path)), path.open("rb") as stream:
        header = _header(stream)
        _require_room(header, path.stat().st_size - header.begin)
    return _lazy(path, str(path), header, lambda: path.open("rb"))


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file by name.

    Raises:
        UnreadableError: it is no archive, or what lies in it is no array.
    """
    found: dict[str, Array] = {}
    with _reading(str(path)), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            found[name] = _member(path, archive, member, f"'{name}' of {path}")
    return found


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str) -> Array:
    with _reading(what):
        if member.compress_type not in PACKED or member.flag_bits & 1:
            raise ValueError("it is packed in a way that is not read, or encrypted")
        with archive.open(member) as stream:
            header = _header(stream)
        most = min(member.file_size, member.compress_size * PACKED[member.compress_type])
        _require_room(header, most - header.begin)

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as again, again.open(member) as stream:
            yield stream

    return _lazy(path, what, header, opened)


def _header(stream: IO[bytes]) -> Header:
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"its format has the version {'.'.join(map(str, version))}")
    shape, by_columns, dtype = HEADERS[version](stream)
    if any(length < 0 for length in shape):
        raise ValueError(f"an array of size {shape}")
    if dtype.kind not in KINDS:
        raise ValueError("it holds Python objects" if dtype.hasobject else f"it holds values of the kind {dtype}")
    return Header(shape, by_columns, dtype, stream.tell())


def _require_room(header: Header, most: int) -> None:
    if header.size > most:
        raise ValueError(f"it declares {header.size:,} bytes of values and holds {max(most, 0):,}")


def _lazy(path: Path, what: str, header: Header, opened: Callable[[], Any]) -> Array:
    unchanged, allowance = watch(path), Allowance(path)

    def load() -> NDArray:
        unchanged()
        allowance.take(header.size)
        with _reading(what), opened() as stream:
            stream.seek(header.begin)
            values = np.empty(header.size, np.uint8)
            filled, left = 0, values.data
            while filled < len(left):
                read = stream.readinto(left[filled : filled + PIECE])
                if not read:
                    raise ValueError(f"it ends after {filled:,} of {header.size:,} bytes of values")
                filled += read
        if not header.size:
            return np.empty(header.shape, header.dtype)
        return values.view(header.dtype).reshape(header.shape, order="F" if header.by_columns else "C")

    return Array(header.shape, header.dtype, load, header.shape)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn whatever NumPy, zipfile and zlib raise at bytes of any kind into an UnreadableError."""
    try:
        yield
    except (*DAMAGE, EOFError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(
            f"{what} cannot be read", str(error) or "it ends early", "write it again with numpy.save or numpy.savez"
        ) from error
