"""The layers that normalise images for pretrained networks saved up to R2019a, of which no file was seen.

MATLAB's messages to users name the classes of Xception and ShuffleNet; that of NASNet-Mobile follows their pattern.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bridge
from bridge.errors import UnsupportedError
from bridge.network import Network
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net

SHUFFLENET = "nnet.shufflenet.layer.ShuffleNetPreprocessingLayer"
SYMMETRIC = ("nnet.xception.layer.XceptionPreprocessingLayer", "nnet.nasnetmobile.layer.NASNetMobilePreprocessingLayer")


def old(folder: Path, class_name: str, **properties: Any) -> Network:
    """Return a network with a preprocessing layer and a layer that must know its size behind it."""
    rng = np.random.default_rng(0)
    first = (L.imageInputLayer((8, 6, 3), "in", "none"), Layer("scale", class_name, properties))
    behind = (
        L.fullyConnectedLayer(rng, "fc", (8, 6, 3), 2),
        L.softmaxLayer("softmax"),
        L.classificationLayer("output", ["a", "b"]),
    )
    mat.write(folder / "old.mat", {"net": Net("SeriesNetwork", (*first, *behind))})
    return bridge.load(folder / "old.mat")


def scaled(network: Network, x: Tensor, **modules: Any) -> Tensor:
    found: Tensor = network.to_torch(**modules).get_submodule("scale")(x)
    return found


@pytest.mark.parametrize("class_name", SYMMETRIC)
def test_a_network_of_symmetric_pixels_needs_no_numbers(tmp_path: Path, class_name: str) -> None:
    """Oracle: 'rescale-symmetric' of newer files, by hand: 0 -> -1, 127.5 -> 0, 255 -> 1."""
    network = old(tmp_path, class_name)
    (note,) = network.notes
    assert class_name in note and "0..255 to -1..1" in note and "unconfirmed" in note
    bridge.export(network, tmp_path / "back.mat", tell=lambda loss: None)
    for each in (network, bridge.load(network.save(tmp_path / "saved")), bridge.load(tmp_path / "back.mat")):
        assert each.layers["scale"].row.matlab == (class_name,) and each.layers["scale"].row.evidence == "unseen"
        assert scaled(each, torch.tensor([0.0, 127.5, 255.0])).tolist() == [-1, 0, 1]


class Statistics(nn.Module):
    """What a user writes for a layer with a mean and a deviation for each channel."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.mean, self.deviation = (torch.tensor(values).view(-1, 1, 1) for values in (layer.Means, layer.Deviations))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


def test_one_with_numbers_is_refused_until_a_module_says_what_they_are(tmp_path: Path) -> None:
    """Oracle: by hand. Which properties a file has is unknown; those of this one are named to the user."""
    network = old(tmp_path, SHUFFLENET, Means=np.array([[[1.0, 2, 3]]]), Deviations=np.array([[[2.0, 2, 4]]]))
    assert any(SHUFFLENET in note and "unconfirmed" in note for note in network.notes)
    with pytest.raises(UnsupportedError, match=r"'zscore'.*Means = \(1, 2, 3\), Deviations = \(2, 2, 4\)") as caught:
        network.to_torch()
    assert SHUFFLENET in caught.value.hint and "--modules" in caught.value.hint
    modules = {SHUFFLENET: Statistics}
    assert scaled(network, torch.full((1, 3, 1, 1), 5.0), modules=modules).flatten().tolist() == [2, 1.5, 0.5]
    assert network.to_torch(modules=modules)(torch.rand(2, 3, 8, 6)).shape == (2, 2)
