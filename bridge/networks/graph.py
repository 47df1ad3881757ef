"""What builders write into: layers in MATLAB's order, each behind the one before it or behind named ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from bridge import layers
from bridge.network import Layer, Network

Classes: TypeAlias = int | Sequence[str]
Size: TypeAlias = int | tuple[int, int]

# The statistics of an input layer that was never trained: they change nothing, or bring pixels of 0 to 255 into the
# range.
NEUTRAL = {
    "zerocenter": {"Mean": 0},
    "zscore": {"Mean": 0, "StandardDeviation": 1},
    "rescale-zero-one": {"Min": 0, "Max": 255},
    "rescale-symmetric": {"Min": 0, "Max": 255},
}


class Graph:
    """Layers and connections in the making. Every method appends layers and returns the name of the last one.

    `source` names what the layer stands behind, by default the layer before it.
    """

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}
        self._connections: list[tuple[str, str]] = []
        self._notes: list[str] = []

    def add(self, layer: Layer, *sources: str) -> str:
        """Append a layer; several sources enter its inputs in order."""
        for source, port in zip(sources or (self.last,) if self._layers else (), layer.inputs, strict=True):
            self._connections.append((source, layer.name if len(layer.inputs) == 1 else f"{layer.name}/{port}"))
        self._layers[layer.name] = layer
        return layer.name

    @property
    def last(self) -> str:
        """The name of the layer appended last."""
        return next(reversed(self._layers))

    def conv(self, name: str, size: Size, filters: int, *source: str, **properties: Any) -> str:
        """Append a convolution2dLayer."""
        return self.add(layers.convolution2d(size, filters, name=name, **properties), *source)

    def relu(self, name: str, *source: str) -> str:
        return self.add(layers.relu(name=name), *source)

    def batch_norm(self, name: str, *source: str, **properties: Any) -> str:
        return self.add(layers.batch_normalization(name=name, **properties), *source)

    def max_pool(self, name: str, size: int, stride: int, *source: str, **properties: Any) -> str:
        return self.add(layers.max_pooling2d(size, name=name, Stride=stride, **properties), *source)

    def add_up(self, name: str, *sources: str) -> str:
        """Append an additionLayer."""
        return self.add(layers.addition(len(sources), name=name), *sources)

    def concat(self, name: str, *sources: str) -> str:
        """Append a depthConcatenationLayer."""
        return self.add(layers.depth_concatenation(len(sources), name=name), *sources)

    def image_input(self, name: str, size: Sequence[int], normalization: str = "zerocenter") -> str:
        """Append an imageInputLayer with neutral statistics for each channel; training computes them
        (ResetInputNormalization).
        """
        neutral = NEUTRAL[normalization]
        statistics = {key: np.full((1, 1, size[-1]), value, np.float32) for key, value in neutral.items()}
        values = " and ".join(f"{key} {value:g}" for key, value in neutral.items())
        self._notes.append(f"the statistics of '{name}' are not set: {values} until training computes them")
        return self.add(layers.image_input(tuple(size), name=name, Normalization=normalization, **statistics))

    def classifier(self, classes: Classes, fc: str, softmax: str, output: str, *source: str, **factors: Any) -> str:
        """Append a fullyConnectedLayer with its softmax and output layer."""
        self.add(layers.fully_connected(count(classes), name=fc, **factors), *source)
        return self.ending(classes, softmax, output)

    def ending(self, classes: Classes, softmax: str, output: str, make: Callable[..., Layer] | None = None) -> str:
        """Append a softmax and an output layer, a classificationLayer or one that `make` makes."""
        self.add(layers.softmax(name=softmax))
        named: dict[str, Any] = {} if isinstance(classes, int) else {"Classes": tuple(classes)}
        if named and make is None:
            named["NumClasses"] = len(classes)  # type: ignore[arg-type]
        return self.add((make or layers.classification)(name=output, **named))

    def network(self) -> Network:
        """Return the network, its learnables without values. MATLAB sorts connections by source, then by
        destination.
        """
        position = {name: index for index, name in enumerate(self._layers)}
        pairs = sorted(
            self._connections,
            key=lambda pair: [position[end if end in position else end.rpartition("/")[0]] for end in pair],
        )
        made = tuple(self._layers.values())
        chain = pairs == [(a.name, b.name) for a, b in pairwise(made)]
        network = Network.assemble(made, None if chain else pairs)
        return network.with_notes(*self._notes)


def count(classes: Classes) -> int:
    """Return the number of classes, given as that or as their names."""
    return classes if isinstance(classes, int) else len(classes)
