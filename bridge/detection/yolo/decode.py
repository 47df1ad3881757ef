"""From the channels of the heads of YOLO v3 and v4 to boxes in the network's input.

The formulas are those of the papers (Redmon & Farhadi 2018; Bochkovskiy et al. 2020). MATLAB's order of channels is
unconfirmed: here the numbers of an anchor lie side by side, x, y, w, h, objectness, classes, as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bridge.detection.family import Head
from bridge.detection.grid import anchor_sizes, cells

QUANTITIES = 5  # of a box: x, y, width, height, whether it holds an object
LARGEST_GROWTH = 20.0  # of the logarithm of a size, so that exp stays finite


class Decoded(NamedTuple):
    """Every box of all heads, N x M: head after head, in it row by row, column by column, anchor by anchor.

    Attributes:
        corners: N x M x 4: left, top, right, bottom, in pixels of the network's input, from 0.
        objectness: N x M, before the sigmoid.
        classes: N x M x classes, before the sigmoid.
    """

    corners: Tensor
    objectness: Tensor
    classes: Tensor


def predictions(output: Tensor, head: Head) -> Tensor:
    """Return N x (rows x columns x anchors) x (5 + classes) of N x channels x rows x columns."""
    by_anchor: Tensor = output.unflatten(1, (len(head.anchors), -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
    return by_anchor


def decode(outputs: Sequence[Tensor], heads: Sequence[Head]) -> Decoded:
    """Decode the outputs of a network, one for each head: centre = (sigmoid(x, y) + cell) x stride, size = exp(w, h) x
    anchor.
    """
    found = [predictions(output, head) for output, head in zip(outputs, heads, strict=True)]
    corners = torch.cat([boxes(each, head) for each, head in zip(found, heads, strict=True)], 1)
    rest = torch.cat([each[..., 4:] for each in found], 1)
    return Decoded(corners, rest[..., 0], rest[..., 1:])


def boxes(found: Tensor, head: Head) -> Tensor:
    """Return the corners, N x M x 4, of the predictions of a head."""
    stride = found.new_tensor(head.stride[::-1])
    centre = (found[..., :2].sigmoid() + cells(head, found)) * stride
    half = found[..., 2:4].clamp(max=LARGEST_GROWTH).exp() * anchor_sizes(head, found) / 2
    return torch.cat([centre - half, centre + half], -1)
