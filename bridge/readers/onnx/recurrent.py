"""The pass that turns an LSTM or GRU node, with what drops its axis of directions, into one node as MATLAB has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.readers.onnx.graph import Graph, Node

GATES = {
    "LSTM": (0, 2, 3, 1),
    "GRU": (1, 0, 2),
}  # ONNX's i, o, f, c and z, r, h in MATLAB's order: i, f, c, o and r, z, h
STATES = {"LSTM": (5, 6), "GRU": (5,)}  # the inputs that hold initial states
ACTIVATIONS = {
    "Tanh": "tanh",
    "Softsign": "softsign",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard-sigmoid",
}
STATE_FUNCTIONS = {"LSTM": 2, "GRU": 1}  # of each direction, after the function of its gates


@dataclass(frozen=True)
class Ending:
    """What follows a recurrent node: whether only the last step goes on, and the value that does."""

    last: bool
    value: str


def join_recurrent(graph: Graph) -> tuple[Graph, str]:
    """Make one node of each LSTM or GRU that a MATLAB layer can be, its weights stacked as MATLAB stacks them.

    Inputs of the node that comes out are x, weights (directions x gates x hidden, inputs), recurrent weights, bias; its
    axes are those of the direction-free output: T, N, C, or N, C for the last step. The two biases ONNX has are added
    up where that is the same, in single precision.

    Given:  h = LSTM(x, W, R, B), W of [directions, 4 hidden, in] with the gates i, o, f, c; y = Squeeze(h)
    Result: y = LSTM(x, W', R', B'; last=0), W' of [directions 4 hidden, in] with the gates i, f, c, o
    """
    producers, readers = graph.producers(), graph.readers()
    constants: dict[str, Array] = {}
    joined: dict[str, Node] = {}
    added = 0
    for node in graph.nodes:
        weights = [name for name in node.inputs[1:4] if name] if node.operator in GATES else []
        ending = _ending(node, graph, readers) if weights and all(name in graph.constants for name in weights) else None
        attributes = _attributes(node) if ending is not None else None
        if ending is None or attributes is None or not _starts_at_zero(node, graph, producers):
            continue
        stacked, keeps_both = _stacked(node, [graph.constants[name] for name in weights], attributes)
        names = [f"{name} [gates]" for name in weights]
        constants.update(zip(names, stacked, strict=True))
        added += len(stacked) == 3 and not keeps_both
        attributes.update(last=int(ending.last), recurrent_bias=int(keeps_both))
        joined[ending.value] = Node(node.op, node.name, (node.inputs[0], *names), (ending.value,), attributes)
    nodes = [joined.get(node.outputs[0], node) for node in graph.nodes]
    return graph.with_nodes(nodes, constants), _note(added, graph)


def _note(added: int, graph: Graph) -> str:
    return f"the two biases of {added} recurrent layer(s) were added up" if added and not graph.matlab else ""


def _ending(node: Node, graph: Graph, readers: Mapping[str, list[Node]]) -> Ending | None:
    """Follow the one output that is used: Squeeze of the directions, or Transpose and Reshape of both into the
    channels.
    """
    used = [index for index, name in enumerate(node.outputs) if name and (readers.get(name) or name in graph.outputs)]
    if len(used) != 1 or used[0] > 1 or node.attributes.get("layout", 0):
        return None
    last, value = used[0] == 1, node.outputs[used[0]]
    follower = _only_reader(value, graph, readers)
    if follower is None:
        return None
    if node.attributes.get("direction", "forward") == "forward":
        squeezed = follower.op == "Squeeze" and tuple(follower.attributes.get("axes", ())) == (0 if last else 1,)
        return Ending(last, follower.outputs[0]) if squeezed else None
    reshape = _only_reader(follower.outputs[0], graph, readers)
    perm = (1, 0, 2) if last else (0, 2, 1, 3)
    if (
        follower.op != "Transpose"
        or follower.attributes.get("perm") != perm
        or reshape is None
        or reshape.op != "Reshape"
    ):
        return None
    shape = graph.constant(reshape.inputs[1])
    kept, channels = (1 if last else 2), 2 * int(node.attributes.get("hidden_size", 0))
    joins = shape is not None and len(shape) == kept + 1 and not shape[:kept].any() and shape[kept] in (-1, channels)
    return Ending(last, reshape.outputs[0]) if joins else None


def _only_reader(value: str, graph: Graph, readers: Mapping[str, list[Node]]) -> Node | None:
    found = readers.get(value, [])
    return found[0] if len(found) == 1 and value not in graph.outputs else None


def _attributes(node: Node) -> dict[str, Any] | None:
    """The node's attributes in MATLAB's words; None where it computes what no MATLAB layer does."""
    a = node.attributes
    direction = a.get("direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    per_direction = 1 + STATE_FUNCTIONS[node.op]
    functions = tuple(a.get("activations", ("Sigmoid", *("Tanh",) * STATE_FUNCTIONS[node.op]) * directions))
    gate, *state = functions[:per_direction]
    uniform = (
        functions == functions[:per_direction] * directions
        and len(set(state)) == 1
        and {gate, *state} <= set(ACTIVATIONS)
    )
    odd = (
        any(key in a for key in ("clip", "activation_alpha", "activation_beta"))
        or a.get("input_forget", 0)
        or any(node.inputs[7:])
    )
    lengths = node.inputs[4] if len(node.inputs) > 4 else ""
    if not uniform or odd or lengths or direction == "reverse" or (node.op == "GRU" and directions == 2):
        return None
    found = {
        "hidden_size": int(a["hidden_size"]),
        "gate": ACTIVATIONS[gate],
        "state": ACTIVATIONS[state[0]],
        "directions": directions,
    }
    return {**found, "after": int(a.get("linear_before_reset", 0))} if node.op == "GRU" else found


def _starts_at_zero(node: Node, graph: Graph, producers: Mapping[str, Node]) -> bool:
    states = [node.inputs[index] for index in STATES[node.op] if index < len(node.inputs)]
    return all(not name or _is_zero(name, graph, producers) for name in states)


def _is_zero(value: str, graph: Graph, producers: Mapping[str, Node]) -> bool:
    """Whether a value is zero whatever its shape: a constant, or one that is expanded or filled at run time."""
    constant, node = graph.constant(value), producers.get(value)
    if constant is not None:
        return not constant.any()
    if node is not None and node.op in ("Expand", "Slice", "Unsqueeze", "Tile", "Reshape"):
        return _is_zero(node.inputs[0], graph, producers)
    return node is not None and node.op == "ConstantOfShape" and not np.any(node.attributes.get("value", 0))


def _stacked(node: Node, weights: list[Array], attributes: Mapping[str, Any]) -> tuple[list[Array], bool]:
    """Return the weights and the bias in MATLAB's order of rows, and whether the bias keeps both of ONNX's.

    Only where the reset gate acts on R*h does the recurrent bias of a GRU matter by itself (MATLAB's
    'recurrent-bias-after-multiplication'); then the bias is read now, to tell whether it is there.
    """
    gates, hidden, directions = GATES[node.op], int(attributes["hidden_size"]), int(attributes["directions"])

    def rows(value: NDArray) -> NDArray:
        return value.reshape(directions, len(gates), hidden, -1)[:, gates].reshape(directions * len(gates) * hidden, -1)

    count = directions * len(gates) * hidden
    stacked = [_later(each, (count, each.shape[2]), rows) for each in weights[:2]]
    if len(weights) < 3:
        return stacked, False

    def halves(value: NDArray) -> NDArray:
        return value.reshape(directions, 2, len(gates), hidden)[:, :, gates]

    both = bool(attributes.get("after")) and bool(halves(weights[2].read())[:, 1].any())
    if both:
        return [*stacked, _later(weights[2], (2 * count,), lambda value: halves(value).reshape(-1))], True
    return [
        *stacked,
        _later(weights[2], (count,), lambda value: halves(value).sum(1, dtype=value.dtype).reshape(-1)),
    ], False


def _later(array: Array, shape: tuple[int, ...], change: Callable[[NDArray], NDArray]) -> Array:
    """An array that is read and changed when asked for."""
    return Array(shape, array.dtype, lambda: np.ascontiguousarray(change(array.read())), shape)
