"""resnetNetwork and resnetLayers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks import resnet_layers, resnet_network

DEEP = {"StackDepth": [3, 4, 23, 3], "NumFilters": [64, 128, 256, 512]}


def counts(net: Network) -> tuple[int, int, int, int]:
    """Return the lengths of what MATLAB calls Layers, Connections, Learnables and State."""
    state = sum(len(layer.row.state) for layer in net.layers if layer.kind == "BatchNormalizationLayer")
    return len(net.layers), len(net.connections), len(list(net.learnables())), state


@pytest.mark.parametrize(
    ("arguments", "expected"), [({}, (176, 191, 214, 106)), (DEEP, (346, 378, 418, 208))], ids=["50", "101"]
)
def test_counts_and_ends_are_matlabs(arguments: dict[str, Any], expected: tuple[int, int, int, int]) -> None:
    """Oracle: what MATLAB's documentation of resnetNetwork and resnetLayers prints."""
    net, graph = resnet_network((224, 224, 3), 10, **arguments), resnet_layers((224, 224, 3), 10, **arguments)
    assert (net.kind, graph.kind) == ("dlnetwork", "DAGNetwork")
    assert counts(net) == expected
    assert counts(graph) == (expected[0] + 1, expected[1] + 1, *expected[2:])
    assert (net.inputs, net.outputs, graph.layers[-1].name) == (("input",), ("softmax",), "output")


def test_the_depth_is_what_the_name_counts() -> None:
    """Oracle: ResNet-X has X convolutions and fully connected layers on its longest way, projections aside."""
    for arguments, depth in (({}, 50), (DEEP, 101), ({"StackDepth": [2, 2, 2, 2], "BottleneckType": "none"}, 18)):
        net = resnet_network((224, 224, 3), 10, **arguments)
        counted = [layer for layer in net.layers if layer.kind in ("Convolution2DLayer", "FullyConnectedLayer")]
        assert sum("skip" not in layer.name for layer in counted) == depth


SMALL = {
    "InitialFilterSize": 3, "InitialNumFilters": 8, "InitialStride": 1, "InitialPoolingLayer": "none", "StackDepth": [2, 1],
    "NumFilters": [8, 16],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["batchnorm-before-add", "batchnorm-after-add"])
@pytest.mark.parametrize("bottleneck", ["downsample-first-conv", "none"])
@pytest.mark.parametrize("pooling", ["max", "average", "none"])
def test_every_form_computes(kind: str, bottleneck: str, pooling: str) -> None:
    """Oracle: the sizes by hand, and that a softmax sums to 1."""
    arguments = {
        **SMALL,
        "ResidualBlockType": kind,
        "BottleneckType": bottleneck,
        "InitialPoolingLayer": pooling,
        "Normalization": "zscore",
    }
    net = resnet_network((16, 12, 1), ["a", "b", "c"], **arguments)
    assert net.classes == ("a", "b", "c") and net.layers["input"].Normalization == "zscore"
    halved = 1 if pooling == "none" else 2
    wide = 16 if bottleneck == "none" else 64
    assert net.sizes["stack2_block1_add"][0].size == (16 // halved // 2, 12 // halved // 2, wide)
    assert ("stack1_block1_skip_conv" in net.layers) == (bottleneck != "none"), "there the channels change"
    follows = {c.source: c.destination for c in net.connections if c.source == "stack1_block1_add"}
    ends_in = "stack1_block1_bn" if kind.endswith("after-add") else "stack1_block1_relu"
    assert follows["stack1_block1_add"].startswith(ends_in)
    with torch.no_grad():
        found = net.initialize().to_torch()(torch.rand(2, 1, 16, 12))
    torch.testing.assert_close(found.sum(1), torch.ones(2), rtol=0, atol=1e-6)


def test_the_first_convolution_of_a_bottleneck_halves() -> None:
    """Oracle: the documentation of "downsample-first-conv"."""
    net = resnet_network((64, 64, 3), 2)
    strides = {
        layer.name: layer.Stride for layer in net.layers if "stack2_block1_" in layer.name and "conv" in layer.name
    }
    assert strides["stack2_block1_conv1"] == strides["stack2_block1_skip_conv"] == (2, 2)
    assert strides["stack2_block1_conv2"] == strides["stack2_block1_conv3"] == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"StackDepths": [1]}, "no argument 'StackDepths'"),
        ({"StackDepth": [1, 1]}, r"StackDepth is \[1, 1\], NumFilters is \[64, 128, 256, 512\]"),
        ({"StackDepth": [0, 1, 1, 1]}, "StackDepth is"),
        ({"BottleneckType": "wide"}, "BottleneckType of resnetLayers is 'wide'"),
        ({"InitialStride": 4}, r"input size of resnetLayers is \[48, 64, 3\]"),
    ],
)
def test_mistakes_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        resnet_layers((48, 64, 3), 2, **arguments)
    assert caught.value.cause and caught.value.hint
