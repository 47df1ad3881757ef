"""ONNX operators that are no MATLAB layers, as onnx2torch's modules for them.

onnx2torch is imported when the first such layer is built: that takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation

if TYPE_CHECKING:
    from bridge.arrays.lazy import Array
    from bridge.network import Layer

HINT = "replace it in the network, or pass a torch module for it: --modules mine.py"
MAKES_ITS_OWN = ("Conv", "ConvTranspose")  # onnx2torch's modules of these hold weight and bias themselves
NEEDS_RANK = ("AveragePool", "BatchNormalization", "GlobalAveragePool", "InstanceNormalization", "MaxPool")
REORDERED = {"Resize": 11}  # the opset in which an operator's inputs changed their places
SEVERAL = ("Split", "TopK")  # operators whose modules put out all that the node does; those of others only the first
OTHER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"CumSum": {"reverse": 0}}  # of ONNX, where onnx2torch takes others


class Foreign(nn.Module):
    """An operator's module, called with the layer's inputs, learnables and constants where the node has them.

    Learnables are parameters of this module, constants buffers of `constants`, in their own data type.

    Args:
        operator: onnx2torch's module.
        arguments: for each of its arguments where it comes from: "in" (the next input), a name here, or "" (left out).
        outputs: how many of the operator's outputs the layer has.
        shapes: of the learnables.
        constants: by name.
    """

    def __init__(
        self,
        operator: nn.Module,
        arguments: Iterable[str],
        outputs: int,
        shapes: Mapping[str, tuple[int, ...]],
        constants: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.operator, self.arguments, self.outputs, self.constants = operator, tuple(arguments), outputs, nn.Module()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device="meta")))
        for name, value in constants.items():
            self.constants.register_buffer(name.removeprefix("constants."), value)

    def forward(self, *inputs: Tensor) -> Any:
        given = iter(inputs)
        held = {**self._parameters, **{f"constants.{name}": value for name, value in self.constants._buffers.items()}}
        made = self.operator(*(next(given) if name == "in" else held.get(name) for name in self.arguments))
        return made[0] if self.outputs == 1 and isinstance(made, (tuple, list)) else made

    def extra_repr(self) -> str:
        return ", ".join(self.arguments)


@BUILDERS("foreign")
def foreign(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """Build the module of a layer "onnx:<Op>".

    Raises:
        UnsupportedError: onnx2torch has no converter for the operator, or none for what this node says.
    """
    name = layer.properties["Operator"]
    what = f"layer '{layer.name}' is the ONNX operator {name}"
    if len(layer.outputs) > 1 and name not in SEVERAL:
        raise UnsupportedError(what, f"its module puts out one value, {len(layer.outputs)} are read", HINT)
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("error", ".*differ significantly")  # so onnx2torch says that its numbers are other ones
        try:
            node, graph = one_node(layer, given)
            operator, mapping = converter(node, int(layer.properties["Opset"]))(node, graph)
        except Exception as error:  # onnx2torch's errors share no base of their own
            raise UnsupportedError(what, str(error), HINT) from error
    if name in MAKES_ITS_OWN and set(layer.learnables) == {name for name, _ in operator.named_parameters()}:
        made: nn.Module = operator
        return made
    sources = {
        name: source for name, source in zip(input_names(layer), layer.properties["Layout"], strict=True) if name
    }
    arguments = [sources.get(name, "") for name in mapping.inputs]
    lost = sorted(set(layer.learnables).difference(arguments))
    if lost:
        raise UnsupportedError(what, f"its {', '.join(lost)} cannot be trained there", HINT)
    constants = {name: torch.from_numpy(array.read().copy()) for name, array in layer.state.items()}
    return Foreign(
        operator,
        arguments,
        len(layer.outputs),
        {name: each.shape for name, each in layer.learnables.items()},
        constants,
    )


def input_names(layer: Layer) -> list[str]:
    """Name the inputs of the layer's node; one that is left out has no name."""
    return [f"input{index}" if source else "" for index, source in enumerate(layer.properties["Layout"])]


def one_node(layer: Layer, given: Sequence[Activation]) -> tuple[Any, Any]:
    """Return the layer's node, as ONNX has it, and a graph of nothing else, in onnx2torch's classes.

    Constants are initializers. Learnables are inputs, so that the module made of the node takes them when it runs;
    all but those that can only be its own.
    """
    from onnx import TensorProto, helper, numpy_helper
    from onnx2torch.onnx_graph import OnnxGraph

    p, names = layer.properties, input_names(layer)
    if p["Operator"] in NEEDS_RANK and given[0].size == ():
        raise NotImplementedError("the file does not tell how many dimensions its input has")
    own = {name: each.array for name, each in layer.learnables.items() if p["Operator"] in MAKES_ITS_OWN}
    arrays: Mapping[str, Array] = {**own, **layer.state}
    sizes, inputs, initializers = iter(given), [], []
    for name, source in zip(names, p["Layout"], strict=True):
        if source in arrays:
            initializers.append(numpy_helper.from_array(arrays[source].read(), name))
        elif source:
            inputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, dims(next(sizes)) if source == "in" else None)
            )
    outputs = [f"output{index}" for index in range(len(layer.outputs))]
    node = helper.make_node(p["Operator"], names, outputs, name="node")
    node.attribute.extend(attributes(layer))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = OnnxGraph(helper.make_graph([node], "node", inputs, ends, initializers))
    return graph.nodes["node"], graph


def attributes(layer: Layer) -> Iterable[Any]:
    """Yield the attributes of the layer's node, in the types that the operator declares."""
    from onnx import defs, helper, numpy_helper

    kinds = defs.OpSchema.AttrType
    declared = {name: each.type for name, each in defs.get_schema(layer.properties["Operator"]).attributes.items()}
    for key, value in {
        **OTHER_DEFAULTS.get(layer.properties["Operator"], {}),
        **layer.properties["Attributes"],
    }.items():
        if value != ():
            yield helper.make_attribute(key, float(value) if declared.get(key) == kinds.FLOAT else value)
    for name, array in layer.state.items():
        key = name.removeprefix("constants.")
        if declared.get(key) == kinds.TENSOR:
            yield helper.make_attribute(key, numpy_helper.from_array(array.read()))


def dims(at: Activation) -> list[int | None]:
    """Return the dims of an activation's tensor; the converters want to know how many there are."""
    return (
        [None, *at.size] if at.format == "?" else [None, *((None,) if at.over_time else ()), at.channels, *at.spatial]
    )


def converter(node: Any, opset: int) -> Callable[[Any, Any], Any]:
    """Return onnx2torch's converter for a node.

    It is the newest one, not newer than the opset, for which the node means the same; else the oldest newer one.

    Raises:
        NotImplementedError: there is none.
    """
    from onnx import defs
    from onnx2torch.node_converters.registry import _CONVERTER_REGISTRY

    operator = node.operation_type
    known = {key.version: each for key, each in _CONVERTER_REGISTRY.items() if key[:2] == (defs.ONNX_DOMAIN, operator)}
    versions = [*sorted((v for v in known if v <= opset), reverse=True), *sorted(v for v in known if v > opset)]
    version = next((each for each in versions if means_the_same(node.proto, opset, each)), None)
    if version is None or is_misread(node, version):
        raise NotImplementedError(
            f"onnx2torch has no converter for {operator}" + (f" as opset {opset} has it" if known else "")
        )
    found: Callable[[Any, Any], Any] = known[version]
    return found


def is_misread(node: Any, version: int) -> bool:
    """Whether the module that onnx2torch makes of a node computes something else, or nothing."""
    said = node.attributes
    match node.operation_type:
        case "ConvTranspose":
            return "output_shape" in said
        case "Flatten":
            return bool(said.get("axis", 1) == 0)
        case "Resize":
            return (
                version == 10 and said.get("mode") == "linear"
            )  # ONNX samples from the corner, the module at pixel centres
        case operator:
            return operator in ("IsInf", "NonZero")  # of both signs always, and transposed


def means_the_same(node: Any, opset: int, version: int) -> bool:
    """Whether a node of one opset means the same in another one.

    It does if both have its inputs and attributes, and the same defaults for those it leaves out.
    """
    from onnx import defs

    there, reordered = defs.get_schema(node.op_type, version), REORDERED.get(node.op_type, 0)
    given = {each.name for each in node.attribute}
    required = {name for name, each in there.attributes.items() if each.required}
    takes = required <= given <= set(there.attributes) and there.min_input <= len(node.input) <= there.max_input
    if not takes or (opset < reordered) != (version < reordered):
        return False
    try:
        here = defs.get_schema(node.op_type, opset)
    except defs.SchemaError:
        return True  # an operator that came later: nothing else of that name can be meant
    left_out = (set(here.attributes) & set(there.attributes)) - given
    return all(here.attributes[name].default_value == there.attributes[name].default_value for name in left_out)
