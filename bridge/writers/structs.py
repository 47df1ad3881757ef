"""A network as the structs that `bridgeExport.m` saves, with what `bridgeRebuild.m` needs besides; docs/mat-structs.md
has the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import BridgeError, UnsupportedError
from bridge.network import Connection, Layer, Learnable, Network
from bridge.network.ports import split_port
from bridge.tables.layers import table
from bridge.writers.constructors import Call, call_of, matrix
from bridge.writers.mat5 import Value
from bridge.writers.trial import Sample, Trial
from bridge.writers.values import EMPTY, column, fields, lowered, number, pairs, row

FORMAT = "bridge.network/1"
PROFILE = "matlab"  # of mappings/profiles.toml: how far MATLAB's numbers may lie from torch's
TOOLBOX = re.compile(r"MATLAB Deep Learning Toolbox (\d[\d.]*)")


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        network: under names that MATLAB takes.
        renamed: the network's own names of layers, and MATLAB's.
        trial: a test input and output, or None.
        with_nan: which of the arrays that were read so far hold NaN, in order.
    """

    network: Network
    renamed: Mapping[str, str]
    trial: Trial | None = None
    with_nan: dict[str, None] = field(default_factory=dict)

    def struct(self) -> dict[str, Value]:
        """Return the variable, its arrays unread."""
        network, trial = self.network, self.trial or Trial((), ())
        toolbox = TOOLBOX.fullmatch(network.source.producer)
        return {
            "Format": FORMAT,
            "Release": network.source.release.removeprefix("R"),
            "Toolbox": toolbox[1] if toolbox else "",
            "Kind": network.kind,
            "Layers": column([self._layer(layer) for layer in network.layers]),
            "Connections": pairs([self._ends(connection) for connection in network.connections]),
            "InputNames": row(network.inputs),
            "OutputNames": row(output_name(network, name) for name in network.outputs),
            "Classes": column(network.classes or ()),
            "TrainingOptions": options(network.training_options) or EMPTY,
            "TrainingInfo": fields((name, lowered(each)) for name, each in (network.training_info or {}).items())
            or EMPTY,
            "RenamedLayers": pairs([(new, old) for old, new in self.renamed.items()]),
            "TestInput": column([_sample(each, each.name) for each in trial.inputs]),
            "TestOutput": column([_sample(each, output_name(network, each.name)) for each in trial.outputs]),
            "Tolerance": number(table("profiles")[PROFILE]["relative"]),
        }

    def _ends(self, c: Connection) -> tuple[str, str]:
        layers = self.network.layers
        return _end(c.source, c.source_port, layers[c.source].outputs), _end(
            c.destination, c.destination_port, layers[c.destination].inputs
        )

    def _layer(self, layer: Layer) -> dict[str, Value]:
        call = call_of(layer, self.network.classes)
        return {
            "Name": layer.name,
            "Class": layer.row.matlab[0],
            "Properties": fields((name, lowered(matrix(name, value))) for name, value in layer.properties.items()),
            "Learnables": fields((name, self._learnable(layer, name, each)) for name, each in layer.learnables.items()),
            "State": fields((name, self._array(layer, name, array)) for name, array in layer.state.items()),
            "InputNames": row(layer.inputs),
            "OutputNames": row(layer.outputs),
            "Skipped": row(()),
            "Constructor": call.constructor,
            "Arguments": row(_arguments(call, layer)),
            "SetsFactors": number(call.sets_factors),
        }

    def _learnable(self, layer: Layer, name: str, learnable: Learnable) -> dict[str, Value]:
        """Return a learnable; factors that no file ever held are left out, so that they are MATLAB's defaults there
        too.
        """
        made: dict[str, Value] = {"Value": self._array(layer, name, learnable.array)}
        if not learnable.assumed or name not in layer.row.learnables:
            made |= {"LearnRateFactor": number(learnable.learn_rate_factor), "L2Factor": number(learnable.l2_factor)}
        return made | ({"Initializer": {"Class": learnable.initializer}} if learnable.initializer else {})

    def _array(self, layer: Layer, name: str, array: Array) -> Value:
        """Return an array in MATLAB's dimensions, which looks for NaN when it is read."""
        if array.size == 0:
            return np.empty((0, 0), np.float32)
        kind = np.dtype(np.float32) if array.dtype == np.float16 else array.dtype

        def load() -> NDArray:
            value = array.read()
            if kind.kind == "f" and np.isnan(np.min(value)):
                self.with_nan[f"{name} of layer '{layer.name}'"] = None
            return value.astype(kind, copy=False)

        loaded = Array(array.shape, kind, load, array.shape)
        return loaded.reshape(self._along_channels(layer, array.size)) if len(array.shape) == 1 else loaded

    def _along_channels(self, layer: Layer, count: int) -> tuple[int, ...]:
        """Return the size of a vector in MATLAB: [1 1 C] among images, [C 1] among features and sequences."""
        try:
            spatial = len(self.network.sizes[layer.name][0].spatial)
        except BridgeError:  # behind a layer of unknown arithmetic
            spatial = 0
        return (*(1,) * spatial, count) if spatial else (count, 1)


def _end(layer: str, port: str, ports: Sequence[str]) -> str:
    return layer if len(ports) == 1 else f"{layer}/{port}"


def output_name(network: Network, output: str) -> str:
    """Return MATLAB's name of an output: that of its output layer, where there is one."""
    ends = {
        (c.source, c.source_port): c.destination
        for c in network.connections
        if network.layers[c.destination].row.is_output
    }
    return ends.get(split_port(output, network.layers, "outputs"), output)


def _arguments(call: Call, layer: Layer) -> Iterator[Value]:
    for name, value in (*((None, each) for each in call.positional), *call.named.items()):
        found = lowered(value)
        if found is None:
            raise UnsupportedError(
                f"layer '{layer.name}' ({layer.kind}) has {value!r}, which is no value of MATLAB's",
                f"{call.constructor} is to take it",
            )
        yield from (found,) if name is None else (name, found)


def _sample(sample: Sample, name: str) -> dict[str, Value]:
    return {"Name": name, "Format": sample.format, "Value": sample.value}


def options(given: Mapping[str, Any] | None) -> dict[str, Value]:
    """Return training options as a struct; the class shows in the fields that only one solver has."""
    return fields((name, option(name, value)) for name, value in (given or {}).items() if name != "class")


def option(name: str, value: Any) -> Value | None:
    """Return one option. A schedule object is a struct of its class and properties, several are a cell."""
    if name == "LearnRateSchedule" and isinstance(value, Mapping):
        properties = fields((key, lowered(each)) for key, each in value.items() if key != "schedule")
        return {"Class": str(value.get("schedule", "")), "Properties": properties}
    if name == "LearnRateSchedule" and isinstance(value, tuple):
        items = [option(name, each) for each in value]
        return None if any(each is None for each in items) else row(each for each in items if each is not None)
    return lowered(value)
