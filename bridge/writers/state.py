"""The state dict of a network's torch module, array by array, without the module in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError
from bridge.network import Layer, Network
from bridge.network.tensors import given_sizes, tensors

if TYPE_CHECKING:
    from torch import nn

Modules = Mapping[str, Callable[[Layer], "nn.Module"]]


@dataclass(frozen=True)
class Part:
    """The module of one layer.

    Attributes:
        layer: what it is built from.
        module: on the meta device, unless it is the user's own; layers that are alike share it.
        arrays: its state dict, unread and in single precision.
        own: whether the module is the user's own.
    """

    layer: Layer
    module: nn.Module
    arrays: Mapping[str, Array]
    own: bool = False


def parts(network: Network, modules: Modules | None = None) -> Iterator[Part]:
    """Yield the module of every layer that has one, in run order.

    Raises:
        UnsupportedError: every layer that cannot be built, with its reason.
    """
    from bridge.modules.build import build_layer, joined, own_module, unfilled
    from bridge.modules.graph import works_on_images

    problems = []
    alike: dict[str, nn.Module] = {}  # a deep network has few different layers
    for layer in network.order:
        if layer.row.is_output:
            continue
        given = given_sizes(network, layer)
        given = [at.at_one_time() for at in given] if works_on_images(layer, given) else given
        own = own_module(layer, modules or {}) is not None
        try:
            if own:
                module = build_layer(layer, given, modules or {})
                arrays = {key: Array.of(value.numpy()) for key, value in module.state_dict().items()}
            else:
                key = (
                    f"{layer.kind} {layer.properties} {given} {[each.shape for each in layer.learnables.values()]} "
                    f"{[*layer.state]}"
                )
                module = alike[key] = alike[key] if key in alike else unfilled(layer, given)
                arrays = dict(_arrays(network, layer, module))
        except UnsupportedError as error:
            problems.append(error)
            continue
        yield Part(layer, module, arrays, own)
    if problems:
        raise joined(problems, network)


def _arrays(network: Network, layer: Layer, module: nn.Module) -> Iterator[tuple[str, Array]]:
    """Yield what the module's state dict holds once it is filled; zeros where MATLAB has no values."""
    held = {each.local: each.array for each in tensors(layer, given_sizes(network, layer))}
    for local, tensor in module.state_dict().items():
        if local in held:
            yield local, as_single(held[local])
        else:
            yield (
                local,
                Array.of(np.zeros(tuple(tensor.shape), np.int64 if local == "num_batches_tracked" else np.float32)),
            )


def as_single(array: Array) -> Array:
    """Return an array whose elements are single precision, as MATLAB and torch compute, and in C order."""
    return Array(array.shape, np.dtype(np.float32), lambda: np.ascontiguousarray(array.read(), np.float32), array.shape)
