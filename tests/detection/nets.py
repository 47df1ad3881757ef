"""Detectors for the tests, and MATLAB's decoding written down once more in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import bridge
from bridge.network import Network
from fixtures import mat, networks
from fixtures.objects import Obj

Array = np.ndarray[Any, Any]
Row = tuple[float, str, tuple[int, int, int, int]]  # score, label, box


def detector(folder: Path, seed: int = 0, **changed: Any) -> Network:
    """Return the Network of a saved yolov2ObjectDetector, some of its properties changed."""
    made = networks.yolov2_detector(seed)
    mat.write(folder / "detector.mat", {"detector": replace(made, properties={**made.properties, **changed})})
    return bridge.load(folder / "detector.mat")


def other_detector(folder: Path, class_name: str, **properties: Any) -> Path:
    """Write a detector object of another class; no real file of one has been seen."""
    mat.write(folder / "other.mat", {"detector": Obj(class_name, properties, saveobj=True)})
    return folder / "other.mat"


def decoded(
    raw: Array, anchors: Sequence[tuple[float, float]], classes: int, net_size: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Decode the channels of the last convolution, C x rows x columns, one box at a time, in double precision.

    Written from the description alone: sigmoid on iou, x and y, exp on w and h, softmax over the classes; anchors [height width].
    Returns iou, corners (left, top, right, bottom) in pixels of the network's input, and probabilities.
    """
    count, (_, rows, columns) = len(anchors), raw.shape
    stride_y, stride_x = net_size[0] / rows, net_size[1] / columns
    ious, corners, probabilities = list[float](), list[list[float]](), list[list[float]]()
    for row in range(rows):
        for column in range(columns):
            for a, (height, width) in enumerate(anchors):
                iou, x, y = (1 / (1 + math.exp(-raw[q * count + a, row, column])) for q in range(3))
                w, h = (math.exp(raw[q * count + a, row, column]) for q in (3, 4))
                shares = [math.exp(raw[(5 + c) * count + a, row, column]) for c in range(classes)]
                across, down = (x + column) * stride_x, (y + row) * stride_y
                ious.append(iou)
                corners.append(
                    [
                        across - w * width / 2,
                        down - h * height / 2,
                        across + w * width / 2,
                        down + h * height / 2,
                    ]
                )
                probabilities.append([share / sum(shares) for share in shares])
    return np.array(ious), np.array(corners), np.array(probabilities)


def detections(raw: Array, anchors: Sequence[tuple[float, float]], classes: Sequence[str], net_size: tuple[int, int], image_size: tuple[int, int],
               threshold: float = 0.5, overlap: float = 0.5) -> list[Row]:  # fmt: skip
    """Return what `decoded` finds in an image: scaled to it, clipped to 1 and its size, rounded down; greedy suppression within a class."""
    found: list[Row] = []
    for iou, edges, shares in zip(
        *(each.tolist() for each in decoded(raw, anchors, len(classes), net_size)), strict=True
    ):
        best = max(range(len(classes)), key=lambda c: shares[c])
        score = iou * shares[best]
        if score < threshold:
            continue
        for side, (most, net) in enumerate(((image_size[1], net_size[1]), (image_size[0], net_size[0])) * 2):
            edges[side] = math.floor(min(max(edges[side] * most / net, 1), most))
        found.append((score, classes[best], (edges[0], edges[1], edges[2] - edges[0] + 1, edges[3] - edges[1] + 1)))
    kept: list[int] = []
    for at in sorted(range(len(found)), key=lambda at: -found[at][0]):
        if all(
            found[at][1] != found[k][1] or intersection_over_union(found[at][2], found[k][2]) <= overlap for k in kept
        ):
            kept.append(at)
    return [found[at] for at in sorted(kept)]


def intersection_over_union(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
