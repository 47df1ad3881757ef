"""The scan of the file: weights stay where they are until asked for, and are what onnx itself reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import bridge
from bridge.errors import UnreadableError, UnsupportedError
from bridge.readers.onnx.wire import SMALLEST_LIFTED, initializer_arrays, read_skeleton
from fixtures.__main__ import FILES
from tests.readers.onnx.graphs import model, node, weights

KEPT = sorted(FILES.glob("*.onnx"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes of the pieces that are read of files, in the order they are read."""
    sizes: list[int] = []
    original = np.fromfile

    def fromfile(*arguments: Any, **more: Any) -> Any:
        value = original(*arguments, **more)
        sizes.append(value.nbytes)
        return value

    monkeypatch.setattr(np, "fromfile", fromfile)
    yield sizes


def dense(rows: int = 40, columns: int = 30) -> onnx.ModelProto:
    nodes = [node("MatMul", "x W", "p"), node("Add", "p b", "y")]
    return model(nodes, ["N", rows], {"W": weights(rows, columns), "b": weights(columns)})


def saved(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_no_weight_is_read_before_it_is_asked_for(tmp_path: Path, reads: list[int]) -> None:
    network = bridge.load(saved(dense(), tmp_path))
    layer = network.layers["p"]
    assert layer.learnables["Weights"].shape == (30, 40) and network.sizes["p"][0].channels == 30
    assert reads == []
    np.testing.assert_array_equal(layer.Weights, weights(40, 30).T)
    assert reads == [40 * 30 * 4]


@pytest.mark.parametrize("name", [path.name for path in KEPT])
def test_inspecting_a_file_of_matlabs_reads_no_weight(name: str, reads: list[int]) -> None:
    network = bridge.load(FILES / name)
    assert [layer.name for layer in network.order] and network.sizes
    assert reads == []


@pytest.mark.parametrize("path", KEPT, ids=[path.name for path in KEPT])
def test_arrays_are_what_onnx_reads(path: Path) -> None:
    """Oracle: onnx.load, bit for bit; without the weights the skeleton is the same model."""
    whole, skeleton = onnx.load(path), read_skeleton(path)
    arrays = initializer_arrays(path, skeleton)
    assert list(arrays) == [tensor.name for tensor in whole.graph.initializer]
    for tensor in whole.graph.initializer:
        expected = numpy_helper.to_array(tensor)
        held = arrays[tensor.name]
        assert (held.shape, held.dtype) == (expected.shape, expected.dtype)
        assert held.read().tobytes() == expected.tobytes()
    for tensor in (*whole.graph.initializer, *skeleton.model.graph.initializer):
        tensor.ClearField("raw_data")
    assert skeleton.model == whole


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
@pytest.mark.parametrize("count", [3, 2000], ids=["small", "large"])
def test_every_plain_type(dtype: str, count: int, tmp_path: Path) -> None:
    """Oracle: the array that was written."""
    array = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, (count, 1)).astype(dtype)
    path = saved(model([node("Relu", "x", "y")], ["N"], {"W": np.zeros(1)}), tmp_path)
    made = onnx.load(path)
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "W"))
    path = saved(made, tmp_path)
    skeleton = read_skeleton(path)
    assert bool(skeleton.lifted) == (array.nbytes >= SMALLEST_LIFTED)
    held = initializer_arrays(path, skeleton)["W"].read()
    assert held.dtype == array.dtype and held.tobytes() == array.tobytes()


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    made = dense()
    made.graph.initializer[0].data_type = TensorProto.BFLOAT16
    with pytest.raises(UnsupportedError, match="initializer 'W' has the ONNX data type 16"):
        bridge.load(saved(made, tmp_path))


@pytest.mark.parametrize(
    ("dims", "found"), [((40, 31), "4,800 bytes"), ((-40, 30), "4,800 bytes")], ids=["larger", "negative"]
)
def test_a_size_that_is_not_that_of_the_data(dims: tuple[int, ...], found: str, tmp_path: Path) -> None:
    made = dense()
    made.graph.initializer[0].dims[:] = dims
    with pytest.raises(UnreadableError, match=found):
        bridge.load(saved(made, tmp_path))


def test_numbers_that_are_no_raw_bytes(tmp_path: Path) -> None:
    """Oracle: the numbers. Exporters may write a weight as a list of numbers, of any length."""
    made = dense()
    made.graph.initializer[0].CopyFrom(
        helper.make_tensor("W", TensorProto.FLOAT, (40, 30), weights(40, 30).ravel().tolist())
    )
    np.testing.assert_array_equal(bridge.load(saved(made, tmp_path)).layers["p"].Weights, weights(40, 30).T)


# External data


def external(folder: Path, location: str = "net.data", **more: Any) -> Path:
    """A model whose weights lie in a file of their own."""
    path = folder / "net.onnx"
    made = dense()
    onnx.save_model(made, path, save_as_external_data=True, location="net.data", size_threshold=0)
    made = onnx.load(path, load_external_data=False)
    for entry in made.graph.initializer[0].external_data:
        entry.value = str(more.get(entry.key, location if entry.key == "location" else entry.value))
    path.write_bytes(made.SerializeToString())
    return path


def test_weights_in_a_file_of_their_own(tmp_path: Path, reads: list[int]) -> None:
    """Oracle: the arrays that were written."""
    network = bridge.load(external(tmp_path))
    assert reads == []
    np.testing.assert_array_equal(network.layers["p"].Weights, weights(40, 30).T)
    np.testing.assert_array_equal(network.layers["p"].Bias, weights(30).reshape(30, 1))


@pytest.mark.parametrize("location", ["../net.data", "/etc/passwd", "sub/../../net.data", "."])
def test_files_outside_the_folder_are_not_opened(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = external(folder, location)
    (tmp_path / "net.data").write_bytes((folder / "net.data").read_bytes())
    with pytest.raises(UnreadableError, match="outside the model's folder"):
        bridge.load(path)


def test_a_link_that_leads_outside_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = external(folder)
    os.replace(folder / "net.data", tmp_path / "elsewhere")
    (folder / "net.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnreadableError, match="outside the model's folder"):
        bridge.load(path)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"location": "other.data"}, "lies in other.data, which is missing"),
        ({"offset": 10**9}, "reaches beyond the end of net.data"),
        ({"length": 10**9}, "reaches beyond the end of net.data"),
        ({"offset": -4}, "reaches beyond the end of net.data"),
        ({"offset": "many"}, "a damaged offset or length"),
        ({"length": 8}, "8 bytes"),
    ],
    ids=["missing", "offset", "length", "negative", "no number", "short"],
)  # fmt: skip
def test_damaged_external_data(more: dict[str, Any], found: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=found):
        bridge.load(external(tmp_path, **more))


# Damage


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    """Wherever it was cut, loading says so, or what is left is a whole model without its end."""
    data = dense(9, 7).SerializeToString()
    path = tmp_path / "net.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(UnreadableError):
            bridge.load(path)


def test_a_file_with_any_byte_changed(tmp_path: Path) -> None:
    """It is read, refused, or unreadable: nothing else happens."""
    data = dense(9, 7).SerializeToString()
    path, rng = tmp_path / "net.onnx", np.random.default_rng(0)
    for position in rng.integers(0, len(data), 300):
        path.write_bytes(data[:position] + bytes([data[position] ^ rng.integers(1, 256)]) + data[position + 1 :])
        try:
            bridge.load(path)
        except bridge.BridgeError as error:
            assert error.exit_code in (2, 3)


def test_a_weight_that_changed_since(tmp_path: Path) -> None:
    path = saved(dense(), tmp_path)
    network = bridge.load(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UnreadableError, match="has changed since it was loaded"):
        _ = network.layers["p"].Weights
