"""Regions: proposals and pooling. Oracles: independent numpy in double precision, torchvision's NMS, cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge.arrays.lazy import NDArray
from bridge.modules.regions import (
    RegionAlign,
    RegionMaxPooling,
    RegionProposal,
    RegionScores,
    RegionSoftmax,
    anchor_boxes,
    deltas_between,
    moved,
)

ANCHORS = ((6.0, 5.0), (12.0, 10.0), (4.0, 16.0))
GRID, SIZE = (4, 6), (32, 60)


def proposed(scores: NDArray, deltas: NDArray) -> list[tuple[float, NDArray]]:
    """Every box of one image by loops: scores 2K x H x W, deltas 4K x H x W, two and four numbers side by side."""
    found = []
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            for k, (height, width) in enumerate(ANCHORS):
                tx, ty, tw, th = deltas[4 * k : 4 * k + 4, row, column]
                x = (column + 0.5) * SIZE[1] / GRID[1] + tx * width
                y = (row + 0.5) * SIZE[0] / GRID[0] + ty * height
                w, h = width * np.exp(tw), height * np.exp(th)
                box = [max(x - w / 2, 0), max(y - h / 2, 0), min(x + w / 2, SIZE[1]), min(y + h / 2, SIZE[0])]
                a, b = np.exp(scores[2 * k : 2 * k + 2, row, column])
                found.append((a / (a + b), np.array(box)))
    return found


def greedy(found: list[tuple[float, NDArray]], overlap: float) -> list[NDArray]:
    kept: list[NDArray] = []
    for _, box in sorted(found, key=lambda each: -each[0]):
        if (box[2:] - box[:2] >= 1).all() and all(iou(box, other) <= overlap for other in kept):
            kept.append(box)
    return kept


def iou(a: NDArray, b: NDArray) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def test_proposals_equal_independent_numpy() -> None:
    """Oracle: loops in double precision; of two images, with the order of NMS."""
    rng = np.random.default_rng(0)
    scores, deltas = rng.standard_normal((2, 6, *GRID)), rng.standard_normal((2, 12, *GRID)) * 0.3
    module = RegionProposal(ANCHORS)
    softmax = RegionSoftmax()(torch.from_numpy(scores))
    with torch.no_grad():
        ours = module(softmax, torch.from_numpy(deltas), torch.zeros(2, 3, *SIZE)).numpy()
    for index in range(2):
        wanted = greedy(proposed(scores[index], deltas[index]), 0.7)
        np.testing.assert_allclose(ours[ours[:, 4] == index, :4], wanted, atol=1e-6)


def test_the_strongest_alone_are_looked_at() -> None:
    module = RegionProposal(ANCHORS)
    module.strongest = 1
    scores = torch.rand(3, 6, *GRID, generator=torch.Generator().manual_seed(0))
    found = module(RegionSoftmax()(scores), torch.zeros(3, 12, *GRID), torch.zeros(3, 1, *SIZE))
    assert found[:, 4].tolist() == [0, 1, 2]


def test_an_image_without_a_sound_score_has_no_regions() -> None:
    found = RegionProposal(ANCHORS)(
        torch.full((1, 2, 4, 18), float("nan")), torch.zeros(1, 12, *GRID), torch.zeros(1, 3, *SIZE)
    )
    assert found.shape == (0, 5)


def test_deltas_are_undone() -> None:
    boxes = anchor_boxes(ANCHORS, GRID, SIZE, torch.zeros(1, dtype=torch.float64))
    deltas = torch.randn(boxes.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = deltas_between(boxes, moved(deltas, boxes))
    torch.testing.assert_close(
        found, deltas, rtol=0, atol=1e-12
    )  # double rounds pixels of 100 to 1e-14, a log of them likewise


def test_anchors_are_centred_on_the_cells() -> None:
    """By hand: two cells of 10 x 8 pixels, one anchor of 4 x 2."""
    made = anchor_boxes(((4, 2),), (1, 2), (10, 16), torch.zeros(1))
    assert made.tolist() == [[3, 3, 5, 7], [11, 3, 13, 7]]


def test_the_two_scores_of_a_box_lie_side_by_side() -> None:
    scores = torch.arange(2 * 3 * 2 * 2).reshape(1, 6, 2, 2)
    made = RegionScores()(scores)
    assert made.shape == (1, 2, 2, 6)
    assert torch.equal(made[0, 0, :, 2:4], scores[0, 2]) and torch.equal(made[0, 1, :, 4:6], scores[0, 5])


def pooled(x: NDArray, region: NDArray, scale: float, size: tuple[int, int]) -> NDArray:
    """Girshick 2015: first and last cell are rounded, the grid is laid over all between, empty cells of it are 0."""
    first, last = (np.floor(each * scale + 0.5).astype(int) for each in (region[:2], region[2:4] - 1))
    length = np.maximum(last - first + 1, 1)
    made = np.zeros((len(x), *size))
    for row in range(size[0]):
        for column in range(size[1]):
            steps = np.array([column, row]), np.array(size[::-1])
            begin = np.clip(np.floor(steps[0] * length / steps[1]).astype(int) + first, 0, x.shape[:0:-1])
            end = np.clip(np.ceil((steps[0] + 1) * length / steps[1]).astype(int) + first, 0, x.shape[:0:-1])
            part = x[:, begin[1] : end[1], begin[0] : end[0]]
            made[:, row, column] = part.max((1, 2)) if part.size else 0
    return made


def test_max_pooling_of_regions_equals_independent_numpy() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 8, 10)).astype(np.float32)
    corner = rng.uniform(0, 12, (9, 2))
    regions = np.concatenate([corner, corner + rng.uniform(1, 8, (9, 2)), rng.integers(0, 2, (9, 1))], 1)
    module = RegionMaxPooling((3, 2))
    made = module(torch.from_numpy(x), torch.from_numpy(regions), torch.zeros(2, 3, 16, 20)).numpy()
    for ours, region in zip(made, regions, strict=True):
        np.testing.assert_array_equal(ours, pooled(x[int(region[4])], region, 0.5, (3, 2)))


@pytest.mark.parametrize("ratio", [-1, 2])
def test_aligned_pooling_of_a_plane_is_exact(ratio: int) -> None:
    """Interpolation of a plane gives the plane: the mean of a cell is its value at the centre. Oracle: by hand."""
    column = torch.arange(8.0).expand(1, 1, 8, 8)
    regions = torch.tensor([[4.0, 4.0, 12.0, 12.0, 0.0]])  # cells 2 to 6 at a scale of 0.5
    made = RegionAlign((2, 2), 0.5, ratio)(column, regions)
    torch.testing.assert_close(made[0, 0, 0], torch.tensor([2.5, 4.5]))
