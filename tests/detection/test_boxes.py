"""Overlap and suppression: torchvision, and boxes computed by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.detection.boxes import overlap_ratio, select_strongest


def corners(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1).double()


def crowd(count: int, seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return whole-number boxes that overlap a lot, scores with ties, and classes."""
    random = torch.Generator().manual_seed(seed)
    boxes = torch.cat(
        [torch.randint(1, 30, (count, 2), generator=random), torch.randint(1, 25, (count, 2), generator=random)], 1
    )
    scores = torch.randint(1, max(2, count // 2), (count,), generator=random) / count
    return boxes, scores, torch.randint(0, classes, (count,), generator=random)


def test_overlap_by_hand() -> None:
    """[1 1 4 4] and [3 3 4 4] share 2 x 2 of 16 + 16 - 4; [5 1 4 4] touches, which is no overlap; nothing overlaps an empty box."""
    a = torch.tensor([[1, 1, 4, 4]])
    b = torch.tensor([[3, 3, 4, 4], [1, 1, 4, 4], [5, 1, 4, 4], [2, 2, 1, 2], [1, 1, 0, 0]])
    assert overlap_ratio(a, b).tolist() == [[pytest.approx(4 / 28), 1, 0, pytest.approx(2 / 16), 0]]
    assert overlap_ratio(torch.zeros(1, 4), torch.zeros(1, 4)).tolist() == [[0]]


def test_overlap_is_that_of_torchvision() -> None:
    """Oracle: torchvision.ops.box_iou, in double precision."""
    a, b = crowd(40, 1)[0], crowd(30, 2)[0]
    assert torch.allclose(
        overlap_ratio(a, b).double(), torchvision.ops.box_iou(corners(a), corners(b)), rtol=1e-6, atol=0
    )


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9]))
def test_suppression_is_that_of_torchvision(count: int, seed: int, overlap: float) -> None:
    """Oracle: torchvision.ops.batched_nms, which gives the strongest first; here the boxes keep their order."""
    boxes, scores, classes = crowd(count, seed)
    kept = select_strongest(boxes, scores, classes, overlap)
    assert kept.tolist() == sorted(
        torchvision.ops.batched_nms(corners(boxes), scores.double(), classes, overlap).tolist()
    )


def test_a_chain_is_decided_from_the_strongest_on() -> None:
    """By hand: each box overlaps the next by 3/5 of the union; the first removes the second, so the third stays."""
    boxes = torch.tensor([[x, 1, 8, 8] for x in (1, 3, 5, 7, 9)])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    assert select_strongest(boxes, scores, torch.zeros(5)).tolist() == [0, 2, 4]
    assert select_strongest(boxes, scores.flip(0), torch.zeros(5)).tolist() == [0, 2, 4]
    assert select_strongest(boxes, scores, torch.arange(5)).tolist() == [0, 1, 2, 3, 4], (
        "classes do not remove each other"
    )


def test_an_overlap_of_just_the_limit_removes_nothing_and_the_first_of_equals_is_stronger() -> None:
    half = torch.tensor([[1, 1, 4, 3], [1, 1, 4, 6]])  # 12 of 24
    assert select_strongest(half, torch.tensor([0.9, 0.8]), torch.zeros(2), 0.5).tolist() == [0, 1]
    same = torch.tensor([[1, 1, 4, 4]] * 3)
    assert select_strongest(same, torch.tensor([0.7, 0.7, 0.7]), torch.zeros(3)).tolist() == [0]


def test_nothing_to_suppress() -> None:
    assert select_strongest(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0)).tolist() == []
