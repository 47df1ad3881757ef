"""Inception-v3. Convolutions are numbered branch by branch, and listed with the longest branch first."""

from __future__ import annotations

from typing import Any, TypeAlias

from bridge import layers
from bridge.networks.graph import Classes, Graph, Size

Branch: TypeAlias = list[tuple[Size, int]]  # the size and filters of each convolution in turn
SAME: dict[str, Any] = {"Padding": "same"}
HALVED: dict[str, Any] = {"Stride": 2}


def inceptionv3(classes: Classes) -> Graph:
    graph = _Numbered()
    graph.image_input("input_1", (299, 299, 3), "rescale-symmetric")
    graph.unit(3, 32, **HALVED)
    graph.unit(3, 32)
    graph.unit(3, 64, **SAME)
    graph.numbered_max_pool()
    graph.unit(1, 80)
    graph.unit(3, 192)
    graph.numbered_max_pool()
    for module, pooled in enumerate((32, 64, 64)):
        _mixed(graph, module, [[(1, 64)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)]], pooled)
    _reduced(graph, 3, [[(3, 384)], [(1, 64), (3, 96), (3, 96)]])
    for module, n in enumerate((128, 160, 160, 192), 4):
        rows, columns = (7, 1), (1, 7)
        long: Branch = [(1, n), (rows, n), (columns, n), (rows, n), (columns, 192)]
        _mixed(graph, module, [[(1, 192)], [(1, n), (columns, n), (rows, 192)], long], 192)
    _reduced(graph, 8, [[(1, 192), (3, 320)], [(1, 192), (columns, 192), (rows, 192), (3, 192)]])
    _widened(graph, 9)
    _widened(graph, 10)
    graph.add(layers.global_average_pooling2d(name="avg_pool"))
    graph.classifier(classes, "predictions", "predictions_softmax", "ClassificationLayer_predictions")
    return graph


class _Numbered(Graph):
    """A graph that counts its convolutions and poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = self._averages = self._maxima = 0

    def take(self, count: int) -> int:
        """Reserve the next numbers, and return the first."""
        self.convolutions += count
        return self.convolutions - count + 1

    def unit(self, size: Size, filters: int, *source: str, number: int = 0, **properties: Any) -> str:
        """Append a convolution, its batch normalisation and its ReLU."""
        number = number or self.take(1)
        self.conv(f"conv2d_{number}", size, filters, *source, BiasLearnRateFactor=0, **properties)
        self.batch_norm(f"batch_normalization_{number}", Epsilon=1e-3)
        return self.relu(f"activation_{number}_relu")

    def branch(self, branch: Branch, start: str, number: int, **last: Any) -> str:
        """Append the convolutions of a branch; the last one may have other properties."""
        for place, (size, filters) in enumerate(branch):
            start = self.unit(
                size, filters, start, number=number + place, **(last if last and place == len(branch) - 1 else SAME)
            )
        return start

    def numbered_max_pool(self, *source: str) -> str:
        self._maxima += 1
        return self.max_pool(f"max_pooling2d_{self._maxima}", 3, 2, *source)

    def average_pool(self, source: str) -> str:
        self._averages += 1
        return self.add(layers.average_pooling2d(3, name=f"average_pooling2d_{self._averages}", Padding="same"), source)


def _mixed(graph: _Numbered, module: int, branches: list[Branch], pooled: int) -> None:
    """Append three branches and a pooled one, side by side."""
    start = graph.last
    first, second, third = (graph.take(len(branch)) for branch in branches)
    fourth = graph.take(1)
    c = graph.branch(branches[2], start, third)
    b = graph.branch(branches[1], start, second)
    d = graph.branch([(1, pooled)], graph.average_pool(start), fourth)
    a = graph.branch(branches[0], start, first)
    graph.concat(f"mixed{module}", a, b, c, d)


def _reduced(graph: _Numbered, module: int, branches: list[Branch]) -> None:
    """Append two branches and a pooling that halve height and width."""
    start = graph.last
    first, second = (graph.take(len(branch)) for branch in branches)
    b = graph.branch(branches[1], start, second, **HALVED)
    a = graph.branch(branches[0], start, first, **HALVED)
    graph.concat(f"mixed{module}", a, b, graph.numbered_max_pool(start))


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
