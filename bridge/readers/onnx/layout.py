"""How a file lays out a value, beside how its torch tensor does.

A layer's tensor has the axes that its MATLAB format has in torch (`torch_axes`). The same tensor may stand in the file
in another order: sequences that MATLAB exports run T, N, C; a softmax over pixels sees the channels last. A Transpose
in the file then is no layer, it only changes the letters. "?" is the format of a value of which nothing is known but
its dims; its tensor is laid out as in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.network.activations import Activation, Length
from bridge.readers.onnx.graph import Dims, Graph

UNKNOWN = "?"
BY_RANK = {
    2: "CB",
    4: "SSCB",
    5: "SSSCB",
}  # the format of a value by its rank; with three dims it depends on its readers
CHANNELS_SECOND = frozenset((
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool",
    "GroupNormalization", "InstanceNormalization", "LRN", "MaxPool", "PRelu", "Resize", "SpaceToDepth",
    "YOLOv2Transform",
))  # fmt: skip
ELEMENTWISE = frozenset((
    "Add", "Clip", "Div", "Dropout", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mul", "Relu",
    "Sigmoid",
    "Softplus", "Sub", "Sum", "Swish", "Tanh",
))  # fmt: skip
LAST = ("LayerNormalization", "Gemm")  # over the last axis, where they read three


@dataclass(frozen=True)
class Value:
    """A value of the graph.

    Attributes:
        layer, port: what puts it out.
        size: as MATLAB sees it.
        axes: the letters of its axes in the file, B, T, C, and H, W, D for space; "" for an unknown format. Space that
            a Flatten took away (or that 1-by-1 pixels add to features) is missing (or added) here only.
    """

    layer: str
    port: str
    size: Activation
    axes: str

    @property
    def as_in_torch(self) -> bool:
        """Whether the tensor is laid out as in the file."""
        return self.axes == torch_axes(self.size)

    @property
    def channels_second(self) -> bool:
        """Whether it is laid out as ONNX's spatial operators read it."""
        return self.axes == "BCT" or (self.axes[:2] == "BC" and self.as_in_torch)

    @property
    def is_flat(self) -> bool:
        """Whether the file has flattened an image that its tensor still is."""
        return self.axes == "BC" and bool(self.size.spatial)

    @property
    def is_pixel(self) -> bool:
        """Whether the file lays out features as an image of 1-by-1 pixels."""
        return self.size.format == "CB" and len(self.axes) > 2

    @property
    def pixel(self) -> Activation:
        """The size that the file shows: of features laid out as an image, that of the image."""
        added = len(self.axes) - 2 if self.is_pixel else 0
        return Activation("S" * added + "CB", (1,) * added + self.size.size) if added else self.size

    def letters(self, axes: tuple[int, ...]) -> set[str]:
        """Return the letters of some of its axes, which may count from the end."""
        return {self.axes[axis] for axis in axes if -len(self.axes) <= axis < len(self.axes)}


def torch_axes(size: Activation) -> str:
    """Return the letters of the axes that a layer's tensor has."""
    return size.axes.replace("N", "B").replace("S", "H")


def activation_of(dims: Dims, wanted: str) -> Activation:
    """Return the activation of a value that is laid out in torch as in the file.

    Args:
        dims: of the value in the file, () where not even the rank is known.
        wanted: the axes that its readers take it to have (`wanted_axes`).
    """
    lengths: tuple[Length, ...] = tuple(n if isinstance(n, int) and n > 0 else None for n in dims[1:])
    if len(dims) in BY_RANK:
        return Activation(BY_RANK[len(dims)], (*lengths[1:], lengths[0]))
    if len(dims) == 3 and wanted == "BCH":
        return Activation("SCB", (lengths[1], lengths[0]))
    if len(dims) == 3 and wanted in ("BTC", "BHC"):
        return Activation("CBT", (lengths[1],))
    return Activation(UNKNOWN, lengths)


def wanted_axes(graph: Graph) -> Mapping[str, str]:
    """Tell of values with three dims how the operators that read them take their axes, through what keeps or turns
    axes.
    """
    wanted: dict[str, str] = {}
    for node in reversed(graph.nodes):
        axes = wanted.get(node.outputs[0], "") if node.op in (*ELEMENTWISE, "Transpose") else ""
        perm = tuple(node.attributes.get("perm", ()))
        if node.op == "Transpose":
            axes = "".join(axes[perm.index(i)] for i in range(3)) if axes and sorted(perm) == [0, 1, 2] else ""
        elif node.op in CHANNELS_SECOND:
            axes = "BCH"
        elif node.op in LAST:
            axes = "BTC"
        elif node.op in ("LSTM", "GRU"):
            axes = "TBC"
        for name in node.inputs if axes else ():
            wanted.setdefault(name, axes)
    return wanted
