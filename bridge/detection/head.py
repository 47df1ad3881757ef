"""What turns the output of a YOLO v2 network into boxes: anchors, classes and sizes. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import UnreadableError, UnsupportedError, UsageError, reading
from bridge.network import Layer, Network
from bridge.network.contract import contracts

YOLO_V2 = "yolov2ObjectDetector"
ORDERS = ("height width", "width height")
QUANTITIES = 5  # of a box: its IoU with the object, x, y, width, height
LOSS_FACTORS = (5.0, 1.0, 1.0, 1.0)  # of a YOLOv2OutputLayer that names none
CONVOLUTIONS = ("Convolution2DLayer", "onnx:Conv")
TRANSFORM = "YOLOv2TransformLayer"


@dataclass(frozen=True)
class Head:
    """The head of a YOLO v2 network.

    Attributes:
        anchors: (height, width) of each anchor box, in pixels of the network's input.
        classes: class names, in the order of the channels.
        size: (height, width, channels) of the network's input.
        grid: (rows, columns) of the cells.
        transformed: whether the network itself applies yolov2TransformLayer.
        loss_factors: K1 (boxes), K2 (IoU of objects), K3 (IoU elsewhere), K4 (classes).
        notes: what was assumed.
    """

    anchors: tuple[tuple[float, float], ...]
    classes: tuple[str, ...]
    size: tuple[int, int, int]
    grid: tuple[int, int]
    transformed: bool
    loss_factors: tuple[float, ...] = LOSS_FACTORS
    notes: tuple[str, ...] = ()

    @property
    def stride(self) -> tuple[float, float]:
        """Pixels of a cell, down and across."""
        return self.size[0] / self.grid[0], self.size[1] / self.grid[1]

    @classmethod
    def of(cls, network: Network, anchor_order: str | None = None) -> Head:
        """Return the head of a network.

        Args:
            network: of a yolov2ObjectDetector, with a YOLOv2OutputLayer, or one that was loaded with its anchors.
            anchor_order: "height width" or "width height"; None: what the file says. WH2HW of a detector is taken as
                the mark of a file whose anchors are [width height] (unconfirmed); without it they are [height width],
                as documented.

        Raises:
            UnsupportedError: it is a detector of another kind.
            UsageError: it is no detector, ends in another layer, or anchors and classes do not fit the channels it puts
                out.
            UnreadableError: its anchors are none.
        """
        facts, layer = network.detector or {}, _output_layer(network)
        kind = str(facts.get("class", YOLO_V2))
        if kind != YOLO_V2 and layer is None:
            raise UnsupportedError(
                f"detection with a {kind} is not supported",
                "only YOLO v2 is decoded; of other detectors the network, the classes and the anchors are read",
                "run its network with net.to_torch() and decode the output yourself",
            )
        anchors, notes = _anchors(facts, layer, anchor_order)
        is_transformed = _is_transformed(_last(network))
        size, grid, channels = _sizes(network)
        named = network.classes or (layer.properties.get("Classes") if layer is not None else None)
        if not isinstance(named, tuple):
            named = None
            notes.append("the network names no classes; they are numbered")
        classes = _classes(network.outputs[0], named, channels, len(anchors))
        declared = _last(network).properties.get("NumAnchorBoxes", len(anchors))
        if declared != len(anchors):
            raise UsageError(
                f"there are {len(anchors)} anchor boxes, and '{_last(network).name}' is made for {declared}",
                "they are of another detector",
            )
        factors = layer.properties.get("LossFactors") if layer is not None else None
        return cls(
            anchors, classes, size, grid, is_transformed, tuple(factors or LOSS_FACTORS), (*notes, *_notes(network))
        )


def is_detector(network: Network) -> bool:
    """Whether a network is that of a detector, of any kind."""
    facts = network.detector or {}
    return "AnchorBoxes" in facts or str(facts.get("class")).endswith("Detector") or _output_layer(network) is not None


def _output_layer(network: Network) -> Layer | None:
    return next((layer for layer in network.layers if layer.kind == "YOLOv2OutputLayer"), None)


def _anchors(
    facts: Mapping[str, Any], layer: Layer | None, order: str | None
) -> tuple[tuple[tuple[float, float], ...], list[str]]:
    """Return (height, width) of the anchors, and what was assumed of their order."""
    if order not in (None, *ORDERS):
        raise UsageError(
            f"anchor_order is {order!r}", f"it is {' or '.join(map(repr, ORDERS))}, or None for what the file says"
        )
    if "AnchorBoxes" in facts:
        boxes = _checked(facts["AnchorBoxes"])
    elif layer is not None:
        flat = tuple(layer.properties.get("AnchorBoxes") or ())  # column by column
        boxes = _checked(tuple(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :], strict=False)))
    else:
        cause, hint = (
            "it has neither anchor boxes nor a YOLOv2OutputLayer",
            "anchors= (--anchors) names a TOML file with AnchorBoxes",
        )
        raise UsageError("the network is no detector", cause, hint)
    is_marked = facts.get("WH2HW") is True
    notes = (
        ["WH2HW is true: the anchors are read as [width height] (unconfirmed)"] if is_marked and order is None else []
    )
    is_swapped = is_marked if order is None else order == "width height"
    return tuple(box[::-1] for box in boxes) if is_swapped else boxes, notes


def _checked(pairs: Any) -> tuple[tuple[float, float], ...]:
    with reading("the anchor boxes"):
        boxes = tuple((float(height), float(width)) for height, width in pairs)
    if not boxes or not all(0 < side < float("inf") for box in boxes for side in box):
        raise UnreadableError(
            f"the anchor boxes are {pairs}", "each is [height width] in pixels, above 0", "correct AnchorBoxes"
        )
    return boxes


def _sizes(network: Network) -> tuple[tuple[int, int, int], tuple[int, int], int]:
    """Return (height, width, channels) of the input, (rows, columns) of the grid, and the channels of the output."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        counts = f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
        raise UsageError(
            f"the network has {counts}", "a YOLO v2 network has one of each", "take the network of the detector"
        )
    given, put_out = network.sizes[network.inputs[0]][0], network.sizes[_last(network).name][0]
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


def _last(network: Network) -> Layer:
    """Return the layer that the network's output comes from."""
    return network.layers[network.outputs[0].partition("/")[0]]


def _is_transformed(last: Layer) -> bool:
    """Whether a network ends in yolov2TransformLayer, or in the convolution before it."""
    if last.kind in (*CONVOLUTIONS, TRANSFORM):
        return last.kind == TRANSFORM
    cause = "behind the last convolution of a YOLO v2 network comes yolov2TransformLayer, or nothing"
    raise UsageError(
        f"the network ends in '{last.name}' ({last.kind})",
        cause,
        "net.remove(...) takes away layers behind the last convolution",
    )


def _notes(network: Network) -> list[str]:
    notes = [
        f"'{each.name}' was trained on values {each.range_text}, and detection scales images to 0..1"
        for each in contracts(network)
        if each.high is not None and each.high > 1
    ]
    sizes = (network.detector or {}).get("TrainingImageSize")
    if isinstance(sizes, tuple) and len(sizes) > 2:
        notes.append("it was trained on images of several sizes; they are resized to that of the network's input")
    return notes
