"""ResNet-18, ResNet-50 and ResNet-101; the strides of the last two are in the first 1 x 1 convolution of a block.

ResNet-50 came from Keras, ResNet-101 from Caffe, whose names they keep. Which of two parallel branches of ResNet-18 and
ResNet-101 MATLAB lists first is unconfirmed: it follows code that MATLAB generated from copies of them.
"""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph, Size

FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0}
STAGES = {2: 64, 3: 128, 4: 256, 5: 512}
DEPTHS_50 = {2: 3, 3: 4, 4: 6, 5: 3}  # blocks of each stage
DEPTHS_101 = {2: 3, 3: 4, 4: 23, 5: 3}
NUMBERED = (3, 4)  # the stages of ResNet-101 whose blocks are a, b1, b2, ...


def resnet18(classes: Classes) -> Graph:
    graph = _caffe_stem("zscore", Padding=1)
    for stage, filters in STAGES.items():
        for block in "ab":
            _basic(graph, f"{stage}{block}", filters, 2 if block == "a" and stage > 2 else 1)
    return _caffe_head(graph, classes)


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
    blocks = [(f"{stage}{'abcdef'[i]}", filters) for stage, filters in STAGES.items() for i in range(DEPTHS_50[stage])]
    for number, (block, filters) in enumerate(blocks, 1):
        relus = [f"activation_{3 * number + i}_relu" for i in (-1, 0, 1)]
        _bottleneck(graph, block, filters, relus, f"add_{number}", epsilon=1e-3, Padding="same")
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "fc1000", "fc1000_softmax", "ClassificationLayer_fc1000", **FIXED)
    return graph.sort_as_keras()


def resnet101(classes: Classes) -> Graph:
    graph = _caffe_stem("zerocenter", Padding=[0, 1, 0, 1])
    for stage, filters in STAGES.items():
        letters = ["a", *(f"b{i}" if stage in NUMBERED else "abc"[i] for i in range(1, DEPTHS_101[stage]))]
        for block in (f"{stage}{letter}" for letter in letters):
            relus = [f"res{block}_branch2a_relu", f"res{block}_branch2b_relu", f"res{block}_relu"]
            _bottleneck(graph, block, filters, relus, f"res{block}", Padding=1)
    return _caffe_head(graph, classes)


def _caffe_stem(normalization: str, **pooling: Any) -> Graph:
    graph = Graph()
    graph.image_input("data", (224, 224, 3), normalization)
    graph.conv("conv1", 7, 64, Padding=3, Stride=2, **FIXED)
    graph.batch_norm("bn_conv1")
    graph.relu("conv1_relu")
    graph.max_pool("pool1", 3, 2, **pooling)
    return graph


def _caffe_head(graph: Graph, classes: Classes) -> Graph:
    graph.add(layers.global_average_pooling2d(name="pool5"))
    graph.classifier(classes, "fc1000", "prob", "ClassificationLayer_predictions")
    return graph


def _bottleneck(
    graph: Graph, block: str, filters: int, relus: list[str], sum_name: str, *, epsilon: float = 1e-5, **middle: Any
) -> None:
    """Append a block; the first of a stage projects its shortcut. `middle` are properties of the 3 x 3 convolution."""
    start = shortcut = graph.last
    name, stride = f"{block}_branch", 2 if block in ("3a", "4a", "5a") else 1
    _conv(graph, f"{name}2a", 1, filters, start, epsilon=epsilon, Stride=stride)
    graph.relu(relus[0])
    _conv(graph, f"{name}2b", 3, filters, epsilon=epsilon, **middle)
    graph.relu(relus[1])
    branch = _conv(graph, f"{name}2c", 1, 4 * filters, epsilon=epsilon)
    if block.endswith("a"):
        shortcut = _conv(graph, f"{name}1", 1, 4 * filters, start, epsilon=epsilon, Stride=stride)
    graph.add_up(sum_name, branch, shortcut)
    graph.relu(relus[2])


def _conv(
    graph: Graph, name: str, size: Size, filters: int, *source: str, epsilon: float = 1e-5, **properties: Any
) -> str:
    graph.conv(f"res{name}", size, filters, *source, **FIXED, **properties)
    return graph.batch_norm(f"bn{name}", Epsilon=epsilon)
