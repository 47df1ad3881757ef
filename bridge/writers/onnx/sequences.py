"""Embeddings and self-attention, which ONNX has no operators for, in operators that every opset has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.network.tensors import tensors
from bridge.writers.onnx.graph import WRITES, Graph, Value, channels_and_space


@WRITES("word_embedding")
def word_embedding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """Rows of the weights; words count from 1, and an unknown one is the last one's ("map-to-last")."""
    (x,), name = given, graph.names[layer.name]
    rows = rows_of(graph, layer)
    index = graph.node("Squeeze", f"{name}_Squeeze", [x.name], axes=[2])
    if layer.properties["OOVMode"] == "map-to-last":
        first, last = (
            graph.constant(f"{name}_{end}", np.array(float(n)))
            for end, n in (("First", 1), ("Last", layer.learnables["Weights"].shape[1]))
        )
        below, inside = (
            graph.node("Less", f"{name}_Below", [index, first]),
            graph.node("Less", f"{name}_Inside", [index, last]),
        )
        known = graph.node("And", f"{name}_Known", [graph.node("Not", f"{name}_NotBelow", [below]), inside])
        index = graph.node("Where", f"{name}_Where", [known, index, last])
    from_zero = graph.with_number("Sub", f"{name}_Sub", index, 1)
    return [graph.node("Gather", name, [rows, graph.node("Cast", f"{name}_Cast", [from_zero], to=7)], axis=0)]


@WRITES("position_embedding")
def position_embedding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """As many rows of the weights as the sequence has steps, repeated for each observation."""
    (x,), name = given, graph.names[layer.name]
    rows = rows_of(graph, layer)
    steps = graph.node(
        "Slice", f"{name}_Steps", [graph.node("Shape", f"{name}_Shape", [x.name])], starts=[0], ends=[1], axes=[0]
    )
    zero, axis = (graph.constant(f"{name}_{end}", np.array([0])) for end in ("Start", "Axis"))
    used = graph.node("Slice", f"{name}_Slice", [rows, zero, steps, axis])
    column = graph.node("Unsqueeze", f"{name}_Unsqueeze", [used], axes=[1])
    return [graph.node("Expand", name, [column, graph.lengths_like(name, x.name, 2, channels_and_space(out))])]


def rows_of(graph: Graph, layer: Layer) -> str:
    (tensor,) = tensors(layer, ())
    return graph.weight(f"{graph.names[layer.name]}_W", layer, tensor.name, tensor.array)


@WRITES("sinusoidal_encoding")
def sinusoidal_encoding(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """sin(p w + c) of the steps p, where c is a quarter of a turn for the cosines."""
    (x,), name, size = given, graph.names[layer.name], int(layer.properties["OutputSize"])
    channels = np.arange(size)
    scalars = [graph.constant(f"{name}_{end}", np.array(n)) for end, n in (("Zero", 0), ("One", 1))]
    count = graph.node("Gather", f"{name}_Count", [graph.node("Shape", f"{name}_Shape", [x.name]), scalars[0]], axis=0)
    steps = graph.with_number(
        "Add",
        f"{name}_Steps",
        graph.node(
            "Cast", f"{name}_Cast", [graph.node("Range", f"{name}_Range", [scalars[0], count, scalars[1]])], to=1
        ),
        1,
    )
    column = graph.node("Unsqueeze", f"{name}_Column", [steps], axes=[1])
    speeds = graph.constant(f"{name}_Speeds", 10000.0 ** (-(channels - channels % 2) / size))
    turned = graph.node("Mul", f"{name}_Angles", [column, speeds])
    phases = graph.constant(f"{name}_Phases", channels % 2 * (math.pi / 2))
    waves = graph.node("Sin", f"{name}_Sin", [graph.node("Add", f"{name}_Turned", [turned, phases])])
    row = graph.node("Unsqueeze", f"{name}_Unsqueeze", [waves], axes=[1])
    return [graph.node("Expand", name, [row, graph.lengths_like(name, x.name, 2, channels_and_space(out))])]


@WRITES("attention")
def attention(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """softmax(scale Q K') V, heads taken from consecutive channels."""
    name, p = graph.names[layer.name], layer.properties
    heads, ends = int(p["NumHeads"]), ("Query", "Key", "Value")
    query, key, value = (graph.batch_first(each, f"{name}_{end}") for each, end in zip(given, ends, strict=True))

    def split(source: str, end: str, order: Sequence[int]) -> str:
        return graph.transpose(
            f"{name}_{end}_Heads", graph.reshape(f"{name}_{end}_Split", source, (0, 0, heads, -1)), order
        )

    products = graph.node(
        "MatMul", f"{name}_Products", [split(query, "Query", (0, 2, 1, 3)), split(key, "Key", (0, 2, 3, 1))]
    )
    scale = 1 / math.sqrt((given[1].size.channels or 1) // heads) if p["Scale"] == "auto" else float(p["Scale"])
    scores = graph.with_number("Mul", f"{name}_Scores", products, scale)
    if p["AttentionMask"] == "causal":
        scores = graph.node("Add", f"{name}_Masked", [scores, causal_mask(graph, layer, query, key)])
    weighted = graph.node(
        "MatMul",
        f"{name}_Weighted",
        [graph.node("Softmax", f"{name}_Softmax", [scores], axis=3), split(value, "Value", (0, 2, 1, 3))],
    )
    joined = graph.reshape(f"{name}_Joined", graph.transpose(f"{name}_Steps", weighted, (0, 2, 1, 3)), (0, 0, -1))
    return [graph.transpose(name, joined, (1, 0, 2))]


@WRITES("self_attention")
def self_attention(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    """softmax(Q K' / sqrt(channels of a head)) V, heads taken from consecutive channels, then the output weights."""
    (x,), name, p = given, graph.names[layer.name], layer.properties
    heads = int(p["NumHeads"])
    source = graph.batch_first(x, name)

    def projected(value: str, what: str) -> str:
        weights = layer.learnables[f"{what}Weights"].array.transpose((1, 0))
        product = graph.node(
            "MatMul",
            f"{name}_{what}_MatMul",
            [value, graph.weight(f"{name}_{what}_W", layer, f"{what}Weights", weights, "transposed")],
        )
        if f"{what}Bias" not in layer.learnables:
            return product
        bias = layer.learnables[f"{what}Bias"].array
        return graph.node(
            "Add",
            f"{name}_{what}_Add",
            [product, graph.weight(f"{name}_{what}_B", layer, f"{what}Bias", bias.reshape((bias.size,)))],
        )

    def split(what: str, order: Sequence[int]) -> str:
        return graph.transpose(
            f"{name}_{what}_Heads",
            graph.reshape(f"{name}_{what}_Split", projected(source, what), (0, 0, heads, -1)),
            order,
        )

    queries, keys, values = split("Query", (0, 2, 1, 3)), split("Key", (0, 2, 3, 1)), split("Value", (0, 2, 1, 3))
    channels = layer.learnables["QueryWeights"].shape[0] // heads
    scores = graph.with_number(
        "Mul", f"{name}_Scores", graph.node("MatMul", f"{name}_Products", [queries, keys]), 1 / math.sqrt(channels)
    )
    if p["AttentionMask"] == "causal":
        scores = graph.node("Add", f"{name}_Masked", [scores, causal_mask(graph, layer, source, source)])
    weighted = graph.node(
        "MatMul", f"{name}_Weighted", [graph.node("Softmax", f"{name}_Softmax", [scores], axis=3), values]
    )
    joined = graph.reshape(f"{name}_Joined", graph.transpose(f"{name}_Steps", weighted, (0, 2, 1, 3)), (0, 0, -1))
    return [graph.transpose(name, projected(joined, "Output"), (1, 0, 2))]


def causal_mask(graph: Graph, layer: Layer, query: str, key: str) -> str:
    """Return what to add to the scores (queries x keys): -inf where the key is later than the query."""
    name = graph.names[layer.name]
    zero, one = (graph.constant(f"{name}_{end}", np.array(n)) for end, n in (("Zero", 0), ("One", 1)))

    def steps(source: str, end: str) -> str:
        shape = graph.node("Shape", f"{name}_{end}_Shape", [source])
        count = graph.node("Gather", f"{name}_{end}_Count", [shape, one], axis=0)
        return graph.node("Range", f"{name}_{end}_Range", [zero, count, one])

    rows = graph.node("Unsqueeze", f"{name}_Rows", [steps(query, "Queries")], axes=[1])
    later = graph.node("Less", f"{name}_Later", [rows, steps(key, "Keys")])
    blocked, free = graph.constant(f"{name}_Blocked", np.array(-np.inf)), graph.constant(f"{name}_Free", np.array(0.0))
    return graph.node("Where", f"{name}_Mask", [later, blocked, free])
