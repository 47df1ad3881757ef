"""Values for new layers, drawn from MATLAB's random stream as MATLAB draws them.

Layers come in topological order (between branches, in the order of `Network.layers`: unconfirmed), inside a layer the
learnables in the order of its row. Values that are there stay, and draw nothing; nor do zeros and ones. Which
initializer a learnable has is data, in `mappings/layers`; what each is known from, in `mappings/random.toml`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

import numpy as np

from bridge.arrays.axes import parse
from bridge.arrays.lazy import Array
from bridge.errors import UsageError
from bridge.network.activations import Activation
from bridge.network.base import BaseNetwork, N
from bridge.network.initializers import INITIALIZERS, Target, initializer_name
from bridge.network.layer import Layer
from bridge.network.tensors import given_sizes
from bridge.network.windows import dimensions, group_count, numbers
from bridge.random import MatlabStream, stream_of
from bridge.tables.layers import table

KERNELS = {1: ("k",), 2: ("kh", "kw"), 3: ("kh", "kw", "kd")}
FIELD = {axis for kernel in KERNELS.values() for axis in kernel}  # axes that count among the inputs and the outputs
SIZES = {  # names of axes in the tables -> the property that is their length
    "hidden": "NumHiddenUnits", "projected_in": "InputProjectorSize", "projected_out": "OutputProjectorSize",
    "key": "NumKeyChannels", "value": "NumValueChannels", "positions": "MaxPosition",
}  # fmt: skip
EVIDENCE = {"P": "proven", "L": "likely", "U": "unconfirmed"}  # the weakest last


@dataclass(frozen=True)
class Drawn:
    """A learnable whose first values are drawn from the stream.

    Attributes:
        layer, learnable: names.
        shape: in MATLAB's layout.
        initializer: "glorot", ...
        evidence: "P" where MATLAB's own numbers were recomputed, "L" likely, "U" unconfirmed; of formula
            and place: also where layers run beside one another, and behind an unconfirmed one.
    """

    layer: str
    learnable: str
    shape: tuple[int, ...]
    initializer: str
    evidence: str


def initialize(network: N, rng: int | MatlabStream = 0) -> N:
    """Return `network` with values for every learnable that has none, and statistics for new batch normalisations.

    Args:
        network: with layers that have no values yet.
        rng: a seed, whose stream is begun; or a stream, which goes on.

    Raises:
        UsageError: the size of a learnable cannot be told, or `rng` is neither.
    """
    stream = stream_of(rng)
    changed = {}
    for layer in network.order:
        values, states = _missing(layer), [name for name, _ in _missing_states(layer)]
        if values or states:
            changed[layer.name] = _initialized(layer, given_sizes(network, layer), values, states, stream)
    return network.with_layers(changed) if changed else network


def drawn(network: BaseNetwork) -> tuple[Drawn, ...]:
    """Return what `initialize` would draw for a network, in the order of drawing.

    Raises:
        UsageError: the size of a learnable cannot be told.
    """
    found = [
        (layer, each)
        for layer in network.order
        for name in _missing(layer)
        if (each := _draw(layer, name, given_sizes(network, layer))) is not None
    ]
    parallel = _parallel(network, {layer.name for layer, _ in found})
    values, shifted = [], False  # what follows a learnable whose draws are unconfirmed may lie elsewhere
    for layer, each in found:
        values.append(replace(each, evidence="U") if shifted or layer.name in parallel else each)
        normal = table("random")["initializers"][each.initializer]["draws"] == "randn"
        shifted = shifted or _place(layer, each.learnable) == "U" or (normal and layer.name in parallel)
    return tuple(values)


def told(values: Sequence[Drawn], rng: int | MatlabStream) -> str:
    """Return the line that says where initial values come from and how sure that is.

    Args:
        values: of `drawn`.
        rng: the seed, or the stream before they are drawn.

    Example:
        >>> told((Drawn("fc", "Weights", (5, 10), "glorot", "P"),), 0)
        'initial weights: rng(0), proven'
    """
    stream = stream_of(rng)
    if not values:
        return "initial weights: none drawn"
    start = f" from double {stream.position:,}" if stream.position else ""
    least = weakest(each.evidence for each in values)
    which = "" if least == "P" else f" ({_names([each for each in values if each.evidence == least])})"
    return f"initial weights: rng({stream.seed}){start}, {EVIDENCE[least]}{which}"


def weakest(evidence: Iterable[str]) -> str:
    """Return the weakest of some evidence: "P", "L" or "U"; "P" of none."""
    return max(evidence, key=list(EVIDENCE).index, default="P")


def _names(values: Sequence[Drawn]) -> str:
    names = [f"{each.layer}/{each.learnable}" for each in values]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _parallel(network: BaseNetwork, names: Collection[str]) -> set[str]:
    """Return those of some layers that run beside another of them, so that connections do not tell their order."""
    bits = {name: 1 << place for place, name in enumerate(names)}
    before: dict[str, int] = {}
    for layer in network.order:
        sources = [connection.source for connection in network.incoming[layer.name]]
        before[layer.name] = reduce(or_, (before[name] | bits.get(name, 0) for name in sources), 0)
    after = {name: sum(bit for other, bit in bits.items() if before[other] & bits[name]) for name in bits}
    return {name for name, bit in bits.items() if before[name] | after[name] | bit != (1 << len(bits)) - 1}


def _missing(layer: Layer) -> list[str]:
    """Return the learnables without values, in the order in which MATLAB draws them."""
    order = {name: place for place, name in enumerate(layer.row.learnables)}
    names = [name for name, each in layer.learnables.items() if each.array.size == 0]
    return sorted(names, key=lambda name: order.get(name, len(order)))


def _missing_states(layer: Layer) -> Iterator[tuple[str, str | float]]:
    for name, row in layer.row.state.items():
        if row.initializer is not None and name not in layer.state:
            yield name, row.initializer


def _initialized(
    layer: Layer, given: Sequence[Activation], values: Sequence[str], states: Sequence[str], stream: MatlabStream
) -> Layer:
    learnables, state = dict(layer.learnables), dict(layer.state)
    for name in values:
        learnables[name] = replace(learnables[name], array=_array(layer, name, given, stream))
    for name in states:
        state[name] = _array(layer, name, given, stream)
    return replace(
        layer, learnables=learnables, state=state, properties={**layer.properties, **_told_by_input(layer, given)}
    )


def _array(layer: Layer, name: str, given: Sequence[Activation], stream: MatlabStream) -> Array:
    how, shape = initializer_of(layer, name), shape_of(layer, name, given)
    if isinstance(how, float):
        return Array.of(np.full(shape or (1, 1), how, np.float32))
    if how is None or shape is None:
        cause = "its size cannot be told" if how else "no initializer is known for it"
        raise UsageError(
            f"{name} of layer '{layer.name}' ({layer.kind}) cannot be initialised",
            cause,
            f"give it values: {name}=array",
        )
    made = INITIALIZERS[how](stream, target_of(layer, name, shape))
    return Array.of(np.ascontiguousarray(made, np.float32))


def initializer_of(layer: Layer, name: str) -> str | float | None:
    """Return the name of an initializer of a learnable or statistic, a number for all of its values, or None."""
    row = layer.row.learnables.get(name) or layer.row.state.get(name)
    own = layer.learnables[name].initializer if name in layer.learnables else None
    how = own or (row.initializer if row else None)
    return initializer_name(how) if isinstance(how, str) else how


def _draw(layer: Layer, name: str, given: Sequence[Activation]) -> Drawn | None:
    """Return what is drawn for a learnable; None for one whose values are constant or cannot be made."""
    how, shape = initializer_of(layer, name), shape_of(layer, name, given)
    rows = table("random")["initializers"]
    if not isinstance(how, str) or shape is None or not rows[how]["draws"]:
        return None
    wide = how == "orthogonal" and shape[0] < math.prod(shape[1:])
    evidence = weakest((rows[how]["evidence"], _place(layer, name), "U" if wide else "P"))
    return Drawn(layer.name, name, shape, how, evidence)


def _place(layer: Layer, name: str) -> str:
    """Return the evidence that a learnable is drawn in its place, in one piece."""
    return str(table("random")["drawn"].get(layer.kind, {}).get(name, "U"))


def target_of(layer: Layer, name: str, shape: tuple[int, ...]) -> Target:
    """Tell the numbers of inputs and outputs of one weight matrix by the names of its axes.

    A convolution's filter size counts in both, a group by itself; where no axis is called an input, the last one is.
    """
    row = layer.row.learnables.get(name)
    axes = parse(row.matlab_axes) if row else ()
    if row is None or len(axes) != len(shape) or len(shape) < 2:
        return Target(shape, shape[-1], shape[0], layer.row.gates)
    field = math.prod(length for axis, length in zip(axes, shape, strict=True) if FIELD & {*axis})
    ends = {axis: length for axis, length in zip(axes, shape, strict=True) if not {*FIELD, "groups"} & {*axis}}
    inputs = ends.get(("in",), list(ends.values())[-1])
    return Target(shape, field * inputs, field * math.prod(ends.values()) // inputs, layer.row.gates)


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
