"""YOLO v3 and v4. Oracles: loops in double precision written from the papers, torchvision's CIoU, boxes by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import complete_box_iou_loss

import bridge
from bridge import layers
from bridge.detection import Head, YOLOLoss, evaluate_detection_precision, read_ground_truth
from bridge.detection.yolo.decode import decode
from bridge.detection.yolo.loss import complete_overlap
from bridge.errors import UsageError
from bridge.network import Network
from fixtures import layers as L
from fixtures.layers import Net
from fixtures.objects import categorical, cell, row
from tests.detection.nets import Array, other_detector
from tests.detection.test_training import scenes
from tests.real import REAL, needs_real

HEADS = (Head(((6.0, 5.0), (12.0, 10.0)), (3, 4), (8, 8)), Head(((20.0, 30.0),), (2, 2), (12, 16)))
SIZE = (24, 32)
KINDS = ["yolov3ObjectDetector", "yolov4ObjectDetector"]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def outputs(seed: int, images: int, classes: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((images, len(head.anchors) * (5 + classes), *head.grid)) for head in HEADS]


def decoded(raw: list[Array], classes: int) -> list[tuple[list[float], float, list[float], list[float]]]:
    """Corners, raw objectness, raw classes, and the raw box, of every prediction of one image, head after head."""
    found = []
    for head, each in zip(HEADS, raw, strict=True):
        for r in range(head.grid[0]):
            for c in range(head.grid[1]):
                for k, (height, width) in enumerate(head.anchors):
                    first = k * (5 + classes)
                    tx, ty, tw, th, objectness, *rest = each[first : first + 5 + classes, r, c].tolist()
                    x, y = (sigmoid(tx) + c) * head.stride[1], (sigmoid(ty) + r) * head.stride[0]
                    w, h = math.exp(tw) * width, math.exp(th) * height
                    found.append(([x - w / 2, y - h / 2, x + w / 2, y + h / 2], objectness, rest, [tx, ty, tw, th]))
    return found


def test_decoding_equals_independent_numpy() -> None:
    raw = outputs(0, 2, 3)
    ours = decode([torch.from_numpy(each) for each in raw], HEADS)
    for image in range(2):
        theirs = decoded([each[image] for each in raw], 3)
        np.testing.assert_allclose(ours.corners[image], [each[0] for each in theirs], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(ours.objectness[image], [each[1] for each in theirs])
        np.testing.assert_array_equal(ours.classes[image], [each[2] for each in theirs])


def iou(a: list[float], b: list[float]) -> float:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def ciou(a: list[float], b: list[float]) -> float:
    around = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    shapes = (math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b))
    v = 4 / math.pi**2 * (next(shapes) - next(shapes)) ** 2
    return iou(a, b) - apart / around - v * v / (1 - iou(a, b) + v)


def place_of(box: list[float]) -> tuple[int, tuple[float, float], Head, tuple[int, int]]:
    """The number of the responsible prediction, its anchor, head and cell (column, row)."""
    width, height = box[2] - box[0], box[3] - box[1]
    best, offset = (-1.0, 0, (0.0, 0.0), HEADS[0], (0, 0)), 0
    for head in HEADS:
        column, row_ = int((box[0] + box[2]) / 2 / head.stride[1]), int((box[1] + box[3]) / 2 / head.stride[0])
        for k, (h, w) in enumerate(head.anchors):
            shared = min(h, height) * min(w, width)
            ratio = shared / (h * w + height * width - shared)
            if ratio > best[0]:
                number = offset + (row_ * head.grid[1] + column) * len(head.anchors) + k
                best = (ratio, number, (h, w), head, (column, row_))
        offset += head.grid[0] * head.grid[1] * len(head.anchors)
    return best[1], best[2], best[3], best[4]


def loss_by_loops(raw: list[Array], objects: list[list[tuple[list[float], int]]], kind: str, ignore: float) -> float:
    """Objects of each image: corners from 0 and class."""
    total = 0.0
    for image, held in enumerate(objects):
        found = decoded([each[image] for each in raw], 2)
        taken: dict[int, tuple[list[float], int]] = {}
        for box, label in held:
            taken.setdefault(place_of(box)[0], (box, label))
        for number, (corners, objectness, classes, t) in enumerate(found):
            log = math.log(1 + math.exp(objectness))
            if number not in taken:
                total += log if all(iou(corners, box) <= ignore for box, _ in held) else 0
                continue
            box, label = taken[number]
            total += log - objectness
            total += sum(math.log(1 + math.exp(c)) - (c if k == label else 0) for k, c in enumerate(classes))
            _, (h, w), head, (column, row_) = place_of(box)
            x, y = (box[0] + box[2]) / 2 / head.stride[1] - column, (box[1] + box[3]) / 2 / head.stride[0] - row_
            tw, th = math.log((box[2] - box[0]) / w), math.log((box[3] - box[1]) / h)
            wanted = (x, y, tw, th)
            got = (sigmoid(t[0]), sigmoid(t[1]), t[2], t[3])
            squared = sum((a - b) ** 2 for a, b in zip(got, wanted, strict=True)) / 2
            share = (box[2] - box[0]) * (box[3] - box[1]) / (SIZE[0] * SIZE[1])
            total += (2 - share) * (squared if kind == "squared" else 1 - ciou(corners, box))
    return total / len(objects)


@pytest.mark.parametrize(("kind", "ignore"), [("squared", 0.5), ("ciou", 0.7), ("ciou", 0.1)])
def test_the_losses_equal_loops_in_double_precision(kind: str, ignore: float) -> None:
    """Two images: objects of both heads, two objects with one prediction, an image with fewer."""
    objects = [
        [([2.0, 3.0, 8.0, 9.5], 1), ([2.5, 3.0, 8.0, 9.0], 0), ([1.0, 1.0, 30.0, 20.0], 0)],
        [([15.0, 10.0, 25.0, 22.0], 1)],
    ]
    targets = torch.full((2, 3, 5), -1.0, dtype=torch.float64)
    for image, held in enumerate(objects):
        for number, (box, label) in enumerate(held):
            left, top, right, bottom = box
            targets[image, number] = torch.tensor([left + 1, top + 1, right - left, bottom - top, label])
    raw = outputs(1, 2, 2)
    ours = YOLOLoss(HEADS, 2, SIZE, kind, ignore)([torch.from_numpy(each) for each in raw], targets)
    assert float(ours) == pytest.approx(loss_by_loops(raw, objects, kind, ignore), rel=1e-6)


def test_the_complete_overlap_is_torchvisions() -> None:
    """Oracle: torchvision.ops.complete_box_iou_loss, values and gradients."""
    generator = torch.Generator().manual_seed(0)
    corner, size = (torch.rand(2, 50, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    a, b = torch.cat([corner, corner + size + 0.1], -1)
    a.requires_grad_()
    ours, theirs = complete_overlap(a, b), 1 - complete_box_iou_loss(a, b)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)  # both keep a division finite in their own way
    mine = torch.autograd.grad(ours.sum(), a, retain_graph=True)[0]
    torch.testing.assert_close(mine, torch.autograd.grad(theirs.sum(), a)[0], rtol=1e-4, atol=1e-5)


# Objects


def saved(folder: Path, kind: str, **changed: Any) -> Path:
    """Write a detector with two heads, for one class."""
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((16, 16, 3), "input", "rescale-zero-one", **{key: np.full((1, 1, 3), value, np.float32) for key, value in (("Min", 0), ("Max", 255))}),
        L.convolution2dLayer(rng, "conv", (3, 3), 3, 4, padding=(1, 1, 1, 1)), L.convolution2dLayer(rng, "large", (1, 1), 4, 12),
        L.maxPooling2dLayer("pool", (2, 2), stride=(2, 2)), L.convolution2dLayer(rng, "small", (1, 1), 4, 6),
    )  # fmt: skip
    joined = (("input", "conv"), ("conv", "large"), ("conv", "pool"), ("pool", "small"))
    facts = {
        "Network": Net("dlnetwork", made, joined),
        "ClassNames": categorical(["car"]),
        "AnchorBoxes": cell([np.array([[8.0, 4.0], [6, 6]]), np.array([[2.0, 3.0]])]),
        "InputSize": row(16, 16, 3),
    }
    return other_detector(folder, kind, **{**facts, **changed})


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_of_two_heads(kind: str, tmp_path: Path, record_property: Any) -> None:
    """Oracle: the loops, on what the heads put out for the pixels 0..255, which the network itself rescales."""
    record_property("without oracle", f"a saved {kind} with several heads: no file of MATLAB's has been seen")
    network = bridge.load(saved(tmp_path, kind))
    detector = network.to_detector()
    assert [head.grid for head in detector.heads] == [(16, 16), (8, 8)] and detector.heads[1].stride == (2, 2)
    assert detector.anchors == ((8, 4), (6, 6), (2, 3)) and detector.classes == ("car",)
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    raw = network.to_torch()(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    found = detector.detect(image, threshold=0.3, select_strongest=False)
    wanted = []
    for head, each in zip(detector.heads, raw, strict=True):
        for r in range(head.grid[0]):
            for c in range(head.grid[1]):
                for k in range(len(head.anchors)):
                    t = each[0, 6 * k + 4 : 6 * k + 6, r, c].detach().double()
                    wanted.append(float(t.sigmoid().prod()))
    assert found.scores.tolist() == pytest.approx([score for score in wanted if score >= 0.3], abs=1e-6)
    again = bridge.load(network.save(tmp_path / "saved")).detect(image, threshold=0.3, select_strongest=False)
    assert torch.equal(found.boxes, again.boxes) and torch.equal(found.scores, again.scores)


@pytest.mark.parametrize(("changed", "told"), [
    ({"AnchorBoxes": row(8, 4)}, "anchors for 1"), ({"AnchorBoxes": cell([row(8, 4), row(1, 1)])}, "room for 1, 7 classes"),
    ({"ClassNames": categorical(["car", "bus"])}, "room for 1 classes"), ({"AnchorBoxes": cell([np.ones((5, 2)), row(1, 1)])}, "do not fit 'large'"),
])  # fmt: skip
def test_anchors_that_do_not_fit(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        bridge.load(saved(tmp_path, KINDS[1], **changed)).to_detector()
    assert caught.value.cause


# Training


def untrained(kind: str) -> Network:
    """Two heads of strides 4 and 8 on a small network for images of 32 x 32."""
    made: list[Any] = [layers.image_input((32, 32, 3), name="in", Normalization="none")]
    for number, (filters, stride) in enumerate(((16, 2), (24, 2), (24, 1)), 1):
        made += [
            layers.convolution2d(3, filters, name=f"conv{number}", Padding="same", Stride=stride),
            layers.batch_normalization(name=f"bn{number}"),
            layers.relu(name=f"relu{number}"),
        ]
    base = Network.assemble([*made, layers.convolution2d(1, 7, name="fine")])
    coarse = [layers.convolution2d(3, 24, name="conv4", Padding="same", Stride=2), layers.relu(name="relu4")]
    net = base.add([*coarse, layers.convolution2d(1, 7, name="coarse")]).connect("relu3", "conv4")
    facts = {"class": kind, "AnchorBoxes": (((8.0, 8.0),), ((4.0, 16.0),)), "ClassNames": ("bar", "square")}
    return replace(net, detector=facts, classes=("bar", "square")).initialize(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_learns_its_objects(kind: str, tmp_path: Path) -> None:
    """From labelled images over two heads, training and a saved folder to boxes, which must be those of the table."""
    truth = read_ground_truth(scenes(tmp_path, 16))
    options = bridge.training_options(
        "adam", MaxEpochs=200, MiniBatchSize=16, InitialLearnRate=0.01, Shuffle="every-epoch", Verbose=False,
        BatchNormalizationStatistics="moving", ResetInputNormalization=False,
    )  # fmt: skip
    start = untrained(kind)
    info = bridge.train(start, tmp_path / "boxes.csv", options)
    assert info.TrainingLoss[-1] < 0.2 * info.TrainingLoss[0]
    assert any("loss is that of the paper" in note for note in info.notes)
    assert info.network is not None
    trained = bridge.load(info.network.save(tmp_path / "saved"))
    images = [np.asarray(Image.open(file)) for file in truth.files]
    before, after = (
        evaluate_detection_precision(network.to_detector().detect(images, threshold=0.3), truth, ["bar", "square"])
        for network in (start, trained)
    )
    for name in ("bar", "square"):
        assert before[name].average_precision < 0.1 and after[name].average_precision > 0.5


# A real file


@needs_real
def test_a_real_yolov4_detector(tmp_path: Path) -> None:
    """Boxes and scores are finite, and the same of .mat, folder and .onnx; by loops they are the same to 1e-6."""
    network = bridge.load(REAL / "mat" / "yolov4_detector_V2_2025.mat")
    detector = network.to_detector().double()
    image = np.random.default_rng(0).integers(0, 256, (240, 240, 3), dtype=np.uint8)
    found = detector.detect(image, select_strongest=False)
    assert len(found.boxes) and bool(found.scores.isfinite().all())
    with torch.no_grad():
        raw = detector.model(torch.from_numpy(image).permute(2, 0, 1)[None].double())[0].numpy()
    wanted = []
    for r in range(8):
        for c in range(8):
            for k in range(3):
                t = raw[6 * k : 6 * k + 6, r, c]
                wanted.append(sigmoid(t[4]) * sigmoid(t[5]))
    np.testing.assert_allclose(found.scores, [score for score in wanted if score >= 0.5], rtol=0, atol=1e-6)
    again = bridge.load(network.save(tmp_path / "saved")).to_detector().double()
    assert torch.equal(again.detect(image).boxes, detector.detect(image).boxes)
    bridge.export(network, tmp_path / "net.onnx", tell=lambda loss: None)
    other = replace(bridge.load(tmp_path / "net.onnx"), detector=network.detector, classes=network.classes)
    np.testing.assert_allclose(other.detect(image).scores, detector.detect(image).scores, rtol=0, atol=1e-5)


@needs_real
def test_what_the_scale_of_pixels_was_read_off() -> None:
    """The means behind the first convolution are those of pixels of 0..1: a mean colour explains them to 1 %."""
    network = bridge.load(REAL / "mat" / "yolov4_detector_V2_2025.mat")
    conv, norm = network.layers["conv_1"], network.layers["batchnorm_1"]
    sums, means = conv.Weights.sum((0, 1)).T, np.ravel(norm.TrainedMean) - np.ravel(conv.Bias)
    color, *_ = np.linalg.lstsq(sums, means, rcond=None)
    assert np.std(means - sums @ color) < 0.01 * np.std(means) and (color > 0.5).all() and (color < 1).all()
