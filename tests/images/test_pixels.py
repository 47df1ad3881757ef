"""Label images, class weights and segmentation metrics against hand-computed values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.errors import UsageError
from bridge.images import (
    PixelCount,
    evaluateSemanticSegmentation,
    inverse_frequency,
    median_frequency,
    pixelLabelDatastore,
)

GRAY = [[[1, 1, 2], [1, 0, 2]], [[1, 1, 1], [7, 1, 1]]]
COLORS = {1: (128, 0, 0), 2: (0, 128, 0), 7: (0, 0, 128), 0: (0, 0, 0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, values in enumerate(GRAY):
        Image.fromarray(np.array(values, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_values_become_labels(folder: Path) -> None:
    """By hand: sky is 1, and 2 and 7 are both road."""
    store = pixelLabelDatastore(folder, {"sky": 1, "road": [2, 7]}, ignored=[0])
    assert store.classes == ("sky", "road") and len(store) == 2
    assert store.readimage(0).tolist() == [[1, 1, 2], [1, 0, 2]]
    assert store.readimage(1).tolist() == [[1, 1, 1], [2, 1, 1]]
    assert pixelLabelDatastore(folder, {"sky": 1}, ignored="others").readimage(1).tolist() == [[1, 1, 1], [0, 1, 1]]


def test_colours_become_labels(tmp_path: Path) -> None:
    colors = np.array([[COLORS[value] for value in row] for row in GRAY[1]], np.uint8)
    Image.fromarray(colors).save(tmp_path / "a.png")
    store = pixelLabelDatastore(tmp_path, {"road": [COLORS[2], COLORS[7]], "sky": COLORS[1]})
    assert store.readimage(0).tolist() == [[2, 2, 2], [1, 2, 2]]
    with pytest.raises(UsageError, match=re.escape("1 values that are no class: (0, 0, 128)")) as caught:
        pixelLabelDatastore(tmp_path, {"road": COLORS[2], "sky": COLORS[1]}).readimage(0)
    assert caught.value.cause == "1 of 6 pixels have them" and "ignored" in caught.value.hint
    with pytest.raises(UsageError, match=re.escape("is uint8 of shape (2, 3, 3)")):
        pixelLabelDatastore(tmp_path, {"sky": 1}).readimage(0)


def test_weights_of_classes(folder: Path) -> None:
    """By hand: 8 pixels of sky in two images of 6, 2 of road in one, 1 of car in one.

    Inverse frequency: 11 over each. f = 8/12, 2/6, 1/6, their median 1/3.
    """
    counts = pixelLabelDatastore(folder, {"sky": 1, "road": 2, "car": 7}, ignored=[0]).countEachLabel()
    assert counts == {"sky": PixelCount(8, 12), "road": PixelCount(2, 6), "car": PixelCount(1, 6)}
    assert inverse_frequency(counts) == {"sky": 11 / 8, "road": 11 / 2, "car": 11}
    assert median_frequency(counts) == pytest.approx({"sky": 0.5, "road": 1, "car": 2}, rel=1e-15)
    absent = pixelLabelDatastore(folder, {"sky": 1, "boat": 9}, ignored="others").countEachLabel()
    with pytest.raises(UsageError, match="class 'boat' has no pixels"):
        median_frequency(absent)


@pytest.mark.parametrize(
    ("identifiers", "ignored", "message"),
    [
        ({}, [], "the identifiers of the classes are {}"),
        ({"sky": 1, "road": 1}, [], "the label 1 stands for two classes"),
        ({"sky": 1}, [1], "the label 1 stands for two classes"),
        ({"sky": 1, "road": (2, 2, 2)}, [], "the identifiers of the classes are"),
        ({"sky": (1, 2)}, [], "the identifiers of the classes are"),
        ({"sky": [[1, 2, 3]]}, [], "the identifiers of the classes are"),
        ({"sky": -1}, [], "the identifiers of the classes are"),
        ({"sky": []}, [], "the identifiers of the classes are"),
        ({"sky": 1}, "rest", "ignored is 'rest'"),
    ],
)
def test_identifiers_are_checked(identifiers: dict, ignored: object, message: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        pixelLabelDatastore(folder, identifiers, ignored=ignored)


def test_metrics() -> None:
    """By hand. Of class 1: 3 of 4 pixels hit, 1 false: IoU 3/5. Of class 2: 2 of 3 hit, 1 false: IoU 2/4. Class 3 is nowhere."""
    truth, found = np.array([[1, 1, 1, 1], [2, 2, 2, 0]]), np.array([[1, 1, 1, 2], [2, 2, 1, 1]])
    metrics = evaluateSemanticSegmentation([found[:1], found[1:]], [truth[:1], truth[1:]], ["sky", "road", "car"])
    assert metrics.ConfusionMatrix.tolist() == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]
    expected = {
        "GlobalAccuracy": 5 / 7,
        "MeanAccuracy": (3 / 4 + 2 / 3) / 2,
        "MeanIoU": 0.55,
        "WeightedIoU": (4 * 0.6 + 3 * 0.5) / 7,
    }
    assert metrics.DataSetMetrics == pytest.approx(expected, rel=1e-15)
    assert metrics.ClassMetrics["sky"] == {"Accuracy": 0.75, "IoU": 0.6}
    assert np.isnan(metrics.ClassMetrics["car"]["IoU"])


def test_an_undefined_prediction_misses() -> None:
    metrics = evaluateSemanticSegmentation([np.array([[0, 1]])], [np.array([[1, 1]])], ["sky"])
    assert metrics.ClassMetrics["sky"] == {"Accuracy": 0.5, "IoU": 0.5}


def test_metrics_refuse_what_does_not_fit() -> None:
    one = np.ones((2, 2), int)
    with pytest.raises(UsageError, match=r"predicted as \(2, 2\), its truth is \(1, 2\)"):
        evaluateSemanticSegmentation([one], [one[:1]], ["sky"])
    with pytest.raises(UsageError, match="labels beyond 0 to 1"):
        evaluateSemanticSegmentation([one], [2 * one], ["sky"])
    with pytest.raises(UsageError, match="no pixel has a true label"):
        evaluateSemanticSegmentation([one], [0 * one], ["sky"])
