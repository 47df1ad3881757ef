"""Modules of detectors that look at regions: proposals, and pooling of each region to one size.

A region is a row of five numbers: left, top, right and bottom in pixels of the network's input, edges counted from 0,
and the index of its image in the batch. What MATLAB passes between these layers is unconfirmed. NMS and ROI pooling
are torchvision's, which is imported when one of them runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bridge.errors import MissingExtraError, UnreadableError
from bridge.modules.builders import BUILDERS, Given
from bridge.network.windows import numbers

if TYPE_CHECKING:
    from bridge.network import Layer

NMS_OVERLAP = 0.7  # of proposals, as published (Ren et al. 2015)
STRONGEST = 2000  # proposals of an image, as published for training
LARGEST_GROWTH = 4.135  # log(1000 / 16): a box grows no further, so that exp stays finite


def torchvision_ops() -> ModuleType:
    """Return torchvision.ops.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    try:
        from torchvision import ops
    except ImportError as error:
        raise MissingExtraError(
            "pooling of regions and their selection need torchvision",
            "it is not installed",
            "pip install 'bridge[detection]'",
        ) from error
    made: ModuleType = ops
    return made


class RegionScores(nn.Module):
    """Turn N x 2K x H x W, the two scores of a box side by side, into N x 2 x H x KW.

    The order was read off a detector of R2018: the biases of the channels 2k and 2k + 1 are each other's negative.
    """

    def forward(self, x: Tensor) -> Tensor:
        apart: Tensor = x.unflatten(1, (-1, 2)).permute(0, 2, 3, 1, 4).flatten(3)
        return apart


class RegionSoftmax(RegionScores):
    """The same, as probabilities of an object and of background."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class RegionProposal(nn.Module):
    """Turn scores and box deltas of every anchor into the regions that may hold an object.

    Anchors are centred on the cells of the feature map; deltas (tx, ty, tw, th) move and stretch them, boxes are
    clipped to the image, those below one pixel are dropped, and of the `strongest` that are left those that overlap
    a stronger one by more than `overlap` go (Ren et al. 2015; in which order MATLAB does it is unconfirmed).

    Attributes:
        anchors: (height, width) of each anchor box, in pixels.
        strongest: how many of the best boxes of an image are looked at.
        overlap: the intersection over union above which the weaker of two goes.
    """

    def __init__(self, anchors: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.anchors = tuple(anchors)
        self.strongest, self.overlap = STRONGEST, NMS_OVERLAP

    def forward(self, scores: Tensor, deltas: Tensor, image: Tensor) -> Tensor:
        """Return M x 5 regions of a batch.

        Args:
            scores: N x 2 x H x KW, an object first.
            deltas: N x 4K x H x W, those of a box side by side.
            image: N x C x height x width, of which only the size counts.
        """
        size = image.shape[-2:]
        boxes = moved(by_anchor(deltas), anchor_boxes(self.anchors, deltas.shape[-2:], size, deltas))
        strength = scores_by_anchor(scores, len(self.anchors))
        found = [self._selected(*each, size) for each in zip(boxes, strength, strict=True)]
        numbered = [torch.cat([each, each.new_full((len(each), 1), index)], 1) for index, each in enumerate(found)]
        return torch.cat(numbered)

    def _selected(self, boxes: Tensor, scores: Tensor, size: Sequence[int]) -> Tensor:
        scores, best = scores.topk(min(self.strongest, len(scores)))
        boxes = clipped(boxes[best], size)
        stays = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1) & scores.isfinite()
        boxes, scores = boxes[stays], scores[stays]
        return boxes[torchvision_ops().nms(boxes, scores, self.overlap)]

    def extra_repr(self) -> str:
        return f"{len(self.anchors)} anchors"


class RegionMaxPooling(nn.Module):
    """The largest value of each cell of a grid laid over each region (Girshick 2015, as torchvision computes it)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, regions: Tensor, image: Tensor) -> Tensor:
        """Return M x C x rows x columns of features N x C x H x W and M x 5 regions in pixels of the image."""
        scale = _scale(x, image)
        cells = torch.cat([regions[:, 4:], regions[:, :2] * scale, (regions[:, 2:4] - 1) * scale], 1)
        pooled: Tensor = torchvision_ops().roi_pool(x, cells.to(x), self.size, 1.0)
        return pooled

    def extra_repr(self) -> str:
        return f"{self.size}"


class RegionAlign(nn.Module):
    """The mean of values interpolated in each cell of a grid laid over each region (He et al. 2017, by torchvision)."""

    def __init__(self, size: tuple[int, int], scale: float, ratio: int) -> None:
        super().__init__()
        self.size, self.scale, self.ratio = size, scale, ratio

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        boxes = torch.cat([regions[:, 4:], regions[:, :4]], 1).to(x)
        pooled: Tensor = torchvision_ops().roi_align(x, boxes, self.size, self.scale, self.ratio, aligned=True)
        return pooled


# Arithmetic


def by_anchor(deltas: Tensor) -> Tensor:
    """Return N x (H x W x K) x 4 of N x 4K x H x W: rows change slowest, anchors fastest.

    That the four numbers of a box lie side by side was read off a detector of R2018, whose largest four anchors were
    never trained: the last 16 biases are zero.
    """
    apart: Tensor = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
    return apart


def scores_by_anchor(scores: Tensor, anchors: int) -> Tensor:
    """Return N x (H x W x K), the probability of an object, of N x 2 x H x KW."""
    apart: Tensor = scores[:, 0].unflatten(2, (anchors, -1)).transpose(2, 3).flatten(1)
    return apart


def anchor_boxes(
    anchors: Sequence[tuple[float, float]], grid: Sequence[int], size: Sequence[int], like: Tensor
) -> Tensor:
    """Return (H x W x K) x 4 left, top, right and bottom of the anchors (height, width), centred on the cells."""
    rows, columns = (
        (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) * (length / count)
        for count, length in zip(grid, size, strict=True)
    )
    half = torch.tensor(anchors, device=like.device, dtype=like.dtype).flip(1) / 2
    centre = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)[:, :, None]
    return torch.cat([centre - half, centre + half], -1).flatten(0, 2)


def moved(deltas: Tensor, boxes: Tensor) -> Tensor:
    """Return boxes moved and stretched by (tx, ty, tw, th): centre + t x size, size x exp(t)."""
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + size / 2 + deltas[..., :2] * size
    half = size * deltas[..., 2:].clamp(max=LARGEST_GROWTH).exp() / 2
    return torch.cat([centre - half, centre + half], -1)


def deltas_between(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Return the (tx, ty, tw, th) that turn boxes into the wanted ones: the inverse of `moved`."""
    size, goal = boxes[..., 2:] - boxes[..., :2], wanted[..., 2:] - wanted[..., :2]
    shift = (wanted[..., :2] + goal / 2 - boxes[..., :2] - size / 2) / size
    return torch.cat([shift, (goal / size).log()], -1)


def clipped(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Return boxes with what lies outside an image of (height, width) cut off."""
    most = boxes.new_tensor([size[1], size[0]]).repeat(2)
    return torch.minimum(boxes.clamp(min=0), most)


def _scale(features: Tensor, image: Tensor) -> Tensor:
    height, width = (a / b for a, b in zip(features.shape[-2:], image.shape[-2:], strict=True))
    return features.new_tensor([width, height])


# Builders


@BUILDERS("region_scores")
def region_scores(layer: Layer, given: Given) -> nn.Module:
    return RegionScores()


@BUILDERS("region_softmax")
def region_softmax(layer: Layer, given: Given) -> nn.Module:
    return RegionSoftmax()


@BUILDERS("region_proposal")
def region_proposal(layer: Layer, given: Given) -> nn.Module:
    return RegionProposal(boxes_of(layer))


def boxes_of(layer: Layer) -> tuple[tuple[float, float], ...]:
    """Return the (height, width) of AnchorBoxes, which are held column by column.

    Raises:
        UnreadableError: they are no pairs above 0.
    """
    flat = layer.properties.get("AnchorBoxes")
    flat = tuple(flat) if isinstance(flat, (tuple, list)) else ()
    pairs = tuple(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :], strict=False))
    if not pairs or len(flat) % 2 or not all(0 < side < float("inf") for side in flat):
        raise UnreadableError(
            f"layer '{layer.name}' has the anchor boxes {layer.properties.get('AnchorBoxes')}",
            "each is [height width] in pixels, above 0",
        )
    return pairs


@BUILDERS("region_pooling")
def region_pooling(layer: Layer, given: Given) -> nn.Module:
    rows, columns = numbers(layer.properties["OutputSize"], 2)
    return RegionMaxPooling((rows, columns))


@BUILDERS("region_align")
def region_align(layer: Layer, given: Given) -> nn.Module:
    """SamplingRatio of one number or equal ones: torchvision takes one, -1 for "auto"."""
    rows, columns = numbers(layer.properties["OutputSize"], 2)
    ratio = layer.properties["SamplingRatio"]
    return RegionAlign(
        (rows, columns), float(layer.properties["ROIScale"]), -1 if ratio == "auto" else numbers(ratio, 1)[0]
    )
