"""YOLO v3 and v4: networks whose outputs are the heads, one for each cell of AnchorBoxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from bridge.detection.family import FAMILIES, Boxes, Candidates, Family, Head, anchor_boxes
from bridge.detection.yolo.decode import QUANTITIES, decode
from bridge.detection.yolo.loss import YOLOLoss
from bridge.errors import UsageError
from bridge.network import Network
from bridge.network.contract import contracts
from bridge.options.options import Semantics
from bridge.tables.detectors import DetectorRow

NOTE = "the boxes are decoded as published, x, y, w, h, objectness and classes of an anchor side by side (unconfirmed)"


@FAMILIES("yolo")
@dataclass(frozen=True)
class YOLO(Family):
    """A YOLO v3 or v4 network.

    Attributes:
        white: the value of a white pixel as the network takes it.
    """

    white: float = 1.0

    @classmethod
    def of(cls, network: Network, row: DetectorRow, anchor_order: str | None = None) -> Self:
        """See `Family.of`. The first matrix of anchors belongs to the first output of the network."""
        facts = network.detector or {}
        if "AnchorBoxes" not in facts:
            raise UsageError("the network has no anchor boxes", f"the object of a {row.title} detector holds them")
        anchors = anchor_boxes(facts, anchor_order or row.anchor_order)
        if len(network.inputs) != 1 or len(anchors) != len(network.outputs):
            raise UsageError(
                f"the network has {len(network.inputs)} inputs and {len(network.outputs)} outputs, anchors for "
                f"{len(anchors)}",
                f"a {row.title} network takes one image, and each of its outputs has anchor boxes",
            )
        given = network.sizes[network.inputs[0]][0]
        if given.format != "SSCB" or None in given.size:
            raise UsageError(f"the network takes {given}", f"a {row.title} network takes an image of a known size")
        height, width, channels = (int(n or 0) for n in given.size)
        found = [
            _head(network, output, each, (height, width)) for output, each in zip(network.outputs, anchors, strict=True)
        ]
        counts = {count for _, count in found}
        classes = network.classes or tuple(map(str, range(1, min(counts) + 1)))
        if counts != {len(classes)}:
            raise UsageError(
                f"the outputs of the network have room for {', '.join(map(str, sorted(counts)))} classes",
                f"there are {len(classes)}: {', '.join(classes)}",
                "give the anchors and classes the network was trained with",
            )
        contract = next(contracts(network))
        white = 255.0 if contract.high is not None and contract.high > 1 else 1.0
        heads = tuple(head for head, _ in found)
        return cls(row, classes, (height, width, channels), heads, (NOTE,), white)

    @property
    def white_pixel(self) -> float:
        """255 where the network itself rescales. Read off a file: the batch norm behind the first convolution holds the
        means that pixels of 0..1 have there.
        """
        return self.white

    def candidates(self, output: Any) -> Candidates:
        """Decode what the heads put out; the score is that of an object times that of the best class."""
        found = decode((output,) if isinstance(output, Tensor) else output, self.heads)
        best = found.classes.sigmoid().max(-1)
        return Candidates(found.corners, found.objectness.sigmoid() * best.values, best.indices)

    def loss(self, switches: Semantics) -> YOLOLoss:
        """Return the loss; see `Family.loss`."""
        return YOLOLoss(self.heads, len(self.classes), self.size[:2], **self.row.training)


def _head(network: Network, output: str, anchors: Boxes, size: tuple[int, int]) -> tuple[Head, int]:
    """Return the head of an output, and for how many classes it has channels."""
    put_out = network.size_of(output)
    count, rest = divmod(put_out.channels or 0, len(anchors))
    if put_out.format != "SSCB" or None in put_out.size or rest or count <= QUANTITIES:
        raise UsageError(
            f"{len(anchors)} anchor boxes do not fit '{output}', which puts out {put_out}",
            f"they need {len(anchors)} x ({QUANTITIES} + classes) channels of a grid",
            "give the anchors and classes the network was trained with, all and in their order",
        )
    rows, columns = (int(n or 0) for n in put_out.spatial)
    return Head(anchors, (rows, columns), (size[0] / rows, size[1] / columns)), count - QUANTITIES
