"""YOLO v2: files, decoding, detect; bad input. Nothing here has been compared with boxes that MATLAB's detect put out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import bridge
from bridge.detection import Detector, Head, family_of
from bridge.detection.boxes import to_pixels
from bridge.detection.yolov2.decode import decode
from bridge.detection.yolov2.head import YOLOv2
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.images import im2single, imresize
from bridge.network import Network
from bridge.parity import onnx_runtime
from fixtures import layers as L
from fixtures import mat, networks
from fixtures import onnx as onnx_file
from fixtures.layers import Layer, Net
from fixtures.objects import categorical
from tests.detection.nets import detections, detector, other_detector
from tests.real import REAL, needs_real

DETECTOR = REAL / "mat" / "yolov2_detector_2022.mat"
ANCHORS = ((12.0, 8.0), (6.0, 20.0))
CLASSES = ("bird", "drone")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def raw(network: Network, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the last convolution puts out for an image in the size of the network."""
    model = network.to_torch()
    seen: list[torch.Tensor] = []
    model.get_submodule("yolov2ClassConv").register_forward_hook(lambda module, given, put_out: seen.append(put_out))
    model(torch.from_numpy(im2single(image).transpose(2, 0, 1).copy())[None])
    return seen[0][0].detach().numpy().astype(np.float64)


def yolov2(network: Network) -> YOLOv2:
    found = family_of(network)
    assert isinstance(found, YOLOv2)
    return found


# Files


def test_a_saved_detector(tmp_path: Path) -> None:
    network = detector(tmp_path)
    assert network.classes == CLASSES and network.detector is not None and network.detector["AnchorBoxes"] == ANCHORS
    made = network.to_detector()
    assert (
        isinstance(made, Detector) and made.network is network and made.anchors == ANCHORS and made.classes == CLASSES
    )
    assert (
        isinstance(made.family, YOLOv2)
        and made.family.size == (32, 32, 3)
        and made.heads == (Head(ANCHORS, (8, 8), (4, 4)),)
        and made.family.loss_factors == (5, 1, 1, 1)
    )


def test_a_saved_folder_keeps_the_detector(tmp_path: Path) -> None:
    network = detector(tmp_path)
    again = bridge.load(network.save(tmp_path / "saved"))
    image = picture(40, 40)
    assert (
        again.detect(image, threshold=0.2).boxes.tolist() == network.detect(image, threshold=0.2).boxes.tolist() != []
    )


def test_the_network_alone_has_its_anchors_in_the_output_layer(tmp_path: Path) -> None:
    mat.write(tmp_path / "net.mat", {"net": networks.yolov2_network()})
    made = family_of(bridge.load(tmp_path / "net.mat"))
    assert made.heads[0].anchors == ANCHORS and made.classes == CLASSES


@pytest.mark.parametrize(("marked", "order", "height_first"), [
    (False, None, True), (True, None, False), (True, "height width", True), (False, "width height", False), (None, None, True),
])  # fmt: skip
def test_the_order_of_the_anchors(tmp_path: Path, marked: bool | None, order: str | None, height_first: bool) -> None:
    """[height width] as documented; what WH2HW means is unconfirmed, so it can be overruled, and is said."""
    network = detector(tmp_path, **({} if marked is None else {"WH2HW": marked}))
    if marked is None:
        assert network.detector is not None
        network = replace(
            network, detector={name: value for name, value in network.detector.items() if name != "WH2HW"}
        )
    made = family_of(network, order)
    assert made.heads[0].anchors == (ANCHORS if height_first else tuple(pair[::-1] for pair in ANCHORS))
    assert any("WH2HW" in note for note in made.notes) == (marked is True and order is None)


@pytest.fixture
def anchors(tmp_path: Path) -> Path:
    """The anchors of the fixture in a file."""
    path = tmp_path / "anchors.toml"
    path.write_text('AnchorBoxes = [[12, 8], [6, 20]]\nClassNames = ["bird", "drone"]\n', encoding="utf-8")
    return path


def same(ours: Network, own: Network) -> None:
    """Compare the detections of two networks with the same weights: boxes and labels exactly, scores to 1e-6."""
    image = picture(50, 70)
    found, wanted = ours.detect(image, threshold=0.25), own.detect(image, threshold=0.25)
    assert found.boxes.tolist() == wanted.boxes.tolist() and found.labels == wanted.labels and len(wanted.labels) > 0
    assert found.scores.numpy() == pytest.approx(wanted.scores.numpy(), abs=1e-6)


@pytest.mark.parametrize("dialect", ["18.1.0", "20.2.2", "24.2.0"])
def test_an_onnx_with_its_anchors_in_a_file(tmp_path: Path, anchors: Path, dialect: str) -> None:
    """An exported network ends before yolov2TransformLayer. Oracle: the detector of the .mat with the same weights."""
    onnx_file.write(tmp_path / "exported.onnx", networks.yolov2_exported(), dialect)
    network = bridge.load(tmp_path / "exported.onnx", anchors=anchors)
    assert network.classes == CLASSES and not yolov2(network).transformed and yolov2(network).head.anchors == ANCHORS
    same(network, detector(tmp_path))


def test_an_onnx_of_ones_own_export(tmp_path: Path, anchors: Path) -> None:
    """Its metadata hold the detector; without them the anchors come from the file, and the layer's arithmetic is in the graph."""
    whole = detector(tmp_path)
    bridge.export(whole, tmp_path / "own.onnx")
    same(bridge.load(tmp_path / "own.onnx"), whole)
    model = onnx.load(tmp_path / "own.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    bare = bridge.load(tmp_path / "bare.onnx", anchors=anchors)
    assert yolov2(bare).transformed
    same(bare, whole)


def continued(folder: Path, dialect: str, *nodes: onnx.NodeProto, **constants: list[int]) -> Path:
    """Write the exported network with nodes behind its last convolution, "yolov2ClassConv"; the last one makes the output."""
    path = folder / "continued.onnx"
    onnx_file.write(path, networks.yolov2_exported(), dialect)
    model = onnx.load(path)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()
    )
    model.graph.output[0].name = nodes[-1].output[0]
    onnx.save(model, path)
    return path


RAW = "yolov2ClassConv"
FORMS: dict[str, tuple[str, list[onnx.NodeProto], dict[str, list[int]]]] = {
    "three slices, softmax over the last axis": ("20.2.2", [
        helper.make_node("Slice", [RAW], ["a"], starts=[5 * 2], ends=[7 * 2], axes=[1]), helper.make_node("Reshape", ["a", "rows"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1]), helper.make_node("Softmax", ["c"], ["d"], axis=2),
        helper.make_node("Transpose", ["d"], ["e"], perm=[0, 2, 1]), helper.make_node("Reshape", ["e", "image"], ["f"]),
        helper.make_node("Slice", [RAW], ["g"], starts=[0], ends=[3 * 2], axes=[1]), helper.make_node("Sigmoid", ["g"], ["h"]),
        helper.make_node("Slice", [RAW], ["i"], starts=[3 * 2], ends=[5 * 2], axes=[1]), helper.make_node("Exp", ["i"], ["j"]),
        helper.make_node("Concat", ["h", "j", "f"], ["transform"], axis=1),
    ], {"rows": [0, 2, -1], "image": [-1, 4, 8, 8]}),
    "five parts, softmax over the classes": ("24.2.0", [
        helper.make_node("Split", [RAW, "parts"], ["iou", "x", "y", "wh", "raw"], axis=1), *(helper.make_node("Sigmoid", [n], [f"{n}_"]) for n in ("iou", "x", "y")),
        helper.make_node("Exp", ["wh"], ["wh_"]), helper.make_node("Reshape", ["raw", "by_anchor"], ["a"]), helper.make_node("Softmax", ["a"], ["b"], axis=1),
        helper.make_node("Reshape", ["b", "image"], ["c"]), helper.make_node("Concat", ["iou_", "x_", "y_", "wh_", "c"], ["transform"], axis=1),
    ], {"parts": [2, 2, 2, 4, 4], "by_anchor": [0, 2, 2, 8, 8], "image": [0, 4, 8, 8]}),
    "anchor by anchor": ("24.2.0", [
        helper.make_node("Reshape", [RAW, "by_anchor"], ["a"]), helper.make_node("Split", ["a", "parts"], ["b", "c", "d"], axis=1),
        helper.make_node("Sigmoid", ["b"], ["e"]), helper.make_node("Exp", ["c"], ["f"]), helper.make_node("Softmax", ["d"], ["g"], axis=1),
        helper.make_node("Concat", ["e", "f", "g"], ["h"], axis=1), helper.make_node("Shape", [RAW], ["shape"]), helper.make_node("Reshape", ["h", "shape"], ["i"]),
        helper.make_node("Identity", ["i"], ["transform"]),
    ], {"by_anchor": [0, 7, 2, 8, 8], "parts": [3, 2, 2]}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_transform_in_the_graph(tmp_path: Path, anchors: Path, form: str) -> None:
    """MATLAB's own form was not seen. Oracle: onnxruntime for the values, the detector of the .mat with the same weights for the boxes."""
    dialect, nodes, constants = FORMS[form]
    path = continued(tmp_path, dialect, *nodes, **constants)
    network = bridge.load(path, anchors=anchors)
    assert [layer.kind for layer in network.layers][-2:] == ["Convolution2DLayer", "YOLOv2TransformLayer"]
    assert network.layers[-1].NumAnchorBoxes == 2 and any("by what they compute" in note for note in network.notes)
    (image,) = onnx_runtime.sample_inputs(network)
    with torch.no_grad():
        ours = network.to_torch()(torch.from_numpy(image))
    torch.testing.assert_close(
        ours, torch.from_numpy(onnx_runtime.run(path, [image], ["transform"])["transform"]), rtol=1e-5, atol=1e-5
    )
    same(network, detector(tmp_path))


OTHER_ENDS = {
    "anchors slowest": ("24.2.0", [
        helper.make_node("Reshape", [RAW, "by_anchor"], ["a"]), helper.make_node("Split", ["a", "parts"], ["b", "c", "d"], axis=2),
        helper.make_node("Sigmoid", ["b"], ["e"]), helper.make_node("Exp", ["c"], ["f"]), helper.make_node("Softmax", ["d"], ["g"], axis=2),
        helper.make_node("Concat", ["e", "f", "g"], ["h"], axis=2), helper.make_node("Reshape", ["h", "image"], ["transform"]),
    ], {"by_anchor": [0, 2, 7, 8, 8], "parts": [3, 2, 2], "image": [0, 14, 8, 8]}),
    "softmax over all behind its axis": ("20.2.2", [
        helper.make_node("Reshape", [RAW, "by_anchor"], ["a"]), helper.make_node("Split", ["a"], ["b", "c", "d"], axis=1, split=[3, 2, 2]),
        helper.make_node("Sigmoid", ["b"], ["e"]), helper.make_node("Exp", ["c"], ["f"]), helper.make_node("Softmax", ["d"], ["g"], axis=1),
        helper.make_node("Concat", ["e", "f", "g"], ["h"], axis=1), helper.make_node("Reshape", ["h", "image"], ["transform"]),
    ], {"by_anchor": [0, 7, 2, 8, 8], "image": [0, 14, 8, 8]}),
    "something else": ("20.2.2", [helper.make_node("Relu", [RAW], ["transform"])], {}),
}  # fmt: skip


@pytest.mark.parametrize("end", OTHER_ENDS)
def test_another_end_is_no_transform(tmp_path: Path, anchors: Path, end: str) -> None:
    """Arrangements of other detectors, and what a softmax meant before opset 13, must not be taken for yolov2TransformLayer."""
    dialect, nodes, constants = OTHER_ENDS[end]
    network = bridge.load(continued(tmp_path, dialect, *nodes, **constants), anchors=anchors)
    with pytest.raises(UsageError, match="the network ends in 'transform'") as caught:
        network.detect(picture(32, 32))
    assert caught.value.cause and caught.value.hint


@pytest.mark.parametrize(("name", "operator", "domain"), [
    ("yolov2Transform", "Placeholder", "com.mathworks"), ("yolo_v2_transform", "Placeholder", "com.MathWorks"), ("last", "YOLOv2TransformLayer", "com.mathworks"),
])  # fmt: skip
def test_the_transform_as_a_placeholder(tmp_path: Path, anchors: Path, name: str, operator: str, domain: str) -> None:
    """What an exporter leaves that cannot write the layer. Oracle: the detector of the .mat with the same weights."""
    node = helper.make_node(operator, [RAW], ["transform"], name=name, domain=domain)
    network = bridge.load(continued(tmp_path, "19.2.1", node), anchors=anchors)
    assert network.layers[name].kind == "YOLOv2TransformLayer" and any(
        f"'{name}' is a {domain}::{operator}" in note for note in network.notes
    )
    same(network, detector(tmp_path))


def test_a_placeholder_of_another_name_is_not_guessed(tmp_path: Path, anchors: Path) -> None:
    node = helper.make_node("Placeholder", [RAW], ["transform"], name="custom", domain="com.mathworks")
    network = bridge.load(continued(tmp_path, "19.2.1", node), anchors=anchors)
    with pytest.raises(UsageError, match=r"the network ends in 'custom' \(com.mathworks::Placeholder\)"):
        network.detect(picture(32, 32))


@pytest.mark.parametrize(("text", "said"), [
    ("AnchorBoxes = 3", "AnchorBoxes is 3"), ("AnchorBoxes = [[1, 2], [3]]", "AnchorBoxes is"), ("AnchorBoxes = [[1, -2]]", "AnchorBoxes is"),
    ("AnchorBoxes = [[1, true]]", "AnchorBoxes is"), ("AnchorBoxes = [[inf, 1]]", "AnchorBoxes is"), ("", "AnchorBoxes is None"),
    ("Anchors = [[1, 2]]", "the key 'Anchors'"), ("AnchorBoxes = [[1, 2]]\nClassNames = 'car'", "ClassNames is 'car'"),
    ("AnchorBoxes = [[1, 2]]\nWH2HW = 1", "WH2HW is 1"), ("AnchorBoxes = [[", "cannot be read"),
])  # fmt: skip
def test_a_damaged_file_of_anchors(tmp_path: Path, text: str, said: str) -> None:
    mat.write(tmp_path / "net.mat", {"net": networks.yolov2_network()})
    (tmp_path / "anchors.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableError, match=said) as caught:
        bridge.load(tmp_path / "net.mat", anchors=tmp_path / "anchors.toml")
    assert caught.value.cause and caught.value.hint


def test_anchors_that_are_not_wanted_or_not_there(tmp_path: Path) -> None:
    network = detector(tmp_path)
    (tmp_path / "anchors.toml").write_text("AnchorBoxes = [[1, 2]]", encoding="utf-8")
    with pytest.raises(UsageError, match="has anchor boxes already"):
        bridge.load(network.source.path, anchors=tmp_path / "anchors.toml")
    with pytest.raises(UsageError, match="does not exist"):
        bridge.load(network.source.path, anchors=tmp_path / "none.toml")


@pytest.mark.parametrize(("changed", "said"), [
    ({"AnchorBoxes": np.array(ANCHORS[:1])}, "1 anchor boxes do not fit the 14 channels"),
    ({"AnchorBoxes": np.array([*ANCHORS, (9, 9)])}, "3 anchor boxes do not fit the 14 channels"),
    ({"AnchorBoxes": np.array(ANCHORS[:1]), "ClassNames": categorical(list("abcdefghi"))}, "1 anchor boxes, and 'yolov2Transform' is made for 2"),
    ({"ClassNames": categorical(["bird", "drone", "kite"])}, r"with 3 classes they need 2 x \(5 \+ 3\) = 16 channels"),
])  # fmt: skip
def test_anchors_and_classes_that_contradict_the_channels(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        detector(tmp_path, **changed).to_detector()


@pytest.mark.parametrize(
    "boxes",
    [
        np.array([[12.0, 0.0], [6, 20]]),
        np.array([[12.0, np.nan], [6, 20]]),
        "12 8",
        np.array([[12.0, 8, 1], [6, 20, 1]]),
    ],
)
def test_anchors_that_are_none(tmp_path: Path, boxes: Any) -> None:
    with pytest.raises(UnreadableError, match="the anchor boxes"):
        detector(tmp_path, AnchorBoxes=boxes).to_detector()


def test_a_network_that_is_no_detector(tmp_path: Path) -> None:
    mat.write(tmp_path / "net.mat", {"net": networks.chain_cnn()})
    with pytest.raises(UsageError, match="is no detector"):
        bridge.load(tmp_path / "net.mat").detect(picture(8, 8))


# Other detectors


def faster_rcnn(rng: np.random.Generator) -> Net:
    """The parts of a Faster R-CNN of one class as documented: region proposals, pooling over them, a class and a box head."""
    anchors, kind = 2, "nnet.cnn.layer."
    made = (
        L.imageInputLayer((16, 16, 3), "input", "none"), L.convolution2dLayer(rng, "conv", (3, 3), 3, 4, padding=(1, 1, 1, 1)), L.reluLayer("relu"),
        L.convolution2dLayer(rng, "rpnConvClass", (1, 1), 4, 2 * anchors), L.convolution2dLayer(rng, "rpnConvBoxes", (1, 1), 4, 4 * anchors),
        Layer("rpnSoftmax", kind + "RPNSoftmaxLayer", {}), Layer("rpnClassification", kind + "RPNClassificationLayer", {}),
        Layer("rpnBoxes", kind + "RCNNBoxRegressionLayer", {}), Layer("proposal", kind + "RegionProposalLayer", {"AnchorBoxes": np.array([[16.0, 16], [32, 16]])}),
        Layer("roiPool", kind + "ROIMaxPooling2DLayer", {"OutputSize": np.array([[2.0, 2.0]])}), L.fullyConnectedLayer(rng, "rcnnFC", (2, 2, 4), 2),
        L.softmaxLayer("rcnnSoftmax"), L.classificationLayer("rcnnClassification", ["car", "Background"]), L.fullyConnectedLayer(rng, "fcBoxes", (2, 2, 4), 4),
        Layer("boxes", kind + "RCNNBoxRegressionLayer", {}),
    )  # fmt: skip
    joined = (
        ("input", "conv"), ("conv", "relu"), ("relu", "rpnConvClass"), ("relu", "rpnConvBoxes"), ("relu", "roiPool/in"), ("rpnConvClass", "rpnSoftmax"),
        ("rpnSoftmax", "rpnClassification"), ("rpnSoftmax", "proposal/scores"), ("rpnConvBoxes", "rpnBoxes"), ("rpnConvBoxes", "proposal/boxDeltas"),
        ("proposal", "roiPool/roi"), ("roiPool", "rcnnFC"), ("roiPool", "fcBoxes"), ("rcnnFC", "rcnnSoftmax"), ("rcnnSoftmax", "rcnnClassification"),
        ("fcBoxes", "boxes"),
    )  # fmt: skip
    return Net("DAGNetwork", made, joined)


def test_faster_rcnn_loads_and_is_refused(tmp_path: Path, record_property: Any) -> None:
    record_property("without oracle", "a saved fasterRCNNObjectDetector: no file of MATLAB's has been seen")
    net = faster_rcnn(np.random.default_rng(0))
    path = other_detector(
        tmp_path,
        "fasterRCNNObjectDetector",
        Network=net,
        ClassNames=categorical(["car", "Background"]),
        AnchorBoxes=np.array([[16.0, 16], [32, 16]]),
    )
    network = bridge.load(path)
    assert (
        network.detector is not None
        and network.detector["AnchorBoxes"] == ((16.0, 16.0), (32.0, 16.0))
        and network.classes == ("car", "Background")
    )
    assert [layer.name for layer in network.layers] == [layer.name for layer in net.layers]
    assert network.layers["rcnnFC"].learnables["Weights"].array.size == 2 * 2 * 4 * 2 and network.layers[
        "roiPool"
    ].inputs == ("in", "roi")
    with pytest.raises(UnsupportedError, match="detection with a fasterRCNNObjectDetector") as caught:
        network.to_detector()
    assert caught.value.exit_code == 3
    scores, deltas, classes, boxes = network.to_torch()(torch.rand(2, 3, 16, 16))
    assert (scores.shape, deltas.shape) == ((2, 2, 16, 32), (2, 8, 16, 16))
    assert classes.shape[1] == 2 and boxes.shape == (len(classes), 4)


# Decoding


HEAD = Head(ANCHORS, (2, 3), (16, 16))


def test_one_box_by_hand() -> None:
    """Cell (row 1, column 2) of strides 16 and 16, anchor 2 of [6 20]: x 0.25, y 0.5 -> centre (36, 24); w 0.5, h 2 -> 10 x 12."""
    output = torch.zeros(1, 14, 2, 3)
    for quantity, value in enumerate((0.75, 0.25, 0.5, 0.5, 2.0, 0.25, 0.75)):
        output[0, 2 * quantity + 1, 1, 2] = value
    corners, scores, labels = decode(output, HEAD.anchors, HEAD.stride)
    at = (1 * 3 + 2) * 2 + 1  # rows, columns, anchors
    assert scores[0, at] == 0.75 * 0.75 and labels[0, at] == 1
    assert corners[0, at].tolist() == [31, 18, 41, 30]
    assert to_pixels(corners[0, at], (32, 48), (32, 48)).tolist() == [31, 18, 11, 13]


@pytest.mark.parametrize(("corners", "size", "box"), [
    ([3.2, 4.9, 10.7, 20.1], (32, 48), [3, 4, 8, 17]),
    ([3.2, 4.9, 10.7, 20.1], (64, 24), [1, 9, 5, 32]),  # scaled by 1/2 and 2: 1.6, 9.8, 5.35, 40.2
    ([-9.0, 0.4, 60.0, 90.0], (32, 48), [1, 1, 48, 32]),
    ([50.0, -8.0, 60.0, -2.0], (32, 48), [48, 1, 1, 1]),
    ([float("-inf"), 1.0, float("inf"), 2.0], (32, 48), [1, 1, 48, 2]),
])  # fmt: skip
def test_pixels_by_hand(corners: list[float], size: tuple[int, int], box: list[int]) -> None:
    assert to_pixels(torch.tensor(corners), (32, 48), size).tolist() == box


@pytest.mark.parametrize("size", [(32, 32), (60, 90), (21, 40)])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.3])
def test_detections_of_the_fixture(tmp_path: Path, size: tuple[int, int], threshold: float) -> None:
    """Oracle: double-precision numpy on the output of the last convolution. Its boxes and labels, exactly; scores to 1e-6."""
    network, image = detector(tmp_path), picture(*size)
    resized = imresize(image, (32, 32), "bicubic")
    wanted = detections(raw(network, resized), ANCHORS, CLASSES, (32, 32), size, threshold)
    found = network.detect(image, threshold=threshold)
    assert [tuple(box) for box in found.boxes.tolist()] == [box for _, _, box in wanted] and found.labels == tuple(
        label for _, label, _ in wanted
    )
    assert found.scores.numpy() == pytest.approx(np.array([score for score, _, _ in wanted]), abs=1e-6)
    assert len(wanted) > 0 and found.boxes.dtype == torch.int64


@needs_real
def test_detections_of_a_detector_from_matlab() -> None:
    """Oracle: as above. The file brings no images, so what MATLAB itself would detect is not compared."""
    network, image = bridge.load(DETECTOR), picture(200, 300)
    anchors = ((8.0, 8.0), (32.0, 48.0), (40.0, 24.0), (72.0, 48.0))
    wanted = detections(
        raw(network, imresize(image, (128, 128), "bicubic")), anchors, ("data_drone",), (128, 128), (200, 300), 1e-3
    )
    found = network.detect(image, threshold=1e-3)
    same = [tuple(box) == other for box, (_, _, other) in zip(found.boxes.tolist(), wanted, strict=True)]
    assert sum(same) >= len(same) - 1 > 10, (
        "a corner within single precision of a whole number may be rounded to the other side"
    )


def test_images_of_any_kind_give_the_same(tmp_path: Path) -> None:
    made = detector(tmp_path).to_detector()
    image = picture(32, 32)
    wanted = made.detect(image, threshold=0.2)
    for same in (image.astype(np.uint16) * 257, im2single(image), torch.from_numpy(image.transpose(2, 0, 1).copy())):
        found = made.detect(same, threshold=0.2)
        assert torch.equal(found.boxes, wanted.boxes) and found.labels == wanted.labels


def test_a_batch_is_its_images_one_by_one(tmp_path: Path) -> None:
    made = detector(tmp_path).to_detector()
    images = [picture(20 + 5 * seed, 50, seed) for seed in range(5)]
    together = made.detect(images, threshold=0.25)
    assert len(together) == 5 and made.detect([]) == []
    for image, found in zip(images, together, strict=True):
        alone = made.detect(image, threshold=0.25)
        assert torch.equal(alone.boxes, found.boxes) and alone.scores.numpy() == pytest.approx(
            found.scores.numpy(), abs=1e-6
        )


def test_nothing_found_is_no_error(tmp_path: Path) -> None:
    boxes, scores, labels = detector(tmp_path).detect(picture(32, 32), threshold=1.0)
    assert boxes.shape == (0, 4) and scores.shape == (0,) and labels == ()


def test_without_suppression_all_boxes_stay(tmp_path: Path) -> None:
    found = detector(tmp_path).detect(picture(32, 32), threshold=0.0, select_strongest=False)
    assert len(found.boxes) == 8 * 8 * 2


def test_the_detector_moves_and_changes_precision_as_a_module(tmp_path: Path) -> None:
    """The other precision stands for the other device: everything that decoding makes must follow the output."""
    made = detector(tmp_path).to_detector()
    image = picture(32, 32)
    assert torch.equal(made.detect(image, threshold=0.25).boxes, made.double().detect(image, threshold=0.25).boxes)
    assert made.to("meta")(torch.zeros(2, 3, 32, 32, device="meta", dtype=torch.float64)).shape == (2, 14, 8, 8)
    output = torch.empty(2, 14, 8, 8, device="meta")
    assert decode(output, made.anchors, made.heads[0].stride)[0].device.type == "meta"


def test_broken_numbers_are_no_boxes(tmp_path: Path) -> None:
    made = detector(tmp_path).to_detector()
    next(made.parameters()).data.fill_(float("nan"))
    assert made.detect(picture(32, 32), threshold=0.0).labels == ()


@pytest.mark.parametrize(("image", "said"), [
    (np.zeros((8, 8), np.uint8), "1 channel, the network takes 3"), (np.zeros((8, 8, 4), np.uint8), "4 channels"), (torch.zeros(1, 8, 8), "1 channel,"),
    (np.zeros((8, 8, 3, 2), np.uint8), "4 dimensions"), (np.zeros((8, 8, 3), np.int16), "type int16"), (np.full((8, 8, 3), 255.0), "values from 255 to 255"),
    (np.full((8, 8, 3), np.nan), "values from nan"), (np.full((8, 8, 3), -0.1), "values from -0.1"), (torch.zeros(3, 8, 8, dtype=torch.int32), "torch.int32"),
])  # fmt: skip
def test_images_that_do_not_fit(tmp_path: Path, image: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        detector(tmp_path).detect(image)
    assert caught.value.cause and caught.value.hint


@pytest.mark.parametrize(
    "options", [{"threshold": 1.5}, {"threshold": -0.1}, {"overlap": 2}, {"threshold": float("nan")}]
)
def test_options_beyond_their_range(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="it lies between 0 and 1"):
        detector(tmp_path).detect(picture(8, 8), **options)


@pytest.mark.parametrize(("options", "said"), [
    ({"treshold": 0.5}, "no option 'treshold'"), ({"min_size": (0, 1)}, "min_size is"), ({"max_size": (1,)}, "max_size is"), ({"mini_batch_size": 0}, "from 1"),
    ({"roi": (1, 1, 9, 8)}, "the roi is"), ({"roi": (0, 1, 2, 2)}, "the roi is"), ({"roi": (1.5, 1, 2, 2)}, "the roi is"), ({"roi": (1, 1, 8)}, "the roi is"),
])  # fmt: skip
def test_options_that_are_none(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        detector(tmp_path).detect(picture(8, 8), **options)


def test_a_region_of_an_image(tmp_path: Path) -> None:
    """Oracle: the boxes in the part that is cut out, moved by hand to where it lies."""
    made, image = detector(tmp_path).to_detector(), picture(60, 80)
    found = made.detect(image, (11, 21, 40, 30), threshold=0.25)
    alone = made.detect(image[20:50, 10:50], threshold=0.25)
    assert torch.equal(found.boxes, alone.boxes + torch.tensor([10, 20, 0, 0])) and len(found.labels) > 0
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    assert torch.equal(made.detect(tensor, (11, 21, 40, 30), threshold=0.25).boxes, found.boxes)
    whole = made.detect(image, (1, 1, 80, 60), threshold=0.25)
    assert torch.equal(whole.boxes, made.detect(image, threshold=0.25).boxes)


def test_the_size_of_boxes(tmp_path: Path) -> None:
    """By hand: (height, width) of [x y w h]; with all boxes left it is a filter."""
    made, image = detector(tmp_path).to_detector(), picture(60, 80)
    boxes = made.detect(image, threshold=0.0, select_strongest=False).boxes
    for option, wanted in (
        ({"min_size": (20, 10)}, (boxes[:, 3] >= 20) & (boxes[:, 2] >= 10)),
        ({"max_size": (20, 10)}, (boxes[:, 3] <= 20) & (boxes[:, 2] <= 10)),
    ):
        found = made.detect(image, threshold=0.0, select_strongest=False, **option)
        assert torch.equal(found.boxes, boxes[wanted]) and 0 < len(found.boxes) < len(boxes)


def test_mini_batches_change_no_box(tmp_path: Path) -> None:
    made, images = detector(tmp_path).to_detector(), [picture(32, 32, seed) for seed in range(5)]
    one, all_at_once = (made.detect(images, threshold=0.25, mini_batch_size=size) for size in (1, 5))
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(one, all_at_once, strict=True))


def test_a_network_trained_on_other_values_says_so(tmp_path: Path) -> None:
    """An input layer with a mean of 0..255 subtracts it from images of 0..1, as it would in MATLAB."""
    rng = np.random.default_rng(0)
    first = L.imageInputLayer((8, 8, 3), "input", "zerocenter", **L.input_statistics(rng, "zerocenter", (1, 1, 3)))
    made = (
        first,
        L.convolution2dLayer(rng, "conv", (1, 1), 3, 6),
        L.yolov2TransformLayer("t", 1),
        L.yolov2OutputLayer("out", [(4, 4)], ["car"]),
    )
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", made)})
    notes = family_of(bridge.load(tmp_path / "net.mat")).notes
    assert len(notes) == 1 and "scales images to 0..1" in notes[0]


def test_a_branch_of_a_finer_grid(tmp_path: Path) -> None:
    """spaceToDepthLayer joins features of twice the size, as a reorg layer does. Oracle: onnxruntime on what our exporter writes."""
    signs = bridge.load("fixtures/files/signs.mat")
    head = bridge.networks.yolov2_layers((32, 32, 3), CLASSES, ANCHORS, signs, "maxpool_2")
    branch = [bridge.layers.space_to_depth(2, name="reorg"), bridge.layers.depth_concatenation(2, name="joined")]
    cut = head.disconnect("maxpool_2", "yolov2Conv1").add(branch[0]).add(branch[1])
    for source, destination in (
        ("relu_2", "reorg"),
        ("maxpool_2", "joined/in1"),
        ("reorg", "joined/in2"),
        ("joined", "yolov2Conv1"),
    ):
        cut = cut.connect(source, destination)
    network = cut.initialize(0)
    assert network.sizes["joined"][0].size == (8, 8, 5 * network.sizes["maxpool_2"][0].size[2])
    path = bridge.export(network, tmp_path / "net.onnx", tell=lambda loss: None).paths[0]
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (theirs,) = onnx_runtime.run(path, [x.numpy()], [onnx.load(path).graph.output[0].name]).values()
    assert network.to_torch()(x).detach().numpy() == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    found = network.detect(picture(50, 70), threshold=0.1)
    assert len(found.labels) > 0 and set(found.labels) <= set(CLASSES)


# Object versions


@pytest.mark.parametrize(
    ("version", "marked", "height_first"), [(1, None, False), (1, True, False), (4, False, True), (5, None, True)]
)
def test_the_order_of_the_anchors_by_version(
    tmp_path: Path, version: int, marked: bool | None, height_first: bool
) -> None:
    """Version 1 (R2019a) held [width height] before there was a WH2HW (read off a box that MATLAB stored), later ones [height width]."""
    given = {} if marked is None else {"WH2HW": marked}
    network = detector(tmp_path)
    facts = {name: value for name, value in (network.detector or {}).items() if name != "WH2HW"}
    made = family_of(replace(network, detector={**facts, "Version": version, **given}))
    assert made.heads[0].anchors == (ANCHORS if height_first else tuple(pair[::-1] for pair in ANCHORS))


def test_a_box_of_version_1_by_hand() -> None:
    """The corners of the one box with a stored answer, [146 181 113 32] in an image of 332 x 400 for a network of 128 x 128: left and
    top are rounded down in the network's input first; a box rounded once is [149 183 110 30].
    """
    corners = torch.tensor([149.0, 183.3, 258.1, 212.9]) / torch.tensor([400 / 128, 332 / 128]).repeat(2)
    assert to_pixels(corners, (128, 128), (332, 400), "left and top twice").tolist() == [146, 181, 113, 32]
    assert to_pixels(corners, (128, 128), (332, 400)).tolist() == [149, 183, 110, 30]


def test_an_output_layer_of_the_first_release_is_told(tmp_path: Path) -> None:
    """Its anchors were [width height] in the one object of that release that was seen; alone they are read as documented."""
    mat.write(tmp_path / "net.mat", {"net": networks.yolov2_network()})
    network = bridge.load(tmp_path / "net.mat")
    assert not any("R2019a" in note for note in family_of(network).notes)
    last = network.layers[-1]
    old = replace(last, properties={name: each for name, each in last.properties.items() if name != "NumClasses"})
    alone = network.with_layers({last.name: old})
    assert any("R2019a" in note for note in family_of(alone).notes)
    assert not any("R2019a" in note for note in family_of(alone, "width height").notes)
