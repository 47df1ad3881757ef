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
        self._sources: dict[str, tuple[str, ...]] = {}
        self._connections: list[tuple[str, str]] = []
        self._notes: list[str] = []

    @classmethod
    def of(cls, network: Network, *notes: str) -> Graph:
        """Return a graph of a network's layers, to append to."""
        graph = cls()
        graph._notes += notes
        for layer in network.layers:
            incoming = network.incoming[layer.name]
            sources = (
                c.source if len(network.layers[c.source].outputs) == 1 else f"{c.source}/{c.source_port}"
                for c in incoming
            )
            graph.add(layer, *sources)
        return graph

    def note(self, text: str) -> None:
        """Tell something of the network that is to be."""
        self._notes.append(text)

    def add(self, layer: Layer, *sources: str) -> str:
        """Append a layer; several sources enter its inputs in order."""
        self._sources[layer.name] = sources or ((self.last,) if self._layers else ())
        for source, port in zip(self._sources[layer.name], layer.inputs, strict=True):
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

    def separable(
        self, name: str, size: Size, channels: int, filters: int, *source: str, Stride: int = 1, **factors: Any
    ) -> str:
        """Append a convolution of each channel by itself, with 'same' padding, and a 1 x 1 convolution across them."""
        apart = f"{name}_channel-wise"
        grouped = layers.grouped_convolution2d(size, 1, channels, name=apart, Stride=Stride, Padding="same", **factors)
        self.add(grouped, *source)
        return self.conv(f"{name}_point-wise", 1, filters, **factors)

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
        """Append an imageInputLayer, or an image3dInputLayer for [height, width, depth, channels], with neutral
        statistics for each channel; training computes them (ResetInputNormalization).
        """
        neutral = NEUTRAL[normalization]
        one_each = (*(1 for _ in size[:-1]), size[-1])
        statistics = {key: np.full(one_each, value, np.float32) for key, value in neutral.items()}
        values = " and ".join(f"{key} {value:g}" for key, value in neutral.items())
        self._notes.append(f"the statistics of '{name}' are not set: {values} until training computes them")
        make = layers.image3d_input if len(size) == 4 else layers.image_input
        return self.add(make(tuple(size), name=name, Normalization=normalization, **statistics))

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

    def sort_as_keras(self) -> Graph:
        """List the layers as Keras lists those of a model, and MATLAB those of a network that came from there: by their
        distance from its end, equal ones as a walk back from the end meets them. Returns the graph itself.

        Proven by the list that MATLAB prints of ResNet-50; for other networks this is derived.
        """
        distance = dict.fromkeys(self._layers, 0)
        for name in reversed(self._layers):
            for source in self._sources[name]:
                distance[source] = max(distance[source], distance[name] + 1)
        met: dict[str, int] = {}
        waiting = [self.last]
        while waiting:
            name = waiting.pop()
            if name not in met:
                met[name] = len(met)
                waiting += reversed(self._sources[name])
        order = sorted(self._layers, key=lambda name: (-distance[name], met[name]))
        self._layers = {name: self._layers[name] for name in order}
        return self

    def network(self, classes: Classes = 0) -> Network:
        """Return the network, its learnables without values. MATLAB sorts connections by source, then by
        destination.

        Args:
            classes: their names, for a network without an output layer to hold them.
        """
        position = {name: index for index, name in enumerate(self._layers)}
        pairs = sorted(
            self._connections,
            key=lambda pair: [position[end if end in position else end.rpartition("/")[0]] for end in pair],
        )
        made = tuple(self._layers.values())
        chain = pairs == [(a.name, b.name) for a, b in pairwise(made)]
        names = None if isinstance(classes, int) else tuple(classes)
        network = Network.assemble(made, None if chain else pairs, names)
        return network.with_notes(*self._notes)


def up_to(network: Network, name: str) -> set[str]:
    """Return the names of a layer and of all that it depends on."""
    kept: set[str] = set()
    waiting = [network.layers[name].name]
    while waiting:
        each = waiting.pop()
        if each not in kept:
            kept.add(each)
            waiting += [connection.source for connection in network.incoming[each]]
    return kept


def count(classes: Classes) -> int:
    """Return the number of classes, given as that or as their names."""
    return classes if isinstance(classes, int) else len(classes)
