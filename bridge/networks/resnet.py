"""ResNet-18 and ResNet-50; the strides of ResNet-50 are in the first 1 x 1 convolution of a block."""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph, Size

FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0}
STAGES = {2: 64, 3: 128, 4: 256, 5: 512}
BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}  # of ResNet-50


def resnet18(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("data", (224, 224, 3), "zscore")
    graph.conv("conv1", 7, 64, Padding=3, Stride=2, **FIXED)
    graph.batch_norm("bn_conv1")
    graph.relu("conv1_relu")
    graph.max_pool("pool1", 3, 2, Padding=1)
    for stage, filters in STAGES.items():
        for block in "ab":
            _basic(graph, f"{stage}{block}", filters, 2 if block == "a" and stage > 2 else 1)
    graph.add(layers.global_average_pooling2d(name="pool5"))
    graph.classifier(classes, "fc1000", "prob", "ClassificationLayer_predictions")
    return graph


def _basic(graph: Graph, block: str, filters: int, stride: int) -> None:
    start = shortcut = graph.last
    if stride == 2 and block != "5a":  # in 5a the projection comes last
        shortcut = _conv(graph, f"{block}_branch1", 1, filters, start, Stride=2)
    _conv(graph, f"{block}_branch2a", 3, filters, start, Stride=stride, Padding=1)
    graph.relu(f"res{block}_branch2a_relu")
    branch = _conv(graph, f"{block}_branch2b", 3, filters, Padding=1)
    if block == "5a":
        shortcut = _conv(graph, f"{block}_branch1", 1, filters, start, Stride=2)
    graph.add_up(f"res{block}", branch, shortcut)
    graph.relu(f"res{block}_relu")


def resnet50(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input_1", (224, 224, 3))
    graph.conv("conv1", 7, 64, Padding=3, Stride=2)
    graph.batch_norm("bn_conv1", Epsilon=1e-3)
    graph.relu("activation_1_relu")
    graph.max_pool("max_pooling2d_1", 3, 2, Padding=1)
    blocks = [(f"{stage}{letter}", filters) for stage, filters in STAGES.items() for letter in BLOCKS[stage]]
    for number, (block, filters) in enumerate(blocks, 1):
        _bottleneck(graph, number, block, filters)
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "fc1000", "fc1000_softmax", "ClassificationLayer_fc1000", **FIXED)
    return graph


def _bottleneck(graph: Graph, number: int, block: str, filters: int) -> None:
    start, name, activation = graph.last, f"{block}_branch", 3 * number
    projects, stride = block[1] == "a", 2 if block in ("3a", "4a", "5a") else 1

    def project() -> str:
        return _conv(graph, f"{name}1", 1, 4 * filters, start, epsilon=1e-3, Stride=stride)

    shortcut = project() if block == "2a" else start  # only here the projection comes first
    _conv(graph, f"{name}2a", 1, filters, start, epsilon=1e-3, Stride=stride)
    graph.relu(f"activation_{activation - 1}_relu")
    _conv(graph, f"{name}2b", 3, filters, epsilon=1e-3, Padding="same")
    graph.relu(f"activation_{activation}_relu")
    branch = _conv(graph, f"{name}2c", 1, 4 * filters, epsilon=1e-3)
    if projects and block != "2a":
        shortcut = project()
    graph.add_up(f"add_{number}", branch, shortcut)
    graph.relu(f"activation_{activation + 1}_relu")


def _conv(
    graph: Graph, name: str, size: Size, filters: int, *source: str, epsilon: float = 1e-5, **properties: Any
) -> str:
    graph.conv(f"res{name}", size, filters, *source, **FIXED, **properties)
    return graph.batch_norm(f"bn{name}", Epsilon=epsilon)
