"""Between a layer's arrays in MATLAB's layout and the tensors of its torch module, without torch.

One place knows how a learnable or statistic is named, turned and split on the torch side. The torch builder, the
folder writer and reader, and `Network.with_weights` all go through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bridge.arrays.axes import Turn
from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError
from bridge.network.activations import Activation
from bridge.network.base import BaseNetwork
from bridge.network.layer import Layer
from bridge.tables.rows import LearnableRow, StateRow


@dataclass(frozen=True)
class Tensor:
    """One tensor of a torch module.

    Attributes:
        local: its name in the module ("weight").
        name: MATLAB's name of the learnable or statistic it comes from.
        array: in torch's layout.
        learnable: False for a statistic.
    """

    local: str
    name: str
    array: Array
    learnable: bool


def given_sizes(network: BaseNetwork, layer: Layer) -> list[Activation]:
    """Return the activations at a layer's inputs."""
    sizes = network.sizes  # which also sees that every input is connected
    return [
        sizes[c.source][network.layers[c.source].outputs.index(c.source_port)] for c in network.incoming[layer.name]
    ]


def tensors(layer: Layer, given: Sequence[Activation]) -> Iterator[Tensor]:
    """Yield the tensors of a layer's module that hold its learnables and statistics, still unread.

    Raises:
        UnreadableError: an array does not fit its pattern.
    """
    sizes = axis_sizes(given)
    for name, learnable in layer.learnables.items():
        row = layer.row.learnables.get(name)
        if row is None:
            yield Tensor(name, name, learnable.array, True)
            continue
        turned = _turn(learnable.array, Turn(row.matlab_axes, row.torch_axes), sizes, layer, name)
        names = torch_names(layer, row)
        rows = turned.shape[0] // len(names)
        for index, local in enumerate(names):
            yield Tensor(
                local, name, turned if len(names) == 1 else turned.rows(index * rows, (index + 1) * rows), True
            )
    for name, array in layer.state.items():
        state = layer.row.state.get(name)
        if state is None:
            yield Tensor(name, name, array, False)
        elif "normalizes" in layer.row.traits:
            yield Tensor(state.torch, name, statistic(array, layer, name), False)
        else:
            yield Tensor(
                state.torch, name, _turn(array, Turn(state.matlab_axes, state.torch_axes), sizes, layer, name), False
            )


def torch_names(layer: Layer, row: LearnableRow) -> tuple[str, ...]:
    """Return the torch parameters a learnable becomes: two for both directions of a BiLSTM or both biases of a GRU."""
    split = all(layer.properties.get(name) == value for name, value in row.split_when.items())
    return row.torch if split else row.torch[:1]


def with_tensors(layer: Layer, given: Sequence[Activation], values: Mapping[str, Array]) -> Layer:
    """Return the layer with the arrays of its module's tensors `values` (by local name), turned back to MATLAB's
    layout.

    Names that are missing keep their arrays.

    Raises:
        UnreadableError: a tensor's shape is not the one the layer has.
    """
    sizes = axis_sizes(given)
    learnables, state = dict(layer.learnables), dict(layer.state)
    for name, learnable in layer.learnables.items():
        row = layer.row.learnables.get(name)
        names = torch_names(layer, row) if row else (name,)
        if all(local in values for local in names):
            parts = [values[local] for local in names]
            array = parts[0] if len(parts) == 1 else joined_rows(parts)
            learnables[name] = replace(learnable, array=_turn_back(array, row, learnable.array, sizes, layer, name))
    for name, old in layer.state.items():
        known = layer.row.state.get(name)
        local = known.torch if known else name
        if local in values and "normalizes" in layer.row.traits:
            state[name] = _statistic_back(values[local], old, layer, name)
        elif local in values:
            state[name] = _turn_back(values[local], known, old, sizes, layer, name)
    return replace(layer, learnables=learnables, state=state)


def joined_rows(parts: Sequence[Array]) -> Array:
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    return Array(shape, parts[0].dtype, lambda: np.concatenate([part.read() for part in parts]), shape)


def axis_sizes(given: Sequence[Activation]) -> dict[str, int]:
    """Lengths that a weight's own shape does not tell: height, width and depth before a flattening."""
    spatial = [n or 1 for n in given[0].spatial] if given else []
    return dict(zip("hwd", [*spatial, 1, 1, 1], strict=False))


def statistic(array: Array, layer: Layer, name: str) -> Array:
    """Turn an input statistic ([H W C], [1 1 C], [H W], [C 1] or scalar) so that it broadcasts over
    N,C,H,W or N,T,C.
    """
    size = layer.properties["InputSize"]
    size = tuple(size) if isinstance(size, tuple) else (size,)
    spatial, channels = len(size) - 1, size[-1]
    if array.size == 1:
        return array.reshape((1,) * (spatial + 1))
    if array.size == channels and (spatial == 0 or len(array.shape) <= 2 or array.shape[-1] == channels):
        return array.reshape((channels, *(1,) * spatial))
    if len(array.shape) == spatial:
        array = array.reshape((*array.shape, 1))
    if len(array.shape) != spatial + 1 or array.shape != size:
        raise UnreadableError(
            f"{name} of layer '{layer.name}' has size {array.shape}", f"the input is {size}", "export the network again"
        )
    return array.transpose((spatial, *range(spatial)))


def _statistic_back(array: Array, old: Array, layer: Layer, name: str) -> Array:
    _require_shape(array, statistic(old, layer, name).shape, layer, name)
    if len(array.shape) > 1 and array.size > 1:
        array = array.transpose((*range(1, len(array.shape)), 0))
    return array.reshape(old.shape)


def _require_shape(array: Array, shape: tuple[int, ...], layer: Layer, name: str) -> None:
    if array.shape != shape:
        raise UnreadableError(
            f"{name} of layer '{layer.name}' has the shape {array.shape} where {shape} belongs",
            "it is of another network",
        )


def _turn(array: Array, turn: Turn, sizes: Mapping[str, int], layer: Layer, name: str) -> Array:
    try:
        turned: Array = turn(array, sizes)
    except ValueError as error:
        raise UnreadableError(
            f"{name} of layer '{layer.name}' ({layer.kind}) does not fit: {error}",
            "the file is damaged or of an unknown form",
        ) from error
    return turned


def _turn_back(
    array: Array, row: LearnableRow | StateRow | None, old: Array, sizes: Mapping[str, int], layer: Layer, name: str
) -> Array:
    if row is None:
        _require_shape(array, old.shape, layer, name)
        return array
    _require_shape(array, _turn(old, Turn(row.matlab_axes, row.torch_axes), sizes, layer, name).shape, layer, name)
    names = row.matlab_axes.split()
    groups = {"groups": old.shape[names.index("groups")]} if "groups" in names else {}
    return _turn(array, Turn(row.torch_axes, row.matlab_axes), {**sizes, **groups}, layer, name).reshape(old.shape)
