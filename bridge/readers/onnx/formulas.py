"""Passes that join the nodes of a formula into the one operator that newer opsets, and MATLAB, have for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bridge.readers.onnx.graph import Graph, Node
from bridge.readers.onnx.match import Match, Matcher, Pattern

ERF = ("Add", ("Erf", [("Div", "x", math.sqrt(2)), ("Mul", "x", math.sqrt(0.5))]), 1.0)
CUBE = [("Mul", ("Mul", "x", "x"), "x"), ("Pow", "x", 3.0)]
TANH = ("Add", ("Tanh", ("Mul", ("Add", "x", ("Mul", CUBE, 0.044715)), math.sqrt(2 / math.pi))), 1.0)
CENTRED = ("Sub", "x", ("ReduceMean:mean", "x"))
SQUARE = [("Mul", "centred", "centred"), ("Pow", "centred", 2.0)]
NORMAL = ("Div", "centred", ("Sqrt", ("Add", ("ReduceMean:variance", SQUARE), "$epsilon")))
ROWS = ("InstanceNormalization:rows", ("Reshape", "x", "$groups"), "$ones", "$zeros")


def join_swish(graph: Graph) -> tuple[Graph, str]:
    """Make one node of the formula of a swish layer.

    Given:  y = Mul(x, Sigmoid(x))
    Result: y = Swish(x)
    """
    return _join(graph, "Mul", ("Mul", "x", ("Sigmoid", "x")), lambda match: ("Swish", ("x",), {}))


def join_gelu(graph: Graph) -> tuple[Graph, str]:
    """Make one node of either formula of GELU, in any order of its factors.

    Given:  y = x/2 * (1 + Erf(x / sqrt(2))), or y = x/2 * (1 + Tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
    Result: y = Gelu(x; approximate="none"),     y = Gelu(x; approximate="tanh")
    """
    for factor, approximate in ((ERF, "none"), (TANH, "tanh")):
        orders = [
            ("Mul", ("Mul", "x", 0.5), factor),
            ("Mul", ("Mul", "x", factor), 0.5),
            ("Mul", "x", ("Mul", factor, 0.5)),
        ]
        made: Made = ("Gelu", ("x",), {"approximate": approximate})
        graph, _ = _join(graph, "Mul", orders, lambda match, made=made: made)  # type: ignore[misc]
    return graph, ""


def join_layer_normalization(graph: Graph) -> tuple[Graph, str]:
    """Make one node of the formula of layer normalisation, with the axes of both means.

    Given:  c = Sub(x, ReduceMean(x)); y = Add(Mul(Div(c, Sqrt(Add(ReduceMean(c * c), EPSILON))), SCALE), OFFSET)
    Result: y = LayerNormalization(x, SCALE, OFFSET; axes, epsilon)
    """

    def made(match: Match) -> tuple[str, tuple[str, ...], dict[str, Any]] | None:
        mean, variance = match.named["mean"].attributes, match.named["variance"].attributes
        epsilon = graph.constants[match.values["$epsilon"]]
        if mean.get("keepdims", 1) != 1 or dict(mean) != dict(variance) or not mean.get("axes") or epsilon.size != 1:
            return None
        return (
            "LayerNormalization",
            ("x", "$scale", "$offset"),
            {"axes": mean["axes"], "epsilon": float(epsilon.read().reshape(-1)[0])},
        )

    return _join(graph, "Add", ("Add", ("Mul", NORMAL, "$scale"), "$offset"), made, centred=CENTRED)


def join_group_normalization(graph: Graph) -> tuple[Graph, str]:
    """Groups of channels laid out as rows, InstanceNormalization of the rows, then scale and offset ->
    GroupNormalization.

    The `shape` that the rows are brought back to comes along; None where it is worked out, from the shape of x.

    Given:  r = InstanceNormalization(Reshape(x, [0, groups, -1]), 1, 0); y = Add(Mul(Reshape(r, shape), SCALE), OFFSET)
    Result: y = GroupNormalization(x, SCALE, OFFSET; num_groups, epsilon, shape)
    """
    producers = graph.producers()

    def made(match: Match) -> tuple[str, tuple[str, ...], dict[str, Any]] | None:
        v = match.values
        groups, shape, back = graph.constant(v["$groups"]), graph.constant(v["shape"]), producers.get(v["shape"])
        ones, zeros = graph.constant(v["$ones"]), graph.constant(v["$zeros"])
        if (
            groups is None
            or groups.shape != (3,)
            or groups[0] != 0
            or groups[2] != -1
            or np.any(ones != 1)
            or np.any(zeros != 0)
        ):
            return None
        if shape is None and (back is None or back.op != "Shape" or back.inputs[0] != v["x"]):
            return None
        target = None if shape is None else tuple(int(n) for n in shape)
        epsilon = match.named["rows"].attributes.get("epsilon", 1e-5)
        return (
            "GroupNormalization",
            ("x", "$scale", "$offset"),
            {"num_groups": int(groups[1]), "epsilon": epsilon, "shape": target},
        )

    return _join(graph, "Add", ("Add", ("Mul", ("Reshape", ROWS, "shape"), "$scale"), "$offset"), made)


def join_multiplications(graph: Graph) -> tuple[Graph, str]:
    """Make one node of a multiplication layer of several inputs, which MATLAB's exporter writes as a chain.

    Given:  m = Mul(a, b) named <l>_Mul1; y = Mul(m, c) named <l>
    Result: y = Mul(a, b, c) named <l>
    """
    producers, readers = graph.producers(), graph.readers()

    def factors(name: str, layer: str) -> Iterator[str]:
        node = producers.get(name)
        if node is not None and node.op == "Mul" and node.name.startswith(f"{layer}_Mul") and len(readers[name]) == 1:
            for each in node.inputs:
                yield from factors(each, layer)
        else:
            yield name

    def joined(node: Node) -> Node:
        inputs = tuple(name for each in node.inputs for name in factors(each, node.name))
        return Node("Mul", node.name, inputs, node.outputs) if node.op == "Mul" else node

    return (graph.with_nodes(map(joined, graph.nodes)) if graph.matlab else graph), ""


Made = tuple[str, tuple[str, ...], Mapping[str, Any]]  # operator, the pattern's names of its inputs, attributes


def _join(
    graph: Graph, last: str, pattern: Pattern, made: Callable[[Match], Made | None], **where: Pattern
) -> tuple[Graph, str]:
    """Put the operator that `made` makes of a match in place of each `last` operator that the pattern ends in."""
    matcher = Matcher(graph)

    def joined(node: Node) -> Node:
        match = matcher.find(node.outputs[0], pattern, **where) if node.operator == last else None
        made_of = made(match) if match is not None else None
        if match is None or made_of is None:
            return node
        operator, inputs, attributes = made_of
        name = node.name.removesuffix(f"_{node.op}") if graph.matlab else node.name
        return Node(operator, name, tuple(match.values[each] for each in inputs), node.outputs, attributes)

    return graph.with_nodes(map(joined, graph.nodes)), ""
