"""The nodes of each layer: the functions that rows name as `writes`.

A writer takes the graph, the layer, the values at its inputs and the activation it puts out, and returns the names of
the values it made, in the order of the layer's outputs. The operator and its attributes come from the row where they
are facts of the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.network import Layer
from bridge.network.sizes import (
    Activation,
    Window,
    cut_corner,
    dimensions,
    group_count,
    numbers,
    padding_pairs,
    same_padding,
    window,
)
from bridge.network.tensors import tensors
from bridge.writers.onnx import recurrent, sequences  # noqa: F401 (their writers)
from bridge.writers.onnx.graph import WRITES, Graph, Value, Writer, channels_and_space


def arrays(layer: Layer, given: Sequence[Value]) -> dict[str, Array]:
    """Return a layer's arrays in torch's layout, by MATLAB's name."""
    return {each.name: each.array for each in tensors(layer, [value.size for value in given])}


# Inputs


@WRITES("input_normalization")
def input_normalization(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Sub of the mean as MATLAB writes it; the other kinds by the formulas of `bridge.modules.normalization`."""
    (x,) = given
    name, kind, held = graph.names[layer.name], layer.properties.get("Normalization", "none"), arrays(layer, ())

    def statistic(of: str) -> str:
        array = held[of]
        return graph.weight(
            f"{name}_{of}", layer, of, array.reshape((1,) * (len(x.axes) - len(array.shape)) + array.shape)
        )

    if kind == "none":
        return [x.name]
    if kind in ("zerocenter", "zscore"):
        centred = graph.node("Sub", f"{name}_Sub", [x.name, statistic("Mean")])
        return [
            centred
            if kind == "zerocenter"
            else graph.node("Div", f"{name}_Div", [centred, statistic("StandardDeviation")])
        ]
    low, high = statistic("Min"), statistic("Max")
    value, extent = graph.node("Sub", f"{name}_Sub", [x.name, low]), graph.node("Sub", f"{name}_Range", [high, low])
    if kind == "rescale-zero-one":
        return [graph.node("Div", f"{name}_Div", [value, extent])]
    divided = graph.node("Div", f"{name}_Div", [graph.with_number("Mul", f"{name}_Mul", value, 2), extent])
    return [graph.with_number("Sub", f"{name}_Symmetric", divided, 1)]


# Windows


def sides(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return padding as ONNX has it: all starts, then all ends."""
    return [before for before, _ in pairs] + [after for _, after in pairs]


def slid(
    graph: Graph, layer: Layer, x: Value, slide: Callable[[str, Mapping[str, Any]], Sequence[str]]
) -> Sequence[str]:
    """Let an operator slide over space, or over space and then time, with the attributes of the layer's window."""
    w, over_time = window(layer), x.size.over_time
    attributes: dict[str, Any] = {"kernel_shape": w.kernel, "strides": w.stride}
    if "DilationFactor" in layer.row.properties:
        attributes["dilations"] = w.dilation
    lengths = (None,) * len(w.kernel) if over_time else x.size.spatial
    if w.padding is not None:
        attributes["pads"] = sides(w.padding)
    elif all(n is not None or stride == 1 for n, stride in zip(lengths, w.stride, strict=True)):
        attributes["pads"] = sides(known_same_padding(w, [n or 0 for n in lengths]))
    else:
        attributes["auto_pad"] = "SAME_UPPER"  # the odd pixel at the end, as MATLAB pads
        if max(w.dilation) > 1:
            graph.notes.append(
                f"onnxruntime does not run layer '{layer.name}': it knows no dilation where the padding depends on "
                "the length of the input"
            )
    if not over_time:
        return slide(x.name, attributes)
    name, rank = graph.names[layer.name], len(x.axes)
    time, batch = x.axes.index("T"), x.axes.index("B")
    others = [axis for axis in range(rank) if axis not in (time, batch)]
    slid = slide(graph.transpose(f"{name}_TimeLast", x.name, (batch, *others, time)), attributes)
    back = (rank - 1, 0, 1) if rank == 3 else (0, rank - 1, *range(1, rank - 1))
    return [graph.transpose(f"{name}_TimeBack", each, back) for each in slid]


def known_same_padding(w: Window, lengths: Sequence[int]) -> list[tuple[int, int]]:
    return [same_padding(*each) for each in zip(lengths, w.kernel, w.stride, w.dilation, strict=True)]


@WRITES("convolution")
def convolution(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,) = given
    name, parameters = graph.names[layer.name], weights_and_bias(graph, layer, given)
    groups = group_count(layer, x.size.channels)

    def slide(value: str, attributes: Mapping[str, Any]) -> Sequence[str]:
        return [graph.node("Conv", name, [value, *parameters], group=groups, **attributes)]

    return slid(graph, layer, x, slide)


def weights_and_bias(graph: Graph, layer: Layer, given: Sequence[Value]) -> list[str]:
    name, held = graph.names[layer.name], arrays(layer, given)
    ends = {"Weights": "W", "Bias": "B"}
    return [graph.weight(f"{name}_{end}", layer, of, held[of]) for of, end in ends.items() if of in held]


@WRITES("transposed_convolution")
def transposed_convolution(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """'same' crops kernel - stride, of which the odd pixel at the end."""
    (x,), p, count = given, layer.properties, dimensions(layer)
    kernel, stride = numbers(p["FilterSize"], count), numbers(p.get("Stride", 1), count)
    crops = tuple(((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(kernel, stride, strict=True))
    if p.get("CroppingMode") != "same":
        crops = padding_pairs(p.get("CroppingSize", 0), count)
    inputs = [x.name, *weights_and_bias(graph, layer, given)]
    return [
        graph.node(
            "ConvTranspose",
            graph.names[layer.name],
            inputs,
            kernel_shape=kernel,
            strides=stride,
            pads=sides(crops),
            group=1,
        )
    ]


@WRITES("max_pooling")
def max_pooling(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name = given, graph.names[layer.name]
    more = layer.outputs[1:]
    size = [graph.node("Shape", f"{name}_size", [x.name])] if "size" in more else []
    outputs = [f"{name}_{port}" for port in layer.outputs if port != "size"] if more else []

    def slide(value: str, attributes: Mapping[str, Any]) -> Sequence[str]:
        made = graph.node("MaxPool", name, [value], outputs=outputs, **attributes)
        return outputs or [made]

    return [*slid(graph, layer, x, slide), *size]


@WRITES("max_unpooling")
def max_unpooling(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """ONNX's own operator, which wants the window of the pooling it undoes, or MathWorks'."""
    name, inputs = graph.names[layer.name], [each.name for each in given]
    if graph.mathworks:
        return [graph.node("com.mathworks::MaxUnpool", name, inputs)]
    pool = next(node for node in graph.nodes if given[1].name in node.output)
    attributes = {
        each.name: list(each.ints) for each in pool.attribute if each.name in ("kernel_shape", "strides", "pads")
    }
    return [graph.node("MaxUnpool", name, inputs, **attributes)]


@WRITES("zero_padding")
def zero_padding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    pads = sides(padding_pairs(layer.properties["PaddingSize"], 2))
    return [graph.node("Pad", graph.names[layer.name], [given[0].name], pads=[0, 0, *pads[:2], 0, 0, *pads[2:]])]


@WRITES("average_pooling")
def average_pooling(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    counted = int(layer.properties.get("PaddingValue", 0) == 0)

    def slide(value: str, attributes: Mapping[str, Any]) -> Sequence[str]:
        return [graph.node("AveragePool", graph.names[layer.name], [value], count_include_pad=counted, **attributes)]

    return slid(graph, layer, given[0], slide)


@WRITES("global_pooling")
def global_pooling(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Over space by the operator of that name, over the time of a sequence by a reduction that takes it away."""
    (x,), name = given, graph.names[layer.name]
    spatial, over_time = layer.row.onnx
    if not x.size.over_time:
        return [graph.node(spatial, name, [x.name])]
    return [graph.node(over_time, name, [x.name], axes=[x.axes.index("T")], keepdims=0)]


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


@WRITES("batch_normalization")
def batch_normalization(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    (x,), name, held = given, graph.names[layer.name], arrays(layer, given)
    ends = {"Scale": "scale", "Offset": "B", "TrainedMean": "mean", "TrainedVariance": "var"}
    inputs = [graph.weight(f"{name}_{end}", layer, of, held[of]) for of, end in ends.items()]
    epsilon, decay = layer.properties["Epsilon"], layer.properties["MeanDecay"]
    kept = (
        {} if decay == 0.1 else {"momentum": 1 - decay}
    )  # ONNX says what part of a statistic stays, 0.9 where it says nothing
    return channels_second(
        graph, name, x, lambda value: graph.node("BatchNormalization", name, [value, *inputs], epsilon=epsilon, **kept)
    )


def channels_second(graph: Graph, name: str, x: Value, write: Callable[[str], str]) -> Sequence[str]:
    """Let an operator see N,C,... of any value; time comes last."""
    if not x.size.over_time:
        return [write(x.name)]
    rank = len(x.axes)
    order = (1, 2, 0) if x.axes == "TBC" else (0, *range(2, rank), 1)
    turned = graph.transpose(f"{name}_TimeLast", x.name, order)
    return [graph.transpose(f"{name}_TimeBack", write(turned), [order.index(axis) for axis in range(rank)])]


@WRITES("group_normalization")
def group_normalization(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Groups laid out as rows, InstanceNormalization of the rows, then scale and offset; instance normalisation alone
    where that is it.
    """
    (x,), name, p = given, graph.names[layer.name], layer.properties
    held = arrays(layer, given)
    count = group_count(layer, held["Scale"].size, "channel-wise")
    if layer.row.onnx == ("InstanceNormalization",) and len(x.axes) > 2:
        inputs = [
            graph.weight(f"{name}_{end}", layer, of, held[of]) for of, end in {"Scale": "scale", "Offset": "B"}.items()
        ]
        return channels_second(
            graph,
            name,
            x,
            lambda value: graph.node("InstanceNormalization", name, [value, *inputs], epsilon=p["Epsilon"]),
        )

    def write(value: str) -> str:
        rows = graph.reshape(f"{name}_Groups", value, (0, count, -1))
        ones, zeros = (
            graph.constant(f"{name}_{end}", np.full(count, fill)) for end, fill in (("Ones", 1.0), ("Zeros", 0.0))
        )
        normal = graph.node(
            "InstanceNormalization", f"{name}_InstanceNormalization", [rows, ones, zeros], epsilon=p["Epsilon"]
        )
        back = graph.node("Reshape", f"{name}_Back", [normal, graph.node("Shape", f"{name}_InputShape", [value])])
        return scaled(graph, layer, held, back, len(x.axes) - 2)

    return channels_second(graph, name, x, write)


def scaled(graph: Graph, layer: Layer, held: Mapping[str, Array], value: str, behind: int) -> str:
    """Multiply by Scale and add Offset, one for each channel, with `behind` axes behind the channels'."""
    name = graph.names[layer.name]

    def parameter(of: str, end: str) -> str:
        return graph.weight(f"{name}_{end}", layer, of, held[of].reshape((held[of].size, *(1,) * behind)))

    product = graph.node("Mul", f"{name}_Mul", [value, parameter("Scale", "scale")])
    return graph.node("Add", f"{name}_Add", [product, parameter("Offset", "B")])


@WRITES("layer_normalization")
def layer_normalization(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """The formula, which runs over any axes and in any opset."""
    (x,), name = given, graph.names[layer.name]
    over = {"auto": "CS", "channel-only": "C", "spatial-channel": "CS", "batch-excluded": "CST"}[
        layer.properties.get("OperationDimension", "batch-excluded")
    ]
    axes = [index for index, axis in enumerate(x.axes) if axis in over]

    def mean(end: str, value: str) -> str:
        return graph.node("ReduceMean", f"{name}_{end}", [value], axes=axes, keepdims=1)

    centred = graph.node("Sub", f"{name}_Sub", [x.name, mean("Mean", x.name)])
    variance = mean("Variance", graph.node("Mul", f"{name}_Square", [centred, centred]))
    deviation = graph.node(
        "Sqrt", f"{name}_Sqrt", [graph.with_number("Add", f"{name}_AddEpsilon", variance, layer.properties["Epsilon"])]
    )
    normal = graph.node("Div", f"{name}_Div", [centred, deviation])
    return [scaled(graph, layer, arrays(layer, given), normal, len(x.axes) - 1 - x.channel)]


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


@WRITES("cross_channel_normalization")
def cross_channel_normalization(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """An LRN, or its formula for a window of even size, which reaches one channel further up than down and which
    onnxruntime refuses.
    """
    (x,), name, p, known = given, graph.names[layer.name], layer.properties, layer.row.properties
    window = int(p["WindowChannelSize"])
    alpha, beta, k = (float(p[each]) for each in ("Alpha", "Beta", "K"))
    if window % 2:
        attributes = {
            known["WindowChannelSize"].onnx: window,
            known["Alpha"].onnx: alpha,
            known["Beta"].onnx: beta,
            known["K"].onnx: k,
        }
        return [graph.node(layer.row.onnx[0], name, [x.name], **attributes)]  # type: ignore[arg-type]
    rows = graph.reshape(
        f"{name}_Rows", graph.node("Mul", f"{name}_Square", [x.name, x.name]), (0, 1, channels_and_space(x.size)[0], -1)
    )
    pads = [(window - 1) // 2, 0, window // 2, 0]
    mean = graph.node(
        "AveragePool",
        f"{name}_AveragePool",
        [rows],
        kernel_shape=[window, 1],
        strides=[1, 1],
        pads=pads,
        count_include_pad=1,
    )
    divisor = graph.node("Reshape", f"{name}_Back", [mean, graph.node("Shape", f"{name}_InputShape", [x.name])])
    for op, number in (("Mul", alpha), ("Add", k), ("Pow", beta)):
        divisor = graph.with_number(op, f"{name}_{op}", divisor, number)
    return [graph.node("Div", name, [x.name, divisor])]


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
    return [graph.with_number("Mul", graph.names[layer.name], given[0].name, layer.properties["Scale"])]


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
