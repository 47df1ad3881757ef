"""What a node says, as the properties of the MATLAB layer it may be.

A function returns None where the node says something that MATLAB's layer cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.arrays.lazy import NDArray
from bridge.readers.onnx.graph import Graph, Node, declared_defaults
from bridge.readers.onnx.layout import Value
from bridge.tables.layers import LayerRow
from bridge.tables.registry import Registry

Properties = dict[str, Any]
Reads = Callable[[Properties, LayerRow, "Reading"], Properties | None]
READS: Registry[Reads] = Registry("function that reads ONNX nodes")
MUST_BE = {"ceil_mode": 0, "storage_order": 0, "training_mode": 0, "spatial": 1}
METHODS = {("nearest", 2): "nearest", ("nearest", 3): "nearest", ("linear", 2): "bilinear", ("linear", 3): "trilinear"}
HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")  # which differ where the new size is 1
WHOLE = 1e-6  # how close a single-precision product of size and scale comes to a whole number


@dataclass(frozen=True)
class Reading:
    """A node with what is known of the values it reads."""

    node: Node
    given: Sequence[Value]
    graph: Graph

    @property
    def first(self) -> Value:
        return self.given[0]

    def attribute(self, name: str, default: Any) -> Any:
        return self.node.attributes.get(name, default)

    def constant(self, index: int) -> NDArray | None:
        """Return the constant at an input, or None where it is computed or left out."""
        return self.graph.constant(self.node.inputs[index]) if index < len(self.node.inputs) else None

    def shape(self, index: int) -> tuple[int, ...] | None:
        """Return the shape of the constant at an input, unread."""
        array = self.graph.constants.get(self.node.inputs[index]) if index < len(self.node.inputs) else None
        return None if array is None else array.shape


def node_properties(row: LayerRow, reading: Reading) -> Properties | None:
    """Read a node's attributes, and what ONNX says of those it leaves out, as the row's properties."""
    a = {**declared_defaults(reading.node.operator, reading.graph.opset), **reading.node.attributes}
    same = a.get("auto_pad", "NOTSET")
    if any(a.get(name, value) != value for name, value in MUST_BE.items()) or same not in (
        "NOTSET",
        "VALID",
        "SAME_UPPER",
    ):
        return None
    if set(a.get("dilations", (1,))) != {1} and "DilationFactor" not in row.properties:
        return None
    found: Properties = {}
    for name, known in row.properties.items():
        if known.onnx == "pads":
            if "pads" in a:
                half = len(a["pads"]) // 2
                found[name] = tuple(n for pair in zip(a["pads"][:half], a["pads"][half:], strict=True) for n in pair)
        elif known.onnx is not None and known.onnx in a:
            found[name] = a[known.onnx]
    if same == "SAME_UPPER":
        found.update(PaddingMode="same")
    made = READS[row.reads](found, row, reading) if row.reads else found
    return None if made is None else {name: as_number(value) for name, value in made.items()}


def as_number(value: Any) -> Any:
    """Return the number of a tuple of one: layers over one dimension have numbers where others have a
    number for each.
    """
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


@READS("convolution")
def convolution(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    weights, groups = reading.shape(1), int(reading.attribute("group", 1))
    if weights is None or "output_shape" in reading.node.attributes or any(reading.attribute("output_padding", ())):
        return None
    found.setdefault("FilterSize", weights[2:])
    if reading.node.op == "ConvTranspose":
        if groups > 1 or "PaddingMode" in found:
            return None
        return {**found, "NumChannels": weights[0], "NumFilters": weights[1]}
    if ("NumGroups" in row.properties) != (groups != 1):
        return None
    if groups != 1:
        return {
            **found,
            "NumGroups": groups,
            "NumChannelsPerGroup": weights[1],
            "NumFiltersPerGroup": weights[0] // groups,
        }
    return {**found, "NumChannels": weights[1], "NumFilters": weights[0]}


@READS("fully_connected")
def fully_connected(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """A Gemm as `join_fully_connected` makes it. Over the last axis of an image it would be no fully
    connected layer.
    """
    weights, bias = reading.shape(1), reading.shape(2) if len(reading.node.inputs) > 2 else None
    joined = reading.attribute("transB", 0) and set(reading.node.attributes) <= {"transB", "last_axis"}
    if weights is None or not joined or (len(reading.node.inputs) > 2 and bias != weights[:1]):
        return None
    first, image = reading.first, bool(reading.first.size.spatial)
    whole = first.is_flat or (image and first.as_in_torch and not reading.attribute("last_axis", 0))
    over_last = not image and first.axes[-1:] == "C"
    return {"OutputSize": weights[0], "InputSize": weights[1]} if over_last or whole else None


@READS("batch_normalization")
def batch_normalization(found: Properties, row: LayerRow, reading: Reading) -> Properties:
    """ONNX says what part of a statistic stays, in single precision; MATLAB's decay is the part that is new."""
    decay = round(1 - reading.attribute("momentum", 0.9), 7)
    return {**found, "MeanDecay": decay, "VarianceDecay": decay}


@READS("recurrent")
def recurrent(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """An LSTM or GRU as `join_recurrent` makes it."""
    a, weights = reading.node.attributes, reading.shape(1)
    if weights is None or "last" not in a or reading.first.axes != "TBC" or a["directions"] != row.directions:
        return None
    mode = "last" if a["last"] else "sequence"
    found = {"InputSize": weights[1], "NumHiddenUnits": a["hidden_size"], "OutputMode": mode}
    return {**found, "StateActivationFunction": a["state"], "GateActivationFunction": a["gate"]}


@READS("gru")
def gru(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    made, a = recurrent(found, row, reading), reading.node.attributes
    if made is None:
        return None
    after = "recurrent-bias-after-multiplication" if a["recurrent_bias"] else "after-multiplication"
    return {**made, "ResetGateMode": after if a["after"] else "before-multiplication"}


@READS("softmax")
def softmax(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Over the channels. Before opset 13 it ran over its axis and all behind it, which then must be of length one."""
    first, old = reading.first, reading.graph.opset < 13
    axis = reading.attribute("axis", 1 if old else -1)
    lengths = dict(zip("HWD", first.pixel.spatial, strict=False))
    alone = all(lengths.get(letter) == 1 for letter in first.axes[axis:][1:])
    many = first.is_flat and set(first.size.spatial) != {1}
    return found if first.letters((axis,)) == {"C"} and (alone or not old) and not many else None


@READS("swish")
def swish(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    return found if reading.attribute("alpha", 1.0) == 1.0 else None


@READS("clipped_relu")
def clipped_relu(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    low, high = reading.attribute("min", None), reading.attribute("max", None)
    bounded = low == 0 and high is not None and math.isfinite(high)
    return {"Ceiling": high} if bounded and len(reading.node.inputs) == 1 else None


@READS("dropout")
def dropout(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    return found if len(reading.node.inputs) == 1 else None


@READS("average_pooling")
def average_pooling(found: Properties, row: LayerRow, reading: Reading) -> Properties:
    padded = any(found.get("PaddingSize", ())) or found.get("PaddingMode") == "same"
    return {**found, "PaddingValue": "mean"} if padded and not reading.attribute("count_include_pad", 0) else found


@READS("max_pooling")
def max_pooling(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Indices are MATLAB's only together with the size, which `join_unpooling` adds."""
    count = len(reading.node.outputs)
    return {**found, "HasUnpoolingOutputs": True} if count == 3 else found if count == 1 else None


@READS("global_pooling")
def global_pooling(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Also a mean or maximum over the time of a sequence, which it takes away, or over the space of an image, which it
    keeps.
    """
    if not reading.node.op.startswith("Reduce"):
        return found
    first, axes = reading.first, tuple(reading.attribute("axes", ()))
    over_time = first.size.format == "CBT"
    wanted, keepdims = ({"T"}, 0) if over_time else (set(first.axes) - {"B", "C"}, 1)
    return found if axes and first.letters(axes) == wanted and reading.attribute("keepdims", 1) == keepdims else None


@READS("combination")
def combination(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Lengths must be equal or, where the format is known, one."""
    sizes = [value.size.size for value in reading.given]
    lengths = [{n for n in each if n not in (None, 1)} for each in zip(*sizes, strict=False)]
    fits = len(set(sizes)) == 1 or (reading.first.axes and all(len(each) < 2 for each in lengths))
    return {"NumInputs": len(reading.node.inputs)} if fits and are_alike(reading) else None


@READS("concatenation")
def concatenation(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Dim counts MATLAB's dimensions: space, then channels."""
    letter = "".join(reading.first.letters((reading.attribute("axis", 0),)))
    joins = are_alike(reading) and letter and letter in "HWD"
    return {"NumInputs": len(reading.node.inputs), "Dim": "HWD".index(letter) + 1} if joins else None


@READS("depth_concatenation")
def depth_concatenation(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    joins = are_alike(reading) and reading.first.letters((reading.attribute("axis", 0),)) == {"C"}
    return {"NumInputs": len(reading.node.inputs)} if joins else None


def are_alike(reading: Reading) -> bool:
    """Whether all inputs are computed and laid out alike; images that the file has flattened must be single pixels."""
    first, kinds = reading.first, {(value.axes, value.size.format) for value in reading.given}
    return (
        len(reading.given) == len(reading.node.inputs)
        and len(kinds) == 1
        and (not first.is_flat or set(first.size.spatial) == {1})
    )


@READS("blocks")
def blocks(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    mode = str(reading.attribute("mode", "DCR")).lower()
    if len(reading.first.size.spatial) != 2 or (reading.node.op == "SpaceToDepth" and mode != "dcr"):
        return None
    return {"BlockSize": (found["BlockSize"],) * 2, **({"Mode": mode} if "Mode" in found else {})}


@READS("prelu")
def prelu(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """One slope, or one for each channel: [C 1 1], or before opset 7 [C]."""
    shape, spatial = reading.shape(1) or (), len(reading.first.axes) - 2
    count = math.prod(shape)
    by_channel = shape[-1 - spatial :] == (count, *(1,) * spatial) or (shape == (count,) and reading.graph.opset < 7)
    return (
        found
        if reading.shape(1) is not None and (count == 1 or (by_channel and count == reading.first.size.channels))
        else None
    )


@READS("layer_normalization")
def layer_normalization(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Over the channels, or space and channels; scale and offset must be one for each channel.

    ONNX's own operator runs over its axis and all behind it, the formula that `join_layer_normalization` joins over
    `axes`.
    """
    first, axis = reading.first, int(reading.attribute("axis", -1))
    rank, position = len(first.axes), first.axes.find("C")
    letters = first.letters(reading.attribute("axes", tuple(range(axis % rank, rank))))
    by_channel = (first.size.channels, *(1,) * (rank - 1 - position))
    if first.is_flat or any((reading.shape(index) or ())[position - rank :] != by_channel for index in (1, 2)):
        return None
    if letters == {"C"}:
        return {**found, "OperationDimension": "channel-only" if first.size.spatial else "auto"}
    return found if letters == set(first.axes) - {"B"} and not first.size.over_time else None


@READS("group_normalization")
def group_normalization(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Scale and offset must be one for each channel (before opset 21 ONNX's own operator had one for each group)."""
    size, shape = reading.first.size, reading.attribute("shape", None)
    channels = [math.prod(reading.shape(index) or ()) for index in (1, 2)]
    lengths = (None, size.channels, *size.spatial, *(None,) * size.over_time)
    back = shape is None or (
        len(shape) == len(lengths) and all(b is None or a in (0, -1, b) for a, b in zip(shape, lengths, strict=True))
    )
    return found if channels == [size.channels] * 2 and back else None


@READS("flatten")
def flatten(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """MATLAB's order, height fastest: the file turned the image over first, or one spatial dimension at
    most is long.
    """
    first = reading.first
    order = first.axes == "BC" + "HWD"[: len(first.size.spatial)][::-1]
    long = sum(n != 1 for n in first.size.spatial)
    flat = (
        reading.attribute("axis", 1) == 1
        and bool(first.size.spatial)
        and not first.size.over_time
        and not first.is_flat
    )
    return found if flat and (order or (long < 2 and first.as_in_torch)) else None


@READS("resize")
def resize(found: Properties, row: LayerRow, reading: Reading) -> Properties | None:
    """Sampled at pixel centres, nearest only if ties go up as MATLAB rounds or there are none; or nearest from the
    corner, rounded down.
    """
    spatial, old = (
        reading.first.size.spatial,
        len(reading.node.inputs) == 2,
    )  # opset 10 had two inputs and one way to sample
    method = METHODS.get((reading.attribute("mode", "nearest"), len(spatial)))
    coordinates = "asymmetric" if old else reading.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else reading.attribute("nearest_mode", "round_prefer_floor")
    if method is None or reading.attribute("antialias", 0) or "axes" in reading.node.attributes:
        return None
    to = new_size(reading, spatial, 1 if old else 2)
    if to is None:
        return None
    if (coordinates, method, rounding) == ("asymmetric", "nearest", "floor"):
        return {"Method": method, **to, "GeometricTransformMode": "asymmetric", "NearestRoundingMode": "floor"}
    if coordinates not in HALF_PIXEL or (coordinates == "pytorch_half_pixel" and 1 in to.get("OutputSize", ())):
        return None
    lengths = zip(spatial, to.get("OutputSize", (None,) * len(spatial)), strict=True)
    up = rounding == "round_prefer_ceil" or (
        rounding == "round_prefer_floor" and not any(has_ties(n, m) for n, m in lengths)
    )
    return {"Method": method, **to} if method != "nearest" or up else None


def new_size(reading: Reading, spatial: Sequence[int | None], index: int) -> Properties | None:
    """Return Scale or OutputSize; None for a scale that leaves a part of a pixel, of which ONNX and torch make
    different things.

    `index` is the place of the scales among the inputs; the sizes follow them.
    """
    scales, sizes = reading.constant(index), reading.constant(index + 1)
    if (
        sizes is not None
        and sizes.size == len(spatial) + 2
        and reading.attribute("keep_aspect_ratio_policy", "stretch") == "stretch"
    ):
        return {"OutputSize": tuple(int(n) for n in sizes[2:])}
    if scales is None or scales.size != len(spatial) + 2 or set(scales[:2].tolist()) != {1.0}:
        return None
    factors = [float(n) for n in scales[2:]]
    if all(factor.is_integer() for factor in factors):
        return {"Scale": tuple(int(factor) for factor in factors)}
    new = [0.5 if n is None else n * factor for n, factor in zip(spatial, factors, strict=True)]
    return {"OutputSize": tuple(round(n) for n in new)} if all(abs(n - round(n)) <= WHOLE * n for n in new) else None


def has_ties(old: int | None, new: int | None) -> bool:
    """Whether resizing samples in the middle between two pixels somewhere: at (i + 1/2) * old / new - 1/2."""
    return old is None or new is None or any((2 * i + 1) * old % (2 * new) == 0 for i in range(new))
