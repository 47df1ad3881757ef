"""A part of a .mat file that cannot be decoded spoils only what needs it; damage is told with its byte."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import bridge
from bridge.arrays.lazy import Array
from bridge.arrays.matlab import Categorical, Cell, Handle, Object, Table, Unread, read
from bridge.data.variables import Variables
from bridge.errors import UnreadableError
from bridge.parity.calibration import calibrate
from bridge.parity.steps import check_steps
from bridge.readers.mat import v5
from bridge.readers.mat.contents import contents
from bridge.readers.mat.file import variables
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.layers import Net
from fixtures.objects import Null, Obj, Structs, cell, empty
from tests.bad_input.test_mat_v5 import CELL, INT8, INT32, STRUCT, UINT32, array, element
from tests.bad_input.trial import FILES, refused
from tests.real import REAL, needs_real

NET = networks.feature_mlp()
FUNCTION, TEXT, UTF8 = 16, 4, 16


def loaded(path: Path) -> bridge.Network:
    network = bridge.load(path)
    assert [layer.name for layer in network.layers] == [layer.name for layer in NET.layers]
    return network


def handmade(path: Path, *elements: bytes) -> Path:
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + b"\0\1IM" + b"".join(elements))
    return path


def with_variable(path: Path, extra: bytes) -> Path:
    """A file with a network, and one more element in front of it."""
    mat.write(path, {"net": NET})
    content = path.read_bytes()
    (at,) = struct.unpack_from("<Q", content, 116)
    path.write_bytes(content[:116] + struct.pack("<Q", at + len(extra)) + content[124:128] + extra + content[128:])
    return path


# What is no damage


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_a_null_handle_reads_as_nothing(tmp_path: Path, container: Any) -> None:
    """As a variable, in a struct, and in the initializer of a layer, where yolov2Layers leaves one."""
    rng = np.random.default_rng(0)
    layer = mat.layer_object(L.fullyConnectedLayer(rng, "fc", 3, 2))
    layer.properties["Weights"]["Initializer"]["ConstructorArguments"] = [
        {"workspace": Null("function_handle_workspace")}
    ]
    net = Obj("SeriesNetwork", {"Layers": [mat.layer_object(L.featureInputLayer(3, "in")), layer]}, saveobj=True)
    path = tmp_path / "net.mat"
    mat.write(path, {"h": Null("my.Handle"), "s": {"h": Null("my.Handle")}, "net": net}, container)
    assert dict(variables(path))["h"] is None and dict(variables(path))["s"]["h"] is None
    network = bridge.load(path)
    assert len(network.layers) == 2 and network.notes == () and contents(path).spoiled == {}


def test_a_function_handle_without_dimensions(tmp_path: Path) -> None:
    """Object data hold such: flags, then the array; an empty one holds nothing at all."""
    flags = element(UINT32, struct.pack("<II", FUNCTION, 0))
    text = array(TEXT, (1, 4), element(UTF8, b"@sin"), "")
    bare = element(14, flags + text)
    nowhere = element(14, flags + element(INT32, b"") + element(INT8, b""))
    found = dict(variables(handmade(tmp_path / "net.mat", array(CELL, (1, 2), bare + nowhere))))
    assert found["x"] == [Handle("@sin"), Handle("")]


def test_a_struct_with_a_field_twice(tmp_path: Path) -> None:
    names = element(INT32, struct.pack("<i", 8)) + element(INT8, b"a".ljust(8, b"\0") * 3)
    values = b"".join(array(6, (1, 1), element(9, struct.pack("<d", n)), "") for n in (1, 2, 3))
    found = dict(variables(handmade(tmp_path / "net.mat", array(STRUCT, (1, 1), names + values))))
    assert {name: value.item() for name, value in found["x"].items()} == {"a": 1, "a_2": 2, "a_3": 3}


def test_object_data_without_objects(tmp_path: Path) -> None:
    """A v7.3 file that holds a Java object has a subsystem without MCOS."""
    path = tmp_path / "java.mat"
    mat.write(path, {"x": np.eye(3), "java": {"text": "a"}}, "v7.3")
    with h5py.File(path, "r+") as file:
        file.create_group("#subsystem#").create_dataset("java", data=np.zeros(3, np.uint8))
    assert "holds no network" in refused(lambda: bridge.load(path)).error
    assert contents(path).others == {"java": "struct", "x": "3x3 double"}


# What is damaged, beside a network


def test_a_compressed_variable_that_does_not_inflate(tmp_path: Path) -> None:
    broken = struct.pack("<II", 15, 16) + b"this is no zlib!"
    network = loaded(with_variable(tmp_path / "net.mat", broken))
    assert network.notes == (
        "a part of the file cannot be read: the .mat file is damaged at byte 128: a compressed element that does not inflate",
    )


LIES = {
    "numbers": array(6, (1, 3), element(9, bytes(8))),
    "an element in a cell": array(CELL, (1, 2), array(6, (1, 3), element(9, bytes(8)), "") + array(6, (1, 1), element(9, bytes(8)), "")),
    "a field": array(STRUCT, (1, 1), element(INT32, struct.pack("<i", 8)) + element(INT8, b"a".ljust(8, b"\0")) + element(9, bytes(8))),
    "a size": array(6, (-1, 3), element(9, bytes(8))),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("name", LIES)
def test_a_damaged_variable_spoils_no_network(tmp_path: Path, name: str, packed: bool) -> None:
    content = LIES[name]
    if packed:
        data = zlib.compress(content)
        content = struct.pack("<II", 15, len(data)) + data
    network = loaded(with_variable(tmp_path / "net.mat", content))
    if name == "numbers":  # no network lies in them, so they are not looked at
        assert network.notes == ()
    else:
        assert "cannot be read" in network.notes[0] and "damaged at byte" in network.notes[0]


def test_what_lies_beside_a_damaged_part_is_decoded(tmp_path: Path) -> None:
    path = handmade(
        tmp_path / "net.mat", LIES["an element in a cell"], array(6, (1, 1), element(9, struct.pack("<d", 7)), "y")
    )
    found = dict(variables(path))
    assert isinstance(found["x"][0], Unread) and found["x"][1].item() == 0 and found["y"].item() == 7


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    """What comes before the cut is read; object data come last, so that no object survives."""
    mat.write(tmp_path / "net.mat", {"x": np.arange(1000.0), "net": NET})
    content = (tmp_path / "net.mat").read_bytes()
    (tmp_path / "net.mat").write_bytes(content[:-100])
    assert dict(variables(tmp_path / "net.mat"))["x"].size == 1000
    assert "damaged at byte" in refused(lambda: bridge.load(tmp_path / "net.mat"), UnreadableError).error


def changed_value(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def plain_network(path: Path) -> bytes:
    """Write an uncompressed network; return its weights as they stand there."""
    rng = np.random.default_rng(5)
    fc = L.fullyConnectedLayer(rng, "fc", 3, 2)
    mat.write(path, {"net": Net("SeriesNetwork", (L.featureInputLayer(3, "in"), fc))}, compress=False)
    return fc.params["Weights"].value.tobytes(order="F")


def test_damaged_weights_are_refused_with_their_byte(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    weights = plain_network(path)
    tag = struct.pack("<II", 7, len(weights))
    changed_value(path, tag + weights, struct.pack("<II", 7, 4) + weights)
    error = refused(lambda: bridge.load(path), UnreadableError).error
    assert error.startswith(str(path)) and "damaged at byte" in error and "of its object data" in error


def test_a_damaged_field_that_nothing_needs(tmp_path: Path) -> None:
    """The arguments of an initializer are not read."""
    path = tmp_path / "net.mat"
    rng = np.random.default_rng(5)
    layer = mat.layer_object(L.fullyConnectedLayer(rng, "fc", 3, 2))
    layer.properties["Weights"]["Initializer"]["ConstructorArguments"] = np.full((1, 3), 0.123456789)
    net = Obj("SeriesNetwork", {"Layers": [mat.layer_object(L.featureInputLayer(3, "in")), layer]}, saveobj=True)
    mat.write(path, {"net": net}, compress=False)
    doubles = np.full(3, 0.123456789).tobytes()
    changed_value(path, struct.pack("<II", 9, 24) + doubles, struct.pack("<II", 9, 16) + doubles)
    assert len(bridge.load(path).layers) == 2


def test_a_damaged_variable_of_version_73(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    mat.write(path, {"net": NET, "x": ["a", 1.0], "y": {"z": 2.0}}, "v7.3")
    with h5py.File(path, "r+") as file:
        file["x"][0, 0] = h5py.Reference()
        del file["y/z"]
        file["y/z"] = h5py.SoftLink("/net")
    network = loaded(path)
    assert sorted(note.partition(" cannot")[0] for note in network.notes) == ["x{1}", "y.z"]
    assert any("HDF5 object /y" in note for note in network.notes)


def test_data_of_a_file_with_a_damaged_part(tmp_path: Path) -> None:
    """Asked for by name it is refused; others are read."""
    path = handmade(tmp_path / "data.mat", LIES["numbers"], array(6, (1, 1), element(9, struct.pack("<d", 7)), "y"))
    assert Variables.find(f"{path}:y", None).item() == 7
    assert "damaged at byte" in refused(lambda: Variables.find(f"{path}:x", None), UnreadableError).error


# Whoever asks for it, damage names its file


def cut_v5(path: Path) -> None:
    mat.write(path, {"x": np.arange(1000.0), "s": {"net": NET}}, compress=False)
    path.write_bytes(path.read_bytes()[:3000])


def element_v5(path: Path) -> None:
    handmade(path, LIES["an element in a cell"])


def deflated_v5(path: Path) -> None:
    handmade(path, struct.pack("<II", 15, 16) + b"this is no zlib!")


def objects_v5(path: Path) -> None:
    mat.write(path, {"x": NET})
    content = path.read_bytes()
    path.write_bytes(content[:116] + struct.pack("<Q", len(content)) + content[124:])


def nested_v5(path: Path) -> None:
    handmade(path, array(CELL, (1, 1), array(CELL, (1, 1), array(6, (1, 3), element(9, bytes(8)), ""), "")))


def deep_v5(path: Path) -> None:
    held = array(6, (1, 1), element(9, bytes(8)), "")
    for _ in range(70):
        held = array(CELL, (1, 1), held, "x")
    handmade(path, held)


def link_v73(path: Path) -> None:
    mat.write(path, {"x": {"z": 2.0}, "s": {"net": NET}}, "v7.3")
    with h5py.File(path, "r+") as file:
        del file["x"], file["#subsystem#/MCOS"]
        file["x"] = file["#subsystem#/MCOS"] = h5py.SoftLink("/s")


def reference_v73(path: Path) -> None:
    mat.write(path, {"x": ["a", 1.0]}, "v7.3")
    with h5py.File(path, "r+") as file:
        file["x"][0, 0] = h5py.Reference()


def cut_v73(path: Path) -> None:
    mat.write(path, {"x": ["a", 1.0]}, "v7.3")
    path.write_bytes(path.read_bytes()[:3000])


def bare_v4(path: Path) -> None:
    path.write_bytes(struct.pack("<5i", 0, 3, 3, 0, 2) + b"x\0" + bytes(20))


DAMAGES = (cut_v5, element_v5, deflated_v5, objects_v5, nested_v5, deep_v5, link_v73, reference_v73, cut_v73, bare_v4)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_damage_names_its_file(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "some.mat"
    damage(path)
    doors: tuple[Callable[[], object], ...] = (
        lambda: bridge.load(path),
        lambda: bridge.load(path, variable="x"),
        lambda: bridge.load(path, variable="x{1}"),
        lambda: Variables.find(f"{path}:x", None),
        lambda: Variables.find(f"{path}:x.1", None),
        lambda: calibrate(path),
        lambda: check_steps(bridge.load(FILES / "signs.mat"), path),
    )
    if damage is cut_v5:  # before the cut lies x, which is sound
        doors = (*doors[:3], *doors[5:])
    errors = [refused(door).error for door in doors]
    assert all("some.mat" in error for error in errors), errors
    assert not any(error.count("some.mat") > 1 for error in errors), errors


def test_damage_that_is_met_late_names_its_file(tmp_path: Path) -> None:
    """Arrays of large elements, and of version 7.3, are read when they are asked for."""
    packed, stored = tmp_path / "packed.mat", tmp_path / "stored.mat"
    numbers = array(6, (3 << 20, 1), element(9, bytes(24 << 20)))
    data = bytearray(zlib.compress(numbers, 0))
    data[-4:] = bytes(4)  # the checksum
    handmade(packed, struct.pack("<II", 15, len(data)) + data)
    with h5py.File(stored, "w") as file:
        file.create_dataset("x", (1 << 20, 1 << 10), "f8", chunks=(64, 64)).attrs["MATLAB_class"] = np.bytes_("double")
    for path in (packed, stored):
        assert path.name in refused(dict(variables(path))["x"].read, UnreadableError).error


# Large elements


def everything(value: Any) -> Any:
    """A value with all that is lazy read."""
    match value:
        case Array():
            return everything(value.read())
        case np.ndarray():
            return value.dtype, value.shape, value.tobytes()
        case Categorical():
            return value.names, everything(read(value.codes))
        case Table():
            return everything(dict(value.columns))
        case Object():
            return value.class_name, sorted(value.properties)
        case dict():
            return {key: everything(item) for key, item in value.items()}
        case Cell():
            return value.dims, [everything(item) for item in value]
    return value


def version_5_files() -> list[Path]:
    """Those of version 7.3 are lazy throughout: nothing of them is read as one large element."""
    found = [*FILES.glob("*.mat"), *((REAL / "mat").glob("*.mat") if REAL.is_dir() else ())]
    return [path for path in sorted(found) if path.read_bytes()[:10] == b"MATLAB 5.0"]


@pytest.mark.parametrize("path", version_5_files(), ids=lambda path: path.stem)
def test_a_large_element_is_read_as_a_small_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the reader of elements in memory."""
    expected = {name: everything(value) for name, value in variables(path)}
    monkeypatch.setattr(v5, "LARGE", -1)
    monkeypatch.setattr("bridge.readers.mat.v5_arrays.LARGE_ARRAY", 256)
    assert {name: everything(value) for name, value in variables(path)} == expected


MEGABYTE = 1 << 20
BIG: dict[str, Any] = {
    "numbers": np.zeros((16 * MEGABYTE, 1)),
    "a struct": {"inputs": np.zeros((16 * MEGABYTE, 1)), "labels": ["a", "b"]},
    "cells": cell([np.zeros((4 * MEGABYTE, 1)) for _ in range(4)]),
    "a struct array": Structs(({"x": np.zeros((8 * MEGABYTE, 1))}, {"x": np.zeros((8 * MEGABYTE, 1))})),
}


@pytest.mark.parametrize("name", BIG)
def test_of_a_large_variable_only_headers_are_held(tmp_path: Path, name: str) -> None:
    """128 megabytes beside a network; what is held of them is told by tracemalloc, which sees numpy's arrays too."""
    path = tmp_path / "net.mat"
    mat.write(path, {"data": BIG[name], "net": NET, "nothing": empty()})
    tracemalloc.start()
    try:
        network = loaded(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MEGABYTE
    assert network.notes == ()
    assert everything_is_zero(dict(variables(path))["data"])


def everything_is_zero(value: Any) -> bool:
    if isinstance(value, Array):
        return not value.read().any()
    parts = value.values() if isinstance(value, dict) else value
    return all(
        everything_is_zero(each) for each in parts if not isinstance(each, (str, list)) or isinstance(each, Cell)
    )


def test_a_large_variable_that_changes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "data.mat"
    mat.write(path, {"x": np.full((4 * MEGABYTE, 1), 0.5)}, compress=False)
    x = dict(variables(path))["x"]
    with path.open("r+b") as stream:
        stream.truncate(1000)
    assert "has changed since it was loaded" in refused(x.read, UnreadableError).error


@needs_real
def test_nothing_genuine_is_spoiled() -> None:
    for path in sorted((REAL / "mat").glob("*.mat")):
        assert contents(path).spoiled == {}, path.name
