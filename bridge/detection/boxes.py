"""Boxes [x y w h] as tensors: how much two overlap, and which of many that overlap stay."""

from __future__ import annotations

import torch
from torch import Tensor


def overlap_ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of each box with each other, as bboxOverlapRatio does: ... x M x 4, ... x K x 4 ->
    ... x M x K.

    The area of [x y w h] is w * h, the intersection that of the continuous rectangles from (x, y) to (x + w, y + h).
    """
    a, b = a.unsqueeze(-2), b.unsqueeze(-3)
    least = torch.maximum(a[..., :2], b[..., :2])
    greatest = torch.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = (greatest - least).clamp(min=0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared
    return torch.where(union > 0, shared / union, 0.0)


def select_strongest(boxes: Tensor, scores: Tensor, classes: Tensor, overlap: float = 0.5) -> Tensor:
    """Return which boxes stay, in their own order, as selectStrongestBboxMulticlass does ('Union', greedy).

    From the strongest on, each box that stays removes the weaker ones of its class that overlap it by more than
    `overlap`; of two with one score the first is the stronger. The greedy choice is the only solution of "a box stays
    unless a stronger one that stays removes it", and is found by iterating that over all boxes at once: each round
    settles at least one more box.

    Args:
        boxes: M x 4, [x y w h].
        scores: M.
        classes: M class indices.
        overlap: the ratio from which on, exclusive, the weaker box is removed.

    Returns:
        Indices, ascending.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].double() if boxes.device.type != "mps" else boxes[order].float()
    same_class = classes[order, None] == classes[None, order]
    removes = ((overlap_ratio(ranked, ranked) > overlap) & same_class).triu(1)
    stays = torch.ones_like(order, dtype=torch.bool)
    while True:
        settled = ~(removes & stays[:, None]).any(0)
        if torch.equal(settled, stays):
            return order[stays].sort().values
        stays = settled
