"""From the normalised ONNX graph to a `Network`: each node becomes the MATLAB layer it came from.

A node enters a row of the tables by its operator. A node that fits no row stays an "onnx:<Op>" layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.arrays import Array
from bridge.axes import Turn
from bridge.errors import UnsupportedError
from bridge.mapping import LayerRow, Mappings
from bridge.network import Connection, Layer, LayerList, Learnable, Network, Source, make_layer, unknown_row
from bridge.readers.onnx.graph import Dims, Graph, Node
from bridge.sizes import Activation, layer_sizes

IMAGE = {4: "SSCB", 5: "SSSCB", 2: "CB"}  # MATLAB's format of an ONNX value by its rank; others stay foreign
FOREIGN = "?"
ELEMENTWISE = ("ReLULayer", "LeakyReLULayer", "ELULayer", "TanhLayer", "SigmoidLayer", "SoftplusLayer", "IdentityLayer", "DropoutLayer", "FullyConnectedLayer")
AMBIGUOUS = "fully connected, or 1-by-1 convolutions on 1-by-1 pixels (an ONNX file cannot tell them apart)"


@dataclass
class Recogniser:
    """Walks the nodes in order, knowing where each value comes from and its size."""

    graph: Graph
    tables: Mappings
    layers: dict[str, Layer] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    made_by: dict[str, tuple[str, str]] = field(default_factory=dict)  # value -> (layer, port)
    sizes: dict[str, Activation] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)  # layer -> value
    notes: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)

    def run(self, source: Source) -> Network:
        used = set[str]()
        for name, dims in self.graph.inputs.items():
            used.update(self.input_layer(name, dims))
        for node in self.graph.nodes:
            if node.outputs[0] not in used and not self.pass_through(node):
                self.layer(node)
        if self.ambiguous:
            shown = ", ".join(self.ambiguous[:4]) + (" ..." if len(self.ambiguous) > 4 else "")
            self.notes.append(f"{len(self.ambiguous)} layer(s) are {AMBIGUOUS}: {shown}")
        outputs = []
        for value in self.graph.outputs:
            layer, port = self.made_by[value]
            outputs.append(layer if len(self.layers[layer].outputs) == 1 else f"{layer}/{port}")
        fed = {c.destination for c in self.connections}
        inputs = tuple(name for name in self.layers if name not in fed)
        return Network("onnx", LayerList(self.layers.values()), tuple(self.connections), inputs, tuple(outputs), source, notes=tuple(self.notes))

    def input_layer(self, name: str, dims: Dims) -> list[str]:
        """Make the input layer of a graph input, with the normalisation that follows it; return the values it took in."""
        size = tuple(n if isinstance(n, int) and n > 0 else None for n in dims[1:])
        kind = {2: "FeatureInputLayer", 4: "ImageInputLayer", 5: "Image3DInputLayer"}.get(len(dims))
        if kind is None or None in size:
            activation = self._activation(dims)
            row = LayerRow("onnx:Input", (), "", torch="Identity", size="from_file", evidence="documented", inputs=())
            properties = {"Format": activation.format, "Size": activation.size}
            self._add(make_layer(row, self._unique(name), properties), (), (name,), activation)
            return []
        normalisation, last, statistics = self._normalisation(name)
        row = self.tables.rows[kind]
        properties = {"InputSize": (*size[1:], size[0]), "Normalization": normalisation}
        state = {key: self._statistic(array) for key, array in statistics.items()}
        layer = make_layer(row, self._unique(name), properties, {}, state)
        self._add(layer, (), (last,))
        return [] if last == name else self._between(name, last)

    def _normalisation(self, name: str) -> tuple[str, str, dict[str, Array]]:
        """Follow Sub (mean) and Div (deviation) behind an input of a file that MATLAB wrote."""
        readers = self.graph.readers()

        def step(value: str, op: str) -> tuple[str, Array] | None:
            found = readers.get(value, [])
            if not self.graph.matlab or len(found) != 1 or found[0].op != op or found[0].inputs[0] != value:
                return None
            constant = self.graph.constants.get(found[0].inputs[1])
            return (found[0].outputs[0], constant) if constant is not None else None

        centred = step(name, "Sub")
        if centred is None:
            return "none", name, {}
        scaled = step(centred[0], "Div")
        if scaled is None:
            return "zerocenter", centred[0], {"Mean": centred[1]}
        return "zscore", scaled[0], {"Mean": centred[1], "StandardDeviation": scaled[1]}

    def _statistic(self, array: Array) -> Array:
        """[1 C H W] -> MATLAB's [H W C]."""
        shape = array.shape[1:] if array.shape[:1] == (1,) else array.shape
        array = array.reshape(shape)
        return array.transpose((*range(1, len(shape)), 0)) if len(shape) > 1 else array

    def _between(self, first: str, last: str) -> list[str]:
        producers, taken = self.graph.producers(), []
        while last != first:
            taken.append(last)
            last = producers[last].inputs[0]
        return taken

    def pass_through(self, node: Node) -> bool:
        """Let a Flatten of 1-by-1 images (or of features) pass: the network flattens its output by itself."""
        if node.op != "Flatten" or node.attributes.get("axis", 1) != 1 or node.inputs[0] not in self.sizes:
            return False
        size = self.sizes[node.inputs[0]]
        if size.format == FOREIGN or set(size.spatial) - {1}:
            return False
        self.made_by[node.outputs[0]] = self.made_by[node.inputs[0]]
        self.sizes[node.outputs[0]] = size
        return True

    def layer(self, node: Node) -> None:
        """Make the layer of one node."""
        given = [self.sizes[name] for name in node.inputs if name in self.sizes]
        if node.op == "Conv" and self.graph.matlab and given[0].format == "CB":  # MATLAB's fully connected layers put out 1-by-1 images
            given = [Activation("SSCB", (1, 1, *given[0].size))]
        computed = tuple(name for name in node.inputs if name in self.made_by)
        for row in self.tables.by_operator(node.operator):
            layer = self._fit(row, node, given)
            if layer is not None:
                self._add(layer, computed, node.outputs)
                return
        self._foreign(node, computed)

    def _fit(self, row: LayerRow, node: Node, given: list[Activation]) -> Layer | None:
        """Make the layer if the node says what this row can say; else None."""
        if not given or not self._accepts(row, node, given):
            return None
        properties = node_properties(row, node, self.graph)
        if properties is None:
            return None
        learnables, state = {}, {}
        for name, each in row.learnables.items():
            array = self.graph.constants.get(node.inputs[each.onnx]) if each.onnx is not None and each.onnx < len(node.inputs) else None
            if array is None and each.onnx is not None and (each.onnx == 1 or (each.onnx < len(node.inputs) and node.inputs[each.onnx])):
                return None
            if array is not None:
                sizes = {"groups": int(properties.get("NumGroups", 1)), **_lengths(given[0], row)}
                array = array.reshape((array.size,)) if len(each.torch_axes.split()) == 1 else array
                learnables[name] = Learnable(Turn(each.torch_axes, each.matlab_axes)(array, sizes), *each.defaults, assumed=True)
        for name, known in row.state.items():
            if known.onnx is not None:
                array = self.graph.constants.get(node.inputs[known.onnx]) if known.onnx < len(node.inputs) else None
                if array is None:
                    return None
                state[name] = array
        layer = make_layer(row, self._unique(node.name), properties, learnables, state)
        if len(layer.inputs) != len([name for name in node.inputs if name in self.made_by]):
            return None
        return self._as_fully_connected(layer, given, self.sizes[node.inputs[0]].format == "CB") or layer

    def _accepts(self, row: LayerRow, node: Node, given: list[Activation]) -> bool:
        if any(each.format == FOREIGN for each in given):
            return row.name in ELEMENTWISE or (row.name == "AdditionLayer" and len({each.size for each in given}) == 1)
        dimensions = next((n for n in (1, 2, 3) if f"{n}D" in row.name), None)
        spatial = len(given[0].spatial)
        if dimensions is not None and dimensions != spatial:
            return False
        groups = node.attributes.get("group", 1)
        if node.op == "Conv":
            return (groups > 1) == row.name.startswith("Grouped")
        if node.op == "Concat":
            return (node.attributes.get("axis") in (1, -1 - spatial)) == (row.name == "DepthConcatenationLayer")
        return True

    def _as_fully_connected(self, layer: Layer, given: list[Activation], certain: bool) -> Layer | None:
        """Turn a convolution whose filter is its whole input into the fully connected layer MATLAB exports that way.

        It is certain where the input comes from another fully connected layer.
        """
        if layer.kind != "Convolution2DLayer" or not self.graph.matlab:
            return None
        p = layer.properties
        whole = tuple(p["FilterSize"]) == given[0].spatial and p["PaddingMode"] == "manual" and not any(p["PaddingSize"]) and set(p["DilationFactor"]) == {1}
        if not whole or given[0].channels is None:
            return None
        if set(given[0].spatial) == {1} and not certain:
            self.ambiguous.append(layer.name)
        row = self.tables.rows["FullyConnectedLayer"]
        kernel = Turn("kh kw in out", "out (in kw kh)")(layer.learnables["Weights"].array)
        learnables = {"Weights": Learnable(kernel, *row.learnables["Weights"].defaults, assumed=True)}
        if "Bias" in layer.learnables:
            bias = layer.learnables["Bias"].array
            learnables["Bias"] = Learnable(bias.reshape((bias.size, 1)), *row.learnables["Bias"].defaults, assumed=True)
        return make_layer(row, layer.name, {"OutputSize": p["NumFilters"]}, learnables)

    def _foreign(self, node: Node, computed: tuple[str, ...]) -> None:
        """Keep a node that is no MATLAB layer, with plain attributes; its constant inputs are state."""
        if "::" in node.operator or node.op == "Placeholder":
            row = unknown_row(node.operator)
            layer = Layer(self._unique(node.name), row.name, row, {}, inputs=tuple(f"in{i + 1}" for i in range(len(computed))))
            sizes = [self._activation(self.graph.shapes.get(name, ())) for name in node.outputs]
            self._add(layer, computed, node.outputs, sizes[0])
            return
        outputs = tuple(name for name in node.outputs if name)
        size = self._activation(self.graph.shapes.get(outputs[0], ()))
        row = LayerRow(f"onnx:{node.op}", (), "", (node.operator,), "onnx2torch", "foreign", "from_file", evidence="documented")
        state = {f"input{i}": self.graph.constants[name] for i, name in enumerate(node.inputs) if name in self.graph.constants}
        plain = {key: value for key, value in node.attributes.items() if isinstance(value, (int, float, str, tuple))}
        if len(plain) < len(node.attributes):
            raise UnsupportedError(f"node '{node.name}' ({node.op}) has an attribute that is a tensor or graph", "only plain attributes can be kept")
        layout = tuple("computed" if name in self.made_by else "constant" if name in self.graph.constants else "" for name in node.inputs)
        properties = {"Operator": node.op, "Opset": self.graph.opset, "Layout": layout, "Attributes": plain, "Format": size.format, "Size": size.size}
        ports = ("in",) if len(computed) == 1 else tuple(f"in{i + 1}" for i in range(len(computed)))
        out = ("out",) if len(outputs) == 1 else tuple(f"out{i + 1}" for i in range(len(outputs)))
        self._add(Layer(self._unique(node.name), row.name, row, properties, {}, state, ports, out), computed, outputs, size)

    def _activation(self, dims: Dims) -> Activation:
        lengths = tuple(n if isinstance(n, int) and n > 0 else None for n in dims[1:])
        if len(dims) in IMAGE:
            return Activation(IMAGE[len(dims)], (*lengths[1:], lengths[0]))
        return Activation(FOREIGN, lengths)

    def _add(self, layer: Layer, computed: tuple[str, ...], outputs: tuple[str, ...], size: Activation | None = None) -> None:
        given = [self.sizes[name] for name in computed]
        self.layers[layer.name] = layer
        for name, port in zip(computed, layer.inputs, strict=True):
            source, source_port = self.made_by[name]
            self.connections.append(Connection(source, layer.name, source_port, port))
        sizes = layer_sizes(layer, given) if size is None else (size,) * len(layer.outputs)
        for name, port, each in zip(outputs, layer.outputs, sizes, strict=False):
            self.made_by[name], self.sizes[name] = (layer.name, port), each
        for name, port in zip(outputs, layer.outputs, strict=False):
            self.values[layer.name if port == layer.outputs[0] else f"{layer.name}/{port}"] = name

    def _unique(self, name: str) -> str:
        wanted, count = name or "layer", 1
        while wanted in self.layers:
            count += 1
            wanted = f"{name}_{count}"
        return wanted


def _lengths(at: Activation, row: LayerRow) -> dict[str, int]:
    return dict(zip("hwd", [*(n or 1 for n in at.spatial), 1, 1, 1], strict=False)) if row.name == "FullyConnectedLayer" else {}


def node_properties(row: LayerRow, node: Node, graph: Graph) -> Mapping[str, Any] | None:
    """Read a node's attributes as the row's properties; None where the node says something MATLAB's layer cannot."""
    a = dict(node.attributes)
    if any(a.get(name, value) != value for name, value in MUST_BE.items()) or (set(a.get("dilations", (1,))) != {1} and "DilationFactor" not in row.properties):
        return None
    found: dict[str, Any] = {}
    same = a.get("auto_pad", "NOTSET")
    if same not in ("NOTSET", "VALID", "SAME_UPPER"):
        return None
    for name, known in row.properties.items():
        if known.onnx == "pads":
            pads = a.get("pads")
            if pads is not None:
                half = len(pads) // 2
                found[name] = tuple(n for pair in zip(pads[:half], pads[half:], strict=True) for n in pair)
        elif known.onnx in a:
            found[name] = a[known.onnx]
    if same == "SAME_UPPER":
        found.update(PaddingMode="same")
    special = SPECIAL.get(row.name)
    return special(found, node, graph) if special else found


MUST_BE = {"ceil_mode": 0, "storage_order": 0, "output_padding": (0, 0)}


def _convolution(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    weights = graph.constants.get(node.inputs[1])
    if weights is None:
        return None
    groups = int(node.attributes.get("group", 1))
    found.setdefault("FilterSize", weights.shape[2:])
    if node.op == "ConvTranspose":
        if "output_shape" in node.attributes or groups > 1:
            return None
        found.update(NumChannels=weights.shape[0], NumFilters=weights.shape[1])
    elif groups > 1:
        found.update(NumGroups=groups, NumChannelsPerGroup=weights.shape[1], NumFilters=weights.shape[0] // groups)
    else:
        found.update(NumChannels=weights.shape[1], NumFilters=weights.shape[0])
    return found


def _fully_connected(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    weights = graph.constants.get(node.inputs[1])
    if weights is None or not node.attributes.get("transB"):
        return None
    return {"OutputSize": weights.shape[0], "InputSize": weights.shape[1]}


def _softmax(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    """Before opset 13 a softmax flattened everything behind its axis; that is a channel softmax on features only."""
    axis = node.attributes.get("axis", 1 if graph.opset < 13 else -1)
    rank = len(graph.shapes.get(node.inputs[0], ())) or 2
    over_channels = node.attributes.get("over_channels") or axis in (1, 1 - rank)
    return found if over_channels and (graph.opset >= 13 or rank == 2 or node.attributes.get("over_channels")) else None


def _clipped(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    bounds = [graph.constant(name) if name else None for name in node.inputs[1:3]]
    low = node.attributes.get("min", float(bounds[0]) if bounds and bounds[0] is not None else None)
    high = node.attributes.get("max", float(bounds[1]) if len(bounds) > 1 and bounds[1] is not None else None)
    return {"Ceiling": high} if low == 0 and high is not None and np.isfinite(high) else None


def _dropout(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any]:
    ratio = graph.constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    return {"Probability": float(ratio)} if ratio is not None else found


def _average(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any]:
    if any(found.get("PaddingSize", ())) and not node.attributes.get("count_include_pad", 0):
        found["PaddingValue"] = "mean"
    return found


def _max_pooling(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    if len(node.outputs) > 1:
        found["HasUnpoolingOutputs"] = True
    return found if len(node.outputs) in (1, 3) else None


def _combination(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    return {"NumInputs": len(node.inputs)} if not any(name in graph.constants for name in node.inputs) else None


def _depth_to_space(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any]:
    return {"BlockSize": (found["BlockSize"],) * 2, "Mode": str(found.get("Mode", "DCR")).lower()}


def _concatenation(found: dict[str, Any], node: Node, graph: Graph) -> dict[str, Any] | None:
    rank = len(graph.shapes.get(node.inputs[0], ()))
    axis = node.attributes["axis"] % rank if rank else 0
    combined = _combination(found, node, graph)
    return {**combined, "Dim": axis - 1} if combined and axis >= 2 else None


SPECIAL: Mapping[str, Any] = {
    **dict.fromkeys(
        ("Convolution1DLayer", "Convolution2DLayer", "Convolution3DLayer", "GroupedConvolution2DLayer", "TransposedConvolution2DLayer",
         "TransposedConvolution3DLayer"), _convolution,
    ),
    **dict.fromkeys(("AveragePooling1DLayer", "AveragePooling2DLayer", "AveragePooling3DLayer"), _average),
    **dict.fromkeys(("AdditionLayer", "MultiplicationLayer", "DepthConcatenationLayer"), _combination),
    "ConcatenationLayer": _concatenation,
    "FullyConnectedLayer": _fully_connected,
    "SoftmaxLayer": _softmax,
    "ClippedReLULayer": _clipped,
    "DropoutLayer": _dropout,
    "MaxPooling2DLayer": _max_pooling,
    "DepthToSpace2DLayer": _depth_to_space,
}  # fmt: skip
