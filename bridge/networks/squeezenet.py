"""SqueezeNet v1.1: eight fire modules, and a convolution as head."""

from __future__ import annotations

from bridge import layers
from bridge.networks.graph import Classes, Graph, count

FIRE = {
    2: 16,
    3: 16,
    4: 32,
    5: 32,
    6: 48,
    7: 48,
    8: 64,
    9: 64,
}  # module -> filters that squeeze; each expansion has four times as many


def squeezenet(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("data", (227, 227, 3))
    graph.conv("conv1", 3, 64, Stride=2)
    graph.relu("relu_conv1")
    graph.max_pool("pool1", 3, 2)
    for module, filters in FIRE.items():
        _fire(graph, f"fire{module}", filters)
        if module in (3, 5):
            graph.max_pool(f"pool{module}", 3, 2, Padding=[0, 1, 0, 1])
    graph.add(layers.dropout(0.5, name="drop9"))
    graph.conv("conv10", 1, count(classes))
    graph.relu("relu_conv10")
    graph.add(layers.global_average_pooling2d(name="pool10"))
    graph.ending(classes, "prob", "ClassificationLayer_predictions")
    return graph


def _fire(graph: Graph, name: str, filters: int) -> None:
    graph.conv(f"{name}-squeeze1x1", 1, filters)
    squeezed = graph.relu(f"{name}-relu_squeeze1x1")
    graph.conv(f"{name}-expand1x1", 1, 4 * filters)
    narrow = graph.relu(f"{name}-relu_expand1x1")
    graph.conv(f"{name}-expand3x3", 3, 4 * filters, squeezed, Padding=1)
    graph.concat(f"{name}-concat", narrow, graph.relu(f"{name}-relu_expand3x3"))
