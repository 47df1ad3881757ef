"""Small ONNX models and graphs for the tests of the reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bridge.arrays.lazy import Array, NDArray
from bridge.network import Network
from bridge.parity.differences import Comparison
from bridge.parity.proof import prove
from bridge.readers.onnx.graph import Dims, Graph, Node

Read = Callable[[onnx.ModelProto], Network]

KINDS = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}


def node(operator: str, inputs: str, output: str, /, **attributes: Any) -> onnx.NodeProto:
    """A node named after its first output; `inputs` and `output` are names with blanks between, "-" is one left out."""
    names, outputs = (["" if each == "-" else each for each in text.split()] for text in (inputs, output))
    return helper.make_node(operator, names, outputs, name=outputs[0], **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    x: Sequence[int | str],
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    producer: str = "pytorch",
    kind: str = "f",
    outputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of the input "x"; its outputs are those of the last node unless named. Weights in Python's numbers become single or int64."""
    arrays = {name: as_array(value) for name, value in (weights or {}).items()}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", KINDS[kind], x)],
        [onnx.ValueInfoProto(name=name) for name in outputs or nodes[-1].output],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    domains = [helper.make_opsetid(domain, 1) for domain in sorted({each.domain for each in nodes if each.domain})]
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), *domains], producer_name=producer, ir_version=8
    )
    inferred = onnx.shape_inference.infer_shapes(made, data_prop=True)
    known = {each.name: each for each in (*inferred.graph.value_info, *inferred.graph.output)}
    for each in made.graph.output:
        if each.name in known:
            each.CopyFrom(known[each.name])
    return made


def as_array(value: Any) -> NDArray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def weights(*shape: int, seed: int = 0) -> NDArray:
    values: NDArray = np.random.default_rng(seed).standard_normal(shape) / math.prod(shape[1:]) ** 0.5
    return values.astype(np.float32)


def graph(*nodes: Node, x: Dims = ("N", 3, 8, 8), constants: Mapping[str, Any] | None = None, **more: Any) -> Graph:
    """A graph of the input "x", whose outputs are those of the last node."""
    arrays = {name: Array.of(as_array(value)) for name, value in (constants or {}).items()}
    return Graph(nodes, {"x": x}, nodes[-1].outputs, arrays, **more)


def step(operator: str, inputs: str, output: str, /, **attributes: Any) -> Node:
    """A node named after its first output, as `node` writes one."""
    names, outputs = (tuple("" if each == "-" else each for each in text.split()) for text in (inputs, output))
    return Node(operator, outputs[0], names, outputs, attributes)


def proven(network: Network, layers: int | None = None) -> Comparison:
    """Prove a network against onnxruntime and return the comparison; `layers` is how many it must compare at least."""
    proof = prove(network, network.to_torch())
    assert proof.comparison is not None, proof.missing
    proof.comparison.require()
    assert proof.equal == proof.total
    assert len(proof.comparison.layers) >= (1 if layers is None else layers)
    return proof.comparison
