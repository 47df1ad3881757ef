"""YOLO v2 detectors that MATLAB wrote, of each object version: read, decoded, and the same in every form they are written to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.ops

import bridge
from bridge.commands import main
from bridge.detection import Detections, Detector, family_of, select_strongest
from bridge.detection.yolov2.head import YOLOv2
from bridge.network import Network
from tests.detection.nets import Array, decoded
from tests.real import REAL, needs_real

FILES = {  # object version, order of AnchorBoxes
    "yolov2_detector_V1_2019": (1, "width height"),
    "yolov2_detector_2022": (4, "height width"),
    "yolov2_detector_V4_null_handle": (4, "height width"),
    "yolov2_detector_V5_dlnetwork_2025": (5, "height width"),
}
LOW = 1e-3  # a threshold that noise passes
pytestmark = needs_real


def path_of(name: str) -> Path:
    return REAL / "mat" / f"{name}.mat"


def pictures() -> list[Array]:
    """Return images of the network's size and of others, 8 and 16 bits."""
    rng = np.random.default_rng(0)
    sizes = ((128, 128), (97, 210), (300, 130))
    made: list[Array] = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [*made, rng.integers(0, 65536, (150, 140, 3), dtype=np.uint16)]


def raw(network: Network, x: torch.Tensor) -> torch.Tensor:
    """Return what the last convolution puts out, in double precision."""
    model = network.to_torch().double()
    seen: list[torch.Tensor] = []
    model.get_submodule("yolov2ClassConv").register_forward_hook(lambda module, given, put_out: seen.append(put_out))
    with torch.no_grad():
        model(x.double())
    return seen[0]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verb", ["inspect", "import"])
def test_it_is_shown_and_imported_without_an_option(
    name: str, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge", verb, str(path_of(name))])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code and "yolov2ClassConv" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_boxes_against_numpy_in_double_precision(name: str) -> None:
    """Oracle: loops in double-precision numpy, from the output of the last convolution to corners and scores; 1e-6 of a pixel."""
    network, (version, order) = bridge.load(path_of(name)), FILES[name]
    assert network.detector is not None and network.detector["Version"] == version
    family = family_of(network)
    assert isinstance(family, YOLOv2)
    boxes = network.detector["AnchorBoxes"]
    anchors = [box if order == "height width" else box[::-1] for box in boxes]
    x = torch.from_numpy(np.random.default_rng(1).random((2, 3, 128, 128)))
    convolved = raw(network, x)
    with torch.no_grad():
        corners, scores, labels = family.candidates(network.to_detector().double()(x))
    for at in range(2):
        ious, edges, shares = decoded(convolved[at].numpy(), anchors, len(family.classes), (128, 128))
        np.testing.assert_allclose(corners[at].numpy(), edges, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(scores[at].numpy(), ious * shares.max(1), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(labels[at].numpy(), shares.argmax(1))


@pytest.mark.parametrize("name", FILES)
def test_every_form_finds_the_same(name: str, tmp_path: Path) -> None:
    """Oracle: the detector of the .mat. A folder has the same bits; an .onnx holds the same arrays and facts, too."""
    network = bridge.load(path_of(name))
    found = network.to_detector().detect(pictures(), threshold=LOW)
    assert all(len(each.labels) > 0 and each.scores.isfinite().all() for each in found)
    bridge.export(network, tmp_path / "net.onnx", tell=lambda loss: None)
    for form in (network.save(tmp_path / "saved"), tmp_path / "net.onnx"):
        again = bridge.load(form).to_detector().detect(pictures(), threshold=LOW)
        assert all(map(same, again, found))


def same(ours: Detections, theirs: Detections) -> bool:
    pairs = (torch.equal(getattr(ours, name), getattr(theirs, name)) for name in ("boxes", "scores"))
    return all(pairs) and ours.labels == theirs.labels


@pytest.mark.parametrize("name", FILES)
def test_suppression_is_that_of_torchvision(name: str) -> None:
    """Oracle: torchvision.ops.batched_nms on all boxes of an image."""
    detector = bridge.load(path_of(name)).to_detector()
    for image in pictures():
        every = detector.detect(image, threshold=LOW, select_strongest=False)
        boxes, classes = every.boxes.double(), torch.tensor([detector.classes.index(each) for each in every.labels])
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        kept = torchvision.ops.batched_nms(corners, every.scores.double(), classes, 0.5).sort().values
        assert torch.equal(select_strongest(boxes, every.scores, classes, 0.5), kept) and 0 < len(kept) < len(boxes)


def test_the_versions_round_their_own_way() -> None:
    roundings = {name: bridge.load(path_of(name)).to_detector().rounding for name in FILES}
    assert roundings["yolov2_detector_V1_2019"] == "left and top twice"
    assert {rounding for name, rounding in roundings.items() if FILES[name][0] > 1} == {"down"}


def test_a_network_without_an_output_layer_keeps_the_factors_of_its_object() -> None:
    detector: Detector = bridge.load(path_of("yolov2_detector_V5_dlnetwork_2025")).to_detector()
    family: Any = detector.family
    assert family.loss_factors == (5, 1, 1, 1) and family.size == (128, 128, 3) and family.head.grid == (16, 16)
