"""DenseNet-201: each block adds 32 channels to those before it. No ReLU follows the last batch normalisation."""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

STAGES = {2: 6, 3: 12, 4: 48, 5: 32}
GROWTH = 32
FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0}


def densenet201(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("input_1", (224, 224, 3), "zscore")
    graph.conv("conv1|conv", 7, 64, Padding=3, Stride=2, **FIXED)
    graph.batch_norm("conv1|bn")
    graph.relu("conv1|relu")
    graph.max_pool("pool1", 3, 2, Padding=1)
    channels = 64
    for stage, blocks in STAGES.items():
        for block in range(1, blocks + 1):
            _dense(graph, f"conv{stage}_block{block}")
        channels += blocks * GROWTH
        if stage < 5:
            channels //= 2
            _transition(graph, f"pool{stage}", channels)
    graph.batch_norm("bn")
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "fc1000", "fc1000_softmax", "ClassificationLayer_fc1000")
    return graph


def _dense(graph: Graph, name: str) -> None:
    start = graph.last
    graph.batch_norm(f"{name}_0_bn")
    graph.relu(f"{name}_0_relu")
    graph.conv(f"{name}_1_conv", 1, 4 * GROWTH, **FIXED)
    graph.batch_norm(f"{name}_1_bn")
    graph.relu(f"{name}_1_relu")
    graph.concat(f"{name}_concat", start, graph.conv(f"{name}_2_conv", 3, GROWTH, Padding="same", **FIXED))


def _transition(graph: Graph, name: str, filters: int) -> None:
    graph.batch_norm(f"{name}_bn")
    graph.relu(f"{name}_relu")
    graph.conv(f"{name}_conv", 1, filters, **FIXED)
    graph.add(layers.average_pooling2d(2, name=f"{name}_pool", Stride=2))
