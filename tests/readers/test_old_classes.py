"""Layers as R2016 to R2018 saved them, and the log of trainnet: fields of other names and forms.

Oracle: the network with the fields of today, whose module computes the same, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from bridge.parity.logs import read_log
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Net
from fixtures.objects import Obj, row, table
from tests.modules.cases import chain, image, outputs, saved, sequence

NAMES = ["a", "b", "c"]


def loaded(folder: Path, net: Net, name: str) -> bridge.Network:
    mat.write(folder / f"{name}.mat", {"net": net})
    return bridge.load(folder / f"{name}.mat")


def conv(padding: Any) -> L.Layer:
    return L.convolution2dLayer(np.random.default_rng(1), "conv", (3, 3), 4, 6, padding=padding)


def lstm() -> L.Layer:
    return L.lstmLayer(np.random.default_rng(2), "lstm", 3, 4, last=True)


def old_padding(layer: L.Layer, *numbers: float) -> L.Layer:
    return saved(layer, PaddingSize=None, PaddingMode=None, Padding=row(*numbers))


CHAINS: dict[str, tuple[Net, Net]] = {
    "padding [rows columns]": (
        chain(image(), old_padding(conv((0, 0, 0, 0)), 1, 2)),
        chain(image(), conv((1, 1, 2, 2))),
    ),
    "padding of four numbers": (
        chain(image(), old_padding(conv((0, 0, 0, 0)), 1, 0, 2, 1)),
        chain(image(), conv((1, 0, 2, 1))),
    ),
    "pooling": (
        chain(image(), old_padding(L.maxPooling2dLayer("pool", (3, 3), stride=(2, 2)), 1, 0)),
        chain(image(), L.maxPooling2dLayer("pool", (3, 3), stride=(2, 2), padding=(1, 1, 0, 0))),
    ),
    "hidden units": (
        chain(sequence(3), saved(lstm(), NumHiddenUnits=None, OutputSize=4.0)),
        chain(sequence(3), lstm()),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_fields_of_older_versions(tmp_path: Path, name: str) -> None:
    old, new = (loaded(tmp_path, net, str(index)) for index, net in enumerate(CHAINS[name]))
    assert old.layers[1].properties == new.layers[1].properties
    x = torch.randn(2, 4, 6, 5) if "hidden" not in name else torch.randn(2, 5, 3)
    with torch.no_grad():
        torch.testing.assert_close(outputs(old.to_torch(), (x,)), outputs(new.to_torch(), (x,)), rtol=0, atol=0)


def test_class_names_in_a_cell(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    output = saved(L.classificationLayer("output", NAMES), Categories=None, ClassNames=NAMES)
    net = chain(image(), L.fullyConnectedLayer(rng, "fc", (6, 5, 4), 3), L.softmaxLayer("softmax"), output)
    assert loaded(tmp_path, net, "net").classes == tuple(NAMES)


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_the_log_of_trainnet_is_an_object_with_tables(tmp_path: Path, container: Any) -> None:
    """That its properties are saved under their public names is unconfirmed: no file with one was seen."""
    columns = {name: np.array([[1.0], [2.0], [3.0]]) for name in ("Iteration", "Epoch", "LearnRate", "Loss")}
    info = Obj(
        "deep.TrainingInfo",
        {
            "Version": 2.0,
            "TrainingHistory": table(columns, 3),
            "ValidationHistory": table({"Iteration": np.array([[0.0], [3.0]]), "Loss": np.array([[5.0], [4.0]])}, 2),
            "StopReason": "Max epochs completed",
        },
        saveobj=True,
    )
    net = chain(image(), L.reluLayer("relu"))
    mat.write(tmp_path / "net.mat", {"net": net, "info": info}, container)
    network = bridge.load(tmp_path / "net.mat")
    assert network.training_info is not None
    np.testing.assert_array_equal(network.training_info["TrainingHistory"]["Loss"].ravel(), [1, 2, 3])
    log = read_log(tmp_path / "net.mat")
    np.testing.assert_array_equal(log.columns["TrainingLoss"], [1, 2, 3])
    np.testing.assert_array_equal(log.columns["ValidationLoss"], [np.nan, np.nan, 4])
