"""YOLO v2: the head of a network that ends in yolov2TransformLayer, or in the convolution before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from bridge.detection.family import FAMILIES, Boxes, Candidates, Decoding, Family, Head, anchor_boxes, general_notes
from bridge.detection.yolov2.decode import decode
from bridge.detection.yolov2.loss import QUANTITIES, YOLOv2Loss
from bridge.errors import UsageError
from bridge.modules.activation import YOLOv2Transform
from bridge.modules.build import to_torch
from bridge.network import Layer, Network
from bridge.options.options import Semantics
from bridge.tables.detectors import DetectorRow

LOSS_FACTORS = (5.0, 1.0, 1.0, 1.0)  # of networks that name none
CONVOLUTION = "Conv"


@FAMILIES("yolov2")
@dataclass(frozen=True)
class YOLOv2(Family):
    """A YOLO v2 network: one head.

    Attributes:
        transformed: whether the network itself applies yolov2TransformLayer.
        loss_factors: K1 (boxes), K2 (IoU of objects), K3 (IoU elsewhere), K4 (classes).
    """

    transformed: bool = True
    loss_factors: tuple[float, ...] = LOSS_FACTORS

    @classmethod
    def of(cls, network: Network, row: DetectorRow, anchor_order: str | None = None) -> Self:
        """See `Family.of`.

        WH2HW of an object is taken as the mark of a file whose anchors are [width height] (unconfirmed).
        """
        facts, output = network.detector or {}, _output_layer(network, row)
        anchors, notes = _anchors(network, output, row, anchor_order)
        last = network.layers[network.outputs[0].partition("/")[0]]
        transformed = _is_transformed(last, row)
        size, grid, channels = _sizes(network, last)
        named = network.classes or (output.properties.get("Classes") if output is not None else None)
        if not isinstance(named, tuple):
            named = None
            notes.append("the network names no classes; they are numbered")
        classes = _classes(network.outputs[0], named, channels, len(anchors))
        declared = last.properties.get("NumAnchorBoxes", len(anchors))
        if declared != len(anchors):
            raise UsageError(
                f"there are {len(anchors)} anchor boxes, and '{last.name}' is made for {declared}",
                "they are of another detector",
            )
        head = Head(anchors, grid, (size[0] / grid[0], size[1] / grid[1]))
        factors = facts.get("LossFactors") or (output.properties.get("LossFactors") if output is not None else None)
        held = row, classes, size, (head,), (*notes, *general_notes(network))
        return cls(*held, transformed, tuple(factors or LOSS_FACTORS))

    @property
    def head(self) -> Head:
        """The one head."""
        return self.heads[0]

    def module(self, network: Network, modules: Mapping[str, Callable[[Layer], nn.Module]] | None) -> nn.Module:
        """Return the network's module, with yolov2TransformLayer behind it where it has none."""
        model = to_torch(network, modules=modules)
        return model if self.transformed else nn.Sequential(model, YOLOv2Transform(len(self.head.anchors)))

    def candidates(self, output: Tensor) -> Candidates:
        """Decode the output of yolov2TransformLayer."""
        return Candidates(*decode(output, self.head.anchors, self.head.stride))

    def decoding(self) -> Decoding:
        """See `Family.decoding`."""
        module = None if self.transformed else YOLOv2Transform(len(self.head.anchors))
        return Decoding(decode, {"anchors": self.head.anchors, "stride": self.head.stride}, module)

    def training_resize(self, switches: Semantics) -> str:
        """See `Family.training_resize`."""
        return switches.yolov2_resize

    def loss(self, switches: Semantics) -> YOLOv2Loss:
        """Return the loss; see `Family.loss`."""
        if not self.transformed:
            raise UsageError(
                "the loss of a detector needs yolov2TransformLayer",
                "the network ends before it",
                "add it with net.add(...) and net.connect(...)",
            )
        asked = switches.yolov2_iou_target, switches.yolov2_box_sizes, switches.yolov2_divided_by
        return YOLOv2Loss(self.head, len(self.classes), self.loss_factors, *asked)


def _output_layer(network: Network, row: DetectorRow) -> Layer | None:
    own = (layer for layer in network.layers if layer.row.detector == row.name and layer.row.is_output)
    return next(own, None)


def _anchors(network: Network, output: Layer | None, row: DetectorRow, order: str | None) -> tuple[Boxes, list[str]]:
    """Return (height, width) of the anchors, and what was assumed of their order."""
    facts = network.detector or {}
    if "AnchorBoxes" not in facts and output is None:
        raise UsageError(
            "the network has no anchor boxes",
            "no object and no output layer holds them",
            "anchors= (--anchors) names a TOML file with AnchorBoxes",
        )
    if "AnchorBoxes" not in facts and output is not None:
        flat = tuple(output.properties.get("AnchorBoxes") or ())  # column by column
        facts = {"AnchorBoxes": tuple(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :], strict=False))}
    is_marked = order is None and facts.get("WH2HW") is True
    notes = ["WH2HW is true: the anchors are read as [width height] (unconfirmed)"] if is_marked else []
    if network.detector is None and order is None and output is not None and "NumClasses" not in output.properties:
        notes.append(
            f"'{output.name}' tells no number of classes, as such layers of R2019a, which held [width height]: its "
            f"anchors are read as [{row.anchor_order}] (anchor_order= overrules it)"
        )
    heads = anchor_boxes(facts, order or ("width height" if is_marked else row.anchor_order))
    if len(heads) != 1:
        raise UsageError(f"there are anchor boxes for {len(heads)} heads", "a YOLO v2 network has one head")
    return heads[0], notes


def _sizes(network: Network, last: Layer) -> tuple[tuple[int, int, int], tuple[int, int], int]:
    """Return (height, width, channels) of the input, (rows, columns) of the grid, and the channels of the output."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        counts = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
        raise UsageError(
            f"the network has {counts}", "a YOLO v2 network has one of each", "take the network of the detector"
        )
    given, put_out = network.sizes[network.inputs[0]][0], network.sizes[last.name][0]
    if given.format != "SSCB" or put_out.format != "SSCB" or None in given.size or None in put_out.size:
        raise UsageError(
            f"the network takes {given} and puts out {put_out}",
            "a YOLO v2 network takes an image and puts out a grid of a known size",
        )
    height, width, channels = (int(n or 0) for n in given.size)
    rows, columns, predicted = (int(n or 0) for n in put_out.size)
    return (height, width, channels), (rows, columns), predicted


def _classes(output: str, named: tuple[str, ...] | None, channels: int, anchors: int) -> tuple[str, ...]:
    """Return the class names, after holding them and the anchors against the channels."""
    count, rest = divmod(channels - QUANTITIES * anchors, anchors)
    if rest or count < 1 or (named is not None and len(named) != count):
        needed = (
            f"{anchors} x ({QUANTITIES} + {len(named)}) = {anchors * (QUANTITIES + len(named))}"
            if named
            else f"{anchors} x ({QUANTITIES} + classes)"
        )
        hint = "give the anchors and classes the network was trained with, all and in their order"
        raise UsageError(
            f"{anchors} anchor boxes do not fit the {channels} channels of '{output}'",
            f"with {len(named) if named else 'any number of'} classes they need {needed} channels",
            hint,
        )
    return named if named is not None else tuple(str(number) for number in range(1, count + 1))


def _is_transformed(last: Layer, row: DetectorRow) -> bool:
    """Whether a network ends in yolov2TransformLayer, or in the convolution before it."""
    if last.row.detector == row.name or CONVOLUTION in last.row.onnx:
        return last.row.detector == row.name
    cause = "behind the last convolution of a YOLO v2 network comes yolov2TransformLayer, or nothing"
    raise UsageError(
        f"the network ends in '{last.name}' ({last.kind})",
        cause,
        "net.remove(...) takes away layers behind the last convolution",
    )
