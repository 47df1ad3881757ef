"""Network -> net.onnx, with the names that MATLAB's exporter gives, and all that ONNX has no place for in the file's
metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bridge import __version__
from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnsupportedError, UsageError
from bridge.files.atomic import named_by_content, write_file, write_with_data
from bridge.files.python import call
from bridge.network import Layer, Network
from bridge.network.activations import Activation
from bridge.network.ports import split_port
from bridge.network.tensors import given_sizes, tensors
from bridge.readers.onnx.stored import KEY, digest
from bridge.writers.folder import to_json
from bridge.writers.losses import Export, Written
from bridge.writers.onnx import file
from bridge.writers.onnx.graph import TIME, Graph, Value, channels_and_space, names_in_file
from bridge.writers.onnx.layers import ANY_RANK, writer_of
from bridge.writers.state import parts

OPSETS = range(11, 22)
IR_VERSIONS = {
    11: 6,
    12: 7,
    13: 7,
    14: 7,
    15: 8,
    16: 8,
    17: 8,
    18: 8,
    19: 9,
    20: 9,
    21: 10,
}  # which onnx released with each opset
UNPOOLING = ("onnx", "mathworks")
PRODUCER = "bridge"


def save(network: Network, export: Export, *, opset: int = 14, unpooling: str = "onnx") -> Written:
    """Write a network as ONNX, for any number of observations. Sequences of vectors run T,N,C, as in MATLAB's files.

    Names are MATLAB's own made identifiers, with `<layer>_W`, `<layer>_B`, `<layer>_Mean` and so on for the arrays. The
    metadata hold names, classes, factors and properties, so that `bridge.load` gets the same network back. Weights of
    2^31 bytes or more lie beside it, in a file `<path>-<start of its SHA-256>.data`.

    Args:
        network: what to write. Arrays that are still in a file are read one at a time.
        export: of the .onnx file. Nothing is lost; what cannot be held is refused in any case.
        opset: of ai.onnx.
        unpooling: "onnx" writes max unpooling as ai.onnx's MaxUnpool, "mathworks" as MATLAB does, which onnxruntime
            does not run.

    Raises:
        UnsupportedError: layers that ONNX has no operators for, all of them.
        UsageError: the file exists (without `force`) or cannot be written; the opset or `unpooling` is not known.
    """
    if opset not in OPSETS:
        raise UsageError(
            f"opset {opset} cannot be written",
            f"known are {OPSETS[0]} to {OPSETS[-1]}",
            "14 is what MATLAB writes today",
        )
    if unpooling not in UNPOOLING:
        raise UsageError(f"unpooling {unpooling!r} is not known", f"it is one of {', '.join(UNPOOLING)}")
    require_operators(network)
    assembly = Assembly(network, opset, mathworks=unpooling == "mathworks")
    model, weights = assembly.model(), assembly.graph.weights
    export.notes += [*notes_of(network), *assembly.graph.notes]

    def read(name: str, array: Array) -> NDArray:
        value = array.read()
        if value.dtype.kind == "f" and value.size and np.isnan(np.min(value)):
            export.with_nan.append(name)
        return value

    path = export.path
    paths = [path]
    if file.is_large(model, weights):
        data = path.with_name(f"{path.name}.data")
        paths.append(
            write_with_data(
                path,
                data,
                lambda made: file.write_data(made, weights, read),
                lambda made, digest: file.write_apart(made, model, weights, named_by_content(data, digest).name),
                settles=False,
                force=export.force,
            )
        )
    else:
        write_file(path, lambda made: file.write(made, model, weights, read), force=export.force)
    return export.written(
        paths, f"{call('bridge.load', path.name)} reads all of it back; other programs read its graph"
    )


def require_operators(network: Network) -> None:
    """Raise UnsupportedError, naming every layer that cannot be written, as its operators are not known or its module
    cannot be built.
    """
    unknown = [
        f"'{layer.name}' is a {layer.kind}"
        for layer in network.layers
        if not layer.row.is_output and writer_of(layer) is None
    ]
    if unknown:
        what = f"{len(unknown)} layer(s) cannot be written: {'; '.join(unknown)}"
        raise UnsupportedError(
            what, "it is not known what they are in ONNX", "replace them, or write .pt2 with --modules"
        )
    for _ in parts(network):
        pass


def notes_of(network: Network) -> Iterator[str]:
    renamed = [f"{name} as {new}" for name, new in names_in_file(network.layers).items() if name != new]
    if renamed:
        yield (
            f"{len(renamed)} layer name(s) are identifiers in the graph: "
            f"{', '.join(renamed[:3])}{', ...' if len(renamed) > 3 else ''}"
        )


@dataclass
class Assembly:
    """Writes the nodes of a network, layer by layer, knowing the value that each output port has in the graph."""

    network: Network
    opset: int
    mathworks: bool

    def __post_init__(self) -> None:
        self.graph = Graph(self.opset, self.mathworks, names_in_file(self.network.layers))
        self.values: dict[tuple[str, str], Value] = {}
        self.inputs: dict[str, Value] = {}

    def model(self) -> Any:
        """Return the ModelProto without its initializers."""
        from onnx import helper

        for layer in self.network.order:
            if not layer.row.is_output:
                self.layer(layer)
        domains = [helper.make_opsetid("", self.opset)]
        domains += [helper.make_opsetid("com.mathworks", 1)] if any(node.domain for node in self.graph.nodes) else []
        inputs = [declared(self.inputs[name], TIME) for name in self.network.inputs]
        outputs = [declared(value) for value in self.outputs()]
        ends = {each.name for each in (*inputs, *outputs)}
        main = {value.name: value for (layer, port), value in self.values.items() if port in self._main_port(layer)}
        sizes = [declared(value) for name, value in main.items() if name not in ends]  # which Netron shows
        graph = helper.make_graph(self.graph.nodes, "Network", inputs, outputs, value_info=sizes)
        facts = {"ir_version": IR_VERSIONS[self.opset], "producer_name": PRODUCER, "producer_version": __version__}
        model = helper.make_model(graph, opset_imports=domains, **facts)
        helper.set_model_props(model, {KEY: json.dumps(self.metadata(graph))})
        return model

    def metadata(self, graph: Any) -> dict[str, Any]:
        stored = {
            layer: {name: asdict(each) for name, each in held.items()} for layer, held in self.graph.stored.items()
        }
        values = {
            layer if port == self.network.layers[layer].outputs[0] else f"{layer}/{port}": value.name
            for (layer, port), value in self.values.items()
        }
        return {**to_json(self.network), "arrays": stored, "values": values, "graph": digest(graph)}

    def layer(self, layer: Layer) -> None:
        from bridge.modules.graph import works_on_images

        self.graph.start(layer)
        given = [self.values[c.source, c.source_port] for c in self.network.incoming[layer.name]]
        if layer.name in self.network.inputs:
            self.inputs[layer.name] = Value(self.graph.unique(self.graph.current), self.network.sizes[layer.name][0])
            given = [self.inputs[layer.name]]
        given = [self.prepared(layer, value) for value in given]
        out = self.network.sizes[layer.name][0]
        writer = writer_of(layer)
        assert writer is not None  # require_operators has seen to it
        if layer.name not in self.network.inputs and works_on_images(layer, [value.size for value in given]):
            images = [self.as_images(layer, value, index) for index, value in enumerate(given)]
            (made,) = writer(self.graph, layer, images, out.at_one_time())
            names: Sequence[str] = [
                self.graph.reshape_like(f"{made}_Sequence", made, given[0].name, 2, channels_and_space(out))
            ]
        else:
            names = writer(self.graph, layer, given, out)
        for name, port, size in zip(names, layer.outputs, self.network.sizes[layer.name], strict=True):
            self.values[layer.name, port] = Value(
                name, size, self.pixel(layer, given), "softmax" in layer.row.traits and size.is_pixel
            )
        self.store_unread(layer, given)

    def prepared(self, layer: Layer, value: Value) -> Value:
        """Return an input as the writer of a layer takes it."""
        any_rank = "elementwise" in layer.row.traits or writer_of(layer) in ANY_RANK
        as_it_is = any_rank and len(layer.inputs) < 2 and not value.flat
        return value if as_it_is else self.graph.as_torch(value, self.graph.names[layer.name])

    def as_images(self, layer: Layer, value: Value, index: int) -> Value:
        name = f"{self.graph.names[layer.name]}_Images{index or ''}"
        size = value.size.at_one_time()
        return Value(self.graph.reshape(name, value.name, (-1, *channels_and_space(size))), size)

    def pixel(self, layer: Layer, given: Sequence[Value]) -> int:
        """With how many lengths of one the features that a layer puts out stand in the file."""
        before_it = given[0].size.spatial if "flattens" in layer.row.traits else ()
        return 0 if given[0].size.over_time else len(before_it) or given[0].pixel

    def store_unread(self, layer: Layer, given: Sequence[Value]) -> None:
        """Keep the arrays that the graph does not read, as an initial state of zeros."""
        held = self.graph.stored.get(layer.name, {})
        for each in tensors(layer, given_sizes(self.network, layer)):
            if each.name not in held and each.array.size:
                self.graph.weight(f"{self.graph.names[layer.name]}_{each.name}", layer, each.name, each.array)

    def _main_port(self, layer: str) -> Sequence[str]:
        """The output of a layer that holds numbers; others hold positions and counts."""
        return self.network.layers[layer].outputs[:1]

    def outputs(self) -> Iterator[Value]:
        """Yield the graph's outputs: images of single pixels as N,C, as MATLAB's predict gives them."""
        for output in self.network.outputs:
            value = self.values[split_port(output, self.network.layers, "outputs")]
            if value.pixel or (value.size.is_pixel and not value.flat):
                value = Value(
                    self.graph.node("Flatten", f"{value.name}_Flatten", [value.name], axis=1),
                    Activation("CB", (value.size.channels,)),
                )
            yield value


def declared(value: Value, time: str | None = None) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, value.lengths(time))
