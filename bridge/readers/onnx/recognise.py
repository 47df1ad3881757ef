"""From the normalised ONNX graph to a `Network`: each node becomes the MATLAB layer it came from.

A node enters a row of the tables by its operator. A node that fits no row stays an "onnx:<Op>" layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from bridge.errors import UnsupportedError
from bridge.network import Connection, Layer, LayerList, Network, Source
from bridge.network.activations import Activation
from bridge.network.sizes import layer_sizes
from bridge.readers.onnx.foreign import foreign_layer, numbered, plain_form
from bridge.readers.onnx.graph import Graph, Node, Shapes
from bridge.readers.onnx.inputs import input_layer
from bridge.readers.onnx.layout import UNKNOWN, Value, activation_of, torch_axes, wanted_axes
from bridge.readers.onnx.properties import Reading
from bridge.readers.onnx.rows import fitting_layer
from bridge.tables.layers import Mappings, unknown_row

AMBIGUOUS = "fully connected, or 1-by-1 convolutions on 1-by-1 pixels (an ONNX file cannot tell them apart)"
FLATTENED = (
    "fully connected weights after an image are taken in ONNX's order C, H, W (unconfirmed for the exporters of 2018)"
)


@dataclass
class Recogniser:
    """Walks the nodes in order, knowing what puts each value out, its size and how the file lays it out.

    Attributes:
        recorded: "layer" or "layer/port" -> the value in the file, where that is laid out as in torch (T, N, C for
            MATLAB's sequences).
    """

    graph: Graph
    tables: Mappings
    notes: list[str] = field(default_factory=list)
    layers: dict[str, Layer] = field(default_factory=dict)
    connections: list[Connection] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    recorded: dict[str, str] = field(default_factory=dict)
    ambiguous: list[str] = field(default_factory=list)

    def run(self, source: Source) -> Network:
        inputs, taken = [], set[str]()
        for name in self.graph.inputs:
            layer, last, between = input_layer(
                name, self._unique(name), self.graph, self.tables, self.wanted.get(name, "")
            )
            inputs.append(layer.name)
            taken.update(between)
            self._add(layer, [], (last,), "TBC" if layer.row.size == "sequence_input" else "")
        for node in self.graph.nodes:
            if node.outputs[0] not in taken:
                self.layer(node)
        outputs = tuple(self._output(name) for name in self.graph.outputs)
        layers, notes = LayerList(self.layers.values()), (*self.notes, *self._closing_notes())
        return Network(
            "onnx",
            layers,
            tuple(self.connections),
            tuple(inputs),
            outputs,
            replace(source, values=self.recorded),
            notes=notes,
        )

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        return wanted_axes(self.graph)

    @cached_property
    def readers(self) -> Mapping[str, list[Node]]:
        return self.graph.readers()

    @cached_property
    def inferred(self) -> Shapes:
        """The dims of every value, asked for once a foreign node is met."""
        return self.graph.infer()

    def layer(self, node: Node) -> None:
        """Make the layer of one node; none where it only lays out its value differently."""
        computed = [name for name in node.inputs if name in self.values]
        if self._passes(node) or self._fits(node, computed):
            return
        if node.op == "Placeholder" or "::" in node.operator:
            self._unknown(node, computed)
            return
        differently = [name for name in computed if not self.values[name].as_in_torch]
        for name in differently:
            self._lay_out(name)
        if not differently or not self._fits(node, computed):
            self._foreign(node)

    def _passes(self, node: Node) -> bool:
        """Let a Transpose pass, and a Flatten that the layer behind it, or the network at its end, does by itself."""
        value = self.values.get(node.inputs[0]) if node.op in ("Transpose", "Flatten") else None
        if value is None or len(value.axes) < 3:
            return False
        if node.op == "Transpose":
            perm = node.attributes.get("perm", range(len(value.axes))[::-1])
            return self._alias(node, "".join(value.axes[axis] for axis in perm))
        behind = [reader.op == "Gemm" for reader in self.readers.get(node.outputs[0], [])]
        by_itself = (bool(behind) and all(behind)) or (self.graph.matlab and set(value.pixel.spatial) == {1})
        whole = node.attributes.get("axis", 1) == 1 and (
            value.is_pixel or (value.channels_second and not value.size.over_time)
        )
        return by_itself and whole and self._alias(node, "BC")

    def _alias(self, node: Node, axes: str) -> bool:
        self._put(node.outputs[0], replace(self.values[node.inputs[0]], axes=axes))
        return True

    def _fits(self, node: Node, computed: Sequence[str]) -> bool:
        """Make the MATLAB layer of a node that is one."""
        if not computed or node.inputs[0] not in computed:
            return False
        if node.op in ("LSTM", "GRU") and "last" in node.attributes:
            self._as_sequence(node.inputs[0])
        reading = Reading(node, [self.values[name] for name in computed], self.graph)
        layer = fitting_layer(reading, self._unique(node.name), self.tables)
        if layer is None:
            return False
        if "flattens" in layer.row.traits and self.graph.matlab:
            self._note_doubts(layer, node, reading.first.size)
        self._add(layer, computed, node.outputs, reading.first.axes if node.op == "Conv" else "")
        return True

    def _note_doubts(self, layer: Layer, node: Node, given: Activation) -> None:
        """Note what a file of MATLAB's cannot tell of a fully connected layer."""
        if node.op == "Conv" and set(given.spatial) == {1}:
            self.ambiguous.append(layer.name)
        if node.op == "Gemm" and given.spatial and sum(n != 1 for n in given.size) > 1 and FLATTENED not in self.notes:
            self.notes.append(FLATTENED)

    def _foreign(self, node: Node) -> None:
        """Keep a node that is no MATLAB layer as an ONNX operator."""
        rank = len(self._dims(node.inputs[0])) if node.inputs else 0
        for each in plain_form(node, rank):
            outputs = self._read_outputs(each)
            known = (None,) * len(node.attributes.get("perm", ()))
            sizes = [activation_of(self._dims(name) or known, self.wanted.get(name, "")) for name in outputs]
            computed = [name for name in each.inputs if name in self.values]
            self._add(foreign_layer(each, self._unique(each.name), sizes, self.graph), computed, outputs)

    def _read_outputs(self, node: Node) -> tuple[str, ...]:
        """Return the outputs of a foreign node up to the last one that is read; a Split is told by how many it has."""
        read = [
            index
            for index, name in enumerate(node.outputs)
            if name and (name in self.readers or name in self.graph.outputs)
        ]
        return node.outputs if node.op == "Split" else node.outputs[: max(read, default=0) + 1]

    def _unknown(self, node: Node, computed: Sequence[str]) -> None:
        """Keep a node of an unknown domain, or the Placeholder MATLAB leaves for a layer it cannot export, as an
        unknown class.
        """
        row = replace(unknown_row(node.operator), name=node.operator)
        ports = numbered("in", len(computed)), numbered("out", len(node.outputs))
        layer = Layer(self._unique(node.name), row.name, row, inputs=ports[0], outputs=ports[1])
        if not computed:
            size = Activation(UNKNOWN, ())
            layer = replace(
                layer, row=replace(row, size="from_file"), properties={"Format": size.format, "Size": size.size}
            )
        self._add(layer, computed, node.outputs)

    def _lay_out(self, name: str) -> None:
        """Add the node that lays out a value in torch as the file does, where that is another way."""
        value = self.values[name]
        wanted = torch_axes(value.size)
        if value.as_in_torch:
            return
        if len(value.axes) < len(wanted):
            node = Node("Flatten", f"{value.layer}_Flatten", (name,), (name,), {"axis": 1})
        elif value.is_pixel:
            node = Node(
                "Unsqueeze", f"{value.layer}_Unsqueeze", (name,), (name,), {"axes": tuple(range(2, len(value.axes)))}
            )
        else:
            perm = tuple(wanted.index(axis) for axis in value.axes)
            node = Node("Transpose", f"{value.layer}_Transpose", (name,), (name,), {"perm": perm})
        self._foreign(node)

    def _as_sequence(self, name: str) -> None:
        """Bring a value T, N, C of unknown format to torch's N, T, C, as a recurrent layer reads it."""
        size = self.values[name].size
        if size.format == UNKNOWN and len(size.size) == 2:
            node = Node("Transpose", f"{self.values[name].layer}_Transpose", (name,), (name,), {"perm": (1, 0, 2)})
            layer = foreign_layer(node, self._unique(node.name), [Activation("CBT", size.size[1:])], self.graph)
            self._add(layer, [name], [name], "TBC")

    def _output(self, name: str) -> str:
        """Return "layer" or "layer/port" of a graph output; where MATLAB did not write the file, laid out as in the
        file.
        """
        if name not in self.values:
            raise UnsupportedError(
                f"the output '{name}' is a constant", "it depends on no input", "export the network without it"
            )
        if not self.graph.matlab:
            self._lay_out(name)
        value = self.values[name]
        return value.layer if len(self.layers[value.layer].outputs) == 1 else f"{value.layer}/{value.port}"

    def _dims(self, name: str) -> tuple[int | str | None, ...]:
        return self.inferred.get(name, self.graph.shapes.get(name, ()))

    def _add(self, layer: Layer, computed: Sequence[str], outputs: Sequence[str], axes: str = "") -> None:
        """Add a layer that reads the values `computed` and makes `outputs`.

        Args:
            axes: how the file lays out what it makes; else as its first input, or as torch does where its format is
                another.
        """
        given = [self.values[name] for name in computed]
        sizes = layer_sizes(layer, [value.size for value in given])
        self.layers[layer.name] = layer
        for value, port in zip(given, layer.inputs, strict=True):
            self.connections.append(Connection(value.layer, layer.name, value.port, port))
        kept = given[0].axes if given and not layer.row.is_foreign and sizes[0].format == given[0].size.format else ""
        for name, port, size in zip(outputs, layer.outputs, sizes, strict=False):
            if name:
                self._put(name, Value(layer.name, port, size, axes or kept or torch_axes(size)))

    def _put(self, name: str, value: Value) -> None:
        self.values[name] = value
        sequence = self.graph.matlab and (
            value.size.over_time or (value.size.format == UNKNOWN and len(value.size.size) == 2)
        )
        if value.axes == "TBC" if sequence else (value.as_in_torch or value.is_pixel):
            first = value.port == self.layers[value.layer].outputs[0]
            self.recorded[value.layer if first else f"{value.layer}/{value.port}"] = name

    def _unique(self, name: str) -> str:
        wanted, count = name or "layer", 1
        while wanted in self.layers:
            count += 1
            wanted = f"{name}_{count}"
        return wanted

    def _closing_notes(self) -> Iterator[str]:
        """Say what the file could not tell, and what is not MATLAB's."""
        for layer in self.layers.values():
            if layer.properties.get("Normalization") == "zscore":
                yield f"input '{layer.name}' normalises by zscore or rescale (an ONNX file cannot tell them apart)"
        alike = groupby(sorted((layer.row.same_as or "", layer.name) for layer in self.layers.values()), itemgetter(0))
        for what, layers in alike if self.graph.matlab else ():
            names = [name for _, name in layers]
            if what:
                yield f"{len(names)} layer(s) are {what} (an ONNX file cannot tell them apart): {_some(names)}"
        if self.ambiguous:
            yield f"{len(self.ambiguous)} layer(s) are {AMBIGUOUS}: {_some(self.ambiguous)}"
        foreign = [layer for layer in self.layers.values() if layer.row.is_foreign]
        if foreign:
            kinds = Counter(layer.properties["Operator"] for layer in foreign)
            listed = ", ".join(f"{kind} ×{count}" for kind, count in sorted(kinds.items()))
            yield f"{len(foreign)} node(s) are no MATLAB layers and run as ONNX operators: {listed}"
        kept = [f"{layer.name}/{key.removeprefix('constants.')}" for layer in foreign for key in layer.state]
        if kept:
            yield f"{len(kept)} constant(s) of those are buffers, which training leaves alone: {_some(kept)}"
        learned = Counter(
            learnable.array.load for layer in self.layers.values() for learnable in layer.learnables.values()
        )
        shared = sum(count > 1 for count in learned.values())
        if shared:
            yield f"{shared} constant(s) that several nodes read became a learnable of each"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
