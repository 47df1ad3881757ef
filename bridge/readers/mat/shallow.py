"""The shallow `network` object (feedforwardnet, fitnet, patternnet, cascadeforwardnet, timedelaynet, narnet, narxnet),
as layers that compute the same.

A layer of such a network is transferFcn(IW p + LW a + b). Here each weight is a fully connected layer, several that
meet are followed by an addition, and the transfer function is a layer of its own. What inputs and outputs go through
is affine: scaling an input is the Normalization of its input layer; anything else, and the way back at an output, is
one fully connected layer with factors 0.

A weight with delays is a convolution over time without padding: its output begins where every delay is inside the
sequence, so that MATLAB's initial delay states are the first steps of the sequence. An output that is fed back (closed
loop) becomes an input as it is in the open loop; `bridge.prediction.closed_loop` feeds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import Cell
from bridge.errors import UnsupportedError, reading
from bridge.network import Connection, Layer, LayerList, Learnable, Network, Source, make_layer
from bridge.network.assembly import network_of
from bridge.readers.mat.layers import as_array
from bridge.readers.mat.processing import (
    FORWARD,
    REVERSE,
    SCALING,
    Affine,
    Fields,
    Step,
    normalization,
    numbers,
    steps_of,
)
from bridge.tables.layers import EMPTY, Mappings

TRANSFER = {
    "tansig": "TanhLayer",
    "logsig": "SigmoidLayer",
    "purelin": None,
    "softmax": "SoftmaxLayer",
    "poslin": "ReLULayer",
    "satlin": "ClippedReLULayer",
    "satlins": "ClippedReLULayer",
    **dict.fromkeys(
        ("compet", "elliotsig", "elliot2sig", "hardlim", "hardlims", "netinv", "radbas", "radbasn", "tribas"),
        "TransferFunctionLayer",
    ),
}
NO_BIAS = Learnable(Array.of(np.zeros((1, 1))), 0.0, 0.0)  # MATLAB's convolutions have one
CLIPPED = {"satlin": {"Ceiling": 1, "Floor": 0}, "satlins": {"Ceiling": 1, "Floor": -1}}
MOST_DELAY = 10_000  # steps
DOUBLE = "MATLAB computes a shallow network in double precision, its torch module in single"


FIELDS = ("IW", "LW", "layers")  # which tell a shallow network


def is_shallow(value: dict[str, Any]) -> bool:
    return all(name in value for name in FIELDS)


def has_weights(value: Fields) -> bool:
    """Whether it was configured: its weights have the size of its inputs."""
    with reading("a shallow network"):
        held = [value["IW"][row + column * value["IW"].dims[0]] for row, column in np.argwhere(value["inputConnect"])]
        held += [value["LW"][row + column * value["LW"].dims[0]] for row, column in np.argwhere(value["layerConnect"])]
        return bool(held) and all(each.size for each in held)


def network_from(value: dict[str, Any], source: Source, tables: Mappings) -> Network:
    """Make a `Network` of a shallow network.

    Raises:
        UnsupportedError: it has delays, feedback or functions that are not known here; all of them are named.
        UnreadableError: a part of it is missing.
    """
    with reading(f"the shallow network of {source.path}"):
        problems = list(_problems(value))
        if problems:
            raise UnsupportedError(
                f"{source.path} holds a shallow network with {'; '.join(problems)}",
                "networks of sums of products are read, with delays, and with feedback from their outputs",
                "genFunction(net, 'f.m') writes its arithmetic as MATLAB code",
            )
        graph = _Graph(tables, _is_dynamic(value))
        entries = [graph.add_input(each) for each in value["inputs"]]
        ends = _add_layers(graph, value, entries)
        outputs = [
            graph.add_output(ends[index], each) for index, each in enumerate(value["outputs"]) if isinstance(each, dict)
        ]
    network = network_of(
        Network, "network", LayerList(graph.layers), tuple(graph.connections), source, outputs=tuple(outputs)
    )
    return network.with_notes(*graph.notes, DOUBLE)


def _problems(value: Fields) -> Iterator[str]:
    """Yield what is not read here, in MATLAB's spelling."""
    for index, layer in enumerate(value["layers"], 1):
        for field, known in (("transferFcn", tuple(TRANSFER)), ("netInputFcn", ("netsum",))):
            if layer[field] not in known:
                yield f"layers{{{index}}}.{field} '{layer[field]}'"
        if not any(numbers(value[field])[index - 1].any() for field in ("inputConnect", "layerConnect")):
            yield f"layers{{{index}}} that reads nothing"
    for field in ("inputWeights", "layerWeights"):
        for name, weight in _parts(value, field):
            delays = numbers(weight["delays"]).ravel()
            if not delays.size or delays.min() < 0 or (delays % 1).any() or delays.max() > MOST_DELAY:
                yield f"{name}.delays [{' '.join(f'{each:g}' for each in delays[:20])}]"
            if weight["weightFcn"] != "dotprod":
                yield f"{name}.weightFcn '{weight['weightFcn']}'"
    forward = numbers(value["layerConnect"])
    forward = np.where(_feedback(value), 0, forward)
    feedback = set(range(len(value["layers"]))) - set(_order(forward))
    if feedback:
        listed = ", ".join(str(index + 1) for index in sorted(feedback))
        yield f"feedback through layers {listed}, which is not that of an output behind a delay"
    for field, functions in (("inputs", FORWARD), ("outputs", REVERSE)):
        for name, end in _parts(value, field):
            yield from (
                f"{name}.processFcns '{function}'" for function in end["processFcns"] if function not in functions
            )
            if not numbers(end["size"]).any():
                yield f"{name}.size 0: it was never configured"


def _parts(value: Fields, field: str) -> Iterator[tuple[str, Fields]]:
    """Yield ("inputs{1}", struct) or ("layerWeights{2,1}", struct) of a cell, but for its empty places."""
    cell = value.get(field, Cell([], (1, 0)))
    for index, item in enumerate(cell):
        if isinstance(item, dict):
            place = (
                f"{index % cell.dims[0] + 1},{index // cell.dims[0] + 1}"
                if field.endswith("Weights")
                else f"{index + 1}"
            )
            yield f"{field}{{{place}}}", item


def _order(connect: NDArray) -> list[int]:
    """Return the layers in an order in which each follows those it reads; layers in a loop are left out."""
    order: list[int] = []
    while True:
        ready = [row for row in range(len(connect)) if row not in order and set(_places(connect[row])) <= set(order)]
        if not ready:
            return order
        order += ready


def _is_dynamic(value: Fields) -> bool:
    weights = [part for field in ("inputWeights", "layerWeights") for _, part in _parts(value, field)]
    return any(numbers(each["delays"]).any() for each in weights)


def _feedback(value: Fields) -> NDArray:
    """Return which connections of layers close a loop over an output: (to, from), behind a delay."""
    connect = numbers(value["layerConnect"])
    closing = np.zeros(connect.shape, bool)
    left = sorted(set(range(len(connect))) - set(_order(connect)))
    weights = value["layerWeights"]
    for row, column in np.argwhere(connect):
        puts_out = isinstance(value["outputs"][column], dict)
        if row in left and column in left and puts_out and weights[row + column * weights.dims[0]]["delays"].size:
            closing[row, column] = numbers(weights[row + column * weights.dims[0]]["delays"]).min() > 0
    return closing


def _places(connected: NDArray) -> list[int]:
    return [index for index, each in enumerate(connected) if each]


# Layers


class _Read(NamedTuple):
    """What a layer reads: the layer it comes from, and the weight it goes through.

    Attributes:
        lag: the steps of a sequence that are gone at the source.
        path: of its settings, in MATLAB's spelling.
        matrix: [S R*delays].
        delays: in the order of its columns.
    """

    source: str
    lag: int
    path: str
    matrix: Any
    delays: list[int]


def _add_layers(graph: _Graph, value: Fields, entries: Sequence[str]) -> dict[int, str]:
    """Add every layer of the network; return, by its index, the name of the last layer it became."""
    closing = _feedback(value)
    fed = {column: graph.add_feedback(value["outputs"][column]) for column in _places(np.any(closing, axis=0))}
    ends: dict[int, str] = {}
    lags: dict[int, int] = {}
    biases = numbers(value["biasConnect"]).ravel()
    settings = [each for field in ("inputWeights", "layerWeights", "biases") for each in _parts(value, field)]
    fixed = {path for path, part in settings if not numbers(part["learn"]).any()}
    for row in _order(np.where(closing, 0, numbers(value["layerConnect"]))):
        layer = value["layers"][row]
        name = layer["name"] or f"layer{row + 1}"
        sources = [
            ("inputWeights", "IW", column, entries[column], 0)
            for column in _places(numbers(value["inputConnect"])[row])
        ]
        for column in _places(numbers(value["layerConnect"])[row]):
            end = (fed[column], 0) if closing[row, column] else (ends[column], lags[column])
            sources.append(("layerWeights", "LW", column, *end))
        read = [_read(value, row, *each) for each in sources]
        lags[row] = max(each.lag + max(each.delays) for each in read)
        parts = []
        for index, each in enumerate(read, 1):
            bias = value["b"][row] if index == 1 and biases[row] else None
            learns = each.path not in fixed, f"biases{{{row + 1}}}" not in fixed
            part = name if len(read) == 1 else f"{name}_{index}"
            parts.append(graph.add_weight(part, each, lags[row] - each.lag, bias, learns))
        ends[row] = graph.add_transfer(name, parts, layer["transferFcn"])
    return ends


def _read(value: Fields, row: int, settings: str, field: str, column: int, source: str, lag: int) -> _Read:
    place = row + column * value[field].dims[0]
    delays = numbers(value[settings][place]["delays"]).ravel().astype(int).tolist()
    return _Read(source, lag, f"{settings}{{{row + 1},{column + 1}}}", value[field][place], delays)


def _taps(matrix: NDArray, delays: Sequence[int], reach: int) -> NDArray:
    """Turn a weight [S R*delays] into the filter [reach+1 R S] of a convolution; its last tap has no delay."""
    width = matrix.shape[1] // len(delays)
    taps = np.zeros((reach + 1, width, len(matrix)))
    for index, delay in enumerate(delays):
        taps[reach - delay] = matrix[:, index * width : (index + 1) * width].T
    return taps


def _learnable(value: Any, learns: bool, l2: float) -> Learnable:
    """Wrap a weight. A shallow network has no factors, but says what does not learn."""
    array = as_array(value)
    if array is None:
        raise ValueError("a weight holds no values")
    return Learnable(array, float(learns), l2, assumed=learns)


class _Graph:
    """Collects layers, connections and notes. What adds a layer returns the name under which others read it."""

    def __init__(self, tables: Mappings, dynamic: bool) -> None:
        self._tables, self._input = tables, "SequenceInputLayer" if dynamic else "FeatureInputLayer"
        self.layers: list[Layer] = []
        self.connections: list[Connection] = []
        self.notes: list[str] = []

    def add(
        self,
        kind: str,
        name: str,
        sources: Sequence[str],
        properties: Mapping[str, Any] = EMPTY,
        learnables: Mapping[str, Learnable] = EMPTY,
        state: Mapping[str, Array] = EMPTY,
    ) -> str:
        """Add a layer behind `sources`. Its name gets a number where another layer has it."""
        taken = {layer.name for layer in self.layers}
        name = next(
            each for each in (name, *(f"{name}_{count}" for count in range(2, len(taken) + 3))) if each not in taken
        )
        layer = make_layer(self._tables.rows[kind], name, properties, learnables, state)
        self.layers.append(layer)
        self.connections += [
            Connection(source, name, destination_port=port) for source, port in zip(sources, layer.inputs, strict=True)
        ]
        return name

    def add_fully_connected(self, name: str, source: str, learnables: Mapping[str, Learnable]) -> str:
        outputs, inputs = learnables["Weights"].shape
        return self.add("FullyConnectedLayer", name, [source], {"InputSize": inputs, "OutputSize": outputs}, learnables)

    def add_weight(self, name: str, read: _Read, reach: int, bias: Any, learns: tuple[bool, bool]) -> str:
        """Add a weight that looks `reach` steps back, with the bias of its layer where that is with it."""
        weights = _learnable(read.matrix, learns[0], 1.0)
        learnables = {"Weights": weights}
        if bias is not None:
            learnables["Bias"] = _learnable(bias, learns[1], 0.0)
        if not reach:
            return self.add_fully_connected(name, read.source, learnables)
        taps = _taps(numbers(read.matrix), read.delays, reach)
        learnables["Weights"] = replace(weights, array=Array.of(taps))
        values = numbers(bias).reshape(1, -1) if bias is not None else np.zeros((1, taps.shape[2]))
        learnables["Bias"] = replace(learnables.get("Bias", NO_BIAS), array=Array.of(values))
        sizes = {"FilterSize": len(taps), "NumChannels": taps.shape[1], "NumFilters": taps.shape[2]}
        self.notes.append(
            f"layer '{name}' has the delays {', '.join(map(str, read.delays))}, as a convolution over time"
        )
        return self.add("Convolution1DLayer", name, [read.source], sizes, learnables)

    def add_transfer(self, name: str, parts: Sequence[str], function: str) -> str:
        """Add what follows the weights of a layer: the sum of their products, and the transfer function."""
        end = parts[0]
        if len(parts) > 1:
            end = self.add("AdditionLayer", f"{name}_addition", parts, {"NumInputs": len(parts)})
        kind = TRANSFER[function]
        if kind is None:
            return end
        properties = {"Function": function} if kind == "TransferFunctionLayer" else CLIPPED.get(function, EMPTY)
        return self.add(kind, f"{name}_{function}", [end], properties)

    def add_feedback(self, end: Fields) -> str:
        """Add the input that an output is in the open loop."""
        entry = self.add_input(end)
        self.notes.append(
            f"the network is a closed loop: the input behind '{entry}' is its own output before, which "
            "bridge.prediction.closed_loop feeds"
        )
        return entry

    def add_input(self, end: Fields) -> str:
        """Add an input layer and what its data goes through."""
        name, steps = end["name"] or "Input", steps_of(end, FORWARD)
        properties: dict[str, Any] = {"InputSize": int(numbers(end["size"]).item())}
        state: Mapping[str, Array] = EMPTY
        if len(steps) == 1 and steps[0].function in SCALING:
            properties["Normalization"], state = normalization(steps[0].settings)
            self.notes.append(
                f"layer '{name}' does {steps[0].function} as its Normalization '{properties['Normalization']}'"
            )
            steps = []
        if "fixunknowns" in end["processFcns"]:
            self.notes.append(f"layer '{name}': a NaN in an input is not replaced, as fixunknowns would")
        name = self.add(self._input, name, [], properties, state=state)
        return self._add_steps(name, name, steps)

    def add_output(self, source: str, end: Fields) -> str:
        """Add the way back from a layer's output to the data's own values."""
        return self._add_steps(source, end["name"] or "Output", steps_of(end, REVERSE)[::-1])

    def _add_steps(self, source: str, name: str, steps: Sequence[Step]) -> str:
        if not steps:
            return source
        whole = reduce(Affine.then, (step.affine for step in steps))
        arrays = {"Weights": whole.matrix, "Bias": whole.offset[:, None]}
        learnables = {key: Learnable(Array.of(array), 0.0, 0.0) for key, array in arrays.items()}
        made = self.add_fully_connected(f"{name}_processing", source, learnables)
        self.notes.append(
            f"layer '{made}' does {', '.join(step.function for step in steps)}: fixed numbers, so its factors are 0"
        )
        return made
