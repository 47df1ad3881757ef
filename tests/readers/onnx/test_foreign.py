"""Files that MATLAB did not write: what is a MATLAB layer becomes one, the rest runs as onnx2torch has it, trained where it must be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import bridge
from bridge.errors import UnreadableError, UnsupportedError
from bridge.modules.foreign import means_the_same
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.readers.onnx.foreign import plain_form
from bridge.readers.onnx.layout import activation_of, wanted_axes
from tests.readers.onnx.graphs import Read, graph, model, node, proven, step, weights


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]


def trained(network: Network) -> int:
    """How many numbers the module of a network learns."""
    return sum(each.numel() for each in network.to_torch().parameters() if each.requires_grad)


# As PyTorch writes them


def cnn() -> onnx.ModelProto:
    """Convolution, batch normalisation, pooling, and a flattening that is worked out from the shape."""
    constant = helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.array(0, np.int64)))
    nodes = [
        node("Conv", "x conv.weight", "/conv/Conv_output_0", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node(
            "BatchNormalization", "/conv/Conv_output_0 bn.weight bn.bias bn.mean bn.var", "/bn/output_0", epsilon=1e-3
        ),
        node("Relu", "/bn/output_0", "/relu/output_0"),
        node("MaxPool", "/relu/output_0", "/pool/output_0", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "/pool/output_0", "shape"),
        constant,
        node("Gather", "shape zero", "n", axis=0),
        node("Unsqueeze", "n axis", "batch"),
        node("Concat", "batch rest", "target", axis=0),
        node("Reshape", "/pool/output_0 target", "flat"),
        node("Gemm", "flat fc.weight fc.bias", "y", transB=1),
    ]
    arrays = {
        "conv.weight": weights(4, 3, 3, 3), "bn.weight": weights(4), "bn.bias": weights(4), "bn.mean": weights(4),
        "bn.var": 1 + weights(4) ** 2, "axis": [0], "rest": [-1], "fc.weight": weights(5, 64), "fc.bias": weights(5),
    }  # fmt: skip
    return model(nodes, ["N", 3, 8, 8], arrays)


def test_a_network_of_pytorch(read: Read) -> None:
    """Oracle: onnxruntime."""
    network = read(cnn())
    assert Counter(kinds(network)) == {
        "ImageInputLayer": 1, "Convolution2DLayer": 1, "BatchNormalizationLayer": 1, "ReLULayer": 1, "MaxPooling2DLayer": 1,
        "FullyConnectedLayer": 1, "onnx:Shape": 1, "onnx:Gather": 1, "onnx:Unsqueeze": 1, "onnx:Concat": 1, "onnx:Reshape": 1,
    }  # fmt: skip
    proven(network, layers=9)
    assert trained(network) == 4 * 3 * 9 + 4 + 4 + 5 * 64 + 5
    operators = "Concat ×1, Gather ×1, Reshape ×1, Shape ×1, Unsqueeze ×1"
    assert f"5 node(s) are no MATLAB layers and run as ONNX operators: {operators}" in network.notes
    assert "2 constant(s) of those are buffers, which training leaves alone: n/input1, target/input1" in network.notes
    assert network.to_torch()(torch.rand(3, 3, 8, 8)).shape == (3, 5)


def test_a_saved_foreign_network_is_the_same(read: Read, tmp_path: Path) -> None:
    """Oracle: the module before saving. Constants keep their values and types."""
    network = read(cnn())
    again = bridge.load(network.save(tmp_path / "saved"))
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(again.to_torch()(x), network.to_torch()(x), rtol=0, atol=0)
    for layer in network.layers:
        assert again.layers[layer.name].properties == layer.properties
        for name, array in layer.state.items():
            held = again.layers[layer.name].state[name]
            assert (held.dtype, held.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(held.read(), array.read())


def test_trained_weights_come_back(read: Read) -> None:
    nodes = [node("MatMul", "x W", "p"), node("Softmax", "p", "s", axis=-1), node("MatMul", "S s", "y")]
    network = read(model(nodes, ["N", 4, 6], {"W": weights(6, 5), "S": weights(3, 4)}))
    module = network.to_torch()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    back = network.with_weights(module)
    np.testing.assert_array_equal(back.layers["p"].Weights, weights(6, 5).T + 1)
    np.testing.assert_array_equal(back.layers["y"].weight, weights(3, 4) + 1)
    assert back.set_learn_rate_factor("y", "weight", 0).to_torch().get_submodule("y").weight.requires_grad is False


# Transformers


def encoder(heads: int = 2, width: int = 8, opset: int = 13) -> onnx.ModelProto:
    """A block of an encoder: attention of several heads, layer normalisation as a formula, GELU, two residual connections."""
    split = width // heads

    def normed(source: str, name: str) -> list[onnx.NodeProto]:
        return [
            node("ReduceMean", source, f"{name}.mean", axes=[-1]), node("Sub", f"{source} {name}.mean", f"{name}.d"),
            node("Pow", f"{name}.d two", f"{name}.q"), node("ReduceMean", f"{name}.q", f"{name}.var", axes=[-1]),
            node("Add", f"{name}.var eps", f"{name}.v"), node("Sqrt", f"{name}.v", f"{name}.s"),
            node("Div", f"{name}.d {name}.s", f"{name}.n"), node("Mul", f"{name}.n {name}.weight", f"{name}.m"),
            node("Add", f"{name}.m {name}.bias", name),
        ]  # fmt: skip

    def projected(source: str, name: str) -> list[onnx.NodeProto]:
        return [
            node("MatMul", f"{source} {name}.weight", f"{name}.product"),
            node("Add", f"{name}.bias {name}.product", name),
        ]

    def heads_of(name: str, perm: list[int]) -> list[onnx.NodeProto]:
        return [
            node("Reshape", f"{name} heads", f"{name}.split"),
            node("Transpose", f"{name}.split", f"{name}.heads", perm=perm),
        ]

    nodes = [
        *normed("x", "norm1"), *(each for name in "qkv" for each in projected("norm1", name)),
        *heads_of("q", [0, 2, 1, 3]), *heads_of("k", [0, 2, 3, 1]), *heads_of("v", [0, 2, 1, 3]),
        node("MatMul", "q.heads k.heads", "scores"), node("Mul", "scores scale", "scaled"), node("Softmax", "scaled", "attention", axis=-1),
        node("MatMul", "attention v.heads", "mixed"), node("Transpose", "mixed", "together", perm=[0, 2, 1, 3]),
        node("Reshape", "together flat", "joined"), *projected("joined", "out"), node("Add", "x out", "residual1"),
        *normed("residual1", "norm2"), *projected("norm2", "up"), node("Div", "up root", "up.d"), node("Erf", "up.d", "up.e"),
        node("Add", "up.e one", "up.f"), node("Mul", "up up.f", "up.h"), node("Mul", "up.h half", "gelu"), *projected("gelu", "down"),
        node("Add", "residual1 down", "y"),
    ]  # fmt: skip
    arrays: dict[str, Any] = {
        "two": 2.0, "eps": 1e-5, "one": 1.0, "half": 0.5, "root": 2**0.5, "scale": split**-0.5, "heads": [0, 0, heads, split],
        "flat": [0, 0, width],
    }  # fmt: skip
    sizes = [*((name, width, width) for name in ("q", "k", "v", "out")), ("up", width, 16), ("down", 16, width)]
    for seed, (name, inputs, outputs) in enumerate(sizes):
        arrays |= {f"{name}.weight": weights(inputs, outputs, seed=seed), f"{name}.bias": weights(outputs, seed=seed)}
    for name in ("norm1", "norm2"):
        arrays |= {f"{name}.weight": 1 + weights(width), f"{name}.bias": weights(width)}
    return model(nodes, ["N", "T", width], arrays, opset=opset)


def test_an_encoder_of_a_transformer(read: Read) -> None:
    """Oracle: onnxruntime. Every weight is trained: over sequences a product with weights is a fully connected layer."""
    network = read(encoder())
    found = Counter(kinds(network))
    matlab = {"FullyConnectedLayer": 6, "LayerNormalizationLayer": 2, "GELULayer": 1, "AdditionLayer": 2}
    assert {kind: found[kind] for kind in matlab} == matlab
    assert {kind for kind in found if kind.startswith("onnx:")} == {
        "onnx:Input", "onnx:Reshape", "onnx:Transpose", "onnx:MatMul", "onnx:Mul", "onnx:Softmax",
    }  # fmt: skip
    assert found["onnx:Transpose"] == 4
    proven(network, layers=20)
    assert trained(network) == 4 * (64 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 2 * 16
    assert network.sizes["q.product"][0] == Activation("CBT", (8,))
    assert network.to_torch()(torch.rand(3, 5, 8)).shape == (3, 5, 8)


def test_tokens_and_an_embedding(read: Read) -> None:
    """Oracle: onnxruntime. The embedding is trained; positions are added as a constant."""
    nodes = [
        node("Gather", "table x", "e"), node("Add", "e positions", "p"), node("MatMul", "p W", "m"),
        node("ReduceMean", "m", "y", axes=[1], keepdims=0),
    ]  # fmt: skip
    network = read(
        model(nodes, ["N", 6], {"table": weights(10, 4), "positions": weights(1, 6, 4), "W": weights(4, 3)}, kind="i")
    )
    assert kinds(network) == [
        "onnx:Input",
        "onnx:Gather",
        "onnx:Add",
        "FullyConnectedLayer",
        "GlobalAveragePooling1DLayer",
    ]
    assert network.layers["x"].Type == "int64"
    proven(network, layers=4)
    assert trained(network) == 40 + 12
    assert any("1 constant(s) of those are buffers" in note and note.endswith("p/input1") for note in network.notes)


@pytest.mark.parametrize("x", [["N", 6], ["N", 5, 6], ["N", 3, 5, 6], ["N", 2, 3, 5, 6]], ids=["2", "3", "4", "5"])
def test_products_over_the_last_axis(x: list[int | str], read: Read) -> None:
    """Oracle: onnxruntime. Weights and bias are trained for any number of axes."""
    kind = "FullyConnectedLayer" if len(x) < 4 else "onnx:Gemm"
    network = read(
        model([node("MatMul", "x W", "p"), node("Add", "p b", "y")], x, {"W": weights(6, 4), "b": weights(4)})
    )
    assert kinds(network)[1:] == [kind]
    proven(network)
    assert trained(network) == 28


# As tf2onnx writes what Keras has


def test_a_network_of_keras(read: Read) -> None:
    """Oracle: onnxruntime. Channels come last in the file: the module takes what the file takes, convolutions see them second."""
    nodes = [
        node("Transpose", "x", "turned", perm=[0, 3, 1, 2]),
        node("Conv", "turned kernel", "conv", kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Add", "conv bias", "biased"),
        node("Relu", "biased", "relu"),
        node("Transpose", "relu", "last", perm=[0, 2, 3, 1]),
        node("Transpose", "last", "second", perm=[0, 3, 1, 2]),
        node("AveragePool", "second", "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "pooled", "back", perm=[0, 2, 3, 1]),
        node("Reshape", "back shape", "flat"),
        node("MatMul", "flat W", "product"),
        node("Add", "product b", "dense"),
        node("Softmax", "dense", "y", axis=-1),
    ]
    arrays = {
        "kernel": weights(4, 3, 3, 3),
        "bias": weights(1, 4, 1, 1),
        "shape": [-1, 24],
        "W": weights(24, 5),
        "b": weights(5),
    }
    network = read(model(nodes, ["N", 8, 12, 3], arrays, producer="tf2onnx"))
    assert kinds(network) == [
        "onnx:Input", "onnx:Transpose", "Convolution2DLayer", "ReLULayer", "AveragePooling2DLayer", "onnx:Transpose", "onnx:Reshape",
        "FullyConnectedLayer", "SoftmaxLayer",
    ]  # fmt: skip
    assert network.layers["conv"].PaddingMode == "same" and network.sizes["conv"][0] == Activation("SSCB", (4, 6, 4))
    proven(network, layers=8)
    assert trained(network) == 4 * 27 + 4 + 24 * 5 + 5
    assert network.to_torch()(torch.rand(2, 8, 12, 3)).shape == (2, 5)


def test_a_formula_of_batch_normalization_is_not_trained(read: Read) -> None:
    """Oracle: onnxruntime. Constants that are multiplied are buffers, and noted."""
    nodes = [node("Conv", "x W", "c"), node("Mul", "c scale", "m"), node("Add", "m shift", "y")]
    network = read(
        model(
            nodes,
            ["N", 3, 5, 5],
            {"W": weights(4, 3, 1, 1), "scale": weights(1, 4, 1, 1), "shift": weights(1, 4, 1, 1)},
        )
    )
    assert kinds(network)[1:] == ["Convolution2DLayer", "onnx:Mul", "onnx:Add"]
    proven(network, layers=3)
    assert trained(network) == 12
    assert any("2 constant(s) of those are buffers" in note for note in network.notes)


def test_channels_last_at_the_output_stay_last(read: Read) -> None:
    """Oracle: onnxruntime, whose layout the module's output has."""
    nodes = [node("Conv", "x W", "c"), node("Transpose", "c", "y", perm=[0, 2, 3, 1])]
    network = read(model(nodes, ["N", 3, 4, 5], {"W": weights(2, 3, 1, 1)}))
    proven(network, layers=2)
    assert network.to_torch()(torch.rand(1, 3, 4, 5)).shape == (1, 4, 5, 2)


# Sequences


def recurrent(op: str = "LSTM", batch_first: bool = True, directions: int = 1, **more: Any) -> onnx.ModelProto:
    gates, both = (4 if op == "LSTM" else 3), directions == 2
    before = [node("Transpose", "x", "turned", perm=[1, 0, 2])] if batch_first else []
    cell = helper.make_node(
        op, ["turned" if batch_first else "x", "W", "R", "B"], ["Y"], name="rnn", hidden_size=5, **more
    )
    if both:
        cell.attribute.append(helper.make_attribute("direction", "bidirectional"))
        ending = [node("Transpose", "Y", "t", perm=[0, 2, 1, 3]), node("Reshape", "t shape", "h")]
    else:
        ending = [node("Squeeze", "Y axes", "h")]
    after = [node("Transpose", "h", "back", perm=[1, 0, 2])] if batch_first else []
    head = [node("MatMul", f"{'back' if batch_first else 'h'} fc", "p"), node("Add", "p b", "y")]
    arrays = {
        "W": weights(directions, gates * 5, 6), "R": weights(directions, gates * 5, 5), "B": weights(directions, 2 * gates * 5),
        "axes": [1], "shape": [0, 0, -1], "fc": weights(5 * directions, 3), "b": weights(3),
    }  # fmt: skip
    return model([*before, cell, *ending, *after, *head], ["N", "T", 6] if batch_first else ["T", "N", 6], arrays)


@pytest.mark.parametrize("batch_first", [True, False], ids=["N, T, C", "T, N, C"])
@pytest.mark.parametrize(
    ("op", "directions", "kind"), [("LSTM", 1, "LSTMLayer"), ("LSTM", 2, "BiLSTMLayer"), ("GRU", 1, "GRULayer")]
)
def test_recurrent_networks(op: str, directions: int, kind: str, batch_first: bool, read: Read) -> None:
    """Oracle: onnxruntime. The module takes the layout of the file; two Transposes are layers only where that is T, N, C."""
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    network = read(recurrent(op, batch_first, directions, **more))
    turning = [] if batch_first else ["onnx:Transpose"]
    assert kinds(network) == ["onnx:Input", *turning, kind, "FullyConnectedLayer", *turning]
    proven(network, layers=2 if batch_first else 1)
    assert network.to_torch()(torch.rand(2, 4, 6)).shape == (2, 4, 3)
    assert any("two biases of 1 recurrent layer(s) were added up" in note for note in network.notes) == (op == "LSTM")


def test_a_recurrent_layer_that_matlab_lacks_is_refused(read: Read) -> None:
    network = read(recurrent(clip=2.0))
    assert "onnx:LSTM" in kinds(network)
    with pytest.raises(
        UnsupportedError, match=r"layer 'rnn' is the ONNX operator LSTM \(onnx2torch has no converter for LSTM\)"
    ):
        network.to_torch()


@pytest.mark.parametrize("turned", [True, False], ids=["N, T, C", "N, C, T"])
def test_convolutions_over_one_dimension(turned: bool, read: Read) -> None:
    """Oracle: onnxruntime. Between two Transposes they slide over the time of a sequence."""
    before, after = (
        ([node("Transpose", "x", "t", perm=[0, 2, 1])], [node("Transpose", "p", "y", perm=[0, 2, 1])])
        if turned
        else ([], [])
    )
    nodes = [
        *before, node("Conv", "t W b" if turned else "x W b", "c", pads=[2, 0], dilations=[2]),
        node("BatchNormalization", "c scale shift mean var", "n"), node("PRelu", "n slope", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2]), *after,
    ]  # fmt: skip
    arrays = {
        "W": weights(4, 3, 2), "b": weights(4), "scale": weights(4), "shift": weights(4), "mean": weights(4), "var": 1 + weights(4) ** 2,
        "slope": weights(4, 1),
    }  # fmt: skip
    network = read(model(nodes, ["N", 9, 3] if turned else ["N", 3, 9], arrays))
    assert kinds(network) == [
        "onnx:Input",
        "Convolution1DLayer",
        "BatchNormalizationLayer",
        "PReLULayer",
        "MaxPooling1DLayer",
    ]
    assert network.sizes["c"][0] == (Activation("CBT", (4,)) if turned else Activation("SCB", (9, 4)))
    proven(network, layers=1 if turned else 4)
    assert trained(network) == 24 + 4 + 4 + 4 + 4


def test_volumes(read: Read) -> None:
    """Oracle: onnxruntime."""
    nodes = [
        node("Conv", "x W", "c", pads=[1] * 6),
        node("InstanceNormalization", "c s b", "i"),
        node("GlobalAveragePool", "i", "g"),
        node("Flatten", "g", "y"),
    ]
    network = read(model(nodes, ["N", 2, 4, 5, 6], {"W": weights(3, 2, 3, 3, 3), "s": weights(3), "b": weights(3)}))
    assert kinds(network) == [
        "Image3DInputLayer", "Convolution3DLayer", "InstanceNormalizationLayer", "GlobalAveragePooling3DLayer", "FlattenLayer",
    ]  # fmt: skip
    proven(network, layers=4)


# Operators, one by one

IMAGE: list[int | str] = [2, 4, 6, 6]
OPERATORS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], range, int]] = {
    # nodes, constants, opsets, trained numbers
    "Abs": ([node("Abs", "x", "y")], {}, range(7, 21, 6), 0),
    "Cast": ([node("Cast", "x", "i", to=TensorProto.INT64), node("Cast", "i", "y", to=TensorProto.FLOAT)], {}, range(9, 21, 4), 0),
    "Ceil": ([node("Ceil", "x", "y")], {}, range(7, 21, 6), 0),
    "Clip": ([node("Clip", "x low high", "y")], {"low": 0.2, "high": 0.7}, range(11, 21, 3), 0),
    "Concat with a constant": ([node("Concat", "x c", "y", axis=1)], {"c": weights(2, 1, 6, 6)}, range(8, 21, 6), 0),
    "Conv with asymmetric padding in groups": (
        [node("Reshape", "x s", "r"), node("Conv", "r W b", "y", group=4, pads=[2, 0])],
        {"s": [0, 4, 36], "W": weights(4, 1, 3), "b": weights(4)}, range(8, 21, 6), 16,
    ),
    "ConvTranspose with output padding": (
        [node("ConvTranspose", "x W", "y", strides=[2, 2], output_padding=[1, 1])], {"W": weights(4, 3, 3, 3)}, range(8, 21, 6), 108,
    ),
    "ConvTranspose in groups": (
        [node("ConvTranspose", "x W b", "y", group=2)], {"W": weights(4, 3, 2, 2), "b": weights(6)}, range(8, 21, 6), 54,
    ),
    "CumSum from the start": ([node("CumSum", "x axis", "y")], {"axis": 2}, range(11, 21, 4), 0),
    "Div": ([node("Div", "x c", "y")], {"c": 3.0}, range(7, 21, 6), 0),
    "Einsum": ([node("Einsum", "x c", "y", equation="nchw,cd->ndhw")], {"c": weights(4, 3)}, range(12, 21, 4), 0),
    "Equal and Where": ([node("Equal", "x c", "e"), node("Where", "e x c", "y")], {"c": 0.5}, range(11, 21, 4), 0),
    "Erf": ([node("Erf", "x", "y")], {}, range(9, 21, 4), 0),
    "Exp": ([node("Exp", "x", "y")], {}, range(7, 21, 6), 0),
    "Expand": ([node("Expand", "x shape", "y")], {"shape": [3, 1, 1, 1, 1]}, range(8, 21, 6), 0),
    "Flatten of two axes": ([node("Flatten", "x", "y", axis=2)], {}, range(7, 21, 3), 0),
    "Gather": ([node("Gather", "x i", "y", axis=1)], {"i": [3, 0]}, range(7, 21, 6), 0),
    "Gemm scaled": (
        [node("Flatten", "x", "f"), node("Gemm", "f W c", "y", alpha=0.5, beta=2.0)],
        {"W": weights(144, 3), "c": weights(2, 3)}, range(7, 21, 6), 438,
    ),
    "HardSigmoid": ([node("HardSigmoid", "x", "y", alpha=0.1, beta=0.4)], {}, range(7, 21, 6), 0),
    "HardSwish": ([node("HardSwish", "x", "y")], {}, range(14, 21, 6), 0),
    "LRN of ONNX's own K": ([node("LRN", "x", "y", size=3)], {}, range(7, 21, 6), 0),
    "LayerNormalization over rows": ([node("LayerNormalization", "x s b", "y")], {"s": weights(6), "b": weights(6)}, range(17, 21), 12),
    "LogSoftmax": ([node("LogSoftmax", "x", "y", axis=1)], {}, range(7, 21, 4), 0),
    "Mean, Min, Max": ([node("Mean", "x c", "a"), node("Min", "a x", "b"), node("Max", "b c", "y")], {"c": 0.5}, range(8, 21, 4), 0),
    "MaxPool with indices that nothing reads": (
        [node("MaxPool", "x", "p i", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), node("Neg", "p", "y")], {}, range(10, 21, 5), 0,
    ),
    "MaxPool rounded up": ([node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {}, range(10, 21, 5), 0),
    "Mod, Neg, Reciprocal": (
        [node("Mod", "x c", "a", fmod=1), node("Neg", "a", "b"), node("Reciprocal", "x", "r"), node("Sum", "b r", "y")],
        {"c": 0.3}, range(10, 21, 5), 0,
    ),
    "Pad by reflection": ([node("Pad", "x pads", "y", mode="reflect")], {"pads": [0, 0, 1, 2, 0, 0, 2, 1]}, range(11, 21, 3), 0),
    "Pad of opset 10": ([node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 2, -1], value=3.0)], {}, range(7, 11), 0),
    "Pad with a value": ([node("Pad", "x pads value", "y")], {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "value": 3.0}, range(11, 21, 3), 0),
    "PRelu of each column": ([node("PRelu", "x s", "y")], {"s": weights(6)}, range(7, 21, 6), 6),
    "Pow and Sqrt": ([node("Pow", "x c", "p"), node("Sqrt", "p", "y")], {"c": 3.0}, range(7, 21, 6), 0),
    "Range without inputs": ([node("Range", "a b c", "r"), node("Add", "x r", "y")], {"a": 0.0, "b": 6.0, "c": 1.0}, range(11, 21, 5), 0),
    "ReduceSum": ([node("ReduceSum", "x axes", "y", keepdims=0)], {"axes": [1, -1]}, range(13, 21, 5), 0),
    "ReduceL2": ([node("ReduceL2", "x", "y", axes=[1])], {}, range(7, 18, 5), 0),
    "ReduceMax of opset 18": ([node("ReduceMax", "x axes", "y", keepdims=0)], {"axes": [2]}, range(18, 21), 0),
    "Resize, linear": ([node("Resize", "x - s", "y", mode="linear")], {"s": [1.0, 1.0, 1.5, 1.25]}, range(13, 21, 5), 0),
    "Shape and ConstantOfShape": (
        [node("Shape", "x", "s"), node("ConstantOfShape", "s", "c", value=numpy_helper.from_array(np.array([2.5], np.float32))),
         node("Mul", "x c", "y")], {}, range(9, 21, 4), 0,
    ),
    "Slice backwards": ([node("Slice", "x a b c d", "y")], {"a": [-1], "b": [-5], "c": [3], "d": [-2]}, range(10, 21, 4), 0),
    "Slice of opset 9": ([node("Slice", "x", "y", starts=[1, 0], ends=[5, 1000], axes=[2, 3])], {}, range(7, 10), 0),
    "Softmax of all behind": ([node("Softmax", "x", "y", axis=2)], {}, range(7, 21, 4), 0),
    "Softsign": ([node("Softsign", "x", "y")], {}, range(7, 21, 6), 0),
    "Split": ([node("Split", "x parts", "a b", axis=1), node("Concat", "b a", "y", axis=2)], {"parts": [2, 2]}, range(13, 21, 5), 0),
    "Squeeze and Unsqueeze": ([node("Unsqueeze", "x a", "u"), node("Squeeze", "u a", "y")], {"a": [2]}, range(13, 21, 5), 0),
    "Sum of one": (
        [node("Tanh", "x", "t"), node("Sum", "t", "s"), node("Relu", "s", "r"), node("Sub", "r t", "y")], {}, range(8, 21, 6), 0,
    ),
    "Tile": ([node("Tile", "x r", "y")], {"r": [1, 2, 1, 1]}, range(7, 21, 6), 0),
    "TopK": ([node("TopK", "x k", "y i", axis=-1)], {"k": [2]}, range(11, 21, 5), 0),
    "TopK without indices": ([node("TopK", "x k", "t i"), node("Neg", "t", "y")], {"k": [2]}, range(11, 21, 5), 0),
    "TopK without values": (
        [node("TopK", "x k", "t i", axis=1), node("Cast", "i", "y", to=TensorProto.FLOAT)], {"k": [2]}, range(11, 21, 5), 0,
    ),
    "Trigonometry": ([node("Sin", "x", "s"), node("Cos", "s", "c"), node("Atan", "c", "y")], {}, range(7, 21, 6), 0),
    "Upsample": ([node("Upsample", "x s", "y", mode="nearest")], {"s": [1.0, 1.0, 2.0, 3.0]}, range(9, 10), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, read: Read) -> None:
    """Oracle: onnxruntime, in every version of the operator that the opsets have."""
    nodes, constants, opsets, learned = OPERATORS[name]
    for opset in opsets:
        network = read(model(nodes, IMAGE, constants, opset=opset))
        made_here = name == "Conv with asymmetric padding in groups"  # the Pad is not in the file
        proven(network, layers=len(network.layers) - 1 - made_here)
        assert trained(network) == learned, opset


REFUSED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], int]] = {
    "no converter": ([node("GlobalLpPool", "x", "y")], {}, 13),
    "linear from the corner": ([node("Upsample", "x s", "y", mode="linear")], {"s": [1.0, 1.0, 2.0, 2.0]}, 9),
    "other numbers": (
        [node("Resize", "x - s", "y", mode="nearest", nearest_mode="ceil")],
        {"s": [1.0, 1.0, 0.5, 0.5]},
        13,
    ),
    "computed weights": ([node("Conv", "x x", "y")], {}, 13),
    "same padding at the start": ([node("Conv", "x W", "y", auto_pad="SAME_LOWER")], {"W": weights(4, 4, 2, 2)}, 13),
    "a size that is asked for": (
        [node("ConvTranspose", "x W", "y", strides=[2, 2], output_shape=[12, 12])],
        {"W": weights(4, 3, 3, 3)},
        13,
    ),
    "all in one row": ([node("Flatten", "x", "y", axis=0)], {}, 13),
    "indices of a pooling": ([node("MaxPool", "x", "y i", kernel_shape=[2, 2], ceil_mode=1)], {}, 13),
    "another order of channels": ([node("SpaceToDepth", "x", "y", blocksize=2, mode="CRD")], {}, 28),
    "places of what is not zero": ([node("NonZero", "x", "y")], {}, 13),
    "swish of another slope": ([node("Swish", "x", "y", alpha=2.0)], {}, 24),
    "axes of opset 18": ([node("Pad", "x pads value axes", "y")], {"pads": [1, 1], "value": 0.0, "axes": [3]}, 18),
}


@pytest.mark.parametrize("name", REFUSED)
def test_operators_that_are_refused_by_name(name: str, read: Read) -> None:
    nodes, constants, opset = REFUSED[name]
    network = read(model(nodes, IMAGE, constants, opset=opset))
    operator = network.layers[1].properties["Operator"]
    with pytest.raises(UnsupportedError, match=rf"layer 'y' is the ONNX operator {operator} \("):
        network.to_torch()


def test_lengths_of_one_stay_where_the_format_is_unknown(read: Read) -> None:
    """Oracle: the shape that ONNX defines. Only images of one pixel lose their space."""
    nodes = [node("Reshape", "x s", "r"), node("ReduceSum", "r axes", "y")]
    network = read(model(nodes, IMAGE, {"s": [0, 24, 6], "axes": [1]}))
    assert network.to_torch()(torch.rand(2, 4, 6, 6)).shape == (2, 1, 6)


def test_statistics_move_as_fast_as_the_file_says(read: Read) -> None:
    """Oracle: ONNX's definition, whose momentum is the part that stays; 0.99 is Keras's."""
    nodes = [node("BatchNormalization", "x s s m s", "y", momentum=0.99)]
    network = read(model(nodes, IMAGE, {"s": np.ones(4, np.float32), "m": np.zeros(4, np.float32)}))
    assert (network.layers["y"].MeanDecay, network.layers["y"].VarianceDecay) == (0.01, 0.01)
    assert network.to_torch().get_submodule("y").momentum == 0.01


def test_another_precision_is_refused(read: Read) -> None:
    made = model([node("Conv", "x W", "y")], IMAGE, {"W": weights(4, 4, 3, 3)})
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights(4, 4, 3, 3).astype(np.float16), "W"))
    with pytest.raises(UnsupportedError, match="the weights and the input 'x' are float16"):
        read(made).to_torch()


def test_all_that_is_refused_is_named_at_once(read: Read) -> None:
    nodes = [node("GlobalLpPool", "x", "a"), node("Hardmax", "a", "b"), node("Gelu", "b", "y", domain="com.microsoft")]
    network = read(model(nodes, IMAGE))
    assert kinds(network)[1:] == ["onnx:GlobalLpPool", "onnx:Hardmax", "com.microsoft::Gelu"]
    found = "'a' is the ONNX operator GlobalLpPool.*'b' is the ONNX operator Hardmax.*'y' is a com.microsoft::Gelu"
    with pytest.raises(UnsupportedError, match=rf"{found}"):
        network.to_torch()


def test_an_input_of_unknown_rank_is_refused_where_it_matters(read: Read) -> None:
    """Nothing tells how many lengths the Reshape has: a pooling of its value could be over any number."""
    nodes = [
        node("Shape", "x", "s"), node("NonZero", "s", "z"), node("Squeeze", "z axes", "t"), node("Reshape", "x t", "r"),
        node("GlobalAveragePool", "r", "y"),
    ]  # fmt: skip
    network = read(model(nodes, IMAGE, {"axes": [0]}))
    with pytest.raises(
        UnsupportedError, match=r"GlobalAveragePool \(the file does not tell how many dimensions its input has\)"
    ):
        network.to_torch()


# What a graph cannot hold


def with_subgraph() -> onnx.ModelProto:
    branch = helper.make_graph(
        [node("Relu", "x", "r")], "branch", [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    )
    made = model([node("Relu", "x", "y")], IMAGE, {"yes": True})
    made.graph.node.append(
        helper.make_node("If", ["yes"], ["z"], name="choice", then_branch=branch, else_branch=branch)
    )
    return made


def with_function() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")], IMAGE)
    made.functions.append(
        helper.make_function("my", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [helper.make_opsetid("", 17)])
    )
    return made


def with_sparse() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")], IMAGE)
    values, indices = (
        numpy_helper.from_array(np.ones(1, np.float32), "thin"),
        numpy_helper.from_array(np.zeros(1, np.int64), "where"),
    )
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [9]))
    return made


def with_training() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")], IMAGE)
    made.training_info.add()
    return made


def with_sequence() -> onnx.ModelProto:
    made = model([node("Relu", "x", "y")], IMAGE)
    made.graph.input.append(helper.make_tensor_sequence_value_info("many", TensorProto.FLOAT, None))
    return made


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (with_subgraph(), r"a subgraph in node 'choice' \(If\)"), (with_function(), "the function my::Twice"),
        (with_sparse(), "the sparse initializer 'thin'"), (with_training(), "training information"),
        (with_sequence(), "'many', which is no tensor"),
    ],
    ids=["subgraph", "function", "sparse", "training", "sequence"],
)  # fmt: skip
def test_what_a_graph_cannot_hold_is_refused(made: onnx.ModelProto, found: str, read: Read) -> None:
    with pytest.raises(UnsupportedError, match=found):
        read(made)


def test_an_output_that_depends_on_nothing(read: Read) -> None:
    made = model([node("Relu", "x", "y"), node("Neg", "c", "z")], IMAGE, {"c": 1.0}, outputs=["y", "z"])
    with pytest.raises(UnsupportedError, match="the output 'z' is a constant"):
        read(made)


def test_a_value_that_nothing_makes(read: Read) -> None:
    made = model([node("Relu", "x", "y")], IMAGE)
    made.graph.node[0].input[0] = "lost"
    with pytest.raises(UnreadableError, match="reads 'lost', which nothing before it makes"):
        read(made)


# Choosing a converter


@pytest.mark.parametrize(
    ("made", "opset", "version", "same"),
    [
        (node("Softmax", "x", "y"), 11, 13, False),  # the default axis moved
        (node("Softmax", "x", "y", axis=1), 9, 1, True),
        (node("Resize", "x s", "y"), 10, 13, False),  # the inputs moved
        (node("Resize", "x r s", "y"), 19, 13, True),
        (node("ReduceMean", "x a", "y"), 18, 13, False),  # the axes became an input
        (node("ReduceMean", "x", "y", axes=[1]), 18, 13, True),
        (node("AveragePool", "x", "y", kernel_shape=[2], dilations=[2]), 19, 11, False),  # an attribute it did not have
        (node("BatchNormalization", "x s b m v", "y"), 8, 9, True),
        (node("Gelu", "x", "y"), 13, 20, True),  # an operator that came later
        (node("Squeeze", "x a", "y"), 13, 11, False),
        (node("Cast", "x", "y"), 13, 9, False),  # what it must have is missing
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else str(value),
)  # fmt: skip
def test_what_a_node_means_in_another_opset(made: onnx.NodeProto, opset: int, version: int, same: bool) -> None:
    assert means_the_same(made, opset, version) == same


def test_onnx2torch_and_shape_inference_are_for_foreign_nodes_only(tmp_path: Path) -> None:
    """The one takes seconds to import, the other time for each node."""
    path = tmp_path / "net.onnx"
    nodes = [node("Conv", "x W", "c"), node("Relu", "c", "y")]
    path.write_bytes(model(nodes, ["N", 3, 8, 8], {"W": weights(4, 3, 3, 3)}).SerializeToString())
    code = (
        "import sys, onnx.shape_inference, bridge\n"
        "onnx.shape_inference.infer_shapes = None\n"
        "net = bridge.load(sys.argv[1])\n"
        "assert 'torch' not in sys.modules\n"
        "net.to_torch()\n"
        "assert 'onnx2torch' not in sys.modules\n"
    )
    checkout = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


# Layout


def test_the_format_of_three_dimensions_depends_on_their_readers() -> None:
    wanted = wanted_axes(
        graph(step("Transpose", "x", "t", perm=(0, 2, 1)), step("Relu", "t", "r"), step("Conv", "r W", "y"))
    )
    assert wanted["r"] == wanted["t"] == "BCH" and wanted["x"] == "BHC"
    assert activation_of(("N", 9, 3), "BHC") == Activation("CBT", (3,))
    assert activation_of(("N", 3, 9), "BCH") == Activation("SCB", (9, 3))
    assert activation_of(("N", 3, 9), "") == activation_of(("N", 3, 9), "TBC") == Activation("?", (3, 9))
    assert activation_of(("N", 3, 8, None), "") == Activation("SSCB", (8, None, 3))


def test_foreign_nodes_are_in_onnx_own_form() -> None:
    padded = plain_form(step("Conv", "x W", "y", pads=(2, 0)), 3)
    assert [each.op for each in padded] == ["Pad", "Conv"] and padded[0].attributes["pads"] == (0, 0, 2, 0, 0, 0)
    (normalised,) = plain_form(step("LayerNormalization", "x s b", "y", axes=(2, 3), epsilon=1e-5), 4)
    assert normalised.attributes == {"axis": -2, "epsilon": 1e-5}
    (product,) = plain_form(step("Gemm", "x W", "y", transB=1, last_axis=1), 4)
    assert product.attributes == {"transB": 1}
