"""Detectors against boxes, scores and labels in a file. What stands for MATLAB's detect is the detector's own, changed by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from scipy.io import savemat

import bridge
from bridge.commands import main
from bridge.detection.detector import Detections, Detector
from bridge.errors import BridgeError, DifferenceError, UnreadableError, UsageError
from bridge.images import imresize
from bridge.network import Network
from bridge.parity.check import Check, check
from bridge.parity.detections import paired
from bridge.parity.references import Names
from fixtures import mat
from fixtures.objects import cell
from tests.detection.nets import detector

NDArray = np.ndarray[Any, Any]
DATA = Names(inputs="I", detections="bboxes,scores,labels", threshold=0.05)
Found = list[list[Any]]  # for each image boxes, scores, labels


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return detector(tmp_path)


@pytest.fixture
def images() -> list[NDArray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((40, 52), (32, 32), (64, 48))
    ]


def as_lists(found: list[Detections]) -> Found:
    return [
        [each.boxes.double().numpy().copy(), each.scores.double().numpy().copy(), list(each.labels)] for each in found
    ]


def write(path: Path, images: list[NDArray], found: Found) -> Path:
    """Save as MATLAB would: I, bboxes, scores and labels as cells, the labels categorical or text."""

    def cells(values: list[Any]) -> NDArray:
        made = np.empty((len(values), 1), object)
        for at, value in enumerate(values):
            made[at, 0] = value
        return made

    boxes, scores, labels = ([each[at] for each in found] for at in range(3))
    savemat(
        path,
        {
            "I": cells(images),
            "bboxes": cells(boxes),
            "scores": cells([s[:, None] for s in scores]),
            "labels": cells([cells(each) for each in labels]),
        },
    )
    return path


@pytest.fixture
def after(network: Network, images: list[NDArray], tmp_path: Path) -> Callable[..., Check]:
    """Check against what was detected, changed."""

    def checked(change: Callable[[Found], None] = lambda found: None, **options: Any) -> Check:
        found = as_lists(network.to_detector().detect(images, threshold=0.05))
        assert min(len(labels) for _, _, labels in found) >= 2
        change(found)
        return check(network, write(tmp_path / "data.mat", images, found), data=DATA, **options)

    return checked


def test_boxes_are_paired_by_overlap() -> None:
    """By hand: overlaps of 1, 0.6 (60 of 100) and 0.25; where two overlap one box the sum decides, and of two equals the label."""

    def found(*boxes: tuple[float, ...], labels: str = "") -> Detections:
        return Detections(
            torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
            torch.ones(len(boxes)),
            tuple(labels or "a" * len(boxes)),
        )

    theirs = found((1, 1, 10, 10), (50, 50, 10, 10), (100, 1, 10, 5))
    assert sorted(paired(found((50, 50, 10, 6), (1, 1, 10, 10), (100, 1, 5, 2.5)), theirs)) == [(0, 1), (1, 0)]
    assert paired(found(), theirs) == []
    left, right = (1, 1, 10, 10), (2, 1, 10, 10)
    assert sorted(paired(found(left, right), found(right, left))) == [(0, 1), (1, 0)]
    assert sorted(paired(found(left, left, labels="ab"), found(left, left, labels="ba"))) == [(0, 1), (1, 0)]


def test_what_was_detected_is_found_again(after: Callable[..., Check]) -> None:
    def shuffled(found: Found) -> None:
        boxes, scores, labels = found[0]
        found[0] = [boxes[::-1], scores[::-1], labels[::-1]]

    found = after(shuffled, profile="float32")
    assert found.passed and [each.layer for each in found.layers] == ["image 1", "image 2", "image 3"]
    matched = sum(each.elements for each in found.layers)
    assert found.verdict.startswith("PASSED 3 images") and found.verdict.endswith(
        f"; {matched} of {matched} detections matched"
    )


def moved(found: Found) -> None:
    found[1][0][found[1][0][:, 2].argmax(), 0] += 2


def off_by_one(found: Found) -> None:
    found[1][0][0] += [1, 0, -1, 0]


def relabelled(found: Found) -> None:
    found[2][2][0] = "bird" if found[2][2][0] == "drone" else "drone"


def dropped(found: Found) -> None:
    at = int(found[1][1].argmax())
    found[1] = [np.delete(found[1][0], at, 0), np.delete(found[1][1], at), found[1][2][:at] + found[1][2][at + 1 :]]


def weaker(found: Found) -> None:
    found[0][1][0] -= 0.01


def at_the_threshold(found: Found) -> None:
    """A box that only one side has, for its score is the threshold to rounding."""
    found[0] = [np.vstack([found[0][0], [1, 1, 3, 3]]), np.append(found[0][1], 0.05 + 1e-6), [*found[0][2], "bird"]]


@pytest.mark.parametrize(
    ("change", "image", "text"),
    [
        (moved, "image 2", "box ["),
        (relabelled, "image 3", "label '"),
        (dropped, "image 2", "of them the same"),
        (weaker, "image 1", "max |d| 1.0e-02"),
    ],
)
def test_what_differs_is_named(
    change: Callable[[Found], None], image: str, text: str, after: Callable[..., Check]
) -> None:
    found = after(change)
    assert not found.passed and found.verdict.startswith(f"FIRST DIVERGENCE {image}: ") and text in found.verdict, (
        found.verdict
    )
    assert found.explanation == "cause: none of the 5 known ones that were tried makes them agree"
    schema = json.loads((Path(__file__).parents[2] / "docs" / "check.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate({"schema": "bridge.check/1", **found.to_json()}, schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("change", [off_by_one, at_the_threshold])
def test_rounding_is_no_difference(change: Callable[[Found], None], after: Callable[..., Check]) -> None:
    assert after(change).passed


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        ("bilinear", "the images are resized by 'bilinear'"),
        ("BGR", "the channels of the images are BGR and not RGB"),
        ("twice", "boxes are rounded 'left and top twice'"),
        ("all", "weaker boxes that overlap stay (SelectStrongest is false)"),
    ],
)
def test_a_cause_is_named(cause: str, text: str, network: Network, images: list[NDArray], tmp_path: Path) -> None:
    theirs = network.to_detector(
        resize="bilinear" if cause == "bilinear" else None, rounding="left and top twice" if cause == "twice" else None
    )
    seen = [np.ascontiguousarray(each[..., ::-1]) for each in images] if cause == "BGR" else images
    path = write(
        tmp_path / "data.mat", images, as_lists(theirs.detect(seen, threshold=0.05, select_strongest=cause != "all"))
    )
    found = check(network, path, data=DATA)
    assert not found.passed and found.cause is not None and found.cause.text == text


# What bridgeReference saves


def record(path: Path, images: list[NDArray], theirs: Detector, overlap: float = 0.5) -> Path:
    """Save what a detector finds as bridgeReference does, with the steps on the way."""
    resized = [imresize(each, (32, 32), theirs.resize) for each in images]
    outputs = [theirs(theirs.prepare(each)[None])[0].detach().numpy().transpose(1, 2, 0) for each in resized]
    sets = {"": as_lists(theirs.detect(images, threshold=0.05, overlap=overlap))}
    sets["All"] = as_lists(theirs.detect(images, threshold=0.05, select_strongest=False))
    made = {
        f"{prefix}{name}": cell([cell(each[at]) if name == "Labels" else each[at] for each in found])
        for prefix, found in sets.items()
        for at, name in enumerate(("Boxes", "Scores", "Labels"))
    }
    told = {"Format": "bridge.detections/1", "Class": "yolov2ObjectDetector", "Threshold": 0.05}
    known = {"Images": cell(images), "Resized": cell(resized), "Outputs": cell(outputs), **made}
    mat.write(path, {"detections": {**told, **known}})
    return path


def shifted(network: Network) -> Network:
    """Return a network whose last convolution has another bias."""
    model = network.to_torch()
    with torch.no_grad():
        model.get_parameter("yolov2ClassConv.bias").add_(0.2)
    return network.with_weights(model)


def test_a_file_of_bridgeReference_is_checked_without_an_option(
    network: Network, images: list[NDArray], tmp_path: Path
) -> None:
    path = record(tmp_path / "found.mat", images, network.to_detector())
    found = check(network, path)
    assert found.passed and found.verdict.startswith("PASSED 3 images")
    with pytest.raises(DifferenceError, match="FIRST DIVERGENCE image 1"):
        check(shifted(network), path).require()


@pytest.mark.parametrize("step", ["resize", "network", "rounding", "suppression"])
def test_the_first_step_that_differs_is_the_cause(
    step: str, network: Network, images: list[NDArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MATLAB's side is ours with one step changed to what no known cause does."""
    theirs, overlap = network.to_detector(), 0.5
    if step == "resize":
        theirs.resize = "lanczos2"
    elif step == "network":
        theirs = shifted(network).to_detector()
    elif step == "rounding":
        theirs.family = replace(theirs.family, heads=(replace(theirs.heads[0], anchors=((6.0, 20.0), (12.0, 8.0))),))
    else:
        overlap = 0.1
    found = check(network, record(tmp_path / "found.mat", images, theirs, overlap))
    assert not found.passed and found.cause is not None and found.cause.name == step, found.explanation


def test_one_image_and_the_command(
    network: Network,
    images: list[NDArray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """MATLAB gives no cells for one image; labels are categorical."""
    from fixtures.objects import categorical

    ((boxes, scores, labels),) = as_lists(network.to_detector().detect(images[:1], threshold=0.05))
    names = sorted(set(labels))
    codes = categorical(names, [names.index(each) + 1 for each in labels])
    mat.write(tmp_path / "one.mat", {"I": images[0], "bboxes": boxes, "scores": scores[:, None], "labels": codes})
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "bridge",
            "check",
            str(network.source.path),
            str(tmp_path / "one.mat"),
            "--detections",
            "bboxes,scores,labels",
            "--threshold",
            "0.05",
        ],
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"{len(labels)} of {len(labels)} detections matched")


def stray(found: Found) -> None:
    found[0][2][0] = "plane"


def infinite(found: Found) -> None:
    found[1][1][0] = np.inf


def fewer(found: Found) -> None:
    found[1][1] = found[1][1][1:]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (stray, UsageError, "the label 'plane', which the detector has not"),
        (infinite, UnreadableError, "score of image 2 is NaN or infinite"),
        (fewer, UsageError, "scores and"),
        (lambda found: found.pop(), UsageError, "holds 2 cells, and there are 3 images"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: Callable[[Found], None], error: type[BridgeError], text: str, after: Callable[..., Check]
) -> None:
    with pytest.raises(error, match=text):
        after(change)


def test_other_calls_are_refused(network: Network, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names 2 variables"):
        check(network, Path(network.source.path), data=Names(detections="a,b"))
    savemat(
        tmp_path / "paths.mat",
        {"I": "image.png", "bboxes": np.zeros((0, 4)), "scores": np.zeros((0, 1)), "labels": np.zeros((0, 0), object)},
    )
    with pytest.raises(UsageError, match="what should be an image is none"):
        check(network, tmp_path / "paths.mat", data=DATA)
    with pytest.raises(UsageError, match="no dimensions NCT"):
        check(
            network, tmp_path / "paths.mat", data=Names(inputs="I", input_dims="NCT", detections="bboxes,scores,labels")
        )
    with pytest.raises(UsageError, match="finds no objects"):
        check(network.to_torch(), Path(network.source.path), data=DATA)
    with pytest.raises(UsageError, match="no detections to check against"):
        check(network, against=network, data=DATA)


def test_layers_of_a_detector_are_compared_without_classes(network: Network) -> None:
    """Its channels are boxes and scores, anchor by anchor: the largest of them means nothing."""
    found = bridge.check(network, against=network, profile="exact")
    assert found.passed and "classes" not in found.verdict and all(each.agreement is None for each in found.layers)
