"""The passes that turn every exporter's dialect into one node for each MATLAB layer.

A pass takes a graph and returns (a new graph, what it did in words for the notes). It never changes its input. A pass
that joins nodes puts the new node where the last one of them was; `drop_unused` takes away what only fed it.

Docstrings draw the graph before and after: `Op(a, b)` is a node, names in small letters are values, in capitals
constants, `<l>` is the name of a layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import reading
from bridge.readers.onnx.constants import fold_constants
from bridge.readers.onnx.formulas import (
    join_gelu,
    join_group_normalization,
    join_layer_normalization,
    join_multiplications,
    join_swish,
)
from bridge.readers.onnx.graph import Graph, Node, Pass, PassResult
from bridge.readers.onnx.recurrent import join_recurrent
from bridge.readers.onnx.yolov2 import join_yolov2_transform

OBSOLETE = ("consumed_inputs", "is_test", "broadcast", "output_sequence")  # attributes that opset 7 took away
REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
# Inputs that were attributes once, and attributes that are inputs now: which a file has depends on its opset only.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "Clip": ("min", "max"), "Dropout": ("ratio",), "Split": ("split",), "Squeeze": ("axes",), "Unsqueeze": ("axes",),
    **{f"Reduce{name}": ("axes",) for name in REDUCTIONS},
}  # fmt: skip
INPUTS: Mapping[str, tuple[str, ...]] = {
    "Pad": ("pads", "value"),
    "Slice": ("starts", "ends", "axes"),
    "Upsample": ("scales",),
}


def drop_initializer_inputs(graph: Graph) -> PassResult:
    """Take initializers out of the graph's inputs, where ir versions before 4 list them.

    Given:  inputs x, W, B; y = Conv(x, W, B)
    Result: input x;        y = Conv(x, W, B)
    """
    inputs = {name: dims for name, dims in graph.inputs.items() if name not in graph.constants}
    return replace(graph, inputs=inputs), ""


def repair_opset6(graph: Graph) -> PassResult:
    """Drop the attributes that opset 7 took away, where they say what is today's default.

    An `axis` to broadcast along says it in the files MATLAB wrote, and a `spatial` of 1 everywhere.

    Given:  BatchNormalization(x, ...; is_test=1, spatial=1), Sub(x, MEAN; broadcast=1, axis=0)
    Result: BatchNormalization(x, ...),                       Sub(x, MEAN)
    """
    if graph.opset >= 7:
        return graph, ""

    def obsolete(node: Node, name: str) -> bool:
        axis = name == "axis" and node.op in ("Add", "Sub", "Mul", "Div") and graph.matlab
        return name in OBSOLETE or axis or (name == "spatial" and node.attributes[name] == 1)

    nodes = [
        replace(node, attributes={k: v for k, v in node.attributes.items() if not obsolete(node, k)})
        for node in graph.nodes
    ]
    changed = sum(a != b for a, b in zip(nodes, graph.nodes, strict=True))
    return graph.with_nodes(nodes), f"repaired {changed} node(s) with attributes of opset 6" if changed else ""


def settle_forms(graph: Graph) -> PassResult:
    """Give every node the one form that its operator has here, of those that the opsets took turns in.

    Constant inputs that older opsets had as attributes are attributes (`ATTRIBUTES`), or the reverse (`INPUTS`); an
    Upsample is the Resize it became.

    Given:  Clip(x, 0, 6),       Pad(x; pads=P), Upsample(x, S)
    Result: Clip(x; min=0, max=6), Pad(x, P),    Resize(x, S)
    """
    constants: dict[str, Array] = {}

    def settled(node: Node) -> Node:
        if node.op in ATTRIBUTES and len(node.inputs) > 1:
            return _with_attributes(node, graph)
        if node.op in INPUTS and len(node.inputs) == 1:
            node = _with_inputs(node, constants)
        return replace(node, operator="Resize") if node.operator == "Upsample" else node

    return graph.with_nodes(map(settled, graph.nodes), constants), ""


def _with_attributes(node: Node, graph: Graph) -> Node:
    names, attributes = ATTRIBUTES[node.op], dict(node.attributes)
    inputs = node.inputs[1:]
    if (
        node.op == "Dropout"
        and len(inputs) == 2
        and not np.any(graph.constant(inputs[1]) if inputs[1] in graph.constants else True)
    ):
        inputs = inputs[:1]  # training_mode: it is off
    if len(inputs) > len(names) or any(name and name not in graph.constants for name in inputs):
        return node
    for key, name in zip(names, inputs, strict=False):
        value = graph.constant(name)
        if value is not None and value.ndim == 0 and value.dtype.kind != "f":
            return node  # an operation on integers, which the attributes never knew
        if value is not None:
            attributes[key] = float(value) if value.ndim == 0 else tuple(int(n) for n in value)
    if attributes.get("axes"):
        attributes.pop("noop_with_empty_axes", None)
    return replace(node, inputs=node.inputs[:1], attributes=attributes)


def _with_inputs(node: Node, constants: dict[str, Array]) -> Node:
    attributes, inputs = dict(node.attributes), list(node.inputs)
    for key in INPUTS[node.op]:
        if key in attributes:
            value = np.asarray(attributes.pop(key))
            inputs.append(f"{node.outputs[0]} {key}")
            constants[inputs[-1]] = Array.of(value.astype(np.float32 if value.dtype.kind == "f" else np.int64))
    return replace(node, inputs=tuple(inputs), attributes=attributes)


def fold_same_padding(graph: Graph) -> PassResult:
    """Fold the subgraph that computes 'same' padding at run time into the convolution that follows it.

    The subgraph is recognised by what it computes: pad sizes that depend only on the shape of the padded value,
    with this convolution's strides and dilated filter among its constants, padding with zeros.

    Given:  p = ...(Shape(x), STRIDE, FILTER); y = Conv(Pad(x, p), W, B; pads=0)
    Result: y = Conv(x, W, B; auto_pad=SAME_UPPER)
    """
    producers, readers = graph.producers(), graph.readers()
    folded: dict[str, Node] = {}
    for pad in graph.nodes:
        followers = readers.get(pad.outputs[0], []) if pad.op == "Pad" else []
        if (
            len(followers) != 1
            or followers[0].op != "Conv"
            or len(pad.inputs) < 2
            or any(followers[0].attributes.get("pads", ()))
        ):
            continue
        convolution = followers[0]
        constants = _shape_arithmetic(pad.inputs[1], pad.inputs[0], graph, producers)
        if constants is None or not _pads_with_zero(pad, graph) or not _is_same_rule(convolution, constants):
            continue
        attributes = {**{k: v for k, v in convolution.attributes.items() if k != "pads"}, "auto_pad": "SAME_UPPER"}
        folded[convolution.outputs[0]] = replace(
            convolution, inputs=(pad.inputs[0], *convolution.inputs[1:]), attributes=attributes
        )
    nodes = [folded.get(node.outputs[0], node) for node in graph.nodes]
    return graph.with_nodes(nodes), f"folded the 'same' padding of {len(folded)} convolution(s)" if folded else ""


def _shape_arithmetic(value: str, root: str, graph: Graph, producers: Mapping[str, Node]) -> list[NDArray] | None:
    """Return the constants of a computation that reads nothing but Shape(root), or None if it reads more."""
    constants, waiting, seen = [], [value], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or not name:
            continue
        seen.add(name)
        constant = graph.constant(name)
        if constant is not None:
            constants.append(constant)
        elif name not in producers:
            return None
        elif producers[name].op == "Shape":
            if producers[name].inputs[0] != root:
                return None
        else:
            waiting.extend(producers[name].inputs)
        if len(seen) > 64:
            return None
    return constants


def _pads_with_zero(pad: Node, graph: Graph) -> bool:
    value = graph.constant(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] else np.zeros(1)
    return pad.attributes.get("mode", "constant") == "constant" and value is not None and not value.any()


def _is_same_rule(convolution: Node, constants: Sequence[NDArray]) -> bool:
    kernel = convolution.attributes.get("kernel_shape", ())
    dilations = convolution.attributes.get("dilations", (1,) * len(kernel))
    strides = tuple(convolution.attributes.get("strides", (1,) * len(kernel)))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    spatial = [tuple(int(n) for n in each[2:]) for each in constants if each.size == len(kernel) + 2]
    return strides in spatial and reach in spatial


def join_unpooling(graph: Graph) -> PassResult:
    """Give a max pooling the third output that its unpooling reads: the size of its input.

    Given:  s = Shape(x); y, i = MaxPool(x);    z = MaxUnpool(y', i, s)
    Result:               y, i, s = MaxPool(x); z = MaxUnpool(y', i, s)
    """
    readers = graph.readers()
    shapes = {node.inputs[0]: node.outputs[0] for node in graph.nodes if node.op == "Shape"}
    sizes = {
        value: size
        for value, size in shapes.items()
        if {reader.op for reader in readers.get(size, [])} == {"MaxUnpool"}
    }
    pools = [
        node for node in graph.nodes if node.op == "MaxPool" and len(node.outputs) == 2 and node.inputs[0] in sizes
    ]
    joined = {node.outputs[0]: replace(node, outputs=(*node.outputs, sizes[node.inputs[0]])) for node in pools}
    made = {sizes[node.inputs[0]] for node in pools}
    nodes = [joined.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in made]
    return graph.with_nodes(nodes), f"joined {len(pools)} max pooling(s) with their unpooling sizes" if pools else ""


def join_bias(graph: Graph) -> PassResult:
    """Make the bias of a convolution of a float constant with one number a channel that is added directly after it.

    Given:  y = Add(Conv(x, W), B), B of [C, 1, 1] or [1, C, 1, 1]
    Result: y = Conv(x, W, B'), B' of [C]
    """
    constants: dict[str, Array] = {}
    joined: dict[str, Node] = {}
    for node, add, other in _followed_by_constant(graph, ("Conv", "ConvTranspose"), 2):
        weights, array = graph.constants.get(node.inputs[1]), graph.constants[other]
        if weights is None:
            continue
        channels = weights.shape[0] if node.op == "Conv" else weights.shape[1] * node.attributes.get("group", 1)
        spatial = len(weights.shape) - 2
        if array.size == channels and array.shape[-1 - spatial :] == (channels, *(1,) * spatial):
            constants[f"{other} [channels]"] = array.reshape((channels,))
            joined[add.outputs[0]] = replace(node, inputs=(*node.inputs, f"{other} [channels]"), outputs=add.outputs)
    note = f"{len(joined)} constant(s) added after a convolution became its bias" if joined else ""
    return graph.with_nodes([joined.get(node.outputs[0], node) for node in graph.nodes], constants), note


def _followed_by_constant(graph: Graph, ops: Sequence[str], inputs: int) -> Iterable[tuple[Node, Node, str]]:
    """Yield (node, Add, constant) for nodes that nothing reads but an Add of a float constant."""
    readers = graph.readers()
    for node in graph.nodes:
        followers = readers.get(node.outputs[0], []) if node.op in ops and len(node.inputs) == inputs else []
        if [follower.op for follower in followers] == ["Add"] and node.outputs[0] not in graph.outputs:
            other = next((name for name in followers[0].inputs if name != node.outputs[0]), "")
            if other in graph.constants and graph.constants[other].dtype.kind == "f":
                yield node, followers[0], other


def join_fully_connected(graph: Graph) -> PassResult:
    """Make one Gemm of the forms a fully connected layer comes in: MatMul [, Add], or Gemm.

    The Gemm that comes out has weights [out, in] (transB), at most a bias vector, and no other attribute but
    `last_axis` where it was a MatMul, which acts on the last axis of any number.

    Given:  y = Add(MatMul(x, W), B) named <l>_MatMul and <l>_Add, W of [in, out]
    Result: y = Gemm(x, W', B; transB=1, last_axis=1) named <l>, W' of [out, in]
    """
    constants: dict[str, Array] = {}
    joined: dict[str, Node] = {}
    adds = {node.outputs[0]: (add, other) for node, add, other in _followed_by_constant(graph, ("MatMul", "Gemm"), 2)}
    for node in graph.nodes:
        weights = (
            graph.constants.get(node.inputs[1]) if node.op in ("MatMul", "Gemm") and len(node.inputs) > 1 else None
        )
        if weights is None or len(weights.shape) != 2 or weights.dtype.kind != "f" or not _is_plain(node):
            continue
        key, rows = (
            f"{node.inputs[1]} [out, in]",
            weights if node.attributes.get("transB", 0) else weights.transpose((1, 0)),
        )
        bias, name, outputs = (node.inputs[2] if len(node.inputs) > 2 else ""), node.name, node.outputs
        add, other = adds.get(node.outputs[0], (node, bias))
        if other and (other not in graph.constants or not _is_vector(graph.constants[other], rows.shape[0])):
            if bias:
                continue
            add, other = node, ""
        if add is not node:
            outputs, name = add.outputs, name.removesuffix("_MatMul") if graph.matlab else name
        constants[key] = rows
        if other:
            constants[f"{other} [out]"] = graph.constants[other].reshape((rows.shape[0],))
        inputs = (node.inputs[0], key, f"{other} [out]") if other else (node.inputs[0], key)
        joined[outputs[0]] = Node(
            "Gemm", name, inputs, outputs, {"transB": 1, **({"last_axis": 1} if node.op == "MatMul" else {})}
        )
    return graph.with_nodes([joined.get(node.outputs[0], node) for node in graph.nodes], constants), ""


def _is_plain(node: Node) -> bool:
    a: Mapping[str, Any] = node.attributes
    return a.get("alpha", 1.0) == 1.0 and a.get("beta", 1.0) == 1.0 and not a.get("transA", 0)


def _is_vector(array: Array, length: int) -> bool:
    return array.size == length and array.shape[-1:] == (length,) and array.dtype.kind == "f"


def drop_unused(graph: Graph) -> PassResult:
    """Drop nodes whose values nothing reads.

    Given:  y = Relu(x); z = Exp(x); output y
    Result: y = Relu(x);             output y
    """
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return graph.with_nodes(reversed(kept)), ""


PASSES: Sequence[Pass] = (
    drop_initializer_inputs,
    repair_opset6,
    fold_constants,
    fold_same_padding,
    join_yolov2_transform,
    settle_forms,
    join_unpooling,
    join_recurrent,
    join_swish,
    join_gelu,
    join_group_normalization,
    join_layer_normalization,
    join_multiplications,
    join_bias,
    join_fully_connected,
    drop_unused,
)


def normalise(graph: Graph, passes: Iterable[Pass] = PASSES) -> tuple[Graph, list[str]]:
    """Run the passes in order; return the graph and the notes they made.

    Raises:
        UnreadableError: a pass cannot take the graph; it is named.
    """
    notes = []
    for each in passes:
        with reading(f"the graph, in the pass {each.__name__},"):
            graph, note = each(graph)
        if note:
            notes.append(note)
    return graph, notes
