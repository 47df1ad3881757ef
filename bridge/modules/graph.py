"""The torch.fx graph of a network: one call for each layer, in the order they run."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from bridge.errors import UnreadableError, UnsupportedError
from bridge.files.names import distinct, identifier
from bridge.modules import shape
from bridge.modules.builders import Given
from bridge.network.ports import split_port
from bridge.network.tensors import given_sizes

if TYPE_CHECKING:
    from bridge.network import Layer, Network

FRESH = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.Linear,
    nn.modules.batchnorm._BatchNorm,
    shape.Addition,
)  # never hand on their input's memory


def graph_of(network: Network, made: Collection[str], names: Mapping[str, str]) -> fx.Graph:
    """Return the calls of the modules `made`, by layer name, under their names in the module."""
    graph = fx.Graph()
    values: dict[tuple[str, str], fx.Node] = {}
    entries = _placeholders(graph, network.inputs)
    for layer in network.order:
        if layer.name not in made:
            continue
        arguments = tuple(values[c.source, c.source_port] for c in network.incoming[layer.name])
        if layer.name in entries:
            arguments = (entries[layer.name], *arguments)
        if "sees the image" in layer.row.traits:
            arguments = (*arguments, _image(network, layer, entries))
        given = given_sizes(network, layer)
        call = _call_on_images if works_on_images(layer, given) else fx.Graph.call_module
        node = call(graph, names[layer.name], arguments)
        if len(layer.outputs) == 1:
            values[layer.name, layer.outputs[0]] = node
            continue
        read = {c.source_port for c in network.connections if c.source == layer.name}
        for index, port in enumerate(layer.outputs):
            if index == 0 or port in read or f"{layer.name}/{port}" in network.outputs:
                values[layer.name, port] = graph.call_function(operator.getitem, (node, index))
    outputs = tuple(_output_value(graph, network, output, values) for output in network.outputs)
    graph.output(outputs[0] if len(outputs) == 1 else outputs)
    return graph


def _placeholders(graph: fx.Graph, inputs: Sequence[str]) -> dict[str, fx.Node]:
    """Add the arguments of `forward`: "x", or "x_" and the input layer's name."""
    if len(inputs) == 1:
        return {inputs[0]: graph.placeholder("x")}
    arguments = distinct((layer, identifier(f"x_{layer}")) for layer in inputs)
    return {layer: graph.placeholder(name) for layer, name in arguments.items()}


def _image(network: Network, layer: Layer, entries: Mapping[str, fx.Node]) -> fx.Node:
    """Return the argument of `forward` that is the image.

    Raises:
        UnsupportedError: none is, or several are.
    """
    images = [name for name in network.inputs if "pixels" in network.layers[name].row.traits]
    if len(images) != 1:
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) needs the size of the image",
            f"the network takes {len(images)} images",
        )
    return entries[images[0]]


def _call_on_images(graph: fx.Graph, target: str, arguments: tuple[fx.Node, ...]) -> fx.Node:
    """Call a module on all images of a batch of sequences: N,T,... -> N*T,... and back."""
    batch = graph.call_method("size", (arguments[0], 0))
    images = tuple(graph.call_function(torch.flatten, (argument, 0, 1)) for argument in arguments)
    return graph.call_method("unflatten", (graph.call_module(target, images), 0, (batch, -1)))


def _output_value(graph: fx.Graph, network: Network, output: str, values: Mapping[tuple[str, str], Any]) -> Any:
    """Return the node of a network output; images of 1 x 1 pixels come out as N,C, as MATLAB's predict gives them."""
    size, value = network.size_of(output), values.get(split_port(output, network.layers, "outputs"))
    if value is None:
        raise UnreadableError(f"the network's output '{output}' is no value of its module", "an output layer has none")
    return graph.call_function(torch.flatten, (value, 1)) if size.is_pixel else value


def relu_in_place(network: Network, made: Mapping[str, nn.Module]) -> None:
    """Let a ReLU work in place where its producer makes fresh memory that nothing else reads."""
    readers: dict[str, int] = {}
    for connection in network.connections:
        readers[connection.source] = readers.get(connection.source, 0) + 1
    for name, module in made.items():
        if type(module) is nn.ReLU:
            source = network.incoming[name][0].source
            alone = readers[source] == 1 and source not in network.outputs
            module.inplace = alone and isinstance(made[source], FRESH)


def works_on_images(layer: Layer, given: Given) -> bool:
    """Whether a layer gets a sequence of images N,T,C,... and works on the images N*T,C,..., as MATLAB documents it.

    A window with one dimension more than the images have slides over time too, and takes the sequence as it is.
    """
    if "per image" not in layer.row.traits or len(layer.outputs) > 1 or not given[0].over_time:
        return False
    spatial = len(given[0].spatial)
    return spatial > 0 and (layer.row.dimensions or spatial) == spatial
