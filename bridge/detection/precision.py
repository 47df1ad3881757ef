"""How good a detector is: average precision, as evaluateDetectionPrecision measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bridge.arrays.lazy import NDArray
from bridge.detection.boxes import overlap_ratio
from bridge.detection.detector import Detections
from bridge.detection.ground_truth import GroundTruth
from bridge.errors import UsageError


@dataclass(frozen=True)
class Precision:
    """Precision over recall of one class, with decreasing score.

    Attributes:
        average_precision: the area under it, NaN where the class has no object.
        recall: 0, then the share of the objects that are found by the first, the first two, ... detections.
        precision: 1, then the share of these detections that find an object.
    """

    average_precision: float
    recall: NDArray
    precision: NDArray


def evaluate_detection_precision(
    detections: Sequence[Detections], truth: GroundTruth, classes: Sequence[str], *, overlap: float = 0.5
) -> dict[str, Precision]:
    """Measure detections against objects, for each class.

    In each image the detections of a class are taken from the strongest on; each finds the object of its class that it
    overlaps most, of those that no stronger one has found, if the intersection over union is at least `overlap`. The
    area under the curve is the sum of precision times gain of recall, without interpolation. Both follow the
    documentation's words and are unconfirmed against a number.

    Args:
        detections: one for each image.
        truth: the objects.
        classes: which classes to measure.
        overlap: MATLAB's threshold.

    Raises:
        UsageError: not one for each image.
    """
    if len(detections) != len(truth):
        raise UsageError(
            f"{len(detections)} detections for {len(truth)} images",
            "each image has its own",
            "detect in all images of the ground truth",
        )
    return {name: _of_class(detections, truth, name, overlap) for name in classes}


def _of_class(detections: Sequence[Detections], truth: GroundTruth, name: str, overlap: float) -> Precision:
    scores, hits, objects = [np.empty(0)], [np.empty(0, bool)], 0
    for found, boxes, labels in zip(detections, truth.boxes, truth.labels, strict=True):
        wanted = boxes[[label == name for label in labels]]
        chosen = torch.tensor([label == name for label in found.labels], dtype=torch.bool)
        strength = found.scores.detach().cpu()[chosen].double().numpy()
        ratios = overlap_ratio(found.boxes.cpu()[chosen].double(), torch.from_numpy(wanted).double()).numpy()
        scores.append(strength)
        hits.append(_hits(ratios, np.argsort(-strength, kind="stable"), overlap))
        objects += len(wanted)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit = np.concatenate(hits)[order]
    right = np.cumsum(hit)
    precision = right / np.arange(1, len(hit) + 1)
    recall = right / objects if objects else np.full(len(hit), np.nan)
    area = float(precision[hit].sum() / objects) if objects else float("nan")
    return Precision(area, np.concatenate([[0.0], recall]), np.concatenate([[1.0], precision]))


def _hits(ratios: NDArray, order: NDArray, overlap: float) -> NDArray:
    """Return whether each detection finds an object that no stronger one has found."""
    hit, free = np.zeros(len(ratios), bool), ratios.copy()
    for index in order if ratios.shape[1] else ():
        best = int(free[index].argmax())
        if free[index, best] >= overlap:
            hit[index] = True
            free[:, best] = -1
    return hit
