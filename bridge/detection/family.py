"""What a family of detectors gives: heads, decoding, targets and loss, tied to the class of MATLAB's object by a row.

A family is a subclass of `Family` under `@FAMILIES("<name>")`, in a folder of its own, and a row of
`mappings/detectors.toml` that names it. Everything else here and in `bridge.detection.detector` serves every family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor, nn

from bridge.errors import UnreadableError, UnsupportedError, UsageError, reading
from bridge.modules.build import to_torch
from bridge.network import Layer, Network
from bridge.network.contract import contracts
from bridge.options.options import Semantics
from bridge.tables.detectors import DetectorRow, detector_row
from bridge.tables.registry import Registry

ORDERS = ("height width", "width height")
Boxes = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Head:
    """One output of a detector's network: a grid of cells, in each of them anchor boxes.

    Attributes:
        anchors: (height, width) of each anchor box, in pixels of the network's input.
        grid: (rows, columns) of the cells.
        stride: pixels of a cell, down and across.
    """

    anchors: Boxes
    grid: tuple[int, int]
    stride: tuple[float, float]


class Candidates(NamedTuple):
    """What may be an object in each image of a batch, M for each, before weak and overlapped ones are dropped.

    Attributes:
        corners: N x M x 4: left, top, right, bottom, in pixels of the network's input, from 0.
        scores: N x M.
        labels: N x M, the number of the class from 0.
    """

    corners: Tensor
    scores: Tensor
    labels: Tensor


class Decoding(NamedTuple):
    """How `Candidates` are had from the output of a network with torch alone, for source code that is written.

    Attributes:
        function: of the network's outputs and the arguments; it uses torch alone.
        arguments: by name, plain values.
        module: what the output goes through before; None for nothing.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    module: nn.Module | None = None


class DetectorLoss(Protocol):
    """The loss of a mini-batch.

    Attributes:
        notes: what of it no run of MATLAB has confirmed.
    """

    @property
    def notes(self) -> tuple[str, ...]: ...
    def __call__(self, output: Any, targets: Tensor) -> Tensor:
        """Return the loss of the network's output against N x M x 5: x, y, width, height in pixels of the network's
        input, counted from 1, and the number of the class; a row of class -1 is no object.
        """


@dataclass(frozen=True)
class Family(ABC):
    """A network as one of its family of detectors.

    Attributes:
        row: what is known of the detector, in its version.
        classes: class names, in the order of the channels.
        size: (height, width, channels) of the network's input.
        heads: the outputs that tell boxes.
        notes: what was assumed.
    """

    row: DetectorRow
    classes: tuple[str, ...]
    size: tuple[int, int, int]
    heads: tuple[Head, ...]
    notes: tuple[str, ...]

    @property
    def white_pixel(self) -> float:
        """The value of a white pixel as the network takes it, 0 being black."""
        return 1.0

    @classmethod
    @abstractmethod
    def of(cls, network: Network, row: DetectorRow, anchor_order: str | None = None) -> Self:
        """Look at a network.

        Args:
            network: with what its object held, as `Network.detector`.
            row: of the detector, in its version.
            anchor_order: "height width" or "width height"; None: what the row and the object say.

        Raises:
            UsageError: it ends in another layer, or anchors and classes do not fit what it puts out.
            UnreadableError: its anchors are none.
        """

    def module(self, network: Network, modules: Mapping[str, Callable[[Layer], nn.Module]] | None) -> nn.Module:
        """Return the module whose output `candidates` takes."""
        return to_torch(network, modules=modules)

    def input_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) that an image of this (height, width) is resized to: the network's, whatever its
        aspect.
        """
        return self.size[:2]

    @abstractmethod
    def candidates(self, output: Any) -> Candidates:
        """Decode what the module puts out."""

    def decoding(self) -> Decoding | None:
        """Return how source code that is written decodes, None where it does not."""
        return None

    def training_resize(self, switches: Semantics) -> str:
        """Return the method of `imresize` that brings training images to the size of the network."""
        return self.row.resize

    def loss(self, switches: Semantics) -> DetectorLoss:
        """Return the loss, by the switches of training.

        Raises:
            UnsupportedError: it is not trained.
            UsageError: the network has not what the loss needs.
        """
        raise UnsupportedError(
            f"a {self.row.title} detector is not trained here", "its loss is not known", "train it in a loop of yours"
        )


FAMILIES: Registry[type[Family]] = Registry("family of detectors")


def is_detector(network: Network) -> bool:
    """Whether a network is that of a detector, of any kind."""
    facts = network.detector or {}
    return (
        "AnchorBoxes" in facts or detector_row(str(facts.get("class"))) is not None or _by_layers(network) is not None
    )


def family_of(network: Network, anchor_order: str | None = None) -> Family:
    """Return a network as one of its family.

    Args:
        network: of a detector's object, with a layer that only a detector has, or loaded with its anchors.
        anchor_order: "height width" or "width height"; None: what the file says.

    Raises:
        UnsupportedError: nothing is detected with detectors of its class.
        UsageError: it is no detector, or not as its class says.
        UnreadableError: its anchors are none.
    """
    if anchor_order not in (None, *ORDERS):
        choices = " or ".join(map(repr, ORDERS))
        raise UsageError(f"anchor_order is {anchor_order!r}", f"it is {choices}, or None for what the file says")
    facts = network.detector or {}
    kind = str(facts.get("class", ""))
    row = detector_row(kind)
    row = row if row is not None and row.family else _by_layers(network) or row
    if row is None and "AnchorBoxes" not in facts:
        raise UsageError(
            "the network is no detector",
            "it has neither anchor boxes nor a layer that only detectors have",
            "anchors= (--anchors) names a TOML file with AnchorBoxes",
        )
    if row is None or not row.family:
        raise UnsupportedError(
            f"detection with a {kind} is not supported",
            f"{row.refused if row is not None else 'it is not known'}; its network, classes and anchors are read",
            "run its network with net.to_torch() and decode the output yourself",
        )
    return FAMILIES[row.family].of(network, row.of_version(facts.get("Version")), anchor_order)


def _by_layers(network: Network) -> DetectorRow | None:
    """Return the detector that alone has a layer of the network."""
    return next((detector_row(layer.row.detector) for layer in network.layers if layer.row.detector), None)


def anchor_boxes(facts: Mapping[str, Any], order: str) -> tuple[Boxes, ...]:
    """Return (height, width) of the AnchorBoxes that an object holds, for each head: a matrix, or a cell of them.

    Args:
        facts: of the object.
        order: of a row: "height width" or "width height".

    Raises:
        UnreadableError: they are none.
    """
    given = facts["AnchorBoxes"]
    with reading("the anchor boxes"):
        heads = given if isinstance(given[0][0], Sequence) and not isinstance(given[0], str) else (given,)
        found = tuple(tuple((float(first), float(second)) for first, second in rows) for rows in heads)
    if not all(found) or not all(0 < side < float("inf") for rows in found for box in rows for side in box):
        raise UnreadableError(
            f"the anchor boxes are {given}", "each is [height width] in pixels, above 0", "correct AnchorBoxes"
        )
    return found if order == ORDERS[0] else tuple(tuple(box[::-1] for box in rows) for rows in found)


def general_notes(network: Network) -> tuple[str, ...]:
    """Return what detection does to images of a network that was trained on others."""
    notes = [
        f"'{each.name}' was trained on values {each.range_text}, and detection scales images to 0..1"
        for each in contracts(network)
        if each.high is not None and each.high > 1
    ]
    sizes = (network.detector or {}).get("TrainingImageSize")
    if isinstance(sizes, tuple) and len(sizes) > 2:
        notes.append("it was trained on images of several sizes; they are resized to that of the network's input")
    return tuple(notes)
