"""The nodes of layers that slide a window, and of global pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.network.windows import Window, dimensions, group_count, numbers, padding_pairs, same_padding, window
from bridge.writers.onnx.graph import WRITES, Graph, Value, arrays


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
    name, over_time = graph.names[layer.name], x.axes == "TBC"
    value = graph.transpose(f"{name}_BatchFirst", x.name, (1, 2, 0)) if over_time else x.name
    made = graph.node(
        "ConvTranspose",
        f"{name}_ConvTranspose" if over_time else name,
        [value, *weights_and_bias(graph, layer, given)],
        kernel_shape=kernel,
        strides=stride,
        pads=sides(crops),
        group=1,
    )
    return [graph.transpose(name, made, (2, 0, 1)) if over_time else made]


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
