"""The passes that turn every exporter's dialect into one node for each MATLAB layer.

A pass takes a graph and returns (a new graph, what it did in words for the notes). It never changes its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from bridge.arrays import Array
from bridge.readers.onnx.graph import Graph, Node

PassResult = tuple[Graph, str]
Pass = Callable[[Graph], PassResult]

OBSOLETE = ("consumed_inputs", "is_test", "spatial", "broadcast", "axis")  # attributes that opset 7 took away


def drop_initializer_inputs(graph: Graph) -> PassResult:
    """Take initializers out of the graph's inputs, where ir versions before 4 list them."""
    inputs = {name: dims for name, dims in graph.inputs.items() if name not in graph.constants}
    return replace(graph, inputs=inputs), ""


def repair_opset6(graph: Graph) -> PassResult:
    """Drop the attributes that opset 7 took away; their meaning is today's default in every file MATLAB wrote."""
    if graph.opset >= 7:
        return graph, ""
    arithmetic = ("Add", "Sub", "Mul", "Div")

    def obsolete(node: Node, name: str) -> bool:
        return name in OBSOLETE and (name != "axis" or node.op in arithmetic)

    nodes = [replace(node, attributes={k: v for k, v in node.attributes.items() if not obsolete(node, k)}) for node in graph.nodes]
    changed = sum(a != b for a, b in zip(nodes, graph.nodes, strict=True))
    return graph.with_nodes(nodes), f"repaired {changed} node(s) with attributes of opset 6" if changed else ""


def fold_same_padding(graph: Graph) -> PassResult:
    """Fold the subgraph that computes 'same' padding at run time into the convolution that follows it.

    The subgraph is recognised by what it computes: pad sizes that depend only on the shape of the padded value,
    with this convolution's strides and dilated filter among its constants, padding with zeros.
    """
    producers, readers = graph.producers(), graph.readers()
    folded: dict[str, Node] = {}
    for pad in graph.nodes:
        followers = readers.get(pad.outputs[0], []) if pad.op == "Pad" else []
        if len(followers) != 1 or followers[0].op != "Conv" or len(pad.inputs) < 2 or any(followers[0].attributes.get("pads", ())):
            continue
        convolution = followers[0]
        constants = _shape_arithmetic(pad.inputs[1], pad.inputs[0], graph, producers)
        if constants is None or not _pads_with_zero(pad, graph) or not _is_same_rule(convolution, constants):
            continue
        attributes = {**{k: v for k, v in convolution.attributes.items() if k != "pads"}, "auto_pad": "SAME_UPPER"}
        folded[convolution.name] = replace(convolution, inputs=(pad.inputs[0], *convolution.inputs[1:]), attributes=attributes)
    if not folded:
        return graph, ""
    nodes = [folded.get(node.name, node) if node.op == "Conv" else node for node in graph.nodes]
    return graph.with_nodes(nodes), f"folded the 'same' padding of {len(folded)} convolution(s)"


def _shape_arithmetic(value: str, root: str, graph: Graph, producers: dict[str, Node]) -> list[np.ndarray] | None:  # type: ignore[type-arg]
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


def _is_same_rule(convolution: Node, constants: Sequence[np.ndarray]) -> bool:  # type: ignore[type-arg]
    kernel = convolution.attributes.get("kernel_shape", ())
    dilations = convolution.attributes.get("dilations", (1,) * len(kernel))
    strides = tuple(convolution.attributes.get("strides", (1,) * len(kernel)))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    spatial = [tuple(int(n) for n in each[2:]) for each in constants if each.size == len(kernel) + 2]
    return strides in spatial and reach in spatial


def join_unpooling(graph: Graph) -> PassResult:
    """Give a max pooling the third output that its unpooling reads: the size of its input."""
    readers = graph.readers()
    nodes: list[Node] = []
    joined = 0
    shapes = {
        node.inputs[0]: node for node in graph.nodes
        if node.op == "Shape" and all(reader.op == "MaxUnpool" for reader in readers.get(node.outputs[0], [])) and readers.get(node.outputs[0])
    }  # fmt: skip
    for node in graph.nodes:
        size = shapes.get(node.inputs[0]) if node.inputs else None
        if size is not None and node is size:
            continue
        if node.op == "MaxPool" and size is not None and len(node.outputs) == 2:
            node = replace(node, outputs=(*node.outputs, size.outputs[0]))
            joined += 1
        nodes.append(node)
    return (graph.with_nodes(nodes), f"joined {joined} max pooling(s) with their unpooling sizes") if joined else (graph, "")


def join_channel_softmax(graph: Graph) -> PassResult:
    """Join Transpose, Softmax over the last axis, Transpose back into a softmax over the channels."""
    producers, readers = graph.producers(), graph.readers()
    replaced: dict[str, Node | None] = {}
    for node in graph.nodes:
        before = producers.get(node.inputs[0]) if node.op == "Softmax" else None
        after = readers.get(node.outputs[0], []) if before is not None else []
        if before is None or before.op != "Transpose" or len(after) != 1 or after[0].op != "Transpose" or len(readers[before.outputs[0]]) != 1:
            continue
        there, back = before.attributes.get("perm"), after[0].attributes.get("perm")
        rank = len(there or ())
        if node.attributes.get("axis", -1) in (-1, rank - 1) and there == (0, *range(2, rank), 1) and back == (0, rank - 1, *range(1, rank - 1)):
            softmax = Node("Softmax", node.name, (before.inputs[0],), after[0].outputs, {"axis": 1, "over_channels": True})
            replaced.update({before.outputs[0]: None, node.outputs[0]: softmax, after[0].outputs[0]: None})
    if not replaced:
        return graph, ""
    nodes = [replaced.get(node.outputs[0], node) for node in graph.nodes]
    return graph.with_nodes(node for node in nodes if node is not None), ""


def join_fully_connected(graph: Graph) -> PassResult:
    """Make one Gemm of the forms a fully connected layer comes in: [Flatten,] MatMul [, Add], or [Flatten,] Gemm.

    The Gemm that comes out has weights [out, in] (transB) and takes its input unflattened: a fully connected layer
    flattens by itself, in ONNX's order C, H, W.
    """
    readers, producers = graph.readers(), graph.producers()
    constants = dict(graph.constants)
    replaced: dict[str, Node | None] = {}
    flattened = 0
    for node in graph.nodes:
        weights = constants.get(node.inputs[1]) if node.op in ("MatMul", "Gemm") and len(node.inputs) > 1 else None
        if weights is None or len(weights.shape) != 2 or weights.dtype.kind != "f" or not _is_plain_gemm(node, constants):
            continue
        transposed = bool(node.attributes.get("transB", 0))
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        name, outputs = node.name, node.outputs
        follower = readers.get(node.outputs[0], [])
        added = _added_constant(follower[0], node.outputs[0], weights.shape[0 if transposed else 1], constants) if len(follower) == 1 else None
        if not bias and added and node.outputs[0] not in graph.outputs:
            bias, outputs = added, follower[0].outputs
            replaced[follower[0].outputs[0]] = None
            name = name.removesuffix("_MatMul") if graph.matlab else name
        source, before = node.inputs[0], producers.get(node.inputs[0])
        if before is not None and before.op == "Flatten" and before.attributes.get("axis", 1) == 1:
            source, flattened = before.inputs[0], flattened + 1
        key = f"{node.inputs[1]} [out, in]"
        constants[key] = weights if transposed else weights.transpose((1, 0))
        inputs = (source, key, bias) if bias else (source, key)
        replaced[node.outputs[0]] = Node("Gemm", name, inputs, outputs, {"transB": 1})
    if not replaced:
        return graph, ""
    nodes = [replaced.get(node.outputs[0], node) for node in graph.nodes]
    note = "fully connected weights after Flatten are taken in ONNX's order C, H, W" if flattened else ""
    return replace(graph, nodes=tuple(node for node in nodes if node is not None), constants=constants), note


def _is_plain_gemm(node: Node, constants: dict[str, Array]) -> bool:
    a = node.attributes
    plain = a.get("alpha", 1.0) == 1.0 and a.get("beta", 1.0) == 1.0 and not a.get("transA", 0)
    return plain and (len(node.inputs) < 3 or (node.inputs[2] in constants and len(constants[node.inputs[2]].shape) == 1))


def _added_constant(node: Node, value: str, channels: int, constants: dict[str, Array]) -> str | None:
    """Return the constant that `node` adds to `value` if it has one number for each channel."""
    if node.op != "Add" or value not in node.inputs:
        return None
    other = node.inputs[1] if node.inputs[0] == value else node.inputs[0]
    array = constants.get(other)
    return other if array is not None and array.size == channels and array.shape[-1:] == (channels,) and array.dtype.kind == "f" else None


def join_bias(graph: Graph) -> PassResult:
    """Make the bias of a convolution of a float constant with one number a channel that is added directly after it."""
    readers = graph.readers()
    constants = dict(graph.constants)
    replaced: dict[str, Node | None] = {}
    for node in graph.nodes:
        weights = constants.get(node.inputs[1]) if node.op == "Conv" and len(node.inputs) == 2 else None
        follower = readers.get(node.outputs[0], [])
        if weights is None or len(follower) != 1 or follower[0].op != "Add" or node.outputs[0] in graph.outputs:
            continue
        other = next((name for name in follower[0].inputs if name != node.outputs[0]), "")
        array, channels = constants.get(other), weights.shape[0]
        if array is None or array.dtype.kind != "f" or tuple(n for n in array.shape if n != 1) != (channels,):
            continue
        if array.shape[-(len(weights.shape) - 1) :] != (channels, *(1,) * (len(weights.shape) - 2)):
            continue
        constants[f"{other} [channels]"] = array.reshape((channels,))
        replaced[node.outputs[0]] = replace(node, inputs=(*node.inputs, f"{other} [channels]"), outputs=follower[0].outputs)
        replaced[follower[0].outputs[0]] = None
    if not replaced:
        return graph, ""
    nodes = [replaced.get(node.outputs[0], node) for node in graph.nodes]
    joined = sum(node is not None for node in replaced.values())
    note = f"{joined} constant(s) added after a convolution became its bias"
    return replace(graph, nodes=tuple(node for node in nodes if node is not None), constants=constants), note


def drop_unused(graph: Graph) -> PassResult:
    """Drop nodes whose values nothing reads."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return graph.with_nodes(reversed(kept)), ""


PASSES: Sequence[Pass] = (
    drop_initializer_inputs,
    repair_opset6,
    fold_same_padding,
    join_unpooling,
    join_channel_softmax,
    join_bias,
    join_fully_connected,
    drop_unused,
)


def normalise(graph: Graph, passes: Iterable[Pass] = PASSES) -> tuple[Graph, list[str]]:
    """Run the passes in order; return the graph and the notes they made."""
    notes = []
    for each in passes:
        graph, note = each(graph)
        if note:
            notes.append(note)
    return graph, notes
