"""The losses of YOLO v3 and v4, as published; MATLAB's may differ from them in detail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bridge.detection.boxes import overlap_ratio
from bridge.detection.family import Head
from bridge.detection.grid import anchor_sizes, cells
from bridge.detection.yolo.decode import Decoded, decode, predictions

MOST_RATIO = 1e-7  # what keeps a division by an empty box finite


class Responsible(NamedTuple):
    """Which prediction is responsible for which object: images, predictions of all heads and objects by number."""

    image: Tensor
    prediction: Tensor
    object: Tensor


@dataclass(frozen=True)
class YOLOLoss:
    """Boxes, objectness and classes of the predictions of objects, and objectness elsewhere, a sum over each image.

    The prediction of an object is that of the anchor, of all heads, whose shape has the largest intersection over union
    with it, in the cell of its centre; of two objects with one prediction the first counts. Objectness and classes are
    logistic regressions. Elsewhere objectness is to be 0, but for predictions that overlap an object by more than
    `ignore`, which count for nothing. Boxes:

    - "squared" (YOLO v3, Redmon & Farhadi 2018): half the squared errors of x and y in the cell, behind the sigmoid,
      and of the logarithms of the sizes over the anchor's, times 2 - the object's share of the image;
    - "ciou" (YOLO v4, Bochkovskiy et al. 2020): 1 - CIoU, weighed the same.

    Attributes:
        heads: of the network.
        classes: how many.
        size: (height, width) of the network's input.
        boxes: "squared" or "ciou".
        ignore: the overlap above which a prediction that is not responsible counts for nothing.
    """

    heads: tuple[Head, ...]
    classes: int
    size: tuple[int, int]
    boxes: str
    ignore: float

    @property
    def __name__(self) -> str:
        return f"YOLO ({self.boxes})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the loss no run of MATLAB has confirmed."""
        return (
            f"the loss is that of the paper ('{self.boxes}', predictions that overlap an object by more than "
            f"{self.ignore:g} are ignored); MATLAB's is unconfirmed",
        )

    def __call__(self, output: Any, targets: Tensor) -> Tensor:
        """Return the loss of a mini-batch, a mean over its images.

        Args:
            output: N x channels x rows x columns, or one such for each head.
            targets: N x M x 5: x, y, width, height in pixels of the network's input, counted from 1, class index; a row
                of class -1 is no object.
        """
        outputs = (output,) if isinstance(output, Tensor) else tuple(output)
        found = decode(outputs, self.heads)
        truth = torch.cat([targets[..., :2] - 1, targets[..., 2:4]], -1)  # corner from 0, size
        at = responsible(truth, targets[..., 4] >= 0, self.heads)
        wanted = truth[at.image, at.object]
        labels = functional.one_hot(targets[at.image, at.object, 4].long(), self.classes).to(found.classes)
        share = wanted[:, 2] * wanted[:, 3] / (self.size[0] * self.size[1])
        box = self._boxes(outputs, found, at, wanted) * (2 - share)
        classes = functional.binary_cross_entropy_with_logits(
            found.classes[at.image, at.prediction], labels, reduction="sum"
        )
        return (box.sum() + self._objectness(found, truth, targets[..., 4] >= 0, at) + classes) / len(targets)

    def _objectness(self, found: Decoded, truth: Tensor, is_object: Tensor, at: Responsible) -> Tensor:
        corners = found.corners.detach()
        sized = torch.cat([corners[..., :2], corners[..., 2:] - corners[..., :2]], -1)
        overlaps = overlap_ratio(sized, truth).masked_fill(~is_object[:, None], 0)
        counts = overlaps.max(-1).values <= self.ignore
        wanted = torch.zeros_like(found.objectness)
        wanted[at.image, at.prediction] = 1
        each = functional.binary_cross_entropy_with_logits(found.objectness, wanted, reduction="none")
        return (each * (counts | (wanted == 1))).sum()

    def _boxes(self, outputs: Sequence[Tensor], found: Decoded, at: Responsible, wanted: Tensor) -> Tensor:
        if self.boxes == "ciou":
            goal = torch.cat([wanted[:, :2], wanted[:, :2] + wanted[:, 2:]], -1)
            return 1 - complete_overlap(found.corners[at.image, at.prediction], goal)
        raw = torch.cat([predictions(*each) for each in zip(outputs, self.heads, strict=True)], 1)
        raw = raw[at.image, at.prediction]
        cell, stride, anchor = (each[at.prediction] for each in _places(self.heads, raw))
        place = (wanted[:, :2] + wanted[:, 2:] / 2) / stride - cell
        errors = torch.cat([raw[:, :2].sigmoid() - place, raw[:, 2:4] - (wanted[:, 2:] / anchor).log()], -1)
        return errors.square().sum(-1) / 2


def _places(heads: Sequence[Head], like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return cell, stride and anchor (width, height) of every prediction of all heads."""
    parts = [(cells(head, like), anchor_sizes(head, like), like.new_tensor(head.stride[::-1])) for head in heads]
    strides = [stride.expand(len(cell), 2) for cell, _, stride in parts]
    return torch.cat([each[0] for each in parts]), torch.cat(strides), torch.cat([each[1] for each in parts])


def responsible(truth: Tensor, is_object: Tensor, heads: Sequence[Head]) -> Responsible:
    """Return which prediction is responsible for each object; of several with one prediction the first is kept.

    Args:
        truth: N x M x 4: left, top, width, height from 0. A centre outside belongs to the nearest cell.
        is_object: N x M.
        heads: of the network.
    """
    sizes = truth[..., 2:]
    anchors = torch.cat([truth.new_tensor(head.anchors).flip(1) for head in heads])
    shapes = overlap_ratio(
        torch.cat([torch.zeros_like(sizes), sizes], -1), torch.cat([torch.zeros_like(anchors), anchors], -1)
    )
    best = shapes.argmax(-1)
    prediction, offset, first = torch.zeros_like(best), 0, 0
    for head in heads:
        rows, columns = head.grid
        column, row = ((truth[..., :2] + sizes / 2) / truth.new_tensor(head.stride[::-1])).floor().long().unbind(-1)
        cell = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
        own = (best >= first) & (best < first + len(head.anchors))
        prediction = torch.where(own, offset + cell * len(head.anchors) + best - first, prediction)
        offset, first = offset + rows * columns * len(head.anchors), first + len(head.anchors)
    same = (prediction[:, :, None] == prediction[:, None, :]) & is_object[:, None, :]
    image, number = (is_object & ~same.tril(-1).any(-1)).nonzero(as_tuple=True)
    return Responsible(image, prediction[image, number], number)


def complete_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return CIoU of corners a and b, M x 4 each (Zheng et al. 2020).

    It is IoU, less the squared distance of the centres over the squared diagonal around both, less alpha v, v of the
    aspect ratios. alpha is no path for gradients, as published.
    """
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    ratio = shared / (size_a.prod(-1) + size_b.prod(-1) - shared + MOST_RATIO)
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).square().sum(-1)
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(-1)
    angles = torch.atan2(size_b[:, 0], size_b[:, 1]) - torch.atan2(size_a[:, 0], size_a[:, 1])
    v = 4 / math.pi**2 * angles.square()
    with torch.no_grad():
        alpha = v / (1 - ratio + v + MOST_RATIO)
    return ratio - apart / (around + MOST_RATIO) - alpha * v
