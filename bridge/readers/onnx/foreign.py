"""A node that is no MATLAB layer, as a layer "onnx:<Op>": its attributes plain, its constants learnables or state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bridge.arrays.lazy import Array
from bridge.network import Layer, Learnable
from bridge.network.activations import Activation
from bridge.readers.onnx.graph import Graph, Node
from bridge.readers.onnx.layout import UNKNOWN
from bridge.tables.layers import foreign_row

# Constants that such a node learns, by the place of the input: what they are called in torch.
WEIGHT_AND_BIAS = {1: "weight", 2: "bias"}
TRAINED = {
    "BatchNormalization": WEIGHT_AND_BIAS,
    "Conv": WEIGHT_AND_BIAS,
    "ConvTranspose": WEIGHT_AND_BIAS,
    "Gather": {0: "weight"},
    "Gemm": WEIGHT_AND_BIAS,
    "InstanceNormalization": WEIGHT_AND_BIAS,
    "LayerNormalization": WEIGHT_AND_BIAS,
    "MatMul": {0: "weight", 1: "weight"},
    "PRelu": {1: "weight"},
}
DEFAULTS = {"weight": (1.0, 1.0), "bias": (1.0, 0.0)}


def foreign_layer(node: Node, name: str, sizes: Sequence[Activation], graph: Graph) -> Layer:
    """Make the layer of a foreign node.

    Its state is named as its torch module names it: `constants.input2` is the constant at the node's input 2,
    `constants.value` a tensor among its attributes. `Layout` tells for each input of the node where it comes from: "in"
    (the layer's next input), a learnable, a state, or "" where it is left out.
    """
    learnables: dict[str, Learnable] = {}
    state = {
        f"constants.{key}": Array.of(value) for key, value in node.attributes.items() if isinstance(value, np.ndarray)
    }
    layout = []
    for index, value in enumerate(node.inputs):
        array, local = graph.constants.get(value), TRAINED.get(node.op, {}).get(index, "")
        if array is None:
            layout.append("in" if value else "")
        elif local and array.dtype.kind == "f":
            learnables[local] = Learnable(array, *DEFAULTS[local], assumed=True)
            layout.append(local)
        else:
            state[f"constants.input{index}"] = array
            layout.append(f"constants.input{index}")
    size = common_size(sizes)
    properties = {
        "Operator": node.op,
        "Opset": graph.opset,
        "Layout": tuple(layout),
        "Attributes": {
            key: value for key, value in node.attributes.items() if isinstance(value, (int, float, str, tuple))
        },
        "Format": size.format,
        "Size": size.size,
    }
    row = foreign_row(f"onnx:{node.op}", node.op)
    inputs, outputs = layout.count("in"), len(sizes)
    return Layer(name, row.name, row, properties, learnables, state, numbered("in", inputs), numbered("out", outputs))


def numbered(port: str, count: int) -> tuple[str, ...]:
    return (port,) if count == 1 else tuple(f"{port}{i + 1}" for i in range(count))


def common_size(sizes: Sequence[Activation]) -> Activation:
    """Return what several outputs have in common; lengths in which they differ are not known."""
    if len({(each.format, len(each.size)) for each in sizes}) > 1:
        return Activation(UNKNOWN, ())
    lengths = zip(*(each.size for each in sizes), strict=True)
    return Activation(sizes[0].format, tuple(each[0] if len(set(each)) == 1 else None for each in lengths))


def plain_form(node: Node, rank: int) -> list[Node]:
    """Return the node, and what must run before it, as ONNX's own operators: the passes and MATLAB's rows know more
    than those.

    A Gemm is one over the last axis too. A formula joined over the last axes is a LayerNormalization from an axis on.
    A convolution whose padding differs at the two ends pads in a node of its own.
    """
    attributes = dict(node.attributes)
    attributes.pop("last_axis", None)
    axes = sorted(axis if axis < 0 else axis - rank for axis in attributes.get("axes", ()))
    if node.op == "LayerNormalization" and axes and axes == list(range(-len(axes), 0)):
        attributes = {"axis": axes[0], "epsilon": attributes["epsilon"]}
    pads = attributes.get("pads", ())
    half = len(pads) // 2
    if node.op != "Conv" or pads[:half] == pads[half:] or attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return [replace(node, attributes=attributes)]
    padded = f"{node.inputs[0]} padded for {node.outputs[0]}"
    both = {"mode": "constant", "pads": (0, 0, *pads[:half], 0, 0, *pads[half:])}
    pad = Node("Pad", f"{node.name}_Pad", node.inputs[:1], (padded,), both)
    return [pad, replace(node, inputs=(padded, *node.inputs[1:]), attributes={**attributes, "pads": (0,) * len(pads)})]
