"""AlexNet as Caffe has it: grouped convolutions and cross-channel normalisation.

The factors of the biases (2) and the K of the normalisations (1) are Caffe's, as GoogLeNet's are; unconfirmed here.
"""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

BIAS: dict[str, Any] = {"BiasLearnRateFactor": 2}


def alexnet(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("data", (227, 227, 3))
    graph.conv("conv1", 11, 96, Stride=4, **BIAS)
    _normalized(graph, 1)
    _grouped(graph, "conv2", 5, 128)
    _normalized(graph, 2)
    graph.conv("conv3", 3, 384, Padding=1, **BIAS)
    graph.relu("relu3")
    _grouped(graph, "conv4", 3, 192)
    graph.relu("relu4")
    _grouped(graph, "conv5", 3, 128)
    graph.relu("relu5")
    graph.max_pool("pool5", 3, 2)
    for number in (6, 7):
        graph.add(layers.fully_connected(4096, name=f"fc{number}", **BIAS))
        graph.relu(f"relu{number}")
        graph.add(layers.dropout(0.5, name=f"drop{number}"))
    graph.classifier(classes, "fc8", "prob", "output", **BIAS)
    return graph


def _normalized(graph: Graph, number: int) -> None:
    graph.relu(f"relu{number}")
    graph.add(layers.cross_channel_normalization(5, name=f"norm{number}", K=1))
    graph.max_pool(f"pool{number}", 3, 2)


def _grouped(graph: Graph, name: str, size: int, filters: int) -> None:
    """Append a convolution of two groups, with `filters` in each."""
    graph.add(layers.grouped_convolution2d(size, filters, 2, name=name, Padding=size // 2, **BIAS))
