"""An ONNX graph as plain values, for the passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.arrays import Array, NDArray
from bridge.errors import UnreadableError

Dims = tuple[int | str | None, ...]


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
        shapes: declared or inferred dims of values, where known.
        opset: of ai.onnx.
        producer: name and version.
        matlab: whether MATLAB wrote it.
    """

    nodes: tuple[Node, ...]
    inputs: Mapping[str, Dims]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, Dims]
    opset: int
    producer: str
    matlab: bool

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        return replace(self, nodes=tuple(nodes))

    def producers(self) -> dict[str, Node]:
        """Which node makes each value."""
        return {output: node for node in self.nodes for output in node.outputs}

    def readers(self) -> dict[str, list[Node]]:
        """Which nodes read each value."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return found

    def constant(self, name: str) -> NDArray | None:
        """Return a constant's value, or None where `name` is computed."""
        array = self.constants.get(name)
        return None if array is None else array.read()


def graph_from(path: Path, model: Any, constants: Mapping[str, Array]) -> Graph:
    """Make a `Graph` of a parsed model.

    Raises:
        UnreadableError: a node reads a value nothing makes, or two nodes make one.
    """
    from onnx import helper

    nodes, constants = [], dict(constants)
    for proto in model.graph.node:
        domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}::"
        attributes = {each.name: _attribute(helper.get_attribute_value(each)) for each in proto.attribute}
        if not domain and proto.op_type == "Constant" and "value" in attributes:
            constants[proto.output[0]] = _constant(attributes["value"])
            continue
        nodes.append(Node(domain + proto.op_type, proto.name or (proto.output[0] if proto.output else ""), tuple(proto.input), tuple(proto.output), attributes))
    shapes = {each.name: _dims(each) for each in (*model.graph.input, *model.graph.value_info, *model.graph.output)}
    versions = {each.domain: each.version for each in model.opset_import}
    return Graph(
        tuple(nodes),
        {each.name: _dims(each) for each in model.graph.input},
        tuple(each.name for each in model.graph.output),
        constants,
        shapes,
        int(versions.get("", versions.get("ai.onnx", 1))),
        f"{model.producer_name} {model.producer_version}".strip(),
        model.producer_name.startswith("MATLAB"),
    )


def check_values(path: Path, graph: Graph) -> None:
    """Raise UnreadableError unless every value that is read is made once, before it is read."""
    known = {"", *graph.inputs, *graph.constants}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in known]
        if missing:
            raise UnreadableError(f"node '{node.name}' ({node.op}) reads '{missing[0]}', which nothing before it makes", f"{path} is damaged or has a cycle")
        again = [name for name in node.outputs if name in known and name]
        if again:
            raise UnreadableError(f"node '{node.name}' ({node.op}) makes '{again[0]}', which exists already", f"{path} is damaged")
        known.update(node.outputs)
    lost = [name for name in graph.outputs if name not in known]
    if lost or not graph.outputs:
        raise UnreadableError(f"the graph's output {lost[0] if lost else ''!r} is made by no node", f"{path} is damaged")


def _attribute(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if hasattr(value, "extend") or isinstance(value, (list, tuple)):
        return tuple(each.decode("utf-8", errors="replace") if isinstance(each, bytes) else each for each in value)
    return value


def _constant(tensor: Any) -> Array:
    import numpy as np
    from onnx import numpy_helper

    return Array.of(np.asarray(numpy_helper.to_array(tensor)))


def _dims(value: Any) -> Dims:
    if not value.type.HasField("tensor_type"):
        return ()
    return tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in value.type.tensor_type.shape.dim)
