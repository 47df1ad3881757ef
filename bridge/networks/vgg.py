"""VGG-16 and VGG-19: five stages of 3 x 3 convolutions, three fully connected layers."""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

FILTERS = (64, 128, 256, 512, 512)


def vgg16(classes: Classes) -> Graph:
    return _vgg(classes, (2, 2, 3, 3, 3))


def vgg19(classes: Classes) -> Graph:
    """The convolutions' weights do not decay: so the code that MATLAB generates says of this one."""
    return _vgg(classes, (2, 2, 4, 4, 4), WeightL2Factor=0)


def _vgg(classes: Classes, depths: tuple[int, ...], **factors: Any) -> Graph:
    graph = Graph()
    graph.image_input("input", (224, 224, 3))
    for stage, (depth, filters) in enumerate(zip(depths, FILTERS, strict=True), 1):
        for index in range(1, depth + 1):
            graph.conv(f"conv{stage}_{index}", 3, filters, Padding=1, **factors)
            graph.relu(f"relu{stage}_{index}")
        graph.max_pool(f"pool{stage}", 2, 2)
    for number in (6, 7):
        graph.add(layers.fully_connected(4096, name=f"fc{number}"))
        graph.relu(f"relu{number}")
        graph.add(layers.dropout(0.5, name=f"drop{number}"))
    graph.classifier(classes, "fc8", "prob", "output")
    return graph
