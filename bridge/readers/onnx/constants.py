"""Constants of a graph that are worked out while it is read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.arrays.lazy import Array
from bridge.readers.onnx.graph import Graph, Node, PassResult

GROWING = ("ConstantOfShape", "Expand", "Tile")  # what these make may be larger than what they read
UNFOLDED = ("Bernoulli", "EyeLike", "Multinomial", "OneHot", "Pad", "Range", "Resize")  # random, or of any size
LARGEST = 1_000_000  # elements of a constant that is worked out


def fold_constants(graph: Graph) -> PassResult:
    """Work out the nodes that read nothing but constants; an Identity or Transpose of a weight stays unread in the
    file.

    Given:  y = MatMul(x, Transpose(W))
    Result: y = MatMul(x, W'), W' a view of W
    """
    known = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        value = (
            _worked_out(node, known, graph.opset)
            if node.inputs and all(not name or name in known for name in node.inputs)
            else None
        )
        if value is None:
            nodes.append(node)
        else:
            known[node.outputs[0]] = value
    return graph.with_nodes(nodes, known), ""


def _worked_out(node: Node, known: Mapping[str, Array], opset: int) -> Array | None:
    if "::" in node.operator or len(node.outputs) != 1 or node.op in UNFOLDED or node.op.startswith("Random"):
        return None
    if node.op in GROWING:
        times = np.prod(np.abs(known[node.inputs[-1]].read()), dtype=np.float64)
        if known[node.inputs[0]].size * times > LARGEST:
            return None
    if node.op == "Identity":
        return known[node.inputs[0]]
    if node.op == "Transpose":
        array = known[node.inputs[0]]
        return array.transpose(tuple(node.attributes.get("perm", range(len(array.shape))[::-1])))
    from onnx.reference import ReferenceEvaluator

    from bridge.readers.onnx.graph import proto_of

    arrays = {name: known[name].read() for name in node.inputs if name}
    try:
        (value,) = ReferenceEvaluator(proto_of(node), opsets={"": opset}).run(None, arrays)
    except Exception:  # whatever an operator that the reference lacks or cannot run raises: the node then stays
        return None
    return Array.of(np.asarray(value))
