"""ONNX files that are damaged, lead outside their folder, or hold what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx2torch.converter  # noqa: F401 (it takes seconds, which count for no trial)
import pytest
from onnx import TensorProto, helper, numpy_helper

from bridge.commands import tables
from bridge.errors import UnreadableError, UnsupportedError
from bridge.readers import load
from tests.bad_input.trial import Answer, in_bounds, listing, refused

WEIGHTS = np.linspace(-1, 1, 4 * 300, dtype=np.float32).reshape(4, 300)  # 4,800 bytes, enough to be left in the file


def model(
    *nodes: onnx.NodeProto,
    initializers: dict[str, Any] | None = None,
    size: tuple[Any, ...] = (1, 300),
    output: str = "y",
) -> onnx.ModelProto:
    """A model with the input x of `size`, the output `output` and the weights W [4 300]."""
    arrays = {"W": WEIGHTS} if initializers is None else initializers
    tensors = [
        each if isinstance(each, onnx.TensorProto) else numpy_helper.from_array(each, name)
        for name, each in arrays.items()
    ]
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Gemm", ["x", "W"], ["y"], "fc", transB=1)],
        "Network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], producer_name="test")


@pytest.fixture
def file(tmp_path: Path) -> Callable[[onnx.ModelProto], Path]:
    def write(made: onnx.ModelProto) -> Path:
        (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
        return tmp_path / "net.onnx"

    return write


File = Callable[[onnx.ModelProto], Path]


def show_and_build(path: Path) -> None:
    network = load(path)
    tables.facts(network)
    network.to_torch()


def test_the_model_itself_is_sound(file: File) -> None:
    show_and_build(file(model()))


# External data


def external(
    location: str, offset: str | None = None, length: str | None = None, dims: tuple[int, ...] = (4, 300)
) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="W", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
    return tensor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for the model, with its data; beside it a file that is none of its business."""
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    inside = tmp_path / "model"
    (inside / "deeper").mkdir(parents=True)
    (inside / "data.bin").write_bytes(WEIGHTS.tobytes())
    (inside / "deeper" / "data.bin").write_bytes(WEIGHTS.tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "linked").symlink_to(tmp_path)
    return inside


def load_with(folder: Path, tensor: onnx.TensorProto) -> Any:
    (folder / "net.onnx").write_bytes(model(initializers={"W": tensor}).SerializeToString())
    return load(folder / "net.onnx").layers["fc"].Weights


@pytest.mark.parametrize("location", ["data.bin", "deeper/data.bin", "./data.bin", "deeper/../data.bin"])
def test_external_data_in_the_folder_is_read(folder: Path, location: str) -> None:
    """The oracle is the array that was written."""
    np.testing.assert_array_equal(load_with(folder, external(location)), WEIGHTS)


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "deeper/../../secret.bin",
        "link.bin",
        "linked/secret.bin",
        "/etc/passwd",
        "",
        ".",
        "..",
        "deeper",
        "missing.bin",
        "a\0b",
    ],
)
def test_external_data_elsewhere_is_not_opened(folder: Path, location: str) -> None:
    assert refused(lambda: load_with(folder, external(location)), UnreadableError)
    assert refused(lambda: load_with(folder, external(str(folder.parent / "secret.bin"))), UnreadableError)


@pytest.mark.parametrize(
    ("offset", "length", "dims"),
    [
        ("8", None, (4, 300)),
        ("-8", None, (4, 300)),
        ("0", "4801", (4, 300)),
        ("4800", "4800", (4, 300)),
        ("0", "-1", (4, 300)),
        ("x", None, (4, 300)),
        (None, "1e3", (4, 300)),
        (str(2**64), None, (4, 300)),
        (None, None, (4, 301)),
        (None, None, (-4, -300)),
        (None, None, (2**62, 2**62)),
        (None, None, (2**32, 2**32, 0)),
    ],
)
def test_external_data_beyond_the_end(
    folder: Path, offset: str | None, length: str | None, dims: tuple[int, ...]
) -> None:
    assert refused(lambda: load_with(folder, external("data.bin", offset, length, dims)), UnreadableError)


def test_external_data_of_a_constant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnx itself would read it from the current directory."""
    monkeypatch.chdir(folder)
    for location in ("data.bin", "../secret.bin"):
        constant = helper.make_node("Constant", [], ["W"])
        constant.attribute.append(
            onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=external(location))
        )
        made = model(constant, helper.make_node("Gemm", ["x", "W"], ["y"], "fc", transB=1), initializers={})
        (folder / "net.onnx").write_bytes(made.SerializeToString())
        assert refused(lambda: load(folder / "net.onnx"))


def test_weights_that_change_before_they_are_read(file: File) -> None:
    path = file(model())
    network = load(path)
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    assert "has changed" in refused(lambda: network.to_torch(), UnreadableError).error
    network = load(path)
    path.unlink()
    assert "has changed" in refused(lambda: network.to_torch(), UnreadableError).error


# Sizes


def tensor(dims: tuple[int, ...], raw: bytes = b"", data_type: int = TensorProto.FLOAT) -> onnx.TensorProto:
    return onnx.TensorProto(name="W", data_type=data_type, dims=dims, raw_data=raw)


@pytest.mark.parametrize(
    "weights",
    [
        tensor((2**31, 2**31), bytes(4800)),
        tensor((2**62, 2**62), b""),
        tensor((2**62, 2**62), bytes(16)),
        tensor((-4, 300), bytes(4800)),
        tensor((-4, -300), bytes(4800)),
        tensor((4, 300), bytes(4799)),
        tensor((4, 300), b""),
        tensor((4, 300), bytes(4800), data_type=77),
        tensor((4, 300), bytes(4800), data_type=TensorProto.STRING),
        tensor((4, 300), bytes(4800), data_type=TensorProto.UNDEFINED),
        onnx.TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[10**9, 10**9], float_data=[1.0]),
        onnx.TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[4, 300], float_data=[1.0]),
    ],
)
def test_initializers_whose_sizes_lie(file: File, weights: onnx.TensorProto) -> None:
    path = file(model(initializers={"W": weights}))
    assert refused(lambda: load(path))
    assert in_bounds([("load", lambda: load(path))])["load"].startswith("error")


def convolution(size: tuple[Any, ...] = (1, 3, 8, 8), **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "W"], ["y"], "conv", **attributes)
    return model(node, initializers={"W": np.ones((2, 3, 3, 3), np.float32)}, size=size)


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [0, 0]},
        {"strides": [-1, 1]},
        {"dilations": [0, 1]},
        {"dilations": [2**40, 1]},
        {"pads": [-9, 0, 0, 0]},
        {"pads": [1]},
        {"pads": [-1, -1, -1, -1]},
        {"kernel_shape": [0, 0]},
        {"kernel_shape": [99, 99]},
        {"group": 0},
        {"group": -1},
        {"group": 7},
        {"strides": "text"},
        {"group": 1.5},
        {"auto_pad": "SOMETHING"},
        {"unheard_of": 1},
    ],
)
def test_attributes_that_make_no_sense(file: File, attributes: dict[str, Any]) -> None:
    path = file(convolution(**attributes))
    assert in_bounds([("build", lambda: show_and_build(path))])["build"].startswith("error")


def test_inputs_of_absurd_size(file: File, bridge: Callable[..., Answer]) -> None:
    """Reading it is fine; an import does not try to run it."""
    path = file(convolution(size=(1, 3, 10**6, 10**6)))
    assert (
        in_bounds([("build", lambda: show_and_build(path)), ("import", lambda: bridge("import", path))])["import"]
        == "done"
    )
    answer = bridge("import", path)
    assert answer.code == 0 and "not compared" in answer.out


# Graphs


def relu(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target], target)


@pytest.mark.parametrize(
    "nodes",
    [
        [relu("z", "y"), relu("y", "z")],
        [relu("y", "y")],
        [relu("nowhere", "y")],
        [relu("x", "x"), relu("x", "y")],
        [relu("x", "y"), relu("x", "y")],
        [relu("x", "other")],
        [relu("y2", "y"), relu("x", "y2")],
        [helper.make_node("Relu", [], ["y"])],
        [helper.make_node("Relu", ["x"], [])],
        [helper.make_node("Relu", [""], ["y"])],
        [helper.make_node("Gemm", ["x"], ["y"])],
        [helper.make_node("Conv", ["x", "", ""], ["y"])],
        [helper.make_node("Concat", ["x", "x"], ["y"])],
        [helper.make_node("Constant", [], ["y"])],
    ],
)
def test_graphs_that_lead_nowhere(file: File, nodes: list[onnx.NodeProto]) -> None:
    path = file(model(*nodes))
    assert refused(lambda: show_and_build(path))


def test_no_output_and_no_graph(file: File) -> None:
    without = model()
    del without.graph.output[:]
    assert refused(lambda: load(file(without)), UnreadableError)
    assert refused(lambda: load(file(onnx.ModelProto(producer_name="someone", ir_version=9))), UnreadableError)


def test_names_that_are_no_text(file: File) -> None:
    path = file(model())
    path.write_bytes(path.read_bytes().replace(b"\x02fc", b"\x02\xff\xfe"))
    assert "no texts" in refused(lambda: load(path), UnreadableError).error


def test_unknown_operators_are_collected(file: File, refusal: Callable[..., Answer]) -> None:
    nodes = [
        helper.make_node("Placeholder", ["x"], ["a"], "custom_1", domain="com.MathWorks"),
        helper.make_node("Placeholder", ["a"], ["b"], "custom_2"),
        helper.make_node("Frobnicate", ["b"], ["c"], "frob", domain="org.example"),
        helper.make_node("NoSuchOperator", ["c"], ["d"], "none"),
        relu("d", "y"),
    ]
    path = file(model(*nodes))
    error = refused(lambda: load(path).to_torch(), UnsupportedError)
    for name in ("custom_1", "custom_2", "frob", "none"):
        assert f"'{name}'" in error.error
    assert refusal("import", path).code == 3


@pytest.mark.parametrize("kind", ["If", "Loop", "Scan"])
def test_subgraphs(file: File, kind: str) -> None:
    inner = helper.make_graph(
        [relu("x", "z")], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    )
    attributes = {"then_branch": inner, "else_branch": inner} if kind == "If" else {"body": inner}
    assert refused(lambda: load(file(model(helper.make_node(kind, ["x"], ["y"], **attributes)))), UnsupportedError)


def test_deep_nesting(file: File) -> None:
    path = file(model())
    inner = b""
    for _ in range(3000):  # GraphProto.node, NodeProto.attribute, AttributeProto.g, over and over
        for field in (0x32, 0x2A, 0x0A):
            length, size = len(inner), bytearray()
            while length > 0x7F:
                size.append(length & 0x7F | 0x80)
                length >>= 7
            inner = bytes((field, *size, length)) + inner
    path.write_bytes(path.read_bytes() + b"\x3a" + bytes(_varint(len(inner))) + inner)
    assert in_bounds([("load", lambda: load(path))])["load"].startswith("error")


def _varint(value: int) -> list[int]:
    return [value] if value < 0x80 else [value & 0x7F | 0x80, *_varint(value >> 7)]


def test_many_nodes_of_one_name(file: File) -> None:
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"], "relu") for i in range(5_000)]
    path = file(model(*nodes, output="v5000"))
    assert in_bounds([("load", lambda: tables.facts(load(path)))])["load"] == "done"


def test_nothing_is_written(file: File, tmp_path: Path, bridge: Callable[..., Answer]) -> None:
    path = file(model())
    before = listing(tmp_path)
    assert bridge("import", path).code == 0
    assert listing(tmp_path) == before
