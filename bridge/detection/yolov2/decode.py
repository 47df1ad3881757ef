"""From the channels of a YOLO v2 head to boxes in the network's input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bridge.detection.family import Head

QUANTITIES = 5  # of a box: its IoU with the object, x, y, width, height


class Decoded(NamedTuple):
    """Every box of a batch, N x M with M = rows x columns x anchors; anchors change fastest, rows slowest.

    Attributes:
        iou: the IoU that each box is thought to have with an object.
        corners: N x M x 4: left, top, right, bottom, in pixels of the network's input, from 0.
        probabilities: N x M x classes.
    """

    iou: Tensor
    corners: Tensor
    probabilities: Tensor


def predictions(output: Tensor, head: Head) -> Tensor:
    """Return N x (rows x columns x anchors) x (5 + classes) of N x channels x rows x columns.

    Channels are grouped by quantity (iou, x, y, w, h, class 1, class 2, ...), anchors change fastest (read off a MATLAB
    detector).
    """
    by_anchor = output.unflatten(1, (-1, len(head.anchors)))
    flat: Tensor = by_anchor.permute(0, 3, 4, 2, 1).flatten(1, 3)
    return flat


def cells(head: Head, like: Tensor) -> Tensor:
    """Return (column, row) of the cell that each prediction belongs to: M x 2, from 0."""
    rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in head.grid)
    grid = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)
    return grid[:, :, None].expand(-1, -1, len(head.anchors), -1).flatten(0, 2)


def anchor_sizes(head: Head, like: Tensor) -> Tensor:
    """Return (width, height) of the anchor that each prediction belongs to: M x 2, in pixels."""
    anchors = torch.tensor(head.anchors, device=like.device, dtype=like.dtype).flip(1)
    return anchors.repeat(head.grid[0] * head.grid[1], 1)


def decode(output: Tensor, head: Head) -> Decoded:
    """Turn the output of yolov2TransformLayer, N x channels x rows x columns, into boxes.

    The centre is (x + column, y + row) times the stride, the size that of the anchor times (w, h), which the layer has
    put through exp.
    """
    found = predictions(output, head)
    stride = torch.tensor(head.stride[::-1], device=output.device, dtype=output.dtype)
    centre = (found[..., 1:3] + cells(head, found)) * stride
    half = found[..., 3:QUANTITIES] * anchor_sizes(head, found) / 2
    return Decoded(found[..., 0], torch.cat([centre - half, centre + half], -1), found[..., QUANTITIES:])
