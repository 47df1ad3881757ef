"""The cells and anchor boxes of a head, one for each of its predictions, row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from bridge.detection.family import Head


def cells(head: Head, like: Tensor) -> Tensor:
    """Return (column, row) of the cell of each prediction: M x 2, from 0."""
    rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in head.grid)
    grid = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)
    return grid[:, :, None].expand(-1, -1, len(head.anchors), -1).flatten(0, 2)


def anchor_sizes(head: Head, like: Tensor) -> Tensor:
    """Return (width, height) of the anchor of each prediction: M x 2, in pixels."""
    anchors = torch.tensor(head.anchors, device=like.device, dtype=like.dtype).flip(1)
    return anchors.repeat(head.grid[0] * head.grid[1], 1)
