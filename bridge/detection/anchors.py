"""Anchor boxes that fit the objects of a data set."""

from __future__ import annotations

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError

MOST_ROUNDS = 300
RESTARTS = 8


def estimate_anchor_boxes(sizes: NDArray, count: int, *, seed: int = 0) -> tuple[tuple[tuple[int, int], ...], float]:
    """Group boxes by shape: k-means whose distance is one minus the intersection over union, as estimateAnchorBoxes
    (documented).

    The centre of a group is the mean of its boxes; it starts from boxes drawn so that they differ (k-means++), several
    times, and the best outcome counts. MATLAB's start, centre and order are unconfirmed, so its anchors need not be the
    same.

    Args:
        sizes: K x 2, (height, width) of the boxes, in pixels of the network's input (`GroundTruth.sizes`).
        count: how many anchors.
        seed: of the start.

    Returns:
        The anchors (height, width) in whole pixels, by area, and the mean over the boxes of the intersection over union
        with the best one.

    Raises:
        UsageError: there are fewer boxes of different shape than anchors.
    """
    boxes = np.asarray(sizes, np.float64)
    different = len(np.unique(boxes, axis=0)) if boxes.ndim == 2 and boxes.shape[1] == 2 else 0
    if not 1 <= count <= different or (boxes <= 0).any():
        raise UsageError(
            f"{count} anchors of {different} boxes",
            "there are at least as many boxes of different shapes, with sizes above 0",
            "ask for fewer",
        )
    rng = np.random.default_rng(seed)
    best = max(
        (_grouped(boxes, _start(boxes, count, rng)) for _ in range(RESTARTS)), key=lambda centres: _fit(boxes, centres)
    )
    anchors = np.maximum(np.round(best), 1)
    ordered = anchors[np.lexsort((anchors[:, 0], anchors.prod(1)))]
    return tuple((int(height), int(width)) for height, width in ordered), _fit(boxes, anchors)


def shape_overlap(a: NDArray, b: NDArray) -> NDArray:
    """Return the intersection over union of K and M boxes with a common corner: K x M."""
    shared = np.minimum(a[:, None], b[None]).prod(2)
    return np.asarray(shared / (a.prod(1)[:, None] + b.prod(1)[None] - shared))


def _fit(boxes: NDArray, centres: NDArray) -> float:
    return float(shape_overlap(boxes, centres).max(1).mean())


def _start(boxes: NDArray, count: int, rng: np.random.Generator) -> NDArray:
    chosen = [boxes[rng.integers(len(boxes))]]
    while len(chosen) < count:
        far = 1 - shape_overlap(boxes, np.array(chosen)).max(1)
        chosen.append(boxes[rng.choice(len(boxes), p=far / far.sum())])
    return np.array(chosen)


def _grouped(boxes: NDArray, centres: NDArray) -> NDArray:
    group = np.full(len(boxes), -1)
    for _ in range(MOST_ROUNDS):
        nearest = shape_overlap(boxes, centres).argmax(1)
        if np.array_equal(nearest, group):
            break
        group = nearest
        centres = np.array(
            [boxes[group == k].mean(0) if (group == k).any() else centre for k, centre in enumerate(centres)]
        )
    return centres
