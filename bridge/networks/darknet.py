"""Darknet-19 and Darknet-53: convolution, batch normalisation and leaky ReLU, again and again.

Unconfirmed: that the convolutions keep MATLAB's default factors.
"""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph, count

# Darknet-19's filters by stage; the convolutions of odd places in a stage are 3 x 3, the others 1 x 1.
STAGES = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
BLOCKS = {64: 1, 128: 2, 256: 8, 512: 8, 1024: 4}  # Darknet-53's filters -> residual blocks


def darknet19(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input", (256, 256, 3), "rescale-zero-one")
    number = 0
    for stage, filters in enumerate(STAGES, 1):
        for place, each in enumerate(filters):
            number += 1
            _conv(graph, number, 1 if place % 2 else 3, each, "leaky")
        if stage < len(STAGES):
            graph.max_pool(f"pool{stage}", 2, 2)
    graph.conv("conv19", 1, count(classes))
    graph.add(layers.global_average_pooling2d(name="avg1"))
    graph.ending(classes, "softmax", "output")
    return graph


def darknet53(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input", (256, 256, 3), "rescale-zero-one")
    _conv(graph, 1, 3, 32, "leakyrelu")
    number, block = 1, 0
    for filters, blocks in BLOCKS.items():
        number += 1
        start = _conv(graph, number, 3, filters, "leakyrelu", Stride=2, Padding=[1, 0, 1, 0])
        for _ in range(blocks):
            _conv(graph, number + 1, 1, filters // 2, "leakyrelu")
            branch = _conv(graph, number + 2, 3, filters, "leakyrelu")
            number, block = number + 2, block + 1
            start = graph.add_up(f"res{block}", branch, start)
    graph.add(layers.global_average_pooling2d(name="avg1"))
    graph.conv("conv53", 1, count(classes))
    graph.ending(classes, "softmax", "output")
    return graph


def _conv(graph: Graph, number: int, size: int, filters: int, leaky: str, **properties: Any) -> str:
    graph.conv(f"conv{number}", size, filters, **{"Padding": size // 2, **properties})
    graph.batch_norm(f"batchnorm{number}")
    return graph.add(layers.leaky_relu(0.1, name=f"{leaky}{number}"))
