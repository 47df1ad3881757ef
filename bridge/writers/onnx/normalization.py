"""The nodes of input layers and of normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bridge.arrays.lazy import Array
from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.network.windows import group_count
from bridge.writers.onnx.graph import WRITES, Graph, Value, arrays, channels_and_space


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
