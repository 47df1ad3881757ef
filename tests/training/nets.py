"""Small networks for the tests of training, read from .mat files as MATLAB lays them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import bridge
from bridge.network import Network
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net

FEATURES, HIDDEN = 4, 6
CLASSES = ("ant", "bee", "cat")


def load(layers: tuple[Layer, ...] | Net) -> Network:
    """Return the Network of fixture layers; its arrays are in memory."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.mat"
        mat.write(path, {"net": layers if isinstance(layers, Net) else Net("SeriesNetwork", layers)})
        network = bridge.load(path)
        return network.with_weights(network.to_torch())


def mlp(output: Layer, outputs: int, *, seed: int = 0, batch_norm: bool = True, frozen: bool = False) -> Network:
    """Features, normalised by z-score, through two fully connected layers with tanh and batch normalisation between.

    fc1: learn-rate factor 0.5 (0 where `frozen`) and L2 factor 2 on the weights; fc2: 10 and 1 on the weights, 20 and 0 on the bias.
    """
    rng = np.random.default_rng(seed)
    first = L.fullyConnectedLayer(rng, "fc1", FEATURES, HIDDEN)
    first = (
        L.with_factors(first, Weights=(0.0, 0.0), Bias=(0.0, 0.0))
        if frozen
        else L.with_factors(first, Weights=(0.5, 2.0), Bias=(1.0, 0.0))
    )
    made = [
        L.featureInputLayer(FEATURES, "input", "zscore", **L.input_statistics(rng, "zscore", (FEATURES, 1))),
        first,
        L.tanhLayer("tanh"),
        *([L.batchNormalizationLayer(rng, "bn", HIDDEN, channel_dim=1)] if batch_norm else []),
        L.with_factors(L.fullyConnectedLayer(rng, "fc2", HIDDEN, outputs), Weights=(10.0, 1.0), Bias=(20.0, 0.0)),
    ]
    return load((*made, *([L.softmaxLayer("softmax")] if "Classification" in output.cls else []), output))


def classifier(**options: bool) -> Network:
    return mlp(L.classificationLayer("output", CLASSES), len(CLASSES), **options)


def regression(**options: bool) -> Network:
    return mlp(L.regressionLayer("output", ("a", "b")), 2, **options)


def two_batch_norms(seed: int = 0) -> Network:
    """Features through two fully connected layers, each followed by a batch normalisation, to one response."""
    rng = np.random.default_rng(seed)
    return load(
        (
            L.featureInputLayer(FEATURES, "input", "none"),
            L.fullyConnectedLayer(rng, "fc1", FEATURES, HIDDEN),
            L.tanhLayer("tanh"),
            L.batchNormalizationLayer(rng, "bn1", HIDDEN, channel_dim=1),
            L.tanhLayer("tanh2"),
            L.fullyConnectedLayer(rng, "fc2", HIDDEN, HIDDEN),
            L.batchNormalizationLayer(rng, "bn2", HIDDEN, channel_dim=1),
            L.fullyConnectedLayer(rng, "fc3", HIDDEN, 2),
            L.regressionLayer("output", ("a", "b")),
        )
    )


def cnn(
    *, seed: int = 0, classes: tuple[str, ...] = CLASSES, frozen: bool = True, dropout: bool = False, size: int = 8
) -> Network:
    """Two convolutions, the first frozen, and a head with factors 10; images of size x size x 3, 0..255."""
    rng = np.random.default_rng(seed)
    factor = 0.0 if frozen else 1.0
    mean = np.array([[[120.0, 110.0, 100.0]]], dtype=np.float32)
    half = size // 4
    head = L.fullyConnectedLayer(rng, "fc", (half, half, 6), len(classes))
    made = [
        L.imageInputLayer((size, size, 3), "input", "zerocenter", mean),
        L.convolution2dLayer(rng, "conv1", (3, 3), 3, 4, padding="same", weight_factor=factor, bias_factor=factor),
        L.reluLayer("relu1"),
        L.maxPooling2dLayer("pool1", (2, 2), stride=(2, 2)),
        *([L.dropoutLayer("drop", 0.5)] if dropout else []),
        L.convolution2dLayer(rng, "conv2", (3, 3), 4, 6, padding="same"),
        L.reluLayer("relu2"),
        L.maxPooling2dLayer("pool2", (2, 2), stride=(2, 2)),
        L.with_factors(_scaled(head, 0.01), Weights=(10.0, 1.0), Bias=(10.0, 0.0)),
        L.softmaxLayer("softmax"),
        L.classificationLayer("output", classes),
    ]
    return load(tuple(made))


def _scaled(layer: Layer, scale: float) -> Layer:
    """Make the weights smaller, so that a head does not begin with certainty about pixels of 0..255."""
    params = {name: replace(param, value=(param.value * np.float32(scale))) for name, param in layer.params.items()}
    return replace(layer, params=params)
