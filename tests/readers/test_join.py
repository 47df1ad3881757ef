"""An .onnx and a .mat of one network that do not hold their arrays alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import bridge
from bridge.arrays.lazy import NDArray
from bridge.errors import DifferenceError
from bridge.network import Network
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net
from fixtures.onnx import export

RNG = np.random.default_rng(0)
SIZE = (4, 5, 3)
CHANNELS: NDArray = np.array([1, 2, 3], np.float32).reshape(1, 1, 3)
IMAGE: NDArray = np.broadcast_to(CHANNELS, SIZE).copy()
DENSE = L.fullyConnectedLayer(RNG, "fc", SIZE, 2)
GRAY = L.fullyConnectedLayer(RNG, "fc", (4, 5, 1), 2)


def joined(folder: Path, dialect: str, in_onnx: Net, in_mat: Net) -> Network:
    onnx.save(export(in_onnx, dialect), folder / "net.onnx")
    mat.write(folder / "net.mat", {"net": in_mat})
    return bridge.load(folder / "net.onnx", factors=folder / "net.mat")


def with_mean(mean: NDArray, dense: Layer) -> Net:
    size = SIZE if dense is DENSE else (4, 5, 1)
    return Net("SeriesNetwork", (L.imageInputLayer(size, "in", "zerocenter", mean), dense))


@pytest.mark.parametrize("dialect", ["18.2.0", "19.1.5", "24.2.0"])
@pytest.mark.parametrize(
    ("in_onnx", "in_mat", "dense"),
    [
        (IMAGE, CHANNELS, DENSE),
        (CHANNELS, IMAGE, DENSE),
        (np.full((4, 5, 1), 7, np.float32), np.float32([[7]]), GRAY),
        (np.float32([[7]]), np.full((4, 5), 7, np.float32), GRAY),
    ],
    ids=["image in the onnx", "image in the mat", "gray image in the onnx", "gray image in the mat"],
)
def test_one_mean_for_each_channel_or_pixel(
    in_onnx: NDArray, in_mat: NDArray, dense: Layer, dialect: str, tmp_path: Path
) -> None:
    """A mean of each channel is the mean image whose pixels are all alike; the network has the .mat's."""
    network = joined(tmp_path, dialect, with_mean(in_onnx, dense), with_mean(in_mat, dense))
    np.testing.assert_array_equal(np.squeeze(network.layers["in"].Mean), np.squeeze(in_mat))
    assert network.notes[-1].endswith("weights equal bit for bit, 3 of 3")


@pytest.mark.parametrize("over_time", [False, True])
def test_statistics_of_vectors(over_time: bool, tmp_path: Path) -> None:
    kept: dict[str, Any] = {
        "AverageImage": np.arange(6, dtype=np.float32)[:, None],
        "StandardDeviation": np.full((6, 1), 2, np.float32),
    }
    first = (L.sequenceInputLayer if over_time else L.featureInputLayer)(6, "in", "zscore", **kept)
    net = Net("SeriesNetwork", (first, L.fullyConnectedLayer(RNG, "fc", 6, 2)))
    assert joined(tmp_path, "20.2.2", net, net).notes[-1].endswith("weights equal bit for bit, 4 of 4")


def test_a_mean_that_differs_in_one_pixel(tmp_path: Path) -> None:
    other = IMAGE.copy()
    other[1, 2, 0] += 4
    with pytest.raises(DifferenceError, match="Mean of layer 'in' differs from the .onnx by up to 4") as refused:
        joined(tmp_path, "19.1.5", with_mean(other, DENSE), with_mean(CHANNELS, DENSE))
    assert "1 of 60" in refused.value.cause


def test_the_products_of_a_projected_lstm_prove_nothing(tmp_path: Path) -> None:
    """The file holds W P' rounded to single precision: no array of the .mat is in it."""
    net: Any = Net("SeriesNetwork", (L.sequenceInputLayer(3, "in"), L.lstmProjectedLayer(RNG, "r", 3, 4, 2, 3)))
    with pytest.raises(DifferenceError, match="'r' is a projected LSTM, in the .onnx an LSTM") as refused:
        joined(tmp_path, "20.2.2", net, net)
    assert "import the .mat alone" in refused.value.hint
