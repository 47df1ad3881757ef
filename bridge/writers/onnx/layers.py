"""The nodes of each layer: the functions that rows name as `writes`.

A writer takes the graph, the layer, the values at its inputs and the activation it puts out, and returns the names of
the values it made, in the order of the layer's outputs. The operator and its attributes come from the row where they
are facts of the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.network.windows import cut_corner, numbers
from bridge.writers.onnx import normalization, recurrent, sequences, windows  # noqa: F401 (their writers)
from bridge.writers.onnx.graph import WRITES, Graph, Value, Writer, arrays, channels_and_space
from bridge.writers.onnx.normalization import batch_normalization

# Inputs


# Windows


# Fully connected


@WRITES("fully_connected")
def fully_connected(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """A Conv over the whole image as MATLAB writes it, a Gemm of features, a MatMul and an Add over sequences."""
    (x,), name, held = given, graph.names[layer.name], arrays(layer, given)
    bias = (
        [graph.weight(f"{name}_Add_B" if x.size.over_time else f"{name}_B", layer, "Bias", held["Bias"])]
        if "Bias" in held
        else []
    )
    weights = held["Weights"]
    if x.size.over_time:
        return [over_sequences(graph, layer, x, weights, bias)]
    lengths = x.size.spatial or (1,) * x.pixel
    if not lengths:
        rows = graph.weight(f"{name}_W", layer, "Weights", weights)
        return [graph.node("Gemm", name, [x.name, rows, *bias], transB=1)]
    kernel = [n or 1 for n in lengths]
    filters = weights.reshape((weights.shape[0], weights.shape[1] // math.prod(kernel), *kernel))
    ones = [1] * len(kernel)
    inputs = [x.name, graph.weight(f"{name}_W", layer, "Weights", filters), *bias]
    return [
        graph.node(
            "Conv", name, inputs, kernel_shape=kernel, strides=ones, dilations=ones, pads=[0, 0] * len(kernel), group=1
        )
    ]


def over_sequences(graph: Graph, layer: Layer, x: Value, weights: Array, bias: Sequence[str]) -> str:
    name, value = graph.names[layer.name], x.name
    if x.size.spatial:
        value = graph.transpose(f"{name}_TimeFirst", graph.reshape(f"{name}_Flatten", value, (0, 0, -1)), (1, 0, 2))
    columns = graph.weight(f"{name}_MatMul_W", layer, "Weights", weights.transpose((1, 0)), "transposed")
    product = graph.node("MatMul", f"{name}_MatMul", [value, columns])
    return graph.node("Add", f"{name}_Add", [product, *bias]) if bias else product


# Normalisation


# Elementwise


@WRITES("plain")
def plain(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """One node: the row's operator with the row's attributes, whose numbers are real also where a file held them as
    whole ones.
    """
    held = {
        known.onnx: layer.properties[name]
        for name, known in layer.row.properties.items()
        if known.onnx and name in layer.properties
    }
    attributes: dict[str, Any] = {
        name: float(value) if isinstance(value, int) else value for name, value in held.items()
    }
    return [graph.node(layer.row.onnx[0], graph.names[layer.name], [each.name for each in given], **attributes)]


@WRITES("clip")
def clip(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    p = layer.properties
    return [
        graph.node(
            "Clip", graph.names[layer.name], [given[0].name], min=float(p.get("Floor", 0)), max=float(p["Ceiling"])
        )
    ]


@WRITES("prelu")
def prelu(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name = given, graph.names[layer.name]
    alpha = arrays(layer, given)["Alpha"]
    slopes = alpha if alpha.size == 1 else alpha.reshape((alpha.size, *(1,) * (len(x.axes) - 1 - x.channel)))
    return [graph.node("PRelu", name, [x.name, graph.weight(f"{name}_slope", layer, "Alpha", slopes)])]


@WRITES("gelu")
def gelu(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """ONNX's operator where the opset has it, else the formula."""
    (x,), name, tanh = given, graph.names[layer.name], layer.properties.get("Approximation") == "tanh"
    if graph.opset >= 20:
        return plain(graph, layer, given, out)

    def step(op: str, end: str, a: str, b: str | float) -> str:
        return (
            graph.node(op, f"{name}_{end}", [a, b])
            if isinstance(b, str)
            else graph.with_number(op, f"{name}_{end}", a, b)
        )

    if tanh:
        cube = step("Mul", "Cube", step("Mul", "Square", x.name, x.name), x.name)
        inner = step(
            "Mul", "Inner", step("Add", "Sum", x.name, step("Mul", "Scaled", cube, 0.044715)), math.sqrt(2 / math.pi)
        )
        bent = graph.node("Tanh", f"{name}_Tanh", [inner])
    else:
        bent = graph.node("Erf", f"{name}_Erf", [step("Div", "Inner", x.name, math.sqrt(2))])
    return [step("Mul", "Gelu", step("Mul", "Half", x.name, 0.5), step("Add", "Factor", bent, 1.0))]


@WRITES("swish")
def swish(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name = given, graph.names[layer.name]
    return [graph.node("Mul", f"{name}_Mul", [x.name, graph.node("Sigmoid", f"{name}_Sigmoid", [x.name])])]


@WRITES("symmetric_pixels")
def symmetric_pixels(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """From 0..255 to -1..1."""
    name = graph.names[layer.name]
    return [graph.with_number("Sub", f"{name}_Sub", graph.with_number("Div", f"{name}_Div", given[0].name, 127.5), 1)]


@WRITES("spatial_dropout")
def spatial_dropout(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    return [graph.node("Identity", graph.names[layer.name], [given[0].name])]


@WRITES("softmax")
def softmax(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Of single pixels behind a Flatten, of images with the channels last (before opset 13 it ran over all axes from
    its own on).
    """
    (x,), name = given, graph.names[layer.name]
    if x.size.is_pixel:
        return [graph.node("Softmax", name, [graph.node("Flatten", f"{name}_Flatten", [x.name], axis=1)], axis=1)]
    if not x.size.spatial:
        return [graph.node("Softmax", name, [x.name], axis=x.channel)]
    rank = len(x.axes)
    last = graph.transpose(f"{name}_Transpose1", x.name, (0, *range(2, rank), 1))
    return [
        graph.transpose(
            f"{name}_Transpose2", graph.node("Softmax", name, [last], axis=rank - 1), (0, rank - 1, *range(1, rank - 1))
        )
    ]


# Several inputs


@WRITES("addition")
def addition(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    two, more = layer.row.onnx
    return [graph.node(two if len(given) == 2 else more, graph.names[layer.name], [each.name for each in given])]


@WRITES("multiplication")
def multiplication(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """One node for each pair, of which the last has the layer's name."""
    name, product = graph.names[layer.name], given[0].name
    for index, each in enumerate(given[1:], 1):
        product = graph.node("Mul", name if index == len(given) - 1 else f"{name}_Mul{index}", [product, each.name])
    return [product]


@WRITES("concatenation")
def concatenation(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Dim counts MATLAB's order (S.., C); the channels where the layer has none."""
    x, dims = given[0], len(given[0].size.size)
    dim = int(layer.properties.get("Dim") or dims)
    axis = x.channel if dim == dims else x.channel + dim
    return [graph.node("Concat", graph.names[layer.name], [each.name for each in given], axis=axis)]


# Shapes


@WRITES("flatten")
def flatten(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """MATLAB's order: the height fastest, so the image is turned over first where two lengths or more are not one."""
    (x,), name = given, graph.names[layer.name]
    if not x.size.spatial:
        return [graph.node("Identity", name, [x.name])]
    value, spatial = x.name, range(x.channel + 1, len(x.axes))
    if sum(n != 1 for n in x.size.spatial) > 1:
        value = graph.transpose(f"{name}_Transpose", value, (*range(x.channel + 1), *reversed(spatial)))
    if not x.size.over_time:
        return [graph.node("Flatten", name, [value], axis=1)]
    return [graph.transpose(name, graph.reshape(f"{name}_Reshape", value, (0, 0, -1)), (1, 0, 2))]


@WRITES("space_to_depth")
def space_to_depth(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """ONNX's operator for square blocks that fill the image, else what it does: channels run (row, column, channel) of
    a block.
    """
    (x,), name = given, graph.names[layer.name]
    rows, columns = numbers(layer.properties["BlockSize"], 2)
    channels, height, width = channels_and_space(x.size)
    if rows == columns and not height % rows and not width % columns:
        return [graph.node(layer.row.onnx[0], name, [x.name], blocksize=rows)]
    value = x.name
    if height % rows or width % columns:
        ends = [height - height % rows, width - width % columns]
        value = graph.node("Slice", f"{name}_Slice", [value], starts=[0, 0], ends=ends, axes=[2, 3])
    split = graph.reshape(f"{name}_Blocks", value, (-1, channels, height // rows, rows, width // columns, columns))
    turned = graph.transpose(f"{name}_Transpose", split, (0, 3, 5, 1, 2, 4))
    return [graph.reshape(name, turned, (-1, channels * rows * columns, height // rows, width // columns))]


@WRITES("depth_to_space")
def depth_to_space(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name, mode = given, graph.names[layer.name], str(layer.properties["Mode"]).lower()
    rows, columns = numbers(layer.properties["BlockSize"], 2)
    if rows == columns:
        return [graph.node(layer.row.onnx[0], name, [x.name], blocksize=rows, mode=mode.upper())]
    channels, height, width = channels_and_space(x.size)
    channels //= rows * columns
    lead = (rows, columns, channels) if mode == "dcr" else (channels, rows, columns)
    split = graph.reshape(f"{name}_Blocks", x.name, (-1, *lead, height, width))
    turned = graph.transpose(f"{name}_Transpose", split, (0, 3, 4, 1, 5, 2) if mode == "dcr" else (0, 1, 4, 2, 5, 3))
    return [graph.reshape(name, turned, (-1, channels, height * rows, width * columns))]


@WRITES("scaling")
def scaling(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name, p = given, graph.names[layer.name], layer.properties
    if not p.get("Bias"):
        return [graph.node("Mul", name, [x.name, graph.constant(f"{name}_b", np.array(p["Scale"], float))])]
    product = graph.node("Mul", f"{name}_Mul", [x.name, graph.constant(f"{name}_Scale", np.array(p["Scale"], float))])
    return [graph.node("Add", name, [product, graph.constant(f"{name}_Bias", np.array(p["Bias"], float))])]


@WRITES("quadratic")
def quadratic(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Both factors of every product, gathered along the channels."""
    (x,), name, count = given, graph.names[layer.name], given[0].size.channels or 0
    pairs = np.array([(i, j) for j in range(count) for i in range(j + 1)])
    value = graph.as_torch(x, name)
    factors = [
        graph.node(
            "Gather",
            f"{name}_{end}",
            [value.name, graph.constant(f"{name}_{end}_Indices", indices)],
            axis=value.channel,
        )
        for end, indices in zip(("First", "Second"), pairs.T, strict=True)
    ]
    return [graph.node("Mul", name, factors)]


@WRITES("indexing")
def indexing(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name = given, graph.names[layer.name]
    axis = x.axes.index("T" if x.size.over_time else "S")
    index = graph.constant(f"{name}_Index", np.array(-1 if layer.properties["Index"] == "last" else 0))
    return [graph.node("Gather", name, [x.name, index], axis=axis)]


@WRITES("channel_shuffle")
def channel_shuffle(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name, groups = given, graph.names[layer.name], int(layer.properties["NumGroups"])
    channels, *space = channels_and_space(x.size)
    rows = graph.reshape(f"{name}_Groups", x.name, (-1, groups, channels // groups, *space))
    return [graph.reshape(name, graph.transpose(f"{name}_Transpose", rows, (0, 2, 1, 3, 4)), (-1, channels, *space))]


@WRITES("resize")
def resize(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """By whole scales, or to the size that the layer puts out."""
    x, name, p = given[0], graph.names[layer.name], layer.properties
    asymmetric, nearest = p["GeometricTransformMode"] == "asymmetric", p["Method"] == "nearest"
    attributes = {
        "mode": "nearest" if nearest else "linear",
        "coordinate_transformation_mode": "asymmetric" if asymmetric else "half_pixel",
        **({"nearest_mode": "floor" if asymmetric else "round_prefer_ceil"} if nearest else {}),
    }
    scale = p.get("Scale") if len(given) == 1 and not p.get("OutputSize") else None
    scales = (scale if isinstance(scale, tuple) else (scale,) * len(x.size.spatial)) if scale is not None else ()
    empty = "" if graph.opset >= 13 else graph.constant(f"{name}_NoRoi", np.empty(0, np.float32))
    if scales and all(float(each).is_integer() for each in scales):
        return [
            graph.node(
                "Resize",
                name,
                [x.name, empty, graph.constant(f"{name}_Scales", np.array([1.0, 1.0, *scales]))],
                **attributes,
            )
        ]
    size = graph.lengths_like(name, x.name, 2, channels_and_space(out)[1:])
    no_scales = "" if graph.opset >= 13 else graph.constant(f"{name}_NoScales", np.empty(0, np.float32))
    return [graph.node("Resize", name, [x.name, empty, no_scales, size], **attributes)]


@WRITES("crop")
def crop(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    x = given[0]
    before, after = channels_and_space(x.size)[1:], channels_and_space(out)[1:]
    centre = [(a - b) // 2 for a, b in zip(before, after, strict=True)]
    starts = list(cut_corner(layer) or centre)
    ends = [start + n for start, n in zip(starts, after, strict=True)]
    axes = list(range(2, 2 + len(starts)))
    return [graph.node("Slice", graph.names[layer.name], [x.name], starts=starts, ends=ends, axes=axes)]


@WRITES("folding")
def folding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """N,T,... -> (N T),..., and the number of observations that unfolding needs."""
    (x,), name = given, graph.names[layer.name]
    value = graph.reshape(f"{name}_out", graph.batch_first(x, name), (-1, *channels_and_space(x.size)))
    shape = graph.node("Shape", f"{name}_InputShape", [x.name])
    batch = x.axes.index("B")
    return [value, graph.node("Slice", f"{name}_miniBatchSize", [shape], starts=[batch], ends=[batch + 1], axes=[0])]


@WRITES("unfolding")
def unfolding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x, batch), name = given, graph.names[layer.name]
    shape = graph.node(
        "Concat",
        f"{name}_NewShape",
        [batch.name, graph.constant(f"{name}_Rest", np.array([-1, *channels_and_space(out)]))],
        axis=0,
    )
    sequence = graph.node("Reshape", name if out.spatial else f"{name}_Reshape", [x.name, shape])
    return [sequence if out.spatial else graph.transpose(name, sequence, (1, 0, 2))]


@WRITES("yolov2_transform")
def yolov2_transform(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Sigmoid of IoU and place, exp of the size, softmax over the classes of each anchor, in the order of
    `bridge.modules.activation`.
    """
    (x,), name, a = given, graph.names[layer.name], int(layer.properties["NumAnchorBoxes"])
    channels, height, width = x.size.channels or 0, *(n or 0 for n in x.size.spatial)

    def part(end: str, start: int, stop: int) -> str:
        return graph.node("Slice", f"{name}_{end}", [x.name], starts=[start], ends=[stop], axes=[1])

    place = graph.node("Sigmoid", f"{name}_Sigmoid", [part("Place", 0, 3 * a)])
    size = graph.node("Exp", f"{name}_Exp", [part("Size", 3 * a, 5 * a)])
    rows = graph.reshape(f"{name}_Rows", part("Classes", 5 * a, channels), (0, channels // a - 5, -1))
    soft = graph.node("Softmax", f"{name}_Softmax", [graph.transpose(f"{name}_Transpose1", rows, (0, 2, 1))], axis=2)
    classes = graph.reshape(
        f"{name}_Images", graph.transpose(f"{name}_Transpose2", soft, (0, 2, 1)), (-1, channels - 5 * a, height, width)
    )
    return [graph.node("Concat", name, [place, size, classes], axis=1)]


ANY_RANK = (batch_normalization, fully_connected, spatial_dropout)  # take features as an image of 1-by-1 pixels too


def writer_of(layer: Layer) -> Writer | None:
    """Return the writer of a layer, None where its operators are not known."""
    name = layer.row.writes or ("plain" if layer.row.onnx and not layer.row.is_foreign else None)
    return None if name is None else WRITES[name]
