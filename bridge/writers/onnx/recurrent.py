"""Recurrent layers as ONNX's LSTM and GRU, whose gates stand in another order and whose bias has two halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.readers.onnx.recurrent import ACTIVATIONS, GATES, STATE_FUNCTIONS
from bridge.writers.onnx.graph import WRITES, Graph, Value

OPERATORS: Mapping[str, str] = {matlab: onnx for onnx, matlab in ACTIVATIONS.items()}
STATES = ("HiddenState", "CellState")  # in the order of the operators' inputs


@WRITES("lstm")
def lstm(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    return recurrent(graph, layer, "LSTM", given[0], directions=layer.row.directions)


@WRITES("gru")
def gru(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    after = layer.properties["ResetGateMode"] != "before-multiplication"
    return recurrent(graph, layer, "GRU", given[0], directions=1, linear_before_reset=int(after))


@WRITES("projected_lstm")
def projected_lstm(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    return projected(graph, layer, "LSTM", given[0])


@WRITES("projected_gru")
def projected_gru(graph: Graph, layer: Layer, given: Sequence[Value], out: Activation) -> Sequence[str]:
    return projected(graph, layer, "GRU", given[0], linear_before_reset=1)


def projected(graph: Graph, layer: Layer, op: str, x: Value, **attributes: int) -> Sequence[str]:
    """Its weights are products, which the graph works out, and whose rows it then puts in ONNX's order."""
    name = graph.names[layer.name]
    order = graph.constant(
        f"{name}_Gates",
        np.concatenate([np.arange(hidden_units(layer)) + gate * hidden_units(layer) for gate in in_file(op)]),
    )

    def product(weights: str, projector: str, end: str) -> str:
        turned = graph.transpose(
            f"{name}_{projector}T",
            graph.weight(f"{name}_{projector}", layer, projector, layer.learnables[projector].array),
            (1, 0),
        )
        rows = graph.node(
            "MatMul",
            f"{name}_{end}_MatMul",
            [graph.weight(f"{name}_{end}", layer, weights, layer.learnables[weights].array), turned],
        )
        return graph.node(
            "Unsqueeze",
            f"{name}_{end}_Unsqueeze",
            [graph.node("Gather", f"{name}_{end}_Gather", [rows, order], axis=0)],
            axes=[0],
        )

    weights = [product("InputWeights", "InputProjector", "W"), product("RecurrentWeights", "OutputProjector", "R")]
    return run(graph, layer, op, x, [*weights, both_biases(graph, layer, op, 1)], directions=1, **attributes)


def recurrent(graph: Graph, layer: Layer, op: str, x: Value, *, directions: int, **attributes: int) -> Sequence[str]:
    name = graph.names[layer.name]

    def weight(of: str, end: str) -> str:
        array, hidden = layer.learnables[of].array, hidden_units(layer)
        shape = (directions, len(GATES[op]) * hidden, array.shape[1])
        return graph.weight(f"{name}_{end}", layer, of, in_onnx_order(array, op, hidden * shape[2], shape), "gates")

    weights = [weight("InputWeights", "W"), weight("RecurrentWeights", "R"), both_biases(graph, layer, op, directions)]
    return run(graph, layer, op, x, weights, directions=directions, **attributes)


def both_biases(graph: Graph, layer: Layer, op: str, directions: int) -> str:
    """Add MATLAB's bias with zeros for the recurrent one, where the layer has none of its own."""
    array, hidden = layer.learnables["Bias"].array, hidden_units(layer)
    ordered = in_onnx_order(array, op, hidden, (directions, array.size // directions))
    shape = (directions, 2 * len(GATES[op]) * hidden)

    def load() -> NDArray:
        value = ordered.read()
        return np.pad(value, ((0, 0), (0, shape[1] - value.shape[1])))

    return graph.weight(f"{graph.names[layer.name]}_B", layer, "Bias", Array(shape, array.dtype, load, shape), "gates")


def in_onnx_order(array: Array, op: str, block: int, shape: tuple[int, ...]) -> Array:
    """Return rows (direction, half of a bias, gate, ...) with the gates in ONNX's order, in a new shape; `block`
    elements are a gate's.
    """

    def load() -> NDArray:
        blocks = array.read().reshape(shape[0], -1, len(GATES[op]), block)
        return np.ascontiguousarray(blocks[:, :, in_file(op)]).reshape(shape)

    return Array(shape, array.dtype, load, shape)


def in_file(op: str) -> tuple[int, ...]:
    """Return for each gate in ONNX's order its place in MATLAB's."""
    return tuple(GATES[op].index(gate) for gate in range(len(GATES[op])))


def hidden_units(layer: Layer) -> int:
    return int(layer.properties["NumHiddenUnits"])


def run(
    graph: Graph, layer: Layer, op: str, x: Value, weights: Sequence[str], *, directions: int, **attributes: int
) -> Sequence[str]:
    """Add the operator, and what takes away its axis of directions: they follow each other in the channels."""
    name, hidden, last = graph.names[layer.name], hidden_units(layer), layer.properties["OutputMode"] == "last"
    functions = [OPERATORS[layer.properties["GateActivationFunction"]]]
    functions += [OPERATORS[layer.properties["StateActivationFunction"]]] * STATE_FUNCTIONS[op]
    graph.node(
        op, name, [x.name, *weights, *initial_states(graph, layer, x, directions)],
        outputs=["", f"{name}_Y_h"] if last else [f"{name}_Y"], hidden_size=hidden, activations=functions * directions,
        direction="bidirectional" if directions == 2 else "forward", **attributes,
    )  # fmt: skip
    raw = f"{name}_Y_h" if last else f"{name}_Y"
    if directions == 1:
        return [graph.node("Squeeze", f"{name}_Squeeze", [raw], axes=[0 if last else 1])]
    together = graph.transpose(f"{name}_Transpose", raw, (1, 0, 2) if last else (0, 2, 1, 3))
    return [
        graph.reshape(f"{name}_Reshape", together, (0, directions * hidden) if last else (0, 0, directions * hidden))
    ]


def initial_states(graph: Graph, layer: Layer, x: Value, directions: int) -> list[str]:
    """Return the operator's inputs for initial states, repeated for each observation; none where they are zero."""
    held = {of: layer.state[of] for of in STATES if of in layer.state and layer.state[of].size}
    if not any(array.read().any() for array in held.values()):
        return []
    name, hidden = graph.names[layer.name], hidden_units(layer)
    lengths = graph.node(
        "Slice", f"{name}_Batch", [graph.node("Shape", f"{name}_InputShape", [x.name])], starts=[1], ends=[2], axes=[0]
    )
    ends = [
        graph.constant(f"{name}_{end}", np.array([n])) for end, n in (("Directions", directions), ("Units", hidden))
    ]
    shape = graph.node("Concat", f"{name}_StateShape", [ends[0], lengths, ends[1]], axis=0)
    states = [""]  # sequence_lens
    for of in (each for each in STATES if each in layer.row.state):
        if of in held:
            one = graph.weight(f"{name}_{of}", layer, of, held[of].reshape((directions, 1, hidden)))
        else:
            one = graph.constant(f"{name}_{of}", np.zeros((directions, 1, hidden)))
        states.append(graph.node("Expand", f"{name}_Initial{of}", [one, shape]))
    return states
