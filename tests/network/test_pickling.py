"""Networks, layers and modules go to other processes: spawned workers, joblib, torch.save."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge.network import Network
from fixtures import mat, networks

FILES = Path(__file__).parents[2] / "fixtures" / "files"


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        made: np.ndarray = network.to_torch()(torch.from_numpy(x)).numpy()
    return made


@pytest.mark.parametrize("name", ["signs.mat", "signs.onnx", "segnet.mat", "drones.mat"])
def test_a_network_is_the_same_behind_a_pickle(name: str) -> None:
    network = bridge.load(FILES / name)
    back = pickle.loads(pickle.dumps(network))
    assert back.connections == network.connections and back.classes == network.classes and back.notes == network.notes
    for layer, other in zip(network.layers, back.layers, strict=True):
        assert (layer.name, layer.row, layer.properties) == (other.name, other.row, other.properties)
        for key, each in layer.learnables.items():
            assert np.array_equal(each.value, other.learnables[key].value)
            assert each.learn_rate_factor == other.learnables[key].learn_rate_factor
    assert pickle.loads(pickle.dumps(network.layers[1])).name == network.layers[1].name


def test_a_pickle_needs_no_file(tmp_path: Path) -> None:
    mat.write(tmp_path / "net.mat", {"net": networks.residual(1)})
    network = bridge.load(tmp_path / "net.mat")
    held, before = pickle.dumps(network), network.layers["conv1"].Weights.copy()
    (tmp_path / "net.mat").unlink()
    assert np.array_equal(pickle.loads(held).layers["conv1"].Weights, before)


def test_copies_read_nothing() -> None:
    network = bridge.load(FILES / "signs.mat")
    array = network.layers["conv_1"].learnables["Weights"].array
    assert copy.deepcopy(array) is array and copy.copy(array) is array


def test_a_spawned_worker_computes_the_same() -> None:
    network, x = bridge.load(FILES / "signs.mat"), np.full((1, 3, 32, 32), 100, np.float32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert np.array_equal(pool.apply(outputs, (network, x)), outputs(network, x))


@pytest.mark.parametrize("maker", ["residual", "chain_cnn", "squeeze", "lstm_classifier", "gru_classifier"])
def test_a_module_is_saved_whole(maker: str, tmp_path: Path) -> None:
    """By torch.save, as a user may: asymmetric padding and the factors of its parameters among it."""
    mat.write(tmp_path / "net.mat", {"net": getattr(networks, maker)(1)})
    model = bridge.load(tmp_path / "net.mat").to_torch()
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    back = torch.load(stream, weights_only=False)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
    factors = [[(each.name, each.factors) for each in bridge.learnables(made)] for made in (model, back)]
    assert factors[0] == factors[1]
