"""Small networks made with the constructors, and how tests compare networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from bridge import layers
from bridge.network import Layer, Network
from bridge.writers.folder import to_json


def residual(seed: int = 0) -> Network:
    """An image classifier with a branch: 8 x 8 x 3, batch normalisation, an addition, three classes."""
    made = [
        layers.image_input([8, 8, 3], name="data", Mean=np.zeros((1, 1, 3))),
        layers.convolution2d(3, 4, name="conv1", padding="same"),
        layers.batch_normalization(name="bn1"),
        layers.relu(name="relu1"),
        layers.convolution2d(3, 4, name="conv2", padding="same", BiasLearnRateFactor=2),
        layers.addition(name="add"),
        layers.global_average_pooling2d(name="pool"),
        layers.fully_connected(3, name="fc"),
        layers.softmax(name="prob"),
        layers.classification(name="output", classes=["a", "b", "c"]),
    ]
    chain = [(a.name, f"{b.name}/in1" if b.name == "add" else b.name) for a, b in pairwise(made)]
    return Network.assemble(made, [*chain, ("relu1", "add/in2")]).initialize(seed)


def chain(size: int = 8) -> Network:
    """A chain that a fully connected layer ties to its input size."""
    made = [
        layers.image_input([size, size, 1], name="data", normalization="none"),
        layers.convolution2d(3, 2, name="conv"),
        layers.relu(name="relu"),
        layers.dropout(0.5, name="drop"),
        layers.fully_connected(4, name="fc1"),
        layers.fully_connected(2, name="fc2"),
        layers.softmax(name="prob"),
        layers.classification(name="output", classes=["no", "yes"]),
    ]
    return Network.assemble(made).initialize(0)


def sequence() -> Network:
    """A recurrent classifier of sequences of three values."""
    made = [
        layers.sequence_input(3, name="in"),
        layers.lstm(4, name="lstm", OutputMode="last"),
        layers.fully_connected(2, name="fc"),
        layers.softmax(name="prob"),
    ]
    return Network.assemble(made, classes=["down", "up"]).initialize(0)


def same(a: Network, b: Network) -> bool:
    """Whether two networks have the same layers, connections, factors, classes and values, bit for bit."""
    return facts(a) == facts(b)


def facts(network: Network) -> dict[str, Any]:
    """Return everything but notes and provenance."""
    known = to_json(network)
    arrays = {f"{layer.name}/{name}": each.value.tobytes() for layer, name, each in network.learnables()}
    arrays |= {
        f"{layer.name}/{name}": array.read().tobytes()
        for layer in network.layers
        for name, array in layer.state.items()
    }
    return {key: value for key, value in known.items() if key not in ("source", "notes")} | arrays


def names(network: Network) -> list[str]:
    return [layer.name for layer in network.layers]


def joined(network: Network) -> set[tuple[str, str]]:
    """Return the connections as pairs of layers."""
    return {(c.source, c.destination) for c in network.connections}


def stand_in(*first: Layer, head: Layer, channels: int = 4) -> Network:
    """Return a small network that begins and ends as a documented one does."""
    size = [layers.image_input([32, 32, 3], name="data", Mean=np.zeros((1, 1, 3)))]
    tail = [
        layers.global_average_pooling2d(name="pool"),
        head,
        layers.softmax(name="prob"),
        layers.classification(name="output", classes=["x", "y"]),
    ]
    return Network.assemble([*size, *first, *tail]).initialize(0)
