"""Bring trained weights back: torch module -> Network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bridge.arrays.lazy import Array
from bridge.errors import UsageError, nearest
from bridge.modules.factors import layer_of
from bridge.network import JOINED, Network
from bridge.network.tensors import given_sizes, with_tensors


def with_weights(network: Network, module: nn.Module) -> Network:
    """Return `network` with the learnables and statistics of a trained module, from whatever loop trained it.

    The module may be nested in a bigger one, compiled, wrapped for DDP, deep-copied, or loaded with assign=True:
    each of its layers knows which MATLAB layer it is. Factors stay the network's.

    Raises:
        UsageError: it is no module; or it holds no layer of this network, or not all with learnables, or one twice.
        UnreadableError: a tensor has another shape than the network's.
    """
    if not isinstance(module, nn.Module):
        given = "a state dict" if isinstance(module, Mapping) else f"a {type(module).__name__}"
        raise UsageError(
            f"with_weights is given {given}",
            "it takes the torch module that was trained, whose layers know which MATLAB layers they are",
            "model = net.to_torch(); model.load_state_dict(state); net = net.with_weights(model)",
        )
    found: dict[str, nn.Module] = {}
    for name, part in layer_modules(module):
        if not network.layers.has(name):
            raise UsageError(
                f"the module has a layer '{name}', the network has not",
                nearest(name, (layer.name for layer in network.layers)),
            )
        if name in found and found[name] is not part:
            raise UsageError(
                f"the module holds layer '{name}' twice",
                "it contains two copies of the network",
                "pass the one that was trained",
            )
        found[name] = part
    missing = [layer.name for layer in network.layers if layer.learnables and layer.name not in found]
    if missing:
        raise UsageError(
            f"the module has no layer '{missing[0]}'",
            f"{len(missing)} layer(s) with learnables are missing",
            "pass the module of net.to_torch()",
        )
    changed = {}
    for layer in network.layers:
        if layer.name in found:
            tensors = {**dict(found[layer.name].named_parameters()), **dict(found[layer.name].named_buffers())}
            changed[layer.name] = with_tensors(
                layer, given_sizes(network, layer), {key: as_array(value) for key, value in tensors.items()}
            )
    return replace(network.with_layers(changed), source=replace(network.source, values={}), notes=_notes(network))


def _notes(network: Network) -> tuple[str, ...]:
    """What was proven of the weights that were read is not said of those that took their place."""
    kept = [note for note in network.notes if not note.startswith(JOINED) and note != CHANGED]
    return (*kept, CHANGED)


CHANGED = "the weights are those of a module, no longer the ones that were read"


def layer_modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (MATLAB layer name, module) of every part of `module` that a network was built into."""
    for part in module.modules():
        name = layer_of(part)
        if name is not None:
            yield name, part


def as_array(tensor: torch.Tensor) -> Array:
    """Copy a tensor into an array of its own, in its own precision (bfloat16 as single)."""
    value = tensor.detach().to("cpu")
    return Array.of(np.array((value.float() if value.dtype == torch.bfloat16 else value).numpy()))
