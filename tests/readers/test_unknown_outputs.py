"""Layers of classes that no table knows: at the end they are output layers, inside they are placeholders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Network
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net
from fixtures.objects import categorical

Make = Callable[..., Path]
NAMES = ["cap", "cube", "torch"]


@pytest.fixture
def file(tmp_path: Path) -> Make:
    def made(*end: Layer, kind: str = "SeriesNetwork") -> Path:
        rng = np.random.default_rng(0)
        layers = (L.featureInputLayer(4, "in"), L.fullyConnectedLayer(rng, "fc", 4, 3), L.softmaxLayer("soft"), *end)
        pairs = tuple((a.name, b.name) for a, b in pairwise(layers))
        mat.write(tmp_path / "net.mat", {"net": Net(kind, layers, pairs)})
        return tmp_path / "net.mat"

    return made


def own(**more: object) -> Layer:
    fields = {"Classes": categorical(NAMES), "ClassWeights": np.array([[0.5, 1.5, 2.0]]), **more}
    return Layer("loss", "my.weightedClassificationLayer", fields, saveobj=False)


@pytest.mark.parametrize("kind", ["SeriesNetwork", "DAGNetwork", "LayerGraph"])
def test_an_output_layer_of_a_user_computes_nothing(kind: str, file: Make) -> None:
    network = bridge.load(file(own(), kind=kind))
    assert network.layers["loss"].row.is_output and network.classes == tuple(NAMES) and network.outputs == ("soft",)
    (note,) = [note for note in network.notes if "'loss'" in note]
    assert "is an output layer that no table knows" in note and "ClassWeights 0.5 1.5 2" in note and "cube" in note
    plain = bridge.load(file(L.classificationLayer("loss", NAMES)))
    x = torch.randn(5, 4)
    assert torch.equal(network.to_torch()(x), plain.to_torch()(x))


def test_it_is_told_by_what_it_has_in_a_network_that_may_end_without(file: Make) -> None:
    """A dlnetwork has no output layers; an array of layers has some, or has none yet."""
    anything = Layer("scale", "my.ScaleLayer", {"Scale": 2.0}, saveobj=False)
    assert not bridge.load(file(anything, kind="LayerGraph")).layers["scale"].row.is_output
    assert bridge.load(file(anything, kind="DAGNetwork")).layers["scale"].row.is_output


@pytest.mark.parametrize("ending", ["onnx", "pt2", "py", "safetensors", "mat"])
def test_it_does_not_stand_in_the_way_of_an_export(ending: str, file: Make, tmp_path: Path) -> None:
    network = bridge.load(file(own()))
    bridge.export(network, tmp_path / f"back.{ending}")
    if ending in ("onnx", "mat"):
        x = torch.randn(5, 4)
        assert torch.equal(bridge.load(tmp_path / f"back.{ending}").to_torch()(x), network.to_torch()(x))


def test_it_is_kept_by_a_saved_folder(file: Make, tmp_path: Path) -> None:
    network = bridge.load(file(own()))
    saved = bridge.load(network.save(tmp_path / "saved"))
    assert saved.layers["loss"].row.is_output and saved.layers["loss"].ClassWeights == (0.5, 1.5, 2)
    assert saved.classes == tuple(NAMES) and saved.notes == network.notes


def test_training_asks_for_its_loss(file: Make) -> None:
    network = bridge.load(file(own()))
    data = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32), NAMES * 2
    options = bridge.training_options("sgdm", MaxEpochs=1, Verbose=False)
    with pytest.raises(UsageError, match="which loss") as caught:
        bridge.train(network, data, options)
    assert "weightedClassificationLayer" in caught.value.cause and "class_weights=" in caught.value.hint
    plain = bridge.load(file(L.classificationLayer("loss", NAMES)))
    logs = [
        bridge.train(each, data, options, loss="classification").rows[-1]["TrainingLoss"] for each in (network, plain)
    ]
    assert logs[0] == logs[1], "what ClassWeights mean to a class of a user is not known"


def unknown_inside(file: Make) -> Network:
    anything = Layer("scale", "my.ScaleLayer", {"Scale": 2.0}, saveobj=False)
    return bridge.load(file(anything, L.classificationLayer("loss", NAMES)))


def test_an_unknown_layer_inside_is_a_placeholder(file: Make, tmp_path: Path) -> None:
    """It is shown, saved and edited; only running is refused."""
    network = unknown_inside(file)
    assert network.layers["scale"].Scale == 2 and str(network.size_of("fc")) == "3"
    assert bridge.load(network.save(tmp_path / "saved")).layers["scale"].Scale == 2
    frozen = network.freeze("fc").set_learn_rate_factor("fc", "Bias", 3)
    with pytest.raises(UnsupportedError, match="'scale' is a my.ScaleLayer"):
        frozen.to_torch()
    x = torch.randn(5, 4)
    replaced = frozen.replace("scale", bridge.layers.relu(name="relu"))
    plain = bridge.load(file(L.classificationLayer("loss", NAMES)))
    assert torch.equal(replaced.to_torch()(x), plain.to_torch()(x))
    assert layer_mappings().by_class("my.ScaleLayer") is None
