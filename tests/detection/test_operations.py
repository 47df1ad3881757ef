"""What people do with a YOLO v2 on ResNet-50, on a copy with all its layers and fewer channels: six operations, one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge.detection import Detections, read_ground_truth
from bridge.network import Network
from bridge.networks import yolov2_layers
from fixtures import mat
from tests.detection.test_training import SIZE, scenes
from tests.networks.saved import saved, thin

FEATURE = "activation_40_relu"  # stride 16, as the documentation's example takes it
ANCHORS = ((8, 8), (4, 16))
OPTIONS = bridge.training_options("sgdm", MaxEpochs=2, MiniBatchSize=4, InitialLearnRate=1e-3, Verbose=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network, Network, Network]:
    """Read a network, build the detector on it, freeze the backbone, train: the folder, and the network at each stage."""
    folder = tmp_path_factory.mktemp("operations")
    mat.write(folder / "net.mat", {"net": saved(thin("resnet50"))})
    read = bridge.load(folder / "net.mat")
    built = yolov2_layers((SIZE, SIZE, 3), ["bar", "square"], ANCHORS, read, FEATURE).initialize(0)
    frozen = built.freeze([layer for layer in built.layers if not layer.name.startswith("yolov2")])
    table = scenes(folder, 8)
    network = bridge.train(frozen, table, OPTIONS).network
    assert network is not None
    return folder, read, frozen, network


def arrays(network: Network) -> dict[tuple[str, str], np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {(layer.name, name): np.asarray(each.value) for layer, name, each in network.learnables()}


def pictures(folder: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [bridge.images.imread(file) for file in read_ground_truth(folder / "boxes.csv").files]


def test_what_was_read_is_the_backbone(trained: tuple[Path, Network, Network, Network]) -> None:
    """Oracle: the arrays of the file; the head alone is new."""
    _, read, frozen, _ = trained
    own, built = arrays(read), arrays(frozen)
    kept = [key for key in built if not key[0].startswith("yolov2")]
    assert len(kept) > 80 and all(np.array_equal(built[key], own[key]) for key in kept)
    assert frozen.sizes["yolov2ClassConv"][0].size == (2, 2, 2 * (5 + 2))


def test_the_frozen_backbone_keeps_its_bits_and_the_head_learns(
    trained: tuple[Path, Network, Network, Network],
) -> None:
    _, _, frozen, network = trained
    before, after = arrays(frozen), arrays(network)
    for key, value in before.items():
        assert np.array_equal(after[key], value) != key[0].startswith("yolov2"), key


def test_it_detects(trained: tuple[Path, Network, Network, Network]) -> None:
    folder, _, _, network = trained
    found = network.to_detector().detect(pictures(folder), threshold=0.01)
    assert len(found) == 8 and all(each.scores.isfinite().all() and len(each.labels) for each in found)


@pytest.mark.parametrize("form", ["back.mat", "net.onnx", "folder"])
def test_the_way_back_and_out(trained: tuple[Path, Network, Network, Network], form: str, tmp_path: Path) -> None:
    """Oracle: the boxes before, bit for bit; factors too."""
    folder, _, _, network = trained
    path = tmp_path / form
    network.save(path) if form == "folder" else bridge.export(network, path, tell=lambda loss: None)
    again = bridge.load(path)
    assert all(map(same, *(each.to_detector().detect(pictures(folder), threshold=0.01) for each in (again, network))))
    rates = [[each.learn_rate_factor for _, _, each in held.learnables()] for held in (again, network)]
    assert rates[0] == rates[1] and {0.0, 1.0} <= set(rates[0])


def same(ours: Detections, theirs: Detections) -> bool:
    return (
        torch.equal(ours.boxes, theirs.boxes)
        and torch.equal(ours.scores, theirs.scores)
        and ours.labels == theirs.labels
    )
