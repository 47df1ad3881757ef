"""MATLAB's ``evaluateSemanticSegmentation``: how well predicted labels agree with the true ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.errors import UsageError

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class SegmentationMetrics:
    """The metrics of MATLAB's ``semanticSegmentationMetrics``, but for boundary scores.

    Attributes:
        ConfusionMatrix: pixels of class i (rows) predicted as class j (columns).
        DataSetMetrics: GlobalAccuracy, MeanAccuracy, MeanIoU and WeightedIoU of all images. A class without pixels
            counts in no mean.
        ClassMetrics: Accuracy and IoU of each class; NaN for a class without pixels (of IoU: that is predicted nowhere
            either).
    """

    ConfusionMatrix: NDArray[np.int64]
    DataSetMetrics: Mapping[str, float]
    ClassMetrics: Mapping[str, Mapping[str, float]]


def evaluateSemanticSegmentation(
    predicted: Iterable[Labels], truth: Iterable[Labels], classes: Sequence[str]
) -> SegmentationMetrics:
    """Compares label images, all of a data set together.

    Accuracy of a class is the share of its pixels that are predicted as it; IoU is TP / (TP + FP + FN); WeightedIoU
    weighs the classes by their pixels. Pixels that the truth leaves undefined are left out; one whose prediction is
    undefined is missed (unconfirmed).

    Args:
        predicted: label images H x W: the number of the class from 1, 0 for undefined.
        truth: as many of the same sizes.
        classes: the class names.

    Raises:
        UsageError: an image has another size than its truth, a label is no class, or no pixel has a label.
    """
    count = len(classes)
    matrix = np.zeros((count + 1, count + 1), np.int64)
    for number, (found, true) in enumerate(zip(predicted, truth, strict=True)):
        if found.shape != true.shape:
            error = f"image {number} is predicted as {found.shape}, its truth is {true.shape}"
            raise UsageError(error, "both have a label for each pixel", "resize one with 'nearest'")
        if min(found.min(), true.min()) < 0 or max(found.max(), true.max()) > count:
            error = f"image {number} has labels beyond 0 to {count}"
            raise UsageError(error, f"the classes are {', '.join(classes)}", "labels count from 1, 0 is undefined")
        matrix += np.bincount((true * (count + 1) + found).ravel().astype(np.intp), minlength=(count + 1) ** 2).reshape(
            count + 1, -1
        )
    labelled = matrix[1:]
    pixels, hits, guessed = labelled.sum(1), labelled[:, 1:].diagonal(), labelled[:, 1:].sum(0)
    if not pixels.any():
        raise UsageError("no pixel has a true label", "there is nothing to compare with", "check the label images")
    with np.errstate(invalid="ignore"):
        accuracy, iou = hits / pixels, hits / (pixels + guessed - hits)
    whole = {
        "GlobalAccuracy": hits.sum() / pixels.sum(),
        "MeanAccuracy": np.nanmean(accuracy),
        "MeanIoU": np.nanmean(iou),
        "WeightedIoU": np.nansum(iou * pixels) / pixels.sum(),
    }
    lines = zip(classes, accuracy, iou, strict=True)
    by_class = {name: {"Accuracy": float(hit), "IoU": float(overlap)} for name, hit, overlap in lines}
    return SegmentationMetrics(labelled[:, 1:], {name: float(value) for name, value in whole.items()}, by_class)
