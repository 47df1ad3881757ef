"""ShuffleNet v1 with four groups. Layers are named after the nodes of the ONNX model it came from."""

from __future__ import annotations

from bridge import layers
from bridge.networks.graph import Classes, Graph

GROUPS = 4
STAGES = {136: 4, 272: 8, 544: 4}  # channels -> units; the first of each halves height and width
POOLED_FIRST = (5, 151)  # the units, by their first node, whose pooling MATLAB lists before their branch


def shufflenet(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("Input_gpu_0|data_0", (224, 224, 3), "zscore")
    graph.conv("node_1", 3, 24, Padding=1, Stride=2)
    graph.batch_norm("node_2")
    graph.relu("node_3")
    graph.max_pool("node_4", 3, 2, Padding=1)
    node, channels = 5, 24
    for wider, units in STAGES.items():
        node = _halving(graph, node, wider - channels, 112 if channels == 24 else channels)
        channels = wider
        for _ in range(units - 1):
            node = _residual(graph, node, channels)
    graph.add(layers.global_average_pooling2d(name="node_200"))
    graph.classifier(classes, "node_202", "node_203", "ClassificationLayer_node_203")
    return graph


def _halving(graph: Graph, node: int, channels: int, inner: int) -> int:
    """Append a unit that halves height and width and adds channels; return the number of the next node."""
    start = graph.last

    def pool() -> str:
        return graph.add(layers.average_pooling2d(3, name=f"node_{node + 10}", Padding=1, Stride=2), start)

    first = pool() if node in POOLED_FIRST else ""
    branch = _branch(graph, node, start, inner, channels, 2)
    graph.concat(f"node_{node + 11}", branch, first or pool())
    graph.relu(f"node_{node + 12}")
    return node + 13


def _residual(graph: Graph, node: int, channels: int) -> int:
    start = graph.last
    graph.add_up(f"node_{node + 10}", _branch(graph, node, start, channels, channels, 1), start)
    graph.relu(f"node_{node + 11}")
    return node + 12


def _branch(graph: Graph, node: int, start: str, inner: int, channels: int, stride: int) -> str:
    _grouped(graph, node, inner, start)
    graph.batch_norm(f"node_{node + 1}")
    graph.relu(f"node_{node + 2}")
    graph.add(layers.channel_shuffle(GROUPS, name=f"shuffle_{node + 3}to{node + 5}"))
    graph.add(layers.grouped_convolution2d(3, 1, inner, name=f"node_{node + 6}", Padding=1, Stride=stride))
    graph.batch_norm(f"node_{node + 7}")
    _grouped(graph, node + 8, channels)
    return graph.batch_norm(f"node_{node + 9}")


def _grouped(graph: Graph, node: int, channels: int, *source: str) -> None:
    graph.add(layers.grouped_convolution2d(1, channels // GROUPS, GROUPS, name=f"node_{node}"), *source)
