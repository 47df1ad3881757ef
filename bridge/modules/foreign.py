"""ONNX operators that are no MATLAB layers, as onnx2torch's modules for them.

onnx2torch is imported when the first such layer is built: that takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bridge.errors import UnsupportedError
from bridge.sizes import Activation

if TYPE_CHECKING:
    from bridge.arrays import Array
    from bridge.network import Layer

MAKES_ITS_OWN = ("Conv", "ConvTranspose")  # the modules of these hold weight and bias themselves
NEEDS_RANK = ("AveragePool", "BatchNormalization", "GlobalAveragePool", "InstanceNormalization", "MaxPool")
REORDERED = {"Resize": 11}  # the opset in which an operator's inputs changed their places
FLOAT, TENSOR = 1, 4  # AttributeProto.type


class Foreign(nn.Module):
    """An operator's module, called with the layer's inputs, learnables and constants where the node has them.

    Learnables are parameters of this module, constants buffers of `constants`, in their own data type.

    Args:
        operator: onnx2torch's module.
        arguments: for each of its arguments where it comes from: "in" (the next input), a name here, or "" (left out).
    """

    def __init__(self, operator: nn.Module, arguments: Sequence[str], learnables: Mapping[str, tuple[int, ...]], constants: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.operator, self.arguments, self.constants = operator, tuple(arguments), nn.Module()
        for name, shape in learnables.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device="meta")))
        for name, value in constants.items():
            self.constants.register_buffer(name.removeprefix("constants."), value)

    def forward(self, *inputs: Tensor) -> Any:
        given = iter(inputs)
        held = {**self._parameters, **{f"constants.{name}": value for name, value in self.constants._buffers.items()}}
        return self.operator(*(next(given) if name == "in" else held.get(name) for name in self.arguments))

    def extra_repr(self) -> str:
        return ", ".join(self.arguments)


def foreign(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """Build the module of a layer "onnx:<Op>".

    Raises:
        UnsupportedError: onnx2torch has no converter for the operator, or none for what this node says.
    """
    p = layer.properties
    sources: tuple[str, ...] = p["Layout"]
    names = tuple(f"input{index}" if source else "" for index, source in enumerate(sources))
    absorbed = [name for name in layer.learnables if p["Operator"] in MAKES_ITS_OWN]
    arrays = {**{name: layer.learnables[name].array for name in absorbed}, **layer.state}
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("error", ".*differ significantly")  # so onnx2torch says that its numbers are other ones
        try:
            node, graph = one_node(layer, names, {name: arrays[source] for name, source in zip(names, sources, strict=True) if source in arrays}, given)
            operator, mapping = converter(node, int(p["Opset"]))(node, graph)
        except Exception as error:  # onnx2torch's errors share no base of their own
            raise UnsupportedError(f"layer '{layer.name}' is the ONNX operator {p['Operator']}", f"{error}", HINT) from error
    if absorbed and set(absorbed) <= {name for name, _ in operator.named_parameters(recurse=False)}:
        made: nn.Module = operator
        return made
    arguments = [dict(zip(names, sources, strict=True)).get(name, "") for name in mapping.inputs]
    lost = set(layer.learnables).difference(arguments)
    if lost:
        raise UnsupportedError(f"layer '{layer.name}' is the ONNX operator {p['Operator']}", f"its {', '.join(sorted(lost))} cannot be trained there", HINT)
    constants = {name: torch.from_numpy(array.read().copy()) for name, array in layer.state.items()}
    return Foreign(operator, arguments, {name: learnable.shape for name, learnable in layer.learnables.items()}, constants)


HINT = "replace it in the network, or pass a torch module for it: --modules mine.py"


def one_node(layer: Layer, names: Sequence[str], constants: Mapping[str, Array], given: Sequence[Activation]) -> tuple[Any, Any]:
    """Return the layer's node, as ONNX has it, and a graph of nothing else, in onnx2torch's classes."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx2torch.onnx_graph import OnnxGraph

    p = layer.properties
    if p["Operator"] in NEEDS_RANK and given[0].size == ():
        raise NotImplementedError("the file does not tell how many dimensions its input has")
    node = helper.make_node(p["Operator"], names, [f"output{index}" for index in range(len(layer.outputs))], name="node")
    kinds = attribute_kinds(p["Operator"])
    for key, value in p["Attributes"].items():
        if value != ():
            node.attribute.append(helper.make_attribute(key, float(value) if kinds.get(key) == FLOAT else value))
    for name, array in layer.state.items():
        key = name.removeprefix("constants.")
        if kinds.get(key) == TENSOR:
            node.attribute.append(helper.make_attribute(key, numpy_helper.from_array(array.read())))
    computed = [name for name, source in zip(names, p["Layout"], strict=True) if source == "in"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims(at)) for name, at in zip(computed, given, strict=True)]
    learned = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name and name not in (*computed, *constants)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output]
    initializers = [numpy_helper.from_array(array.read(), name) for name, array in constants.items()]
    graph = OnnxGraph(helper.make_graph([node], "node", [*inputs, *learned], outputs, initializers))
    (made,) = graph.nodes.values()
    return made, graph


def dims(at: Activation) -> list[int | None]:
    """The dims of an activation's tensor, where the converters only want to know how many there are."""
    if at.format == "?":
        return [None, *at.size]
    return [None, *((None,) if at.over_time else (at.channels,)), *(at.spatial if not at.over_time else (*at.size,))]


def attribute_kinds(operator: str) -> Mapping[str, int]:
    """Return the type of every attribute the operator has in its newest version."""
    from onnx import defs

    return {name: int(each.type.value) for name, each in defs.get_schema(operator).attributes.items()}


def converter(node: Any, opset: int) -> Callable[[Any, Any], Any]:
    """Return onnx2torch's converter for a node: the newest that is not newer than the opset and takes the node as it is, else the oldest that does.

    Raises:
        NotImplementedError: there is none.
    """
    from onnx import defs
    from onnx2torch.node_converters.registry import _CONVERTER_REGISTRY

    operator = node.operation_type
    known = {key.version: each for key, each in _CONVERTER_REGISTRY.items() if key.operation_type == operator and key.domain == defs.ONNX_DOMAIN}
    versions = [*sorted((v for v in known if v <= opset), reverse=True), *sorted(v for v in known if v > opset)]
    version = next((each for each in versions if means_the_same(node.proto, opset, each)), None)
    if version is None or ((operator, version) == ("Resize", 10) and node.attributes.get("mode") == "linear"):  # which it samples at pixel centres
        raise NotImplementedError(f"onnx2torch has no converter for {operator}" + (f" as opset {opset} has it" if known else ""))
    return known[version]


def means_the_same(node: Any, opset: int, version: int) -> bool:
    """Whether a node of one opset means the same in another one.

    It does if both have its inputs and attributes, and the same defaults for those it leaves out.
    """
    from onnx import defs

    there, reordered = defs.get_schema(node.op_type, version), REORDERED.get(node.op_type, 0)
    if (opset < reordered) != (version < reordered):
        return False
    attributes = {each.name for each in node.attribute}
    if not attributes <= set(there.attributes) or not there.min_input <= len(node.input) <= there.max_input:
        return False
    if any(each.required and name not in attributes for name, each in there.attributes.items()):
        return False
    try:
        here = defs.get_schema(node.op_type, opset)
    except defs.SchemaError:
        return True  # an operator that came later: nothing else of that name can be meant
    left_out = (set(here.attributes) & set(there.attributes)) - attributes
    return all(here.attributes[name].default_value == there.attributes[name].default_value for name in left_out)
