"""An ONNX graph as plain values, for the passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnreadableError, UnsupportedError

Dims = tuple[int | str | None, ...]
Shapes = Mapping[str, Dims]

# AttributeProto.type: FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS; GRAPH, GRAPHS, SPARSE_TENSOR, SPARSE_TENSORS
TENSOR = 4
DIALECT = ("MATLAB", "bridge")  # how the producers begin that write as MATLAB's exporter does
TOLERATED = ("consumed_inputs",)  # an attribute of opset 1 that MATLAB wrote with opset 6
PLAIN = (1, 2, 3, TENSOR, 6, 7, 8)
OTHERWISE = {5: "a subgraph", 10: "a subgraph", 11: "a sparse tensor", 12: "a sparse tensor"}


@dataclass(frozen=True)
class Node:
    """One ONNX node. `operator` is "Conv", or "domain::Op" outside ai.onnx."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def op(self) -> str:
        return self.operator.rpartition("::")[2]


@dataclass(frozen=True)
class Graph:
    """A graph: nodes in run order, its inputs and outputs with their declared dims, its constants.

    Attributes:
        shapes: declared dims of values, where known.
        types: numpy's names of the inputs' data types.
        opset: of ai.onnx.
        producer: name and version.
        matlab: whether it is in the dialect of MATLAB's exporter, which bridge writes too.
        infer: finds the dims of every value it can; takes its time.
    """

    nodes: tuple[Node, ...]
    inputs: Shapes
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Shapes = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    opset: int = 17
    producer: str = ""
    matlab: bool = False
    infer: Callable[[], Shapes] = field(default=dict, compare=False, repr=False)

    def with_nodes(self, nodes: Iterable[Node], constants: Mapping[str, Array] | None = None) -> Graph:
        return replace(self, nodes=tuple(nodes), constants={**self.constants, **(constants or {})})

    def producers(self) -> dict[str, Node]:
        """Which node makes each value."""
        return {output: node for node in self.nodes for output in node.outputs if output}

    def readers(self) -> dict[str, list[Node]]:
        """Which nodes read each value; one that reads it twice is listed twice."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    def constant(self, name: str) -> NDArray | None:
        """Return a constant's value, or None where `name` is computed."""
        array = self.constants.get(name)
        return None if array is None else array.read()


def graph_from(model: Any, constants: Mapping[str, Array]) -> Graph:
    """Make a `Graph` of a parsed model."""
    nodes, constants = [], dict(constants)
    for proto in model.graph.node:
        domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}::"
        attributes = {each.name: _attribute(each) for each in proto.attribute}
        if not domain and proto.op_type == "Constant":
            constants[proto.output[0]] = _constant(proto.output[0], attributes)
            continue
        name = proto.name or (proto.output[0] if proto.output else "")
        nodes.append(Node(domain + proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes))
    versions = {each.domain: each.version for each in model.opset_import}
    return Graph(
        tuple(nodes),
        {each.name: _dims(each) for each in model.graph.input},
        tuple(each.name for each in model.graph.output),
        constants,
        _declared(model),
        {each.name: _type(each) for each in model.graph.input},
        int(versions.get("", versions.get("ai.onnx", 1))),
        f"{model.producer_name} {model.producer_version}".strip(),
        model.producer_name.startswith(DIALECT),
        lambda: _inferred(model),
    )


def check_supported(path: Path, model: Any) -> None:
    """Raise UnsupportedError, naming everything in the file that a graph of plain nodes and dense constants cannot
    hold.
    """
    found = [f"the function {each.domain}::{each.name}" for each in model.functions]
    found += [f"the sparse initializer '{each.values.name}'" for each in model.graph.sparse_initializer]
    found += ["training information"] * bool(model.training_info)
    ends = (*model.graph.input, *model.graph.output)
    found += [
        f"'{each.name}', which is no tensor"
        for each in ends
        if each.type.WhichOneof("value") not in (None, "tensor_type")
    ]
    for node in model.graph.node:
        name = node.name or (node.output or [""])[0]
        kinds = {
            OTHERWISE.get(each.type, f"the attribute {each.name}") for each in node.attribute if each.type not in PLAIN
        }
        found += [f"{kind} in node '{name}' ({node.op_type})" for kind in sorted(kinds)]
    if found:
        cause, hint = "only plain nodes with dense constants are read", "export the network without them"
        raise UnsupportedError(f"{path} holds {', '.join(found)}", cause, hint)


def check_nodes(path: Path, model: Any) -> None:
    """Raise UnreadableError, naming every node that has not the inputs and attributes its operator has in ONNX.

    Operators that the opset does not have are left to whoever builds them.
    """
    from onnx import NodeProto, checker, defs

    context = type(checker.DEFAULT_CONTEXT)()
    context.ir_version, context.opset_imports = (
        model.ir_version,
        {each.domain: each.version for each in model.opset_import},
    )
    problems = []
    for node in model.graph.node:
        if node.domain or not defs.has(node.op_type, context.opset_imports.get("", 1)):
            continue
        plain = NodeProto()
        plain.CopyFrom(node)
        plain.ClearField("attribute")
        plain.attribute.extend(each for each in node.attribute if each.name not in TOLERATED)
        try:
            checker.check_node(plain, context)
        except checker.ValidationError as error:
            problems.append(f"'{node.name or (node.output or [''])[0]}' ({node.op_type}): {str(error).splitlines()[0]}")
    if problems:
        raise UnreadableError(
            f"{path} holds {len(problems)} node(s) that are none", "; ".join(problems), "export the network again"
        )


def check_values(path: Path, graph: Graph) -> None:
    """Raise UnreadableError unless names are texts and every value that is read is made once, before it is read."""
    of_nodes = (each for node in graph.nodes for each in (node.name, *node.inputs, *node.outputs, *node.attributes))
    if not all(isinstance(each, str) for each in (*graph.inputs, *graph.outputs, *graph.constants, *of_nodes)):
        raise UnreadableError(f"{path} holds names that are no texts", "they are not UTF-8", "export the network again")
    known = {"", *graph.inputs, *graph.constants}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            what = f"node '{node.name}' ({node.op}) reads '{missing[0]}', which nothing before it makes"
            raise UnreadableError(what, f"{path} is damaged or has a cycle")
        again = [name for name in node.outputs if name in known and name]
        if again:
            raise UnreadableError(
                f"node '{node.name}' ({node.op}) makes '{again[0]}', which exists already", f"{path} is damaged"
            )
        known.update(node.outputs)
    lost = [name for name in graph.outputs if name not in known]
    if lost or not graph.outputs:
        raise UnreadableError(
            f"the graph's output {lost[0] if lost else ''!r} is made by no node", f"{path} is damaged"
        )


def _attribute(proto: Any) -> Any:
    from onnx import helper, numpy_helper

    if proto.type == TENSOR:
        if proto.t.data_location:  # onnx would look for it in the current directory
            hint = "save the model with its constants inside"
            raise UnsupportedError(f"the attribute '{proto.name}' lies in another file", "only initializers may", hint)
        return numpy_helper.to_array(proto.t)
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if hasattr(value, "extend"):
        return tuple(each.decode("utf-8", errors="replace") if isinstance(each, bytes) else each for each in value)
    return value


def _constant(output: str, attributes: Mapping[str, Any]) -> Array:
    """A Constant node's value: a tensor, or (value_float, value_ints, ...) plain numbers in ONNX's single or 64-bit
    precision.
    """

    if len(attributes) != 1:
        raise UnreadableError(
            f"the Constant '{output}' has {len(attributes)} values", "it must have one", "export the network again"
        )
    ((name, value),) = attributes.items()
    return Array.of(np.asarray(value, np.float32 if name.startswith("value_float") else None))


def _declared(model: Any) -> Shapes:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {each.name: _dims(each) for each in values if each.type.tensor_type.HasField("shape")}


def _inferred(model: Any) -> Shapes:
    from onnx import helper, shape_inference

    without_version = {node.domain for node in model.graph.node} - {each.domain for each in model.opset_import}
    model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in sorted(without_version))
    try:
        return _declared(shape_inference.infer_shapes(model, data_prop=True))
    except shape_inference.InferenceError as error:
        raise UnreadableError("the graph contradicts itself", str(error), "export the network again") from error


def _dims(value: Any) -> Dims:
    return tuple(
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in value.type.tensor_type.shape.dim
    )


def _type(value: Any) -> str:
    from onnx import helper

    kind = value.type.tensor_type.elem_type
    return str(helper.tensor_dtype_to_np_dtype(kind)) if kind in helper.get_all_tensor_dtypes() else ""


@cache
def declared_defaults(operator: str, opset: int) -> Mapping[str, Any]:
    """Return what the attributes of an operator are where a node leaves them out; nothing for one that the opset does
    not have.
    """
    from onnx import defs

    known = defs.get_schema(operator, opset).attributes if defs.has(operator, opset) else {}
    return {name: _attribute(each.default_value) for name, each in known.items() if each.default_value.type}


def proto_of(node: Node) -> Any:
    """Return a node of ai.onnx as onnx's own NodeProto."""
    from onnx import helper, numpy_helper

    proto = helper.make_node(node.op, node.inputs, node.outputs)
    for key, value in node.attributes.items():
        if isinstance(value, np.ndarray):
            proto.attribute.append(helper.make_attribute(key, numpy_helper.from_array(value)))
        elif value not in ((), None):
            proto.attribute.append(helper.make_attribute(key, value))
    return proto


PassResult = tuple[Graph, str]
Pass = Callable[[Graph], PassResult]
