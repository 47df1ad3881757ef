"""The rules for the size of activations, without torch: a rule takes a layer and the activations at its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bridge.errors import UnreadableError, UnsupportedError
from bridge.network.activations import Activation, Length
from bridge.network.blame import interpreting
from bridge.network.windows import dimensions, filter_count, numbers, padding_pairs, window
from bridge.tables.forms import MOST
from bridge.tables.registry import Registry

if TYPE_CHECKING:
    from bridge.network.layer import Connection, Layer

Rule = Callable[["Layer", Sequence[Activation]], Activation]
SIZE_RULES: Registry[Rule] = Registry("size rule")


def activation_sizes(
    order: Sequence[Layer], incoming: Mapping[str, Sequence[Connection]]
) -> Mapping[str, tuple[Activation, ...]]:
    """Return for every layer the activation at each of its output ports.

    Args:
        order: the layers, each behind those that it reads.
        incoming: for each layer its incoming connections, in the order of its input ports.

    Raises:
        UnreadableError: two sizes contradict each other; the layer is named.
        UnsupportedError: a layer cannot take the format it is given.
    """
    sizes: dict[str, dict[str, Activation]] = {}
    for layer in order:
        given = [sizes[each.source][each.source_port] for each in incoming[layer.name]]
        sizes[layer.name] = dict(zip(layer.outputs or ("out",), layer_sizes(layer, given), strict=True))
    return {name: tuple(ports.values()) for name, ports in sizes.items()}


def layer_sizes(layer: Layer, given: Sequence[Activation]) -> tuple[Activation, ...]:
    """Return the activations at a layer's output ports.

    Raises:
        UnreadableError: an input is not connected, or its size or the layer's properties make no sense.
    """
    if len(given) < len(layer.inputs):
        missing = layer.inputs[len(given)]
        raise UnreadableError(
            f"layer '{layer.name}' has nothing connected to its input '{missing}'", "every input needs a connection"
        )
    with interpreting(layer):
        out = SIZE_RULES[layer.row.size](layer, given)
    bad = next((n for n in out.size if n is not None and not 1 <= n <= MOST), None)
    if bad is not None:
        raise fail(layer, f"it would put out {out}", given)
    return tuple(given[0] if port == "size" else out for port in layer.outputs) or (out,)


def fail(layer: Layer, what: str, given: Sequence[Activation]) -> UnreadableError:
    return UnreadableError(
        f"layer '{layer.name}' ({layer.kind}): {what}", f"its inputs are {', '.join(map(str, given)) or 'none'}"
    )


def _slid(layer: Layer, given: Sequence[Activation], channels: Length) -> Activation:
    """Slide over space; with one dimension more than there are, over time too, which stays free."""
    at, count = given[0], dimensions(layer)
    if count - len(at.spatial) not in ((0, 1) if at.over_time else (0,)):
        raise fail(layer, f"it slides over {count} dimensions, its input has the format {at.format}", given)
    return at.resized(window(layer).lengths(at.spatial), channels)


@SIZE_RULES("convolution")
def convolution(layer: Layer, given: Sequence[Activation]) -> Activation:
    return _slid(layer, given, filter_count(layer, given[0].channels))


@SIZE_RULES("pooling")
def pooling(layer: Layer, given: Sequence[Activation]) -> Activation:
    return _slid(layer, given, given[0].channels)


@SIZE_RULES("transposed_convolution")
def transposed_convolution(layer: Layer, given: Sequence[Activation]) -> Activation:
    """stride * (in - 1) + kernel - cropping; 'same' cropping gives stride * in."""
    at, count = given[0], dimensions(layer)
    if at.format == "CBT" and count == 1:
        return at.resized((), int(layer.properties["NumFilters"]))
    if len(at.spatial) != count:
        raise fail(layer, f"it slides over {count} dimensions, its input has the format {at.format}", given)
    kernel, stride = numbers(layer.properties["FilterSize"], count), numbers(layer.properties.get("Stride", 1), count)
    if layer.properties.get("CroppingMode") == "same":
        lengths = [None if n is None else n * s for n, s in zip(at.spatial, stride, strict=True)]
    else:
        crops = padding_pairs(layer.properties.get("CroppingSize", 0), count)
        lengths = [
            None if n is None else s * (n - 1) + k - sum(c)
            for n, s, k, c in zip(at.spatial, stride, kernel, crops, strict=True)
        ]
    return at.resized(lengths, int(layer.properties["NumFilters"]))


@SIZE_RULES("global_pooling")
def global_pooling(layer: Layer, given: Sequence[Activation]) -> Activation:
    """To one value a channel; sequences of vectors lose their time."""
    at, count = given[0], dimensions(layer)
    if at.format == "CBT" and count == 1:
        return at.at_one_time()
    if len(at.spatial) != count:
        raise fail(layer, f"it pools over {count} dimensions, its input has the format {at.format}", given)
    return at.resized([1] * count, at.channels)


@SIZE_RULES("unpooling")
def unpooling(layer: Layer, given: Sequence[Activation]) -> Activation:
    """The size of the pooling layer's input, which travels through the "size" port."""
    return given[2]


@SIZE_RULES("fully_connected")
def fully_connected(layer: Layer, given: Sequence[Activation]) -> Activation:
    at, expected = given[0], layer.learnables["Weights"].shape[1] if "Weights" in layer.learnables else None
    if expected and at.elements is not None and expected != at.elements:
        raise fail(layer, f"its Weights take {expected} values, its input has {at.elements}", given)
    return Activation("CBT" if at.over_time else "CB", (numbers(layer.properties["OutputSize"], 1)[-1],))


def _require_sequences(layer: Layer, given: Sequence[Activation]) -> None:
    if given[0].format != "CBT":
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) gets an input of format {given[0].format}",
            "known are sequences of vectors (CBT)",
        )


@SIZE_RULES("recurrent")
def recurrent(layer: Layer, given: Sequence[Activation]) -> Activation:
    _require_sequences(layer, given)
    weights = layer.learnables.get("InputProjector") or layer.learnables.get("InputWeights")
    takes = (
        None
        if weights is None or not weights.array.size
        else weights.shape[0 if "InputProjector" in layer.learnables else 1]
    )
    if None not in (takes, given[0].elements) and takes != given[0].elements:
        raise fail(layer, f"its weights take {takes} values a step, its input has {given[0].elements}", given)
    mode = layer.properties["OutputMode"]
    if mode not in ("sequence", "last"):
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) has the output mode '{mode}'",
            "MATLAB documents 'sequence' and 'last'",
        )
    return Activation(
        "CBT" if mode == "sequence" else "CB", (int(layer.properties["NumHiddenUnits"]) * layer.row.directions,)
    )


@SIZE_RULES("same")
def same(layer: Layer, given: Sequence[Activation]) -> Activation:
    return given[0]


def _different_formats(layer: Layer, given: Sequence[Activation]) -> UnsupportedError:
    formats = " and ".join(each.format for each in given)
    return UnsupportedError(
        f"layer '{layer.name}' ({layer.kind}) gets inputs of different formats, {formats}",
        "how they expand is not known",
    )


@SIZE_RULES("combined")
def combined(layer: Layer, given: Sequence[Activation]) -> Activation:
    """Additions and multiplications: dimensions of length one are repeated."""
    if len({each.format for each in given}) > 1:
        raise _different_formats(layer, given)
    lengths: list[Length] = []
    for axis in zip(*(each.size for each in given), strict=True):
        known = {n for n in axis if n not in (None, 1)}
        if len(known) > 1:
            raise fail(layer, "its inputs have different sizes", given)
        lengths.append(None if None in axis else (known.pop() if known else 1))
    return Activation(given[0].format, tuple(lengths))


def joined_dimension(layer: Layer, at: Activation) -> int:
    """The dimension that a concatenation joins, from 1 in MATLAB's order: the channels where its class has no Dim."""
    return int(layer.properties["Dim"]) if "Dim" in layer.row.properties else len(at.size)


@SIZE_RULES("concatenated")
def concatenated(layer: Layer, given: Sequence[Activation]) -> Activation:
    at = given[0]
    axis = joined_dimension(layer, at) - 1
    if len({each.format for each in given}) > 1:
        raise _different_formats(layer, given)
    if not 0 <= axis < len(at.size):
        raise UnsupportedError(
            f"layer '{layer.name}' joins along dimension {axis + 1} of {at.format}",
            "space and channels can be joined, batch and time not",
        )
    for other in given[1:]:
        if any(
            i != axis and a != b and None not in (a, b)
            for i, (a, b) in enumerate(zip(at.size, other.size, strict=True))
        ):
            raise fail(layer, "its inputs have different sizes", given)
    joined = [each.size[axis] for each in given]
    total = None if None in joined else sum(n for n in joined if n is not None)
    return Activation(at.format, (*at.size[:axis], total, *at.size[axis + 1 :]))


@SIZE_RULES("flattened")
def flattened(layer: Layer, given: Sequence[Activation]) -> Activation:
    at = given[0]
    return Activation("CBT" if at.over_time else "CB", (at.elements,))


@SIZE_RULES("folded")
def folded(layer: Layer, given: Sequence[Activation]) -> Activation:
    if not given[0].over_time:
        raise fail(layer, f"it folds sequences, its input has the format {given[0].format}", given)
    return given[0].at_one_time()


@SIZE_RULES("unfolded")
def unfolded(layer: Layer, given: Sequence[Activation]) -> Activation:
    if given[0].over_time:
        raise fail(layer, f"it makes sequences, its input is one already ({given[0].format})", given)
    return Activation(given[0].format + "T", given[0].size)


def _require_images(layer: Layer, given: Sequence[Activation], dimensions: int) -> None:
    formats = dict.fromkeys(each.format for each in given)
    if len(formats) > 1 or len(given[0].spatial) != dimensions:
        raise fail(
            layer,
            f"it takes images of {dimensions} dimensions, its input has the format {' and '.join(formats)}",
            given,
        )


@SIZE_RULES("space_to_depth")
def space_to_depth(layer: Layer, given: Sequence[Activation]) -> Activation:
    """Rows and columns beyond the last whole block are dropped (documented)."""
    _require_images(layer, given, 2)
    at, block = given[0], numbers(layer.properties["BlockSize"], 2)
    channels = None if at.channels is None else at.channels * math.prod(block)
    return at.resized([None if n is None else n // b for n, b in zip(at.spatial, block, strict=True)], channels)


@SIZE_RULES("depth_to_space")
def depth_to_space(layer: Layer, given: Sequence[Activation]) -> Activation:
    _require_images(layer, given, 2)
    at, block = given[0], numbers(layer.properties["BlockSize"], 2)
    if at.channels is not None and at.channels % math.prod(block):
        raise fail(layer, f"its channels are no multiple of the block {block}", given)
    channels = None if at.channels is None else at.channels // math.prod(block)
    return at.resized([None if n is None else n * b for n, b in zip(at.spatial, block, strict=True)], channels)


@SIZE_RULES("resized")
def resized(layer: Layer, given: Sequence[Activation]) -> Activation:
    """To the reference's size, to OutputSize (NaN keeps the aspect ratio), or by Scale, rounded down."""
    _require_images(layer, given, dimensions(layer))
    at, count = given[0], len(given[0].spatial)
    if len(given) > 1:
        return at.resized(given[1].spatial, at.channels)
    size, scale = layer.properties.get("OutputSize"), layer.properties.get("Scale")
    if size:
        return at.resized(
            [None if math.isnan(n) else int(n) for n in (size if isinstance(size, tuple) else (size,) * count)],
            at.channels,
        )
    scales: Any = scale if isinstance(scale, tuple) and len(scale) > 1 else (scale,) * count
    return at.resized(
        [None if n is None else math.floor(n * s) for n, s in zip(at.spatial, scales, strict=True)], at.channels
    )


@SIZE_RULES("cropped")
def cropped(layer: Layer, given: Sequence[Activation]) -> Activation:
    _require_images(layer, given, dimensions(layer))
    if any(a is not None and b is not None and a < b for a, b in zip(given[0].spatial, given[1].spatial, strict=True)):
        raise fail(layer, "its reference is larger than its input", given)
    return given[0].resized(given[1].spatial, given[0].channels)


@SIZE_RULES("padded")
def padded(layer: Layer, given: Sequence[Activation]) -> Activation:
    pads = padding_pairs(layer.properties["PaddingSize"], 2)
    return given[0].resized(
        [None if n is None else n + sum(p) for n, p in zip(given[0].spatial, pads, strict=True)], given[0].channels
    )


@SIZE_RULES("indexed")
def indexed(layer: Layer, given: Sequence[Activation]) -> Activation:
    """Without the dimension that is indexed: time, or the only one in space."""
    at = given[0]
    if at.over_time:
        return at.at_one_time()
    if len(at.spatial) != 1:
        raise fail(
            layer, f"it takes sequences and images of one dimension, its input has the format {at.format}", given
        )
    return Activation("CB", (at.channels,))


@SIZE_RULES("quadratic")
def quadratic(layer: Layer, given: Sequence[Activation]) -> Activation:
    at, count = given[0], given[0].channels
    if at.spatial:
        raise fail(layer, f"it takes vectors, its input has the format {at.format}", given)
    return at.resized((), None if count is None else count * (count + 1) // 2)


@SIZE_RULES("regions")
def regions(layer: Layer, given: Sequence[Activation]) -> Activation:
    """Regions of images, as observations of five numbers: four of the box, and the image it is of."""
    return Activation("CB", (5,))


@SIZE_RULES("region_scores")
def region_scores(layer: Layer, given: Sequence[Activation]) -> Activation:
    """The two scores of each box as channels, the boxes side by side along the columns."""
    (rows, columns), channels = given[0].spatial, given[0].channels
    width = None if columns is None or channels is None else columns * (channels // 2)
    return given[0].resized([rows, width], 2)


@SIZE_RULES("region_pooling")
def region_pooling(layer: Layer, given: Sequence[Activation]) -> Activation:
    return given[0].resized(numbers(layer.properties["OutputSize"], 2), given[0].channels)


@SIZE_RULES("embedded")
def embedded(layer: Layer, given: Sequence[Activation]) -> Activation:
    _require_sequences(layer, given)
    return Activation(given[0].format, (int(layer.properties.get("Dimension") or layer.properties["OutputSize"]),))


def _input_size(layer: Layer) -> tuple[int, ...]:
    size = numbers(layer.properties["InputSize"], 1)
    if len(size) not in (layer.row.properties["InputSize"].lengths or (len(size),)):
        raise UnreadableError(
            f"layer '{layer.name}' ({layer.kind}) has an InputSize of {len(size)} numbers", f"they are {str(size)[:60]}"
        )
    return size


@SIZE_RULES("image_input")
def image_input(layer: Layer, given: Sequence[Activation]) -> Activation:
    size = _input_size(layer)
    return Activation("S" * (len(size) - 1) + "CB", size)


@SIZE_RULES("sequence_input")
def sequence_input(layer: Layer, given: Sequence[Activation]) -> Activation:
    size = _input_size(layer)
    return Activation("S" * (len(size) - 1) + "CBT", size)


@SIZE_RULES("from_file")
def from_file(layer: Layer, given: Sequence[Activation]) -> Activation:
    """The size that ONNX shape inference found for a foreign node."""
    return Activation(layer.properties["Format"], tuple(layer.properties["Size"]))


@SIZE_RULES("unknown")
def unknown(layer: Layer, given: Sequence[Activation]) -> Activation:
    """A class no table knows: the format stays, the lengths are not known."""
    return given[0].resized([None] * len(given[0].spatial), None)


@SIZE_RULES("attention")
def attention(layer: Layer, given: Sequence[Activation]) -> Activation:
    """To what the output weights give; before there are any, to OutputSize, which is the input's channels where it is
    "auto" (documented).
    """
    _require_sequences(layer, given)
    weights, size = layer.learnables["OutputWeights"], layer.properties.get("OutputSize", "auto")
    channels = weights.shape[0] if weights.array.size else given[0].channels if size == "auto" else int(size)
    return given[0].resized(given[0].spatial, channels)


@SIZE_RULES("attended")
def attended(layer: Layer, given: Sequence[Activation]) -> Activation:
    """As many steps as the queries have, as many channels as the values."""
    _require_sequences(layer, given)
    query, key, value = given[:3]
    if {each.format for each in (key, value)} != {"CBT"}:
        raise _different_formats(layer, given)
    if None not in (query.channels, key.channels) and query.channels != key.channels:
        raise fail(layer, "its queries and keys have different numbers of channels", given)
    return value
