"""Values for new layers, as MATLAB makes them; which initializer a learnable has is data, in `mappings/layers`.

Formulas are those of MATLAB's documentation of each layer (WeightsInitializer and its kin). MATLAB's random stream
cannot be reproduced: values are a function of a seed and of the learnable's "layer/name" alone. Unconfirmed: that a
grouped convolution counts the inputs and outputs of one group, and that the recurrent weights of all gates make one
orthogonal matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from bridge.arrays.axes import parse
from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UsageError, nearest
from bridge.network.base import N
from bridge.network.layer import Layer
from bridge.network.sizes import Activation, dimensions, group_count, numbers
from bridge.network.tensors import given_sizes

KERNELS = {1: ("k",), 2: ("kh", "kw"), 3: ("kh", "kw", "kd")}
SIZES = {  # names of axes in the tables -> the property that is their length
    "hidden": "NumHiddenUnits", "projected_in": "InputProjectorSize", "projected_out": "OutputProjectorSize",
    "key": "NumKeyChannels", "value": "NumValueChannels", "positions": "MaxPosition",
}  # fmt: skip


def initialize(network: N, seed: int = 0) -> N:
    """Return `network` with values for every learnable that has none, and statistics for new batch normalisations.

    Raises:
        UsageError: the size of a learnable cannot be told.
    """
    changed = {}
    for layer in network.layers:
        values = [name for name, each in layer.learnables.items() if each.array.size == 0]
        states = [
            name for name, row in layer.row.state.items() if row.initializer is not None and name not in layer.state
        ]
        if values or states:
            changed[layer.name] = _initialized(layer, given_sizes(network, layer), values, states, seed)
    return network.with_layers(changed) if changed else network


def _initialized(
    layer: Layer, given: Sequence[Activation], values: Sequence[str], states: Sequence[str], seed: int
) -> Layer:
    learnables, state = dict(layer.learnables), dict(layer.state)
    for name in values:
        rng = np.random.default_rng([seed, crc32(f"{layer.name}/{name}".encode())])
        row = layer.row.learnables.get(name)
        how = learnables[name].initializer or (row.initializer if row else None)
        learnables[name] = replace(learnables[name], array=_array(layer, name, given, how, rng))
    for name in states:
        state[name] = _array(layer, name, given, layer.row.state[name].initializer, np.random.default_rng(seed))
    return replace(
        layer, learnables=learnables, state=state, properties={**layer.properties, **_told_by_input(layer, given)}
    )


def _array(
    layer: Layer, name: str, given: Sequence[Activation], how: str | float | None, rng: np.random.Generator
) -> Array:
    shape = shape_of(layer, name, given)
    if isinstance(how, float):
        return Array.of(np.full(shape or (1, 1), how, np.float32))
    if how is None or shape is None:
        cause = "its size cannot be told" if how else "no initializer is known for it"
        raise UsageError(
            f"{name} of layer '{layer.name}' ({layer.kind}) cannot be initialised",
            cause,
            f"give it values: {name}=array",
        )
    made = INITIALIZERS[initializer_name(how)](rng, shape, _fans(layer, name, shape, given), layer)
    return Array.of(np.ascontiguousarray(made, np.float32))


def _told_by_input(layer: Layer, given: Sequence[Activation]) -> dict[str, int]:
    """Properties that MATLAB leaves on 'auto' until the network is initialised."""
    channels = given[0].channels if given else None
    if channels is None:
        return {}
    elements = given[0].elements if "flattens" in layer.row.traits else channels
    told = {
        "NumChannels": channels,
        "InputSize": elements,
        "NumChannelsPerGroup": channels // group_count(layer, channels),
    }
    return {
        name: n
        for name, n in told.items()
        if n and name in layer.row.properties and layer.properties.get(name) in (None, "auto")
    }


def axis_lengths(layer: Layer, given: Sequence[Activation]) -> dict[str, int]:
    """Return the lengths of the axes of a layer's learnables, by their names in the tables, as far as they
    are known.
    """
    properties, at = layer.properties, given[0] if given else None
    found: dict[str, int | None] = {axis: _whole(properties.get(name)) for axis, name in SIZES.items()}
    if found["value"] is None:
        found["value"] = found["key"]  # NumValueChannels "auto"
    if "NumWords" in properties:
        found["words"] = int(properties["NumWords"]) + (properties.get("OOVMode") == "map-to-last")
    found["dimension"] = _whole(properties.get("Dimension", properties.get("OutputSize")))
    found["out"] = _whole(
        properties.get("NumFilters", properties.get("NumFiltersPerGroup", properties.get("OutputSize")))
    )
    if found["hidden"]:
        found["gates"] = layer.row.gates * found["hidden"]
    if "FilterSize" in properties:
        count = dimensions(layer)
        found.update(zip(KERNELS[count], numbers(properties["FilterSize"], count), strict=True))
    if at is not None and at.channels is not None:
        groups = group_count(layer, at.channels)
        found["groups"], found["in"] = groups, at.channels // groups if at.channels % groups == 0 else None
        found["c"] = at.channels
        found["out"] = found["out"] or at.channels  # self-attention's OutputSize "auto"
        found.update(zip("hwd", [*at.spatial, 1, 1, 1], strict=False))
    return {axis: length for axis, length in found.items() if length is not None}


def shape_of(layer: Layer, name: str, given: Sequence[Activation]) -> tuple[int, ...] | None:
    """Return the size, in MATLAB's layout, that a learnable or statistic of a layer has behind `given`; None where it
    cannot be told.
    """
    row = layer.row.learnables.get(name) or layer.row.state.get(name)
    if row is None:
        return None
    lengths, axes = axis_lengths(layer, given), parse(row.matlab_axes)
    if any(part not in lengths for axis in axes for part in axis):
        return None
    shape = tuple(math.prod(lengths[part] for part in axis) for axis in axes)
    if name == "Bias" and layer.properties.get("ResetGateMode") == "recurrent-bias-after-multiplication":
        shape = (2 * shape[0],)
    if len(shape) > 1:
        return shape
    spatial = len(given[0].spatial) if given else 0
    return (*(1,) * spatial, *shape) if spatial else (*shape, 1)


def _whole(value: object) -> int | None:
    last = value[-1] if isinstance(value, tuple) and value else value
    return int(last) if isinstance(last, (int, float)) and not math.isnan(last) else None


def _fans(layer: Layer, name: str, shape: tuple[int, ...], given: Sequence[Activation]) -> tuple[int, int]:
    """The numbers of inputs and outputs of one weight matrix; a convolution counts its filter's size in both."""
    if "FilterSize" not in layer.properties:
        return shape[-1], shape[0]
    lengths = axis_lengths(layer, given)
    field = math.prod(lengths[axis] for axis in KERNELS[dimensions(layer)])
    return field * lengths["in"], field * lengths["out"]


Fans = tuple[int, int]
Initializer = Callable[[np.random.Generator, tuple[int, ...], Fans, Layer], NDArray]


def glorot(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    """Uniform within sqrt(6 / (inputs + outputs)) of 0 (Glorot and Bengio 2010)."""
    bound = math.sqrt(6 / sum(fans))
    return rng.uniform(-bound, bound, shape)


def he(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    """Normal with variance 2 / inputs (He et al. 2015)."""
    return rng.normal(0, math.sqrt(2 / fans[0]), shape)


def narrow_normal(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    """Normal with standard deviation 0.01."""
    return rng.normal(0, 0.01, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    """The factor Q of the QR decomposition of a normal matrix, with the signs that make it unique (Saxe et
    al. 2013).
    """
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


def zeros(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    return np.ones(shape)


def unit_forget_gate(rng: np.random.Generator, shape: tuple[int, ...], fans: Fans, layer: Layer) -> NDArray:
    """Ones for the forget gate, the second of the four of each direction, and zeros for the others."""
    hidden = int(layer.properties["NumHiddenUnits"])
    gates = np.zeros((shape[0] // hidden, hidden))
    gates[1::4] = 1
    return gates.reshape(shape)


INITIALIZERS: Mapping[str, Initializer] = {
    "glorot": glorot, "he": he, "narrow-normal": narrow_normal, "orthogonal": orthogonal,
    "zeros": zeros, "ones": ones, "unit-forget-gate": unit_forget_gate,
}  # fmt: skip
_SAVED = {"Normal": "narrow-normal", "UnitForgetGate": "unit-forget-gate"}


def initializer_name(given: str) -> str:
    """Return the name of an initializer given in any case of letters, or as the class a file names.

    Raises:
        UsageError: there is none of that name.
    """
    last = given.rpartition(".")[2]
    name = _SAVED.get(last, last).lower()
    if name not in INITIALIZERS:
        raise UsageError(
            f"{given!r} is no initializer",
            nearest(name, INITIALIZERS),
            "functions are not read; give the values themselves",
        )
    return name
