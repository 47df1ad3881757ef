"""Anchors by k-means, and average precision: by hand, and once more in numpy."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.detection import Detections, GroundTruth, estimate_anchor_boxes, evaluate_detection_precision
from bridge.detection.anchors import shape_overlap
from bridge.errors import UsageError
from tests.detection.nets import intersection_over_union


def test_shapes_overlap_as_boxes_with_a_common_corner() -> None:
    """Oracle: torchvision.ops.box_iou."""
    sizes = np.random.default_rng(0).uniform(1, 40, (20, 2))
    corners = torch.tensor(np.hstack([np.zeros((20, 2)), sizes]))
    assert shape_overlap(sizes, sizes[:7]) == pytest.approx(
        torchvision.ops.box_iou(corners, corners[:7]).numpy(), abs=1e-12
    )


def test_three_groups_far_apart_are_found() -> None:
    """By hand: each group is its mean give or take one pixel, so the anchors are the means."""
    means = ((10, 40), (30, 30), (80, 20))
    shifts = list(product((-1, 0, 1), repeat=2))
    boxes = np.array([(h + a, w + b) for h, w in means for a, b in shifts], float)
    anchors, fit = estimate_anchor_boxes(boxes, 3)
    assert set(anchors) == set(means) and anchors[0] == (10, 40)
    best = [max(intersection_over_union((0, 0, w, h), (0, 0, aw, ah)) for ah, aw in means) for h, w in boxes]
    assert fit == pytest.approx(np.mean(best))


def test_as_many_anchors_as_shapes_fit_exactly() -> None:
    boxes = np.array([(4, 9), (20, 8), (7, 7)] * 3, float)
    anchors, fit = estimate_anchor_boxes(boxes, 3)
    assert set(anchors) == {(4, 9), (20, 8), (7, 7)} and fit == 1


def test_more_anchors_fit_better_and_the_seed_decides() -> None:
    boxes = np.random.default_rng(1).uniform(4, 90, (200, 2))
    fits = [estimate_anchor_boxes(boxes, count)[1] for count in (1, 3, 6, 12)]
    assert fits == sorted(fits)
    assert estimate_anchor_boxes(boxes, 4, seed=3) == estimate_anchor_boxes(boxes, 4, seed=3)


@pytest.mark.parametrize(
    ("boxes", "count"),
    [(np.empty((0, 2)), 1), (np.ones((5, 2)), 2), (np.ones((5, 2)), 0), (np.array([[4, -1.0]]), 1), (np.ones(4), 1)],
)
def test_boxes_that_make_no_anchors(boxes: np.ndarray, count: int) -> None:
    with pytest.raises(UsageError, match="anchors of"):
        estimate_anchor_boxes(boxes, count)


# Average precision


def found(boxes: list[list[int]], scores: list[float], labels: list[str]) -> Detections:
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores, dtype=torch.float64), tuple(labels))


def truth(*images: tuple[list[list[float]], list[str]]) -> GroundTruth:
    return GroundTruth(
        tuple(f"{index}.png" for index in range(len(images))),
        tuple(np.array(boxes, float).reshape(-1, 4) for boxes, _ in images),
        tuple(tuple(labels) for _, labels in images),
    )


def test_a_curve_by_hand() -> None:
    """Three cars. By score: right (p 1, r 1/3), a second one on the same car (1/2), right (2/3, r 2/3), beside any car (2/4). A bird is no car."""
    objects = truth(([[1, 1, 10, 10], [40, 40, 10, 10]], ["car", "car"]), ([[5, 5, 8, 8]], ["car"]))
    given = [
        found(
            [[1, 1, 10, 10], [2, 1, 10, 10], [70, 70, 5, 5], [40, 40, 10, 10]],
            [0.9, 0.8, 0.3, 0.95],
            ["car", "car", "car", "bird"],
        ),
        found([[5, 5, 8, 7]], [0.7], ["car"]),
    ]
    result = evaluate_detection_precision(given, objects, ["car", "bird"])
    assert result["car"].precision.tolist() == pytest.approx([1, 1, 1 / 2, 2 / 3, 2 / 4]) and result[
        "car"
    ].recall.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert result["car"].average_precision == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert math.isnan(result["bird"].average_precision) and result["bird"].precision.tolist() == [1, 0]


def test_all_found_nothing_found_and_the_limit() -> None:
    objects = truth(([[1, 1, 10, 10]], ["car"]), ([], []))
    assert (
        evaluate_detection_precision([found([[1, 1, 10, 10]], [0.6], ["car"]), found([], [], [])], objects, ["car"])[
            "car"
        ].average_precision
        == 1
    )
    nothing = evaluate_detection_precision([found([], [], [])] * 2, objects, ["car"])["car"]
    assert nothing.average_precision == 0 and nothing.recall.tolist() == [0] and nothing.precision.tolist() == [1]
    half = [found([[1, 1, 10, 5]], [0.6], ["car"]), found([], [], [])]  # 50 of 100
    assert [
        evaluate_detection_precision(half, objects, ["car"], overlap=limit)["car"].average_precision
        for limit in (0.5, 0.51)
    ] == [1, 0]
    with pytest.raises(UsageError, match="1 detections for 2 images"):
        evaluate_detection_precision(half[:1], objects, ["car"])


@settings(max_examples=40)
@given(st.integers(0, 100_000))
def test_crowds(seed: int) -> None:
    """Oracle: the same rule for one detection at a time, over lists."""
    rng = np.random.default_rng(seed)
    objects, given, listed = [], [], []
    for image in range(4):
        boxes = rng.integers(1, 20, (rng.integers(0, 5), 4)).astype(float)
        objects.append((boxes.tolist(), ["car"] * len(boxes)))
        guesses = (
            np.maximum(1, np.concatenate([boxes + rng.integers(-2, 3, boxes.shape), rng.integers(1, 20, (3, 4))]))
            .astype(int)
            .tolist()
        )
        scores = rng.permutation(100)[: len(guesses)] / 100 + image / 1000
        given.append(found(guesses, scores.tolist(), ["car"] * len(guesses)))
        listed += [(score, image, box) for score, box in zip(scores, guesses, strict=True)]
    free, right, area = [list(boxes) for boxes, _ in objects], 0, 0.0
    total = sum(map(len, free))
    for rank, (_, image, box) in enumerate(sorted(listed, key=lambda row: -row[0]), 1):
        best = max(free[image], key=lambda other: intersection_over_union(box, other), default=None)
        if best is not None and intersection_over_union(box, best) >= 0.5:
            free[image].remove(best)
            right += 1
            area += right / rank
    result = evaluate_detection_precision(given, truth(*objects), ["car"])["car"].average_precision
    assert result == pytest.approx(area / total) if total else math.isnan(result)
