"""resnetNetwork and resnetLayers: residual networks of any depth, for images of any size.

Documented are the arguments, the counts, and the names `input`, `softmax` and `output`. Unconfirmed: the names of the
other layers, their order, the initializer "he" of the convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bridge import layers
from bridge.errors import UsageError, nearest
from bridge.network import Network
from bridge.networks.graph import Classes, Graph, Size, count

CHOICES = {
    "InitialPoolingLayer": ("max", "average", "none"),
    "ResidualBlockType": ("batchnorm-before-add", "batchnorm-after-add"),
    "BottleneckType": ("downsample-first-conv", "none"),
}
WIDER = 4  # times as many channels leave a bottleneck as are inside


def resnet_network(input_size: Sequence[int], classes: Classes, **arguments: Any) -> Network:
    """Return what MATLAB's resnetNetwork(inputSize, numClasses) does: as `resnet_layers`, a dlnetwork that ends in its
    softmax.
    """
    return _resnet(input_size, classes, _form(arguments)).network(classes)


def resnet_layers(input_size: Sequence[int], classes: Classes, **arguments: Any) -> Network:
    """Return what MATLAB's resnetLayers(inputSize, numClasses) does, its learnables without values.

    Args:
        input_size: [height, width, channels].
        classes: the number of classes, or their names.
        arguments: InitialFilterSize (7), InitialNumFilters (64), InitialStride (2), InitialPoolingLayer ("max",
            "average" or "none"), ResidualBlockType ("batchnorm-before-add" or "batchnorm-after-add"), BottleneckType
            ("downsample-first-conv" or "none"), StackDepth ([3, 4, 6, 3]: blocks of each stack), NumFilters ([64, 128,
            256, 512]), Normalization ("zerocenter").

    Raises:
        UsageError: an argument makes no sense, or the image is too small for so many halvings.
    """
    graph = _resnet(input_size, classes, _form(arguments))
    named: dict[str, Any] = {} if isinstance(classes, int) else {"Classes": tuple(classes), "NumClasses": len(classes)}
    graph.add(layers.classification(name="output", **named))
    return graph.network()


@dataclass(frozen=True)
class _Form:
    """MATLAB's name-value arguments, with MATLAB's defaults."""

    InitialFilterSize: Size = 7
    InitialNumFilters: int = 64
    InitialStride: Size = 2
    InitialPoolingLayer: str = "max"
    ResidualBlockType: str = "batchnorm-before-add"
    BottleneckType: str = "downsample-first-conv"
    StackDepth: Sequence[int] = (3, 4, 6, 3)
    NumFilters: Sequence[int] = (64, 128, 256, 512)
    Normalization: str = "zerocenter"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                error = f"{name} of resnetLayers is {getattr(self, name)!r}"
                raise UsageError(error, f"it is one of {', '.join(map(repr, choices))}", f"give {choices[0]!r}, say")
        if len(self.StackDepth) != len(self.NumFilters) or not self.StackDepth or min(self.StackDepth) < 1:
            raise UsageError(
                f"StackDepth is {list(self.StackDepth)}, NumFilters is {list(self.NumFilters)}",
                "each stack has a number of blocks, from 1, and one of filters",
                "give two lists of one length",
            )

    @property
    def narrows(self) -> bool:
        return self.BottleneckType != "none"

    @property
    def after(self) -> bool:
        """Whether a batch normalisation follows the additions."""
        return self.ResidualBlockType == "batchnorm-after-add"


def _form(arguments: Mapping[str, Any]) -> _Form:
    known = [each.name for each in fields(_Form)]
    strange = next((name for name in arguments if name not in known), None)
    if strange is not None:
        error = f"resnetLayers has no argument '{strange}'"
        raise UsageError(error, nearest(strange, known), f"it takes {', '.join(known)}")
    return _Form(**arguments)


def _resnet(input_size: Sequence[int], classes: Classes, form: _Form) -> Graph:
    _require_large(input_size, form)
    graph = Graph()
    graph.image_input("input", input_size, form.Normalization)
    graph.note("the names and the order of the layers are derived, not seen, but for input, softmax and output")
    _conv(graph, "conv1", form.InitialFilterSize, form.InitialNumFilters, Stride=form.InitialStride)
    graph.batch_norm("bn1")
    graph.relu("relu1")
    if form.InitialPoolingLayer == "max":
        graph.max_pool("maxpool1", 3, 2, Padding="same")
    elif form.InitialPoolingLayer == "average":
        graph.add(layers.average_pooling2d(3, name="avgpool1", Stride=2, Padding="same"))
    channels = form.InitialNumFilters
    for stack, (depth, filters) in enumerate(zip(form.StackDepth, form.NumFilters, strict=True), 1):
        for block in range(1, depth + 1):
            stride = 2 if block == 1 and stack > 1 else 1
            channels = _block(graph, f"stack{stack}_block{block}", (channels, filters, stride), form)
    graph.add(layers.global_average_pooling2d(name="gap"))
    graph.add(layers.fully_connected(count(classes), name="fc"))
    graph.add(layers.softmax(name="softmax"))
    return graph


def _require_large(input_size: Sequence[int], form: _Form) -> None:
    """The rule of the documentation: height and width halve with each stride."""
    strides = form.InitialStride if isinstance(form.InitialStride, tuple) else (form.InitialStride,) * 2
    halvings = len(form.StackDepth) - 1 + (form.InitialPoolingLayer != "none")
    least = [stride * 2**halvings for stride in strides]
    if len(input_size) != 3 or any(n < m for n, m in zip(input_size, least, strict=False)):
        raise UsageError(
            f"the input size of resnetLayers is {list(input_size)}",
            f"it is [height, width, channels], at least {least[0]} by {least[1]} pixels with these strides",
            "give fewer stacks, InitialStride=1 or InitialPoolingLayer='none' for small images",
        )


def _block(graph: Graph, name: str, widths: tuple[int, int, int], form: _Form) -> int:
    """Append a residual block, and return how many channels leave it; its shortcut is projected where sizes change."""
    channels, filters, stride = widths
    start = shortcut = graph.last
    wide = filters * WIDER if form.narrows else filters
    convolutions = [(1, filters), (3, filters), (1, wide)] if form.narrows else [(3, filters), (3, filters)]
    for number, (size, width) in enumerate(convolutions, 1):
        source = start if number == 1 else graph.last
        _conv(graph, f"{name}_conv{number}", size, width, source, Stride=stride if number == 1 else 1)
        if number < len(convolutions):
            graph.batch_norm(f"{name}_bn{number}")
            graph.relu(f"{name}_relu{number}")
    last = len(convolutions)
    branch = graph.last if form.after else graph.batch_norm(f"{name}_bn{last}")
    if stride > 1 or channels != wide:
        shortcut = _conv(graph, f"{name}_skip_conv", 1, wide, start, Stride=stride)
        if not form.after:
            shortcut = graph.batch_norm(f"{name}_skip_bn")
    graph.add_up(f"{name}_add", branch, shortcut)
    if form.after:
        graph.batch_norm(f"{name}_bn{last}")
    graph.relu(f"{name}_relu{last}")
    return wide


def _conv(graph: Graph, name: str, size: Size, filters: int, *source: str, **properties: Any) -> str:
    return graph.conv(name, size, filters, *source, Padding="same", WeightsInitializer="he", **properties)
