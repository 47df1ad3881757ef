"""Ports that only the connections tell of, and ports that a module cannot serve, are read and then refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bridge
from bridge.errors import UnsupportedError
from fixtures import layers as L
from fixtures.layers import Layer, Net
from fixtures.mat import write


def test_an_unknown_class_has_the_inputs_its_connections_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = (
        L.featureInputLayer(3, "a"),
        L.featureInputLayer(3, "b"),
        Layer("mix", "my.Mix"),
        L.fullyConnectedLayer(rng, "fc", 3, 2),
    )
    connections = (("a", "mix/left"), ("b", "mix/right"), ("mix", "fc"))
    write(tmp_path / "net.mat", {"net": Net("DAGNetwork", layers, connections)}, "v5")
    network = bridge.load(tmp_path / "net.mat")
    assert network.layers["mix"].inputs == ("left", "right")
    with pytest.raises(UnsupportedError, match=r"my\.Mix"):
        network.to_torch()


def test_connected_state_inputs_are_refused_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lstm = L.lstmLayer(rng, "lstm", 3, 4)
    lstm = Layer(
        lstm.name, lstm.cls, {**lstm.saved, "HasStateInputs": True, "HasStateOutputs": True}, lstm.params, lstm.version
    )
    layers = (L.sequenceInputLayer(3, "x"), L.featureInputLayer(4, "h"), L.featureInputLayer(4, "c"), lstm)
    connections = (("x", "lstm/in"), ("h", "lstm/hidden"), ("c", "lstm/cell"))
    write(tmp_path / "net.mat", {"net": Net("DAGNetwork", layers, connections)}, "v5")
    network = bridge.load(tmp_path / "net.mat")
    assert network.layers["lstm"].inputs == ("in", "hidden", "cell")
    with pytest.raises(UnsupportedError, match="HasStateInputs"):
        network.to_torch()
