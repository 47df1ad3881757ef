"""The shallow `network` object (feedforwardnet, fitnet, patternnet, cascadeforwardnet), as layers that compute the
same.

A layer of such a network is transferFcn(IW p + LW a + b). Here each weight is a fully connected layer, several that
meet are followed by an addition, and the transfer function is a layer of its own. What inputs and outputs go through
is affine: scaling an input is the Normalization of its input layer; anything else, and the way back at an output, is
one fully connected layer with factors 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import Cell
from bridge.errors import UnsupportedError, reading
from bridge.network import Connection, Layer, LayerList, Learnable, Network, Source, make_layer
from bridge.network.assembly import network_of
from bridge.readers.mat.layers import as_array
from bridge.tables.layers import EMPTY, Mappings

Fields = Mapping[str, Any]

TRANSFER = {
    "tansig": "TanhLayer",
    "logsig": "SigmoidLayer",
    "purelin": None,
    "softmax": "SoftmaxLayer",
    "poslin": "ReLULayer",
}
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
                "feed-forward networks of the usual functions are read",
                "genFunction(net, 'f.m') writes its arithmetic as MATLAB code",
            )
        graph = _Graph(tables)
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
        if not any(_numbers(value[field])[index - 1].any() for field in ("inputConnect", "layerConnect")):
            yield f"layers{{{index}}} that reads nothing"
    for field in ("inputWeights", "layerWeights"):
        for name, weight in _parts(value, field):
            delays = _numbers(weight["delays"]).ravel()
            if delays.any():
                yield f"{name}.delays [{' '.join(f'{each:g}' for each in delays)}]"
            if weight["weightFcn"] != "dotprod":
                yield f"{name}.weightFcn '{weight['weightFcn']}'"
    feedback = set(range(len(value["layers"]))) - set(_order(_numbers(value["layerConnect"])))
    if feedback:
        yield f"feedback through layers {', '.join(str(index + 1) for index in sorted(feedback))}"
    for field, functions in (("inputs", FORWARD), ("outputs", REVERSE)):
        for name, end in _parts(value, field):
            yield from (
                f"{name}.processFcns '{function}'" for function in end["processFcns"] if function not in functions
            )
            if not _numbers(end["size"]).any():
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


def _places(connected: NDArray) -> list[int]:
    return [index for index, each in enumerate(connected) if each]


def _numbers(value: Any) -> NDArray:
    return np.asarray(value.read() if isinstance(value, Array) else value, np.float64)


# Layers


def _add_layers(graph: _Graph, value: Fields, entries: Sequence[str]) -> dict[int, str]:
    """Add every layer of the network; return, by its index, the name of the last layer it became."""
    ends: dict[int, str] = {}
    from_inputs, from_layers = _numbers(value["inputConnect"]), _numbers(value["layerConnect"])
    biases = _numbers(value["biasConnect"]).ravel()
    settings = [each for field in ("inputWeights", "layerWeights", "biases") for each in _parts(value, field)]
    fixed = {path for path, part in settings if not _numbers(part["learn"]).any()}
    for row in _order(from_layers):
        layer = value["layers"][row]
        name = layer["name"] or f"layer{row + 1}"
        read = [
            (entries[column], "IW", f"inputWeights{{{row + 1},{column + 1}}}", column)
            for column in _places(from_inputs[row])
        ]
        read += [
            (ends[column], "LW", f"layerWeights{{{row + 1},{column + 1}}}", column)
            for column in _places(from_layers[row])
        ]
        parts = []
        for index, (source, field, path, column) in enumerate(read, 1):
            cell = value[field]
            learnables = {"Weights": _learnable(cell[row + column * cell.dims[0]], path not in fixed, 1.0)}
            if index == 1 and biases[row]:
                learnables["Bias"] = _learnable(value["b"][row], f"biases{{{row + 1}}}" not in fixed, 0.0)
            parts.append(graph.add_fully_connected(name if len(read) == 1 else f"{name}_{index}", source, learnables))
        end = (
            parts[0]
            if len(parts) == 1
            else graph.add("AdditionLayer", f"{name}_addition", parts, {"NumInputs": len(parts)})
        )
        kind = TRANSFER[layer["transferFcn"]]
        ends[row] = graph.add(kind, f"{name}_{layer['transferFcn']}", [end]) if kind else end
    return ends


def _learnable(value: Any, learns: bool, l2: float) -> Learnable:
    """Wrap a weight. A shallow network has no factors, but says what does not learn."""
    array = as_array(value)
    if array is None:
        raise ValueError("a weight holds no values")
    return Learnable(array, float(learns), l2, assumed=learns)


class _Graph:
    """Collects layers, connections and notes. What adds a layer returns the name under which others read it."""

    def __init__(self, tables: Mappings) -> None:
        self._tables = tables
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

    def add_input(self, end: Fields) -> str:
        """Add an input layer and what its data goes through."""
        name, steps = end["name"] or "Input", _steps(end, FORWARD)
        properties: dict[str, Any] = {"InputSize": int(_numbers(end["size"]).item())}
        state: Mapping[str, Array] = EMPTY
        if len(steps) == 1 and steps[0].function in SCALING:
            properties["Normalization"], state = _normalization(steps[0].settings)
            self.notes.append(
                f"layer '{name}' does {steps[0].function} as its Normalization '{properties['Normalization']}'"
            )
            steps = []
        if "fixunknowns" in end["processFcns"]:
            self.notes.append(f"layer '{name}': a NaN in an input is not replaced, as fixunknowns would")
        name = self.add("FeatureInputLayer", name, [], properties, state=state)
        return self._add_steps(name, name, steps)

    def add_output(self, source: str, end: Fields) -> str:
        """Add the way back from a layer's output to the data's own values."""
        return self._add_steps(source, end["name"] or "Output", _steps(end, REVERSE)[::-1])

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


# What inputs and outputs go through


@dataclass(frozen=True)
class Affine:
    """matrix x + offset."""

    matrix: NDArray
    offset: NDArray

    @property
    def is_identity(self) -> bool:
        rows, columns = self.matrix.shape
        return rows == columns and not self.offset.any() and np.array_equal(self.matrix, np.eye(rows))

    def then(self, following: Affine) -> Affine:
        return Affine(following.matrix @ self.matrix, following.matrix @ self.offset + following.offset)


@dataclass(frozen=True)
class Step:
    """A processing function with its saved settings."""

    function: str
    settings: Fields
    affine: Affine


def _steps(end: Fields, known: Mapping[str, Callable[[Fields], Affine]]) -> list[Step]:
    """Return the processing functions of an input or output that change anything, in MATLAB's order."""
    pairs = zip(end["processFcns"], end["processSettings"], strict=True)
    changing = [
        (function, settings) for function, settings in pairs if not _numbers(settings.get("no_change", 0)).any()
    ]
    steps = [Step(function, settings, known[function](settings)) for function, settings in changing]
    return [step for step in steps if not step.affine.is_identity]


def _scaling(settings: Fields) -> tuple[NDArray, NDArray, NDArray]:
    """Return gain, xoffset and y0 of y = (x - xoffset) gain + y0, a number a row; y0 is mapminmax's ymin, mapstd's
    ymean.
    """
    gain = _numbers(settings["gain"]).ravel()
    y0 = _numbers(settings["ymin"] if "ymin" in settings else settings["ymean"]).ravel()
    return gain, _numbers(settings["xoffset"]).ravel(), np.broadcast_to(y0, gain.shape)


def _normalization(settings: Fields) -> tuple[str, dict[str, Array]]:
    """Express a scaling as the Normalization of an input layer, with its statistics [C 1]."""
    gain, offset, y0 = _scaling(settings)
    if "ymin" in settings and (y0 == -1).all():
        kind, statistics = "rescale-symmetric", {"Min": offset, "Max": offset + 2 / gain}
    else:
        kind, statistics = "zscore", {"Mean": offset - y0 / gain, "StandardDeviation": 1 / gain}
    return kind, {name: Array.of(each[:, None]) for name, each in statistics.items()}


def scaled(settings: Fields) -> Affine:
    gain, offset, y0 = _scaling(settings)
    return Affine(np.diag(gain), y0 - gain * offset)


def unscaled(settings: Fields) -> Affine:
    gain, offset, y0 = _scaling(settings)
    return Affine(np.diag(1 / gain), offset - y0 / gain)


def without_constant_rows(settings: Fields) -> Affine:
    kept = _indices(settings["keep"])
    return Affine(np.eye(_rows(settings))[kept], np.zeros(len(kept)))


def with_constant_rows(settings: Fields) -> Affine:
    matrix, offset = np.eye(_rows(settings))[:, _indices(settings["keep"])], np.zeros(_rows(settings))
    offset[_indices(settings["remove"])] = _numbers(settings["constants"]).ravel()
    return Affine(matrix, offset)


def with_known_flags(settings: Fields) -> Affine:
    """Return fixunknowns for data without NaN: behind each row that had some in training comes one that says 1, known.

    The saved fields are read as published code uses them (`shift`: how far a row moves down); no file with one was
    seen.
    """
    inputs, outputs = _rows(settings), int(_numbers(settings["yrows"]).item())
    moved = np.arange(inputs) + (_numbers(settings["shift"]).ravel().astype(int) if outputs > inputs else 0)
    matrix, offset = np.zeros((outputs, inputs)), np.ones(outputs)
    matrix[moved, np.arange(inputs)], offset[moved] = 1, 0
    return Affine(matrix, offset)


def _rows(settings: Fields) -> int:
    return int(_numbers(settings["xrows"]).item())


def _indices(value: Any) -> NDArray:
    return _numbers(value).ravel().astype(int) - 1


SCALING = ("mapminmax", "mapstd")
FORWARD = {
    "mapminmax": scaled,
    "mapstd": scaled,
    "removeconstantrows": without_constant_rows,
    "fixunknowns": with_known_flags,
}
REVERSE = {"mapminmax": unscaled, "mapstd": unscaled, "removeconstantrows": with_constant_rows}
