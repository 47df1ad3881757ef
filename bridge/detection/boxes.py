"""Boxes [x y w h] as tensors: whole pixels of an image, how much two overlap, and which of many that overlap stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bridge.tables.registry import Registry

Rounding = Callable[[Tensor, Tensor], Tensor]
ROUNDINGS: Registry[Rounding] = Registry("rounding of boxes")


def to_pixels(corners: Tensor, network: tuple[int, int], image: tuple[int, int], rounding: str = "down") -> Tensor:
    """Return boxes [x y w h] in whole pixels of an image, counted from 1.

    Corners are scaled to the image, clipped to 1 and its size, and rounded; the width is right - left + 1. That they
    are clipped before they are rounded is unconfirmed; the two orders differ for no box inside the image.

    Args:
        corners: M x 4: left, top, right, bottom, in pixels of the network's input.
        network: (height, width) of the network's input.
        image: (height, width) of the image.
        rounding: a name of `ROUNDINGS`.
    """
    scale = corners.new_tensor([image[1] / network[1], image[0] / network[0]]).repeat(2)
    most = corners.new_tensor([image[1], image[0]]).repeat(2)
    placed = torch.minimum(ROUNDINGS[rounding](corners, scale).clamp(min=1), most)
    least, greatest = placed.floor().long().chunk(2, -1)
    return torch.cat([least, greatest - least + 1], -1)


@ROUNDINGS("down")
def _down(corners: Tensor, scale: Tensor) -> Tensor:
    """Every corner once, in the image."""
    return corners * scale


@ROUNDINGS("left and top twice")
def _left_and_top_twice(corners: Tensor, scale: Tensor) -> Tensor:
    """Left and top in the network's input first, then all in the image: the one box of an object of version 1 that
    MATLAB stored is so. One box: a hypothesis.
    """
    least, greatest = corners.chunk(2, -1)
    return torch.cat([least.floor(), greatest], -1) * scale


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
