"""The last layer of a YOLO v2 network, which ONNX has no operator for, recognised by what its nodes compute.

How MATLAB's exporter writes yolov2TransformLayer was not seen; this takes the documented formula in any order of nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.readers.onnx.graph import Graph, Node, proto_of

OPERATOR = "bridge::YOLOv2Transform"
BENDING = {"Exp", "Sigmoid", "Softmax"}
MOVING = {"Concat", "Flatten", "Identity", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
MOST_NODES = 64
MOST_ELEMENTS = 1_000_000  # of the value that is tried out
FEW = 16  # numbers of a shape, beside the values
SINGLE = 1e-5  # a few roundings of single precision


def join_yolov2_transform(graph: Graph) -> tuple[Graph, str]:
    """Make one node of those behind the last convolution of a detector, with the number of its anchors.

    They are tried out on random numbers, and taken where they give the formula's for a number of anchors: sigmoid of
    the channels of IoU, x and y, exp of those of width and height, softmax over the classes of an anchor.

    Given:  r = Conv(x, W, B); y = Concat(Sigmoid(Slice(r)), Exp(Slice(r)), Softmax(Reshape(Slice(r)))), in any order
    Result: r = Conv(x, W, B); y = YOLOv2Transform(r; anchors)
    """
    tail, raw = _tail(graph)
    if not BENDING.issubset(node.operator for node in tail) or len(tail) > MOST_NODES or len(graph.outputs) > 1:
        return graph, ""
    batch, *lengths = (
        graph.shapes.get(graph.outputs[0]) or graph.infer().get(raw) or (None,)
    )  # the layer keeps the size
    if len(lengths) != 3 or not all(isinstance(n, int) and n > 0 for n in lengths):
        return graph, ""
    shape = (batch if isinstance(batch, int) and batch > 0 else 1, *(int(n or 0) for n in lengths))
    if np.prod(shape, dtype=np.float64) > MOST_ELEMENTS:
        return graph, ""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = _computed(graph, tail, raw, x)
    anchors = (
        None
        if found is None
        else next(
            (n for n in range(1, shape[1] // 6 + 1) if shape[1] % n == 0 and _same(found, transformed(x, n))), None
        )
    )
    if anchors is None:
        return graph, ""
    joined = replace(tail[-1], operator=OPERATOR, inputs=(raw,), attributes={"anchors": anchors})
    note = (
        f"the last {len(tail)} nodes are yolov2TransformLayer for {anchors} anchor boxes, by what they compute "
        "(MATLAB's own form was not seen)"
    )
    return graph.with_nodes(joined if node is tail[-1] else node for node in graph.nodes), note


def transformed(x: NDArray, anchors: int) -> NDArray:
    """Return what yolov2TransformLayer makes of N x channels x rows x columns (its formula was read off a MATLAB
    detector).
    """
    place, size = x[:, : 3 * anchors], x[:, 3 * anchors : 5 * anchors]
    classes = np.exp(x[:, 5 * anchors :]).reshape(len(x), -1, anchors, *x.shape[2:])
    shares = (classes / classes.sum(1, keepdims=True)).reshape(len(x), -1, *x.shape[2:])
    return np.concatenate([1 / (1 + np.exp(-place)), np.exp(size), shares], 1)


def _same(found: NDArray, wanted: NDArray) -> bool:
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, rtol=SINGLE, atol=SINGLE))


def _tail(graph: Graph) -> tuple[list[Node], str]:
    """Return the last nodes that only move values or bend them, in run order, and the one value that they read; none if
    they read several.
    """
    needed, read, tail = {graph.outputs[0]}, set[str](), list[Node]()
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        if node.operator in BENDING | MOVING:
            tail.append(node)
            needed.update(name for name in node.inputs if name and name not in graph.constants)
        else:
            read.update(needed.intersection(node.outputs))
    read.update(needed.intersection(graph.inputs))
    return tail[::-1] if len(read) == 1 else [], "".join(read)


def _computed(graph: Graph, nodes: Sequence[Node], name: str, x: NDArray) -> NDArray | None:
    """Run nodes on a value; None where one would make more numbers than it has, or cannot run."""
    values = {name: x}
    for node in nodes:
        constants = [graph.constants[each] for each in node.inputs if each in graph.constants]
        if (
            sum(each.size for each in constants) + sum(values[each].size for each in node.inputs if each in values)
            > x.size + FEW
        ):
            return None
        try:
            values.update(zip(node.outputs, _run(node, graph, values), strict=True))
        except Exception:  # whatever an operator that the reference cannot run raises: the nodes then stay
            return None
    return values[nodes[-1].outputs[0]]


def _run(node: Node, graph: Graph, values: Mapping[str, NDArray]) -> Sequence[Any]:
    """Run one node. Before opset 13 a softmax ran over its axis and all behind it, which the reference
    does not know.
    """
    from onnx.reference import ReferenceEvaluator

    given = {name: values[name] if name in values else graph.constants[name].read() for name in node.inputs if name}
    if (
        node.op == "Softmax"
        and graph.opset < 13
        and node.attributes.get("axis", 1) not in (-1, given[node.inputs[0]].ndim - 1)
    ):
        raise ValueError("a softmax over several axes")
    return list(ReferenceEvaluator(proto_of(node), opsets={"": graph.opset}).run(None, given))
