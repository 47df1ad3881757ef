"""Inception-v3 and Inception-ResNet-v2, whose convolutions are numbered branch by branch.

Unconfirmed: in which order MATLAB lists the layers of parallel branches; here it is Keras's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from bridge import layers
from bridge.networks.graph import Classes, Graph, Size

Branch: TypeAlias = Sequence[tuple[Size, int]]  # the size and filters of each convolution in turn
SAME: dict[str, Any] = {"Padding": "same"}
HALVED: dict[str, Any] = {"Stride": 2}
# Inception-ResNet-v2's residual blocks: how many, by how much their branches are scaled, their branches.
BLOCKS: dict[str, tuple[int, float, list[Branch]]] = {
    "block35": (10, 0.17, [[(1, 32)], [(1, 32), (3, 32)], [(1, 32), (3, 48), (3, 64)]]),
    "block17": (20, 0.1, [[(1, 192)], [(1, 128), ((1, 7), 160), ((7, 1), 192)]]),
    "block8": (10, 0.2, [[(1, 192)], [(1, 192), ((1, 3), 224), ((3, 1), 256)]]),
}


def inceptionv3(classes: Classes) -> Graph:
    graph = _Numbered("activation_{}_relu")
    _stem(graph)
    for module, pooled in enumerate((32, 64, 64)):
        _mixed(graph, f"mixed{module}", [[(1, 64)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)]], pooled)
    _reduced(graph, "mixed3", [[(3, 384)], [(1, 64), (3, 96), (3, 96)]])
    for module, n in enumerate((128, 160, 160, 192), 4):
        rows, columns = (7, 1), (1, 7)
        long: Branch = [(1, n), (rows, n), (columns, n), (rows, n), (columns, 192)]
        _mixed(graph, f"mixed{module}", [[(1, 192)], [(1, n), (columns, n), (rows, 192)], long], 192)
    _reduced(graph, "mixed8", [[(1, 192), (3, 320)], [(1, 192), (columns, 192), (rows, 192), (3, 192)]])
    _widened(graph, 9)
    _widened(graph, 10)
    return _head(graph, classes)


def inceptionresnetv2(classes: Classes) -> Graph:
    """The scales of its batch normalisations do not learn, by a factor of 0."""
    graph = _Numbered("activation_{}", ScaleLearnRateFactor=0)
    _stem(graph)
    _mixed(graph, "mixed_5b", [[(1, 96)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)]], 64)
    _residuals(graph, "block35", 320)
    _reduced(graph, "mixed_6a", [[(3, 384)], [(1, 256), (3, 256), (3, 384)]])
    _residuals(graph, "block17", 1088)
    _reduced(graph, "mixed_7a", [[(1, 256), (3, 384)], [(1, 256), (3, 288)], [(1, 256), (3, 288), (3, 320)]])
    _residuals(graph, "block8", 2080)
    graph.normalized("conv_7b", "conv_7b_bn", "conv_7b_ac", 1, 1536, **SAME)
    return _head(graph, classes)


class _Numbered(Graph):
    """A graph that counts its convolutions and poolings.

    Args:
        relu: the name of a ReLU, around its number.
        factors: of the batch normalisations.
    """

    def __init__(self, relu: str, **factors: Any) -> None:
        super().__init__()
        self._relu, self._factors = relu, factors
        self._convolutions = self._averages = self._maxima = 0

    def take(self, count: int) -> int:
        """Reserve the next numbers, and return the first."""
        self._convolutions += count
        return self._convolutions - count + 1

    def normalized(
        self, conv: str, batch_norm: str, relu: str, size: Size, filters: int, *source: str, **properties: Any
    ) -> str:
        """Append a convolution, its batch normalisation and its ReLU."""
        self.conv(conv, size, filters, *source, BiasLearnRateFactor=0, **properties)
        self.batch_norm(batch_norm, Epsilon=1e-3, **self._factors)
        return self.relu(relu)

    def unit(self, size: Size, filters: int, *source: str, number: int = 0, **properties: Any) -> str:
        """Append a convolution with a number, the next one where none is given."""
        n = number or self.take(1)
        names = f"conv2d_{n}", f"batch_normalization_{n}", self._relu.format(n)
        return self.normalized(*names, size, filters, *source, **properties)

    def branch(self, branch: Branch, start: str, number: int, **last: Any) -> str:
        """Append the convolutions of a branch; the last one may have other properties."""
        for place, (size, filters) in enumerate(branch):
            properties = last if last and place == len(branch) - 1 else SAME
            start = self.unit(size, filters, start, number=number + place, **properties)
        return start

    def branches(self, branches: Sequence[Branch], start: str, **last: Any) -> list[str]:
        """Append branches side by side, and return their ends."""
        return [self.branch(branch, start, self.take(len(branch)), **last) for branch in branches]

    def numbered_max_pool(self, *source: str) -> str:
        self._maxima += 1
        return self.max_pool(f"max_pooling2d_{self._maxima}", 3, 2, *source)

    def average_pool(self, source: str) -> str:
        self._averages += 1
        return self.add(layers.average_pooling2d(3, name=f"average_pooling2d_{self._averages}", Padding="same"), source)


def _stem(graph: _Numbered) -> None:
    graph.image_input("input_1", (299, 299, 3), "rescale-symmetric")
    graph.unit(3, 32, **HALVED)
    graph.unit(3, 32)
    graph.unit(3, 64, **SAME)
    graph.numbered_max_pool()
    graph.unit(1, 80)
    graph.unit(3, 192)
    graph.numbered_max_pool()


def _head(graph: Graph, classes: Classes) -> Graph:
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "predictions", "predictions_softmax", "ClassificationLayer_predictions")
    return graph.sort_as_keras()


def _mixed(graph: _Numbered, name: str, branches: list[Branch], pooled: int) -> None:
    """Append branches and a pooled one, side by side."""
    start = graph.last
    ends = graph.branches(branches, start)
    graph.concat(name, *ends, graph.unit(1, pooled, graph.average_pool(start), **SAME))


def _reduced(graph: _Numbered, name: str, branches: list[Branch]) -> None:
    """Append branches and a pooling that halve height and width."""
    start = graph.last
    ends = graph.branches(branches, start, **HALVED)
    graph.concat(name, *ends, graph.numbered_max_pool(start))


def _residuals(graph: _Numbered, name: str, channels: int) -> None:
    """Append blocks that add a small part of their branches to what enters them; the very last one adds all of it."""
    count, scale, branches = BLOCKS[name]
    for block in (f"{name}_{number}" for number in range(1, count + 1)):
        start, last = graph.last, block == "block8_10"
        graph.concat(f"{block}_mixed", *graph.branches(branches, start))
        graph.conv(f"{block}_conv", 1, channels, **SAME)
        graph.add_up(block, start, graph.add(layers.scaling_factor(1 if last else scale, name=f"{block}_scale")))
        if not last:
            graph.relu(f"{block}_ac")


def _widened(graph: _Numbered, module: int) -> None:
    """Append branches that fork into a 1 x 3 and a 3 x 1 convolution at their ends."""
    start, n = graph.last, graph.take(9)
    trunk = graph.branch([(1, 448), (3, 384)], start, n + 4)
    stem = graph.branch([(1, 384)], start, n + 1)
    short = [graph.unit(size, 384, stem, number=n + 2 + i, **SAME) for i, size in enumerate(((1, 3), (3, 1)))]
    long = [graph.unit(size, 384, trunk, number=n + 6 + i, **SAME) for i, size in enumerate(((1, 3), (3, 1)))]
    pooled = graph.branch([(1, 192)], graph.average_pool(start), n + 8)
    plain = graph.branch([(1, 320)], start, n)
    joined = graph.concat(f"mixed9_{module - 9}", *short), graph.concat(f"concatenate_{module - 8}", *long)
    graph.concat(f"mixed{module}", plain, *joined, pooled)
