"""MobileNet-v2: inverted residual blocks, ReLU clipped at 6."""

from __future__ import annotations

from bridge import layers
from bridge.networks.graph import Classes, Graph

BLOCKS = (24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)  # filters that blocks 1 to 16 project to
STRIDED = (1, 3, 6, 13)


def mobilenetv2(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input_1", (224, 224, 3), "zscore")
    graph.conv("Conv1", 3, 32, Padding="same", Stride=2)
    _normalized(graph, "bn_Conv1", "Conv1_relu")
    _depthwise(graph, "expanded_conv", 32, 1)
    _project(graph, "expanded_conv", 16)
    channels = 16
    for number, filters in enumerate(BLOCKS, 1):
        _block(graph, f"block_{number}", channels, filters, 2 if number in STRIDED else 1)
        channels = filters
    graph.conv("Conv_1", 1, 1280)
    _normalized(graph, "Conv_1_bn", "out_relu")
    graph.add(layers.global_average_pooling2d(name="global_average_pooling2d_1"))
    graph.classifier(classes, "Logits", "Logits_softmax", "ClassificationLayer_Logits")
    return graph


def _block(graph: Graph, name: str, channels: int, filters: int, stride: int) -> None:
    start = graph.last
    graph.conv(f"{name}_expand", 1, 6 * channels, Padding="same")
    _normalized(graph, f"{name}_expand_BN", f"{name}_expand_relu")
    _depthwise(graph, name, 6 * channels, stride)
    branch = _project(graph, name, filters)
    if stride == 1 and channels == filters:
        graph.add_up(f"{name}_add", branch, start)


def _depthwise(graph: Graph, name: str, channels: int, stride: int) -> None:
    graph.add(layers.grouped_convolution2d(3, 1, channels, name=f"{name}_depthwise", Padding="same", Stride=stride))
    _normalized(graph, f"{name}_depthwise_BN", f"{name}_depthwise_relu")


def _project(graph: Graph, name: str, filters: int) -> str:
    graph.conv(f"{name}_project", 1, filters, Padding="same")
    return graph.batch_norm(f"{name}_project_BN", Epsilon=1e-3)


def _normalized(graph: Graph, batch_norm: str, relu: str) -> None:
    graph.batch_norm(batch_norm, Epsilon=1e-3)
    graph.add(layers.clipped_relu(6, name=relu))
