"""Xception: separable convolutions, each a convolution of every channel by itself and one across them.

Unconfirmed: in which order MATLAB lists the layers of parallel branches; here it is Keras's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0}
ENTRY = {2: 128, 3: 256, 4: 728}  # block -> filters
MIDDLE = range(5, 13)  # blocks that keep height, width and the 728 channels


def xception(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input_1", (299, 299, 3), "rescale-symmetric")
    for number, (filters, properties) in enumerate(((32, {"Stride": 2}), (64, {})), 1):
        name = f"block1_conv{number}"
        graph.conv(name, 3, filters, **FIXED, **properties)
        graph.batch_norm(f"{name}_bn", Epsilon=1e-3)
        graph.relu(f"{name}_act")
    channels = 64
    for number, (block, filters) in enumerate(ENTRY.items(), 1):
        _halving(graph, block, number, channels, (filters, filters))
        channels = filters
    for block in MIDDLE:
        start = graph.last
        graph.add_up(f"add_{block - 1}", _separables(graph, block, start, channels, (channels,) * 3), start)
    _halving(graph, 13, 4, channels, (channels, 1024))
    channels = 1024
    for number, filters in enumerate((1536, 2048), 1):
        _separable(graph, f"block14_sepconv{number}", graph.last, channels, filters)
        graph.relu(f"block14_sepconv{number}_act")
        channels = filters
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "predictions", "predictions_softmax", "ClassificationLayer_predictions")
    return graph.sort_as_keras()


def _halving(graph: Graph, block: int, number: int, channels: int, filters: Sequence[int]) -> None:
    """Append a block that halves height and width, and projects its shortcut."""
    start = graph.last
    _separables(graph, block, start, channels, filters)
    pooled = graph.max_pool(f"block{block}_pool", 3, 2, Padding="same")
    graph.conv(f"conv2d_{number}", 1, filters[-1], start, Padding="same", Stride=2, **FIXED)
    graph.add_up(f"add_{block - 1}", pooled, graph.batch_norm(f"batch_normalization_{number}", Epsilon=1e-3))


def _separables(graph: Graph, block: int, source: str, channels: int, filters: Sequence[int]) -> str:
    """Append separable convolutions, each behind a ReLU but the first of block 2, where a ReLU was before."""
    for number, width in enumerate(filters, 1):
        name = f"block{block}_sepconv{number}"
        if (block, number) != (2, 1):
            source = graph.relu(f"{name}_act", source)
        source, channels = _separable(graph, name, source, channels, width), width
    return source


def _separable(graph: Graph, name: str, source: str, channels: int, filters: int) -> str:
    graph.separable(name, 3, channels, filters, source, **FIXED)
    return graph.batch_norm(f"{name}_bn", Epsilon=1e-3)
