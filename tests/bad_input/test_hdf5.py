"""MAT v7.3 files with links, references and declared sizes that MATLAB never writes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bridge.commands import tables
from bridge.errors import UnreadableError
from bridge.readers import load
from bridge.readers.mat import hdf5
from bridge.readers.mat.networks import contents
from tests.bad_input.trial import FILES, in_bounds, refused

HEADER = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.mat"


@contextmanager
def changed(path: Path) -> Iterator[h5py.File]:
    """A copy of a sound network, open for changes."""
    path.write_bytes((FILES / "shapes_v73.mat").read_bytes())
    with h5py.File(path, "r+") as file:
        yield file


@contextmanager
def fresh(path: Path, **options: Any) -> Iterator[h5py.File]:
    with h5py.File(path, "w", userblock_size=512, **options) as file:
        yield file
    with path.open("r+b") as stream:
        stream.write(HEADER)


def weights(file: h5py.File) -> h5py.Dataset:
    """The largest array of the network: a fully connected layer's Weights."""
    found: list[h5py.Dataset] = []
    file.visititems(
        lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) and item.dtype == np.float32 else None
    )
    return max(found, key=lambda item: item.size)


def replaced(file: h5py.File, **options: Any) -> h5py.Dataset:
    """Put another dataset in the place of those weights, with the same shape and attributes unless `options` say otherwise."""
    old = weights(file)
    name, attributes, shape = old.name, dict(old.attrs), old.shape
    del file[name]
    made = file.create_dataset(name, **{"shape": shape, "dtype": "f4", **options})
    for key, value in attributes.items():
        made.attrs[key] = value
    return made


def show(path: Path) -> None:
    tables.facts(load(path))


def build(path: Path) -> None:
    load(path).to_torch()


def test_the_network_itself_is_sound(path: Path) -> None:
    with changed(path):
        pass
    build(path)


# Links


@pytest.mark.parametrize("place", ["net", "#subsystem#", "#subsystem#/MCOS", "struct/field"])
@pytest.mark.parametrize("kind", ["external", "soft", "dangling"])
def test_links_are_not_followed(path: Path, place: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An external link would open another file; the target here would do in its place."""
    other = path.with_name("other.mat")
    other.write_bytes((FILES / "shapes_v73.mat").read_bytes())
    with changed(path) as file:
        if place == "struct/field":
            file.create_group("struct").attrs["MATLAB_class"] = np.bytes_("struct")
        elif kind == "soft":
            file.move(place, "elsewhere")
        else:
            del file[place]
        target = place.replace("struct/field", "net")
        file[place] = {
            "external": h5py.ExternalLink(str(other), target), "soft": h5py.SoftLink("/elsewhere"), "dangling": h5py.SoftLink("/nowhere"),
        }[kind]  # fmt: skip
    opened: list[str] = []
    monkeypatch.setattr(hdf5.h5py, "File", _recording(opened))
    if place == "struct/field" or (kind, place) == ("soft", "net"):  # what does not need it is read
        assert any("is a link" in note for note in load(path).notes)
    else:
        assert "is a link" in refused(lambda: show(path), UnreadableError).error
    assert opened == [str(path)]


def _recording(opened: list[str]) -> Callable[..., h5py.File]:
    original = h5py.File

    def open_(name: Path, mode: str) -> h5py.File:
        opened.append(str(name))
        return original(name, mode)

    return open_


def test_arrays_in_other_files(path: Path) -> None:
    raw = path.with_name("raw.bin")
    raw.write_bytes(bytes(1 << 16))
    with changed(path) as file:
        shape = weights(file).shape
        replaced(file, external=[(str(raw), 0, h5py.h5f.UNLIMITED)], shape=shape)
    assert "another file" in refused(lambda: show(path), UnreadableError).error
    with changed(path) as file:
        layout = h5py.VirtualLayout(shape=weights(file).shape, dtype="f4")
        layout[:] = h5py.VirtualSource(str(path.with_name("other.mat")), "x", shape=weights(file).shape)
        name = weights(file).name
        del file[name]
        file.create_virtual_dataset(name, layout)
    assert "another file" in refused(lambda: show(path), UnreadableError).error


# Sizes


def test_declared_and_not_stored(path: Path) -> None:
    """Beside a network it is only named; as its weights it is refused when they are read, not made up as zeros."""
    with changed(path) as file:
        file.create_dataset("huge", (1 << 20, 1 << 20, 1 << 10), "f8", chunks=(64, 64, 64))
        file["huge"].attrs["MATLAB_class"] = np.bytes_("double")
    assert in_bounds([("show", lambda: show(path)), ("build", lambda: build(path))]) == {
        "show": "done",
        "build": "done",
    }
    assert contents(path).others == {"huge": "1024x1048576x1048576 double"}
    for options in ({}, {"chunks": (1, 1, 1, 1)}):
        with changed(path) as file:
            shape = weights(file).shape
            replaced(file, **({"chunks": (1,) * len(shape)} if options else {}))
        assert in_bounds([("show", lambda: show(path))])["show"] == "done"
        assert "are declared" in refused(lambda: build(path), UnreadableError).error


def test_partly_stored(path: Path) -> None:
    with changed(path) as file:
        shape = weights(file).shape
        replaced(file, chunks=(1, *shape[1:]))[0] = 1.0
    assert "are declared" in refused(lambda: build(path), UnreadableError).error


def test_compressed_bomb(path: Path) -> None:
    """Four gigabytes of zeros that are stored in four megabytes."""
    with fresh(path) as file:
        made = file.create_dataset("x", (1 << 16, 1 << 14), "f4", chunks=(1 << 12, 1 << 12), compression="gzip")
        packed = zlib.compress(bytes(4 << 24))
        for row in range(0, 1 << 16, 1 << 12):
            for column in range(0, 1 << 14, 1 << 12):
                made.id.write_direct_chunk((row, column), packed)
    (zeros,) = (each.value for each in hdf5.File(path).variables())
    assert "are declared" in in_bounds([("read", zeros.read)])["read"]


def text(file: h5py.File, name: str, shape: tuple[int, ...], **options: Any) -> None:
    file.create_dataset(name, shape, "u2", **options).attrs["MATLAB_class"] = np.bytes_("char")


BOMBS: dict[str, Callable[[h5py.File], None]] = {
    "text": lambda file: text(file, "x", (1 << 20, 1 << 20), chunks=(1024, 1024)),
    "lines": lambda file: text(file, "x", (1, 1 << 26), chunks=(1, 1 << 20)),
    "logical": lambda file: _marked(file.create_dataset("x", (1 << 20, 1 << 20), "u1", chunks=(1024, 1024)), MATLAB_class=np.bytes_("logical")),
    "cells": lambda file: _marked(file.create_dataset("x", (1 << 30,), h5py.ref_dtype, chunks=(1024,)), MATLAB_class=np.bytes_("cell")),
    "empty": lambda file: _marked(file.create_dataset("x", (1 << 33,), "u8", chunks=(1024,)), MATLAB_class=np.bytes_("double"), MATLAB_empty=np.uint8(1)),
    "object": lambda file: _marked(file.create_dataset("x", (1 << 33,), "u4", chunks=(1024,)), MATLAB_class=np.bytes_("my.Class"), MATLAB_object_decode=np.int32(3)),
    "complex": lambda file: _marked(file.create_dataset("x", (1 << 33,), [("real", "f8"), ("imag", "f8")], chunks=(1024,)), MATLAB_class=np.bytes_("double")),
    "subsystem": lambda file: _marked(file.create_dataset("#subsystem#/MCOS", (1, 1 << 31), h5py.ref_dtype, chunks=(1, 1024)), MATLAB_class=np.bytes_("FileWrapper__")),
    "chunk": lambda file: _marked(file.create_dataset("x", (2, 2), "u4", chunks=(1 << 14, 1 << 15), maxshape=(None, None), compression="gzip"), MATLAB_class=np.bytes_("char")),
}  # fmt: skip


def _marked(item: Any, **attributes: Any) -> None:
    for name, value in attributes.items():
        item.attrs[name] = value


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(path: Path, name: str) -> None:
    with fresh(path) as file:
        BOMBS[name](file)
    assert in_bounds([("show", lambda: show(path))])["show"].startswith("error")


def test_cells_that_multiply(path: Path) -> None:
    """Each cell refers to the next one ten times."""
    with fresh(path) as file:
        inner = file.create_dataset("#refs#/a0", data=np.ones((1, 1)))
        for level in range(30):
            outer = file.create_dataset(
                f"#refs#/b{level}", data=np.array([[inner.ref] * 10], h5py.ref_dtype), dtype=h5py.ref_dtype
            )
            outer.attrs["MATLAB_class"] = np.bytes_("cell")
            inner = outer
        file["x"] = inner
    assert in_bounds([("show", lambda: show(path))])["show"].startswith("error")


def test_a_damaged_part_that_is_met_again_and_again(path: Path) -> None:
    """Telling of it costs as much as decoding it would."""
    with fresh(path) as file:
        outer = file.create_dataset("x", data=np.full((1, 60_000), h5py.Reference(), h5py.ref_dtype))
        outer.attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(UnreadableError, match="decode to more than"):
        show(path)


def test_circles(path: Path) -> None:
    with fresh(path) as file:
        cell = file.create_dataset("x", (1, 2), h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        cell[0] = [cell.ref, cell.ref]
    assert in_bounds([("show", lambda: show(path))])["show"].startswith("error")
    with fresh(path) as file:
        group = file.create_group("x")
        group["again"] = group
        group["and again"] = group
    assert in_bounds([("show", lambda: show(path))])["show"].startswith("error")


# References, attributes and types


def test_references_that_lead_nowhere(path: Path) -> None:
    """What a network needs is missed: the table, each layer, its classes. Nothing needs cell 1, the Description, Type and
    the like of a sigmoid (9 to 14), and the last three cells.
    """
    with changed(path) as file:
        count = file["#subsystem#/MCOS"].size
    unneeded = {1, *range(9, 15), *range(count - 3, count)}
    for index in range(count):
        with changed(path) as file:
            references = file["#subsystem#/MCOS"][()]
            references[0, index] = h5py.Reference()
            file["#subsystem#/MCOS"][...] = references
        outcome = in_bounds([("show", lambda: show(path))])["show"]
        assert outcome.startswith("error") == (index not in unneeded), index


@pytest.mark.parametrize(
    "attributes",
    [
        {"MATLAB_class": np.int32(7)},
        {"MATLAB_class": np.bytes_(b"\xff\xfe")},
        {"MATLAB_class": np.array(["a", "b"], "S1")},
        {"MATLAB_class": "cell"},
        {"MATLAB_class": np.bytes_("cell"), "MATLAB_empty": np.zeros(3)},
        {"MATLAB_class": np.bytes_("char")},
        {"MATLAB_class": np.bytes_("struct"), "MATLAB_empty": np.uint8(1)},
        {"MATLAB_class": np.bytes_("double"), "MATLAB_empty": np.uint8(1)},
        {"MATLAB_class": np.bytes_("my.Class"), "MATLAB_object_decode": np.int32(3)},
        {"MATLAB_class": np.bytes_("my.Class"), "MATLAB_object_decode": np.bytes_("3")},
    ],
)
def test_attributes_that_lie(path: Path, attributes: dict[str, Any]) -> None:
    with fresh(path) as file:
        _marked(file.create_dataset("x", data=np.arange(6.0).reshape(2, 3)), **attributes)
    assert refused(lambda: show(path), UnreadableError)


@pytest.mark.parametrize(
    "dtype",
    [
        [("real", "f8"), ("imag", "f8")],
        [("re", "f8"), ("im", "f8"), ("more", "S3")],
        h5py.vlen_dtype("f8"),
        h5py.string_dtype(),
        h5py.enum_dtype({"a": 1, "b": 2}),
        h5py.ref_dtype,
        h5py.regionref_dtype,
        "S10",
        "V7",
        "f2",
        (np.float32, (3, 2)),
    ],
)
def test_types_matlab_has_not(path: Path, dtype: Any) -> None:
    with fresh(path) as file:
        file.create_dataset("x", (2, 2), dtype)
        file.create_dataset("scalar", (), dtype)
        file.create_dataset("null", data=h5py.Empty("f8"))
        file["type"] = np.dtype("f8")
    assert refused(lambda: show(path), UnreadableError)


def test_weights_of_another_type(path: Path) -> None:
    for options in ({"dtype": "S4"}, {"dtype": [("real", "f4"), ("imag", "f4")]}, {"dtype": h5py.ref_dtype}):
        with changed(path) as file:
            replaced(file, **options)
        assert refused(lambda: build(path))


def test_a_file_that_changes_before_its_weights_are_read(path: Path) -> None:
    with changed(path):
        pass
    network = load(path)
    with path.open("r+b") as stream:
        stream.truncate(4096)
    assert "has changed" in refused(network.to_torch, UnreadableError).error
