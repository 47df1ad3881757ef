"""EfficientNet-b0: inverted residual blocks with swish and squeeze-and-excitation.

Layers are named after the nodes of the TensorFlow graph it came from, by way of ONNX.

Names, sizes, paddings and connections follow code that MATLAB generated from a copy of it. Unconfirmed: the order in
which MATLAB lists the layers, the normalisation of the input, the name of the softmax.
"""

from __future__ import annotations

from bridge import layers
from bridge.networks.graph import Classes, Graph

MODEL = "efficientnet-b0|model"
STAGES = ((3, 1, 16, 1), (3, 2, 24, 2), (5, 2, 40, 2), (3, 2, 80, 3), (5, 1, 112, 3), (5, 2, 192, 4), (3, 1, 320, 1))
WIDER = 6  # times as many channels inside a block as enter it; not in the first block
EPSILON = 0.00100000004749745  # 1e-3 in single precision
FIRST_NODE = 301  # of the convolutions that squeeze and excite, which are numbered as nodes of the ONNX graph


def efficientnetb0(classes: Classes) -> Graph:
    """STAGES: filter size, stride of the first block, filters, blocks."""
    graph = Graph()
    graph.image_input("ImageInput", (224, 224, 3), "zscore")
    graph.conv(f"{MODEL}|stem|conv2d|Conv2D", 3, 32, Stride=2, Padding=[0, 1, 0, 1])
    _normalized(graph, f"{MODEL}|stem")
    channels, number, node = 32, 0, FIRST_NODE
    for size, stride, filters, blocks in STAGES:
        for block in range(blocks):
            step = stride if block == 0 else 1
            adds = step == 1 and channels == filters
            node += 0 if number == 0 else 10 if adds else 8
            _block(graph, number, node, (size, step, channels, filters))
            channels, number = filters, number + 1
    graph.conv(f"{MODEL}|head|conv2d|Conv2D", 1, 1280)
    _normalized(graph, f"{MODEL}|head")
    graph.add(layers.global_average_pooling2d(name=f"{MODEL}|head|global_average_pooling2d|GlobAvgPool"))
    graph.classifier(classes, f"{MODEL}|head|dense|MatMul", "Softmax", "classification")
    return graph


def _block(graph: Graph, number: int, node: int, form: tuple[int, int, int, int]) -> None:
    size, stride, channels, filters = form
    start, name, wide = graph.last, f"{MODEL}|blocks_{number}", channels * (WIDER if number else 1)
    if number:
        graph.conv(f"{name}|conv2d|Conv2D", 1, wide)
        _normalized(graph, name)
    second = "_1" if number else ""
    sides = [size // 2] * 4 if stride == 1 else [(size - 2) // 2, size // 2] * 2
    depthwise = f"{name}|depthwise_conv2d|depthwise"
    graph.add(layers.grouped_convolution2d(size, 1, wide, name=depthwise, Stride=stride, Padding=sides))
    _squeezed(graph, name, node, _normalized(graph, name, second), channels // 4, wide)
    graph.conv(f"{name}|conv2d{second}|Conv2D", 1, filters)
    end = _batch_norm(graph, name, "_2" if number else "_1")
    if stride == 1 and channels == filters:
        graph.add_up(f"{name}|Add", end, start)


def _squeezed(graph: Graph, name: str, node: int, source: str, narrow: int, wide: int) -> None:
    """Append what weighs the channels by what all pixels of them hold."""
    graph.add(layers.global_average_pooling2d(name=f"{name}|se|GlobAvgPool"), source)
    graph.conv(f"Conv__{node}", 1, narrow)
    _swish(graph, f"{name}|se")
    graph.conv(f"Conv__{node + 3}", 1, wide)
    weights = graph.add(layers.sigmoid(name=f"{name}|se|SigmoidLayer_1"))
    graph.add(layers.multiplication(2, name=f"{name}|se|MulLayer_1"), weights, source)


def _batch_norm(graph: Graph, name: str, index: str = "") -> str:
    return graph.batch_norm(f"{name}|tpu_batch_normalization{index}|FusedBatchNorm", Epsilon=EPSILON)


def _normalized(graph: Graph, name: str, index: str = "") -> str:
    _batch_norm(graph, name, index)
    return _swish(graph, name, index)


def _swish(graph: Graph, name: str, index: str = "") -> str:
    """Append the product of a value and its sigmoid."""
    value = graph.last
    sigmoid = graph.add(layers.sigmoid(name=f"{name}|SigmoidLayer{index}"))
    return graph.add(layers.multiplication(2, name=f"{name}|MulLayer{index}"), value, sigmoid)
