"""GoogLeNet as Caffe's BVLC model has it: no batch normalisation, biases that learn twice as fast."""

from __future__ import annotations

from typing import Any

from bridge import layers
from bridge.networks.graph import Classes, Graph

BIAS: dict[str, Any] = {"BiasLearnRateFactor": 2}
CEIL: dict[str, Any] = {"Padding": [0, 1, 0, 1]}  # Caffe rounds the size of a pooling up

# Module -> its branches in MATLAB's order, with the filters of each: the one that reduces, where there is one, and the
# last.
MODULES: dict[str, dict[str, tuple[int, ...]]] = {
    "3a": {"5x5": (16, 32), "1x1": (64,), "3x3": (96, 128), "pool": (32,)},
    "3b": {"3x3": (128, 192), "1x1": (128,), "pool": (64,), "5x5": (32, 96)},
    "4a": {"3x3": (96, 208), "1x1": (192,), "5x5": (16, 48), "pool": (64,)},
    "4b": {"pool": (64,), "1x1": (160,), "3x3": (112, 224), "5x5": (24, 64)},
    "4c": {"5x5": (24, 64), "1x1": (128,), "pool": (64,), "3x3": (128, 256)},
    "4d": {"5x5": (32, 64), "1x1": (112,), "3x3": (144, 288), "pool": (64,)},
    "4e": {"1x1": (256,), "3x3": (160, 320), "5x5": (32, 128), "pool": (128,)},
    "5a": {"5x5": (32, 128), "pool": (128,), "3x3": (160, 320), "1x1": (256,)},
    "5b": {"5x5": (48, 128), "pool": (128,), "3x3": (192, 384), "1x1": (384,)},
}


def googlenet(classes: Classes) -> Graph:
    graph = Graph()
    graph.image_input("data", (224, 224, 3))
    _conv(graph, "conv1-", "7x7_s2", 64, "relu_7x7", Padding=3, Stride=2)
    graph.max_pool("pool1-3x3_s2", 3, 2, **CEIL)
    graph.add(layers.cross_channel_normalization(5, name="pool1-norm1", K=1))
    _conv(graph, "conv2-", "3x3_reduce", 64, "relu_3x3_reduce")
    _conv(graph, "conv2-", "3x3", 192, "relu_3x3", Padding=1)
    graph.add(layers.cross_channel_normalization(5, name="conv2-norm2", K=1))
    graph.max_pool("pool2-3x3_s2", 3, 2, **CEIL)
    for module in MODULES:
        _inception(graph, module)
        if module in ("3b", "4e"):
            graph.max_pool(f"pool{module[0]}-3x3_s2", 3, 2, **CEIL)
    graph.add(layers.global_average_pooling2d(name="pool5-7x7_s1"))
    graph.add(layers.dropout(0.4, name="pool5-drop_7x7_s1"))
    graph.classifier(classes, "loss3-classifier", "prob", "output", **BIAS)
    return graph


def _inception(graph: Graph, module: str) -> None:
    start, prefix, ends = graph.last, f"inception_{module}-", {}
    for branch, filters in MODULES[module].items():
        if branch == "1x1":
            ends[branch] = _conv(graph, prefix, "1x1", filters[0], "relu_1x1", start)
        elif branch == "pool":
            graph.max_pool(f"{prefix}pool", 3, 1, start, Padding=1)
            ends[branch] = _conv(graph, prefix, "pool_proj", filters[0], "relu_pool_proj")
        else:
            _conv(graph, prefix, f"{branch}_reduce", filters[0], f"relu_{branch}_reduce", start)
            ends[branch] = _conv(graph, prefix, branch, filters[1], f"relu_{branch}", Padding=int(branch[0]) // 2)
    graph.concat(f"{prefix}output", *(ends[branch] for branch in ("1x1", "3x3", "5x5", "pool")))


def _conv(graph: Graph, prefix: str, name: str, filters: int, relu: str, *source: str, **properties: Any) -> str:
    """Append a convolution, whose size its name begins with, and its ReLU."""
    size = int(name[0]) if name[0].isdigit() else 1
    graph.conv(prefix + name, 1 if name.endswith("reduce") else size, filters, *source, **BIAS, **properties)
    return graph.relu(prefix + relu)
