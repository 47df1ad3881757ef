"""Detectors of R2017a to R2018 that look at regions: two networks read as one, and each of them alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bridge
from bridge.arrays.matlab import Object
from bridge.errors import UnreadableError
from bridge.readers.mat.faster_rcnn import anchor_boxes
from fixtures import detectors, mat
from fixtures import layers as L
from fixtures.objects import Obj, row
from tests.real import REAL, needs_real


@pytest.fixture
def path(tmp_path: Path) -> Path:
    mat.write(tmp_path / "detector.mat", {"detector": detectors.faster_rcnn()})
    return tmp_path / "detector.mat"


def changed(**fields: object) -> Obj:
    made = detectors.faster_rcnn()
    return replace(made, properties={**made.properties, **fields})


def test_both_networks_are_one(path: Path) -> None:
    """By hand: shared layers once, with the factors 0 of the network that finds regions; a layer between the two."""
    network = bridge.load(path)
    names = [layer.name for layer in network.layers]
    assert len(names) == len(set(names)) == 20
    assert network.layers["conv_1"].learnables["Weights"].frozen and network.layers["conv_1"].WeightL2Factor == 0
    assert network.layers["fc_reg"].WeightLearnRateFactor == 20
    regions = network.incoming["roi pooling layer"]
    assert [(each.source, each.destination_port) for each in regions] == [("relu_1", "in"), ("regionProposal", "roi")]
    scores = [(each.source, each.destination_port) for each in network.incoming["regionProposal"]]
    assert scores == [("softmax_1", "scores"), ("conv1x1 box regression (RPN)", "boxDeltas")]
    assert network.layers["regionProposal"].AnchorBoxes == (6, 12, 5, 10)
    assert set(network.outputs) == {"softmax_1", "conv1x1 box regression (RPN)", "softmax", "fc_reg"}
    assert network.classes == ("car", "Background") and network.detector is not None
    assert network.detector["MinBoxSizes"] == (6, 5) and "RegionProposalNetwork" not in network.detector
    assert any("read as one" in note for note in network.notes) and any("softmax_1" in note for note in network.notes)


def test_each_network_alone(path: Path) -> None:
    head = bridge.load(path, variable="detector.Network")
    assert [layer.row.constructor for layer in head.layers][-1] == "roiInputLayer"
    assert head.inputs == ("imageinput", "roiInput")
    proposals = bridge.load(path, variable="detector.RegionProposalNetwork")
    assert str(proposals.sizes["reshape"][0]) == "12×20×2"


def test_a_detector_is_meant_more_than_its_network_before_training(tmp_path: Path) -> None:
    """Also: two detectors in one file are told apart by their address."""
    made = detectors.faster_rcnn()
    mat.write(tmp_path / "workspace.mat", {"a": made, "b": made, "c": detectors.faster_rcnn(1)})
    with pytest.raises(bridge.BridgeError, match="3 networks"):
        bridge.load(tmp_path / "workspace.mat")
    assert bridge.load(tmp_path / "workspace.mat", variable="c").detector is not None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"LastSharedLayerIndex": 4.0}, "do not begin with the same layers"),
        ({"LastSharedLayerIndex": 0.0}, "do not begin with the same layers"),
        ({"MinBoxSizes": row(-1, 4)}, "no anchor boxes"),
        ({"MinBoxSizes": row(1, 4, 3)}, "no anchor boxes"),
        ({"NumBoxPyramidLevels": 1e9}, "no anchor boxes"),
        ({"BoxPyramidScale": -2.0}, "BoxPyramidScale"),
        ({"RegionProposalNetwork": detectors.faster_rcnn(1).properties["RegionProposalNetwork"]}, "different Weights"),
    ],
)
def test_what_does_not_fit_is_told(fields: dict[str, object], told: str, tmp_path: Path) -> None:
    mat.write(tmp_path / "detector.mat", {"detector": changed(**fields)})
    with pytest.raises(UnreadableError, match=told):
        bridge.load(tmp_path / "detector.mat")


def test_anchor_boxes_grow_by_level() -> None:
    """By hand."""
    made = anchor_boxes(
        Object("x", {"MinBoxSizes": row(4, 2), "BoxPyramidScale": row(1.5), "NumBoxPyramidLevels": row(3)}).properties
    )
    assert made == ((4, 2), (6, 3), (9, 4.5))


@pytest.mark.parametrize(("least", "kind"), [(0.0, "rescale-zero-one"), (-1.0, "rescale-symmetric"), (0.2, "rescale")])
def test_a_rescaled_input_of_2025(least: float, kind: str, tmp_path: Path) -> None:
    """The file names what values are scaled to, and not how MATLAB calls it."""
    image = L.imageInputLayer(
        (4, 4, 1), "in", "rescale", Min=row(0), Max=row(255), TargetMin=row(least), TargetMax=row(1)
    )
    mat.write(tmp_path / "net.mat", {"net": L.Net("dlnetwork", (image, L.reluLayer("relu")))})
    assert bridge.load(tmp_path / "net.mat").layers["in"].Normalization == kind


@needs_real
@pytest.mark.parametrize(
    ("file", "kind", "layers", "frozen"),
    [
        ("faster_rcnn_V1.5_vehicle_2018", "fasterRCNNObjectDetector", 22, 4),
        ("rcnn_detector_workspace", "rcnnObjectDetector", 15, 0),
        ("yolov4_detector_V2_2025", "yolov4ObjectDetector", 22, 0),
    ],
)
def test_real_detectors_are_read_without_an_option(
    file: str, kind: str, layers: int, frozen: int, tmp_path: Path
) -> None:
    network = bridge.load(REAL / "mat" / f"{file}.mat")
    assert network.detector is not None and network.detector["class"] == kind
    assert len(network.layers) == layers
    assert sum(each.frozen for _, _, each in network.learnables()) == frozen
    network.to_torch()
    network.save(tmp_path / "net")
    again = bridge.load(tmp_path / "net")
    assert (again.connections, again.detector, again.outputs) == (
        network.connections,
        network.detector,
        network.outputs,
    )
    for (_, _, one), (_, _, other) in zip(network.learnables(), again.learnables(), strict=True):
        np.testing.assert_array_equal(one.value, other.value)


@needs_real
def test_what_the_order_of_channels_was_read_off() -> None:
    """Facts of a real file: two scores of a box are each other's negative, and its largest four boxes never trained."""
    network = bridge.load(REAL / "mat" / "faster_rcnn_V1.5_vehicle_2018.mat")
    scores = network.layers["conv1x1"].Bias.reshape(24, 2)
    np.testing.assert_allclose(scores.sum(1), 0, atol=1e-7)
    deltas = network.layers["conv1x1 box regression (RPN)"].Bias.reshape(24, 4)
    assert not scores[-4:].any() and not deltas[-4:].any() and deltas[:20].any(1).all()
