"""A node and a row of the tables -> the MATLAB layer, where the row fits the node."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.arrays.axes import Turn, parse
from bridge.arrays.lazy import Array
from bridge.network import Layer, Learnable, make_layer
from bridge.readers.onnx.layout import CHANNELS_SECOND, UNKNOWN
from bridge.readers.onnx.properties import Reading, node_properties
from bridge.tables.layers import LayerRow, Mappings


def fitting_layer(reading: Reading, name: str, tables: Mappings) -> Layer | None:
    """Return the layer of the first row that says what the node says, or None."""
    for row in tables.by_operator(reading.node.operator):
        layer = fitted(row, reading, name, tables) if accepts(row, reading) else None
        if layer is not None and len(layer.inputs) == len(reading.given) and not reads_more(reading, layer):
            return layer
    return None


def accepts(row: LayerRow, reading: Reading) -> bool:
    """Whether the row takes values of this format, laid out like this; of an unknown one only what is elementwise is
    known.
    """
    node, first = reading.node, reading.first
    if "elementwise" in row.traits or first.size.format == UNKNOWN:
        return "elementwise" in row.traits
    if node.op in CHANNELS_SECOND and not (first.channels_second or (node.op == "Conv" and first.is_pixel)):
        return False
    if row.dimensions is not None and row.dimensions != (1 if first.size.over_time else len(first.pixel.spatial)):
        return False
    return node.op != "LRN" or bool(first.size.spatial)


def reads_more(reading: Reading, layer: Layer) -> bool:
    """Whether the graph uses an output of the node that the layer does not have (the mask of a Dropout, say)."""
    graph = reading.graph
    unknown = set(reading.node.outputs[len(layer.outputs) :]) - {""}
    return bool(unknown) and any(
        unknown.intersection(names) for names in (graph.outputs, *(node.inputs for node in graph.nodes))
    )


def fitted(row: LayerRow, reading: Reading, name: str, tables: Mappings) -> Layer | None:
    properties = node_properties(row, reading)
    learnables = (
        learnables_of(row, reading, int((properties or {}).get("NumGroups") or 1)) if properties is not None else None
    )
    state = {key: array_at(reading, known.onnx) for key, known in row.state.items() if known.onnx is not None}
    if properties is None or learnables is None or None in state.values():
        return None
    layer = make_layer(
        row, name, properties, learnables, {key: array for key, array in state.items() if array is not None}
    )
    if row.whole and is_fully_connected(layer, reading):
        return as_fully_connected(layer, tables.rows[row.whole])
    return None if reading.first.is_pixel and reading.node.op == "Conv" else layer


def array_at(reading: Reading, index: int) -> Array | None:
    inputs = reading.node.inputs
    return reading.graph.constants.get(inputs[index]) if index < len(inputs) else None


def learnables_of(row: LayerRow, reading: Reading, groups: int) -> Mapping[str, Learnable] | None:
    """Take the row's learnables from the node's constants; None where one is computed, or the weights are missing."""
    spatial = [n or 1 for n in reading.first.size.spatial] if "flattens" in row.traits else []
    lengths = {**dict(zip("hwd", [*spatial, 1, 1, 1], strict=False)), "groups": groups}
    found = {}
    for name, known in row.learnables.items():
        index = known.onnx
        if index is None:
            continue
        given = index < len(reading.node.inputs) and bool(reading.node.inputs[index])
        array = array_at(reading, index) if given else None
        if array is None and (given or index == 1):
            return None
        if array is not None:
            array = array.reshape((array.size,)) if len(parse(known.torch_axes)) == 1 else array
            found[name] = Learnable(
                Turn(known.torch_axes, known.matlab_axes)(array, lengths), *known.defaults, assumed=True
            )
    return found


def is_fully_connected(layer: Layer, reading: Reading) -> bool:
    """Whether MATLAB wrote this convolution for a fully connected layer: its filter is its whole input."""
    p, size = layer.properties, reading.first.pixel
    plain = p["PaddingMode"] == "manual" and not any(p["PaddingSize"]) and set(p["DilationFactor"]) == {1}
    return reading.graph.matlab and plain and tuple(p["FilterSize"]) == size.spatial and size.channels is not None


def filters_as_rows(row: LayerRow) -> Turn:
    """Return the turn from the filters of a convolution to the rows of a fully connected layer's Weights."""
    axes = row.learnables["Weights"].matlab_axes
    kernel = [axis for axis in axes.split() if axis not in ("in", "out")]
    return Turn(axes, f"out (in {' '.join(reversed(kernel))})")


def as_fully_connected(layer: Layer, row: LayerRow) -> Layer:
    weights = filters_as_rows(layer.row)(layer.learnables["Weights"].array)
    learnables = {"Weights": Learnable(weights, *row.learnables["Weights"].defaults, assumed=True)}
    if "Bias" in layer.learnables:
        bias = layer.learnables["Bias"].array
        learnables["Bias"] = Learnable(bias.reshape((bias.size, 1)), *row.learnables["Bias"].defaults, assumed=True)
    return make_layer(row, layer.name, {"OutputSize": layer.properties["NumFilters"]}, learnables)
