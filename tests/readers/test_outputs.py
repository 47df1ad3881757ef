"""Output layers: facts of a network, of both containers, and no modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net

CLASSES = ("road", "sky")
RNG = np.random.default_rng(0)
PIXELS = (
    L.imageInputLayer((6, 4, 3), "in", "none"),
    L.convolution2dLayer(RNG, "conv", (1, 1), 3, 2),
    L.softmaxLayer("softmax"),
)
VECTOR = (L.featureInputLayer(3, "in"), L.fullyConnectedLayer(RNG, "fc", 3, 2), L.softmaxLayer("softmax"))
HEAD = (
    L.imageInputLayer((6, 4, 3), "in", "none"),
    L.convolution2dLayer(RNG, "conv", (1, 1), 3, 14),
    L.yolov2TransformLayer("transform", 2),
)

OUTPUTS: dict[str, tuple[tuple[Layer, ...], Layer, dict[str, Any]]] = {
    "classification": (
        VECTOR,
        L.classificationLayer("out", CLASSES, weights=[1, 3]),
        {"Classes": CLASSES, "ClassWeights": (1, 3)},
    ),
    "classification without weights": (VECTOR, L.classificationLayer("out", CLASSES), {"Classes": CLASSES}),
    "regression": (VECTOR[:2], L.regressionLayer("out"), {}),
    "pixels": (
        PIXELS,
        L.pixelClassificationLayer("out", CLASSES, (6, 4), weights=[0.5, 2]),
        {"Classes": CLASSES, "ClassWeights": (0.5, 2)},
    ),
    "dice": (PIXELS, L.dicePixelClassificationLayer("out", CLASSES, (6, 4)), {"Classes": CLASSES}),
    "focal": (
        VECTOR,
        L.focalLossLayer("out", CLASSES, alpha=0.5, gamma=3),
        {"Classes": CLASSES, "Alpha": 0.5, "Gamma": 3},
    ),
    "tversky": (
        PIXELS,
        L.tverskyPixelClassificationLayer("out", CLASSES, alpha=0.3, beta=0.7),
        {"Classes": CLASSES, "Alpha": 0.3, "Beta": 0.7},
    ),
    "yolo v2": (
        HEAD,
        L.yolov2OutputLayer("out", [(8, 8), (32, 48)], CLASSES),
        {"Classes": CLASSES, "LossFactors": (5, 1, 1, 1)},
    ),
}


@pytest.mark.parametrize("container", ["v5", "v7.3"])
@pytest.mark.parametrize("case", OUTPUTS)
def test_an_output_layer_is_kept_as_facts(case: str, container: Any, tmp_path: Path) -> None:
    before, output, facts = OUTPUTS[case]
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", (*before, output))}, container=container)
    network = bridge.load(tmp_path / "net.mat")
    layer = network.layers["out"]
    assert layer.row.is_output and output.cls in layer.row.matlab
    assert {name: layer.properties[name] for name in facts} == facts
    assert network.classes == facts.get("Classes")
    assert network.outputs == (before[-1].name,) and "out" not in dict(network.to_torch().named_modules())
