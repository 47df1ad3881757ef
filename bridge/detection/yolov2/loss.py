"""The loss of a YOLO v2 detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bridge.detection.boxes import overlap_ratio
from bridge.detection.family import Head
from bridge.detection.grid import anchor_sizes, cells
from bridge.errors import UsageError
from bridge.tables.layers import table

QUANTITIES = 5  # of a box: its IoU with the object, x, y, width, height


class Assigned(NamedTuple):
    """Which prediction is responsible for which object: images, predictions and objects by number."""

    image: Tensor
    prediction: Tensor
    object: Tensor


@dataclass(frozen=True)
class YOLOv2Loss:
    """Squared errors, weighted by the LossFactors [K1 K2 K3 K4] that an object or its output layer holds.

    The prediction of an object is that of the cell its centre lies in and of the anchor whose shape has the largest
    intersection over union with it. Summed up are, over the predictions of objects,

    - K1 ((x - X)^2 + (y - Y)^2 + (s(w) - s(W))^2 + (s(h) - s(H))^2), the position in its cell and the size in cells,
    - K2 (iou - T)^2,
    - K4 sum over the classes of (p - P)^2, P one for the class of the object and zero for the others,

    and over all other predictions K3 iou^2. That the errors are squared and that the factors are [5 1 1 1] was read off
    a file; the rest is unconfirmed, and set by the switches `yolov2_...` of `mappings/solvers.toml`. Of two objects
    with the same prediction the first counts.

    Attributes:
        head: of the network.
        classes: how many there are.
        loss_factors: K1 to K4.
        iou_target: T: "iou", the overlap of the predicted box with the object, which is no path for gradients; or
            "one".
        box_sizes: s: "sqrt" or "linear".
        divided_by: the sum is divided by the observations and, "anchors", by the number of anchors too, or by the
            "observations" alone.
    """

    head: Head
    classes: int
    loss_factors: tuple[float, ...]
    iou_target: str
    box_sizes: str
    divided_by: str

    def __post_init__(self) -> None:
        for name in ("iou_target", "box_sizes", "divided_by"):
            choices = table("solvers")["semantics"][f"yolov2_{name}"]["choices"]
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} is {getattr(self, name)!r}", f"it is {' or '.join(map(repr, choices))}")
        if len(self.loss_factors) != 4:
            raise UsageError(
                f"LossFactors is {self.loss_factors}",
                "there are four: of boxes, of the IoU of objects and elsewhere, of classes",
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the loss no run of MATLAB has confirmed, beside the switches."""
        factors = list(self.loss_factors)
        return (
            f"the formula of the YOLO v2 loss is unconfirmed: squared errors with LossFactors {factors}, the first of "
            "two objects with one prediction",
        )

    def __call__(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a mini-batch.

        Args:
            output: of yolov2TransformLayer, N x channels x rows x columns.
            targets: N x M x 5: x, y, width, height in pixels of the network's input, class index; a row of class -1 is
                no object.
        """
        found = predictions(output, self.head)
        at = assign(targets, self.head)
        own, truth = found[at.image, at.prediction], targets[at.image, at.object]
        stride = truth.new_tensor(self.head.stride[::-1])
        cell, anchor = cells(self.head, found)[at.prediction], anchor_sizes(self.head, found)[at.prediction]
        size = own[:, 3:QUANTITIES] * anchor
        place = (truth[:, :2] + truth[:, 2:4] / 2) / stride - cell
        scaled = torch.sqrt if self.box_sizes == "sqrt" else torch.clone
        boxes = (own[:, 1:3] - place).square().sum() + (
            scaled(size / stride) - scaled(truth[:, 2:4] / stride)
        ).square().sum()
        ious = (own[:, 0] - self._iou(own, size, (own[:, 1:3] + cell) * stride, truth)).square().sum()
        is_free = torch.ones_like(found[..., 0], dtype=torch.bool)
        is_free[at.image, at.prediction] = False
        elsewhere = (found[..., 0].square() * is_free).sum()
        wanted = functional.one_hot(truth[:, 4].long(), self.classes).to(own)
        classes = (own[:, QUANTITIES:] - wanted).square().sum()
        k1, k2, k3, k4 = self.loss_factors
        total = k1 * boxes + k2 * ious + k3 * elsewhere + k4 * classes
        return total / (len(output) * (len(self.head.anchors) if self.divided_by == "anchors" else 1))

    def _iou(self, own: Tensor, size: Tensor, centre: Tensor, truth: Tensor) -> Tensor:
        if self.iou_target == "one":
            return torch.ones_like(own[:, 0])
        predicted = torch.cat([centre - size / 2, size], -1).detach()
        return overlap_ratio(predicted[:, None], truth[:, None, :4])[:, 0, 0]


def predictions(output: Tensor, head: Head) -> Tensor:
    """Return N x (rows x columns x anchors) x (5 + classes) of N x channels x rows x columns: channels are grouped by
    quantity, anchors fastest.
    """
    by_anchor = output.unflatten(1, (-1, len(head.anchors)))
    flat: Tensor = by_anchor.permute(0, 3, 4, 2, 1).flatten(1, 3)
    return flat


def assign(targets: Tensor, head: Head) -> Assigned:
    """Return which prediction is responsible for each object; of several objects with one prediction the first is kept.

    Args:
        targets: as `YOLOv2Loss` takes them. An object whose centre is outside the image belongs to the nearest cell.
        head: of the network.
    """
    stride, (rows, columns) = targets.new_tensor(head.stride[::-1]), head.grid
    column, row = ((targets[..., :2] + targets[..., 2:4] / 2) / stride).floor().long().unbind(-1)
    place = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    sizes, anchors = targets[..., 2:4], targets.new_tensor(head.anchors).flip(1)
    shapes = overlap_ratio(
        torch.cat([torch.zeros_like(sizes), sizes], -1), torch.cat([torch.zeros_like(anchors), anchors], -1)
    )
    prediction = place * len(head.anchors) + shapes.argmax(-1)
    is_object = targets[..., 4] >= 0
    same = (prediction[:, :, None] == prediction[:, None, :]) & is_object[:, None, :]
    is_first = ~same.tril(-1).any(-1)
    image, number = (is_object & is_first).nonzero(as_tuple=True)
    return Assigned(image, prediction[image, number], number)
