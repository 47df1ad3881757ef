"""The inputs of a graph as input layers."""

from __future__ import annotations

from bridge.arrays.lazy import Array
from bridge.network import Layer, make_layer
from bridge.network.activations import Activation
from bridge.readers.onnx.graph import Dims, Graph, Node
from bridge.readers.onnx.layout import UNKNOWN, activation_of
from bridge.tables.layers import Mappings, foreign_input


def input_layer(value: str, name: str, graph: Graph, tables: Mappings, wanted: str) -> tuple[Layer, str, list[str]]:
    """Make the layer of a graph input, with the normalisation that follows it.

    Returns:
        The layer, the value it puts out, and all values it takes in.
    """
    dims, readers = graph.inputs[value], graph.readers()
    features = dims[2:] if len(dims) == 3 else dims[1:]  # sequences run T, N, C
    lengths = tuple(n for n in features if isinstance(n, int) and n > 0)
    turned = any(node.op == "Transpose" for node in readers.get(value, []))
    row, kind = tables.by_rank(len(dims)), graph.types.get(value) or "float32"
    if (
        row is None
        or len(lengths) < len(features)
        or (not graph.matlab and (turned or len(dims) == 3 or kind != "float32"))
    ):
        return _foreign_input(name, dims, kind, wanted, turned), value, []
    normalization, taken, statistics = _normalization(value, graph, readers) if graph.matlab else ("none", [], {})
    state = {key: _statistic(array) for key, array in statistics.items()}
    properties = {"InputSize": (*lengths[1:], lengths[0]), "Normalization": normalization}
    return make_layer(row, name, properties, {}, state), taken[-1] if taken else value, taken


def _foreign_input(name: str, dims: Dims, kind: str, wanted: str, turned: bool) -> Layer:
    """An input that is no MATLAB layer's: its tensor is as the file says, also where that has the channels last."""
    size = activation_of(dims, wanted)
    if turned and len(dims) > 3:
        size = Activation(UNKNOWN, tuple(n if isinstance(n, int) and n > 0 else None for n in dims[1:]))
    row = foreign_input("onnx:Input")
    shape = tuple(n if isinstance(n, int) and n > 0 else None for n in dims)
    return make_layer(row, name, {"Format": size.format, "Size": size.size, "Shape": shape, "Type": kind})


def _normalization(value: str, graph: Graph, readers: dict[str, list[Node]]) -> tuple[str, list[str], dict[str, Array]]:
    """Follow Sub (mean) and Div (deviation); a file cannot tell zscore from rescale, which does the same."""
    taken: list[str] = []
    statistics: dict[str, Array] = {}
    for op, statistic in (("Sub", "Mean"), ("Div", "StandardDeviation")):
        found = readers.get(value, [])
        if (
            len(found) != 1
            or found[0].op != op
            or found[0].inputs[0] != value
            or found[0].inputs[1] not in graph.constants
        ):
            break
        statistics[statistic] = graph.constants[found[0].inputs[1]]
        value = found[0].outputs[0]
        taken.append(value)
    return ("none", "zerocenter", "zscore")[len(taken)], taken, statistics


def _statistic(array: Array) -> Array:
    """[1 C H W] -> MATLAB's [H W C]."""
    shape = array.shape[1:] if array.shape[:1] == (1,) else array.shape
    array = array.reshape(shape)
    return array.transpose((*range(1, len(shape)), 0)) if len(shape) > 1 else array
