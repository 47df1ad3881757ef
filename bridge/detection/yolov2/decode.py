"""From the channels of a YOLO v2 head to boxes in the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def decode(
    output: Tensor, anchors: Sequence[tuple[float, float]], stride: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn the output of yolov2TransformLayer, N x channels x rows x columns, into boxes.

    Channels are grouped by quantity (IoU, x, y, width, height, class 1, class 2, ...), anchors change fastest. The
    centre of a box is (x + column, y + row) times the stride, its size that of the anchor times (width, height), its
    score the IoU times the probability of its best class. Read off a detector that MATLAB trained.

    Args:
        output: what the network puts out.
        anchors: (height, width) of each anchor box, in pixels of the network's input.
        stride: pixels of a cell, down and across.

    Returns:
        Left, top, right and bottom in pixels of the network's input from 0, N x M x 4; scores, N x M; numbers of
        classes from 0, N x M. M counts rows, in them columns, in them anchors.
    """
    found = output.unflatten(1, (-1, len(anchors))).permute(0, 1, 3, 4, 2)  # N x quantities x rows x columns x anchors
    iou, x, y, width, height = found[:, :5].unbind(1)
    rows, columns = (torch.arange(n, device=output.device, dtype=output.dtype) for n in output.shape[2:])
    tall, wide = torch.tensor(anchors, device=output.device, dtype=output.dtype).unbind(1)
    across, down = (x + columns[:, None]) * stride[1], (y + rows[:, None, None]) * stride[0]
    to_side, to_top = width * wide / 2, height * tall / 2
    corners = torch.stack([across - to_side, down - to_top, across + to_side, down + to_top], -1)
    share, label = found[:, 5:].max(1)
    return corners.flatten(1, 3), (iou * share).flatten(1), label.flatten(1)
