"""Values for a network that was built here, from a file of MATLAB's or from torchvision's model of the
same structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError, UsageError, nearest
from bridge.network import Layer, Network
from bridge.network.activations import Activation
from bridge.network.initialize import shape_of
from bridge.network.tensors import given_sizes, with_tensors
from bridge.network.tensors import tensors as layer_tensors
from bridge.networks.graph import Classes
from bridge.readers import load
from bridge.tables.pretrained import Entry

# What torchvision's transforms subtract and divide by, for pixels of 0 to 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOLD = (
    "InputSize",
    "Normalization",
    "NormalizationDimension",
    "NumChannels",
    "NumChannelsPerGroup",
)  # what a file adds to a layer


def with_file(make: Callable[[Classes], Network], path: str | Path) -> Network:
    """Return a network with the values of a file of the same network.

    Args:
        make: makes the network for the classes of the file.
        path: a .mat, .onnx or saved folder.

    Raises:
        UsageError: a layer with learnables is missing in the file, or has another size; the first one is named.
    """
    source = load(path)
    end = source.head().layer
    network = make(source.classes or int(end.properties.get("OutputSize", end.properties.get("NumFilters"))))
    changed = {
        layer.name: _filled(network, layer, source)
        for layer in network.layers
        if layer.row.learnables or layer.row.state
    }
    known = {layer.name for layer in network.layers if layer.learnables}
    strange = next((layer.name for layer in source.layers if layer.learnables and layer.name not in known), None)
    if strange is not None:
        raise UsageError(
            f"{path} is another network: its layer '{strange}' is none of this one's", nearest(strange, known)
        )
    filled = sum(len(layer.learnables) for layer in changed.values())
    note = f"values of {path}: {filled} of {filled} learnables matched by layer name and size"
    return replace(network.with_layers(changed), classes=source.classes or network.classes, notes=(note,))


def _filled(network: Network, layer: Layer, source: Network) -> Layer:
    if not source.layers.has(layer.name):
        if not layer.learnables:
            return layer
        names = (each.name for each in source.layers if each.learnables)
        raise UsageError(
            f"{source.source.path} is another network: it has no layer '{layer.name}'", nearest(layer.name, names)
        )
    given, theirs = given_sizes(network, layer), source.layers[layer.name]
    learnables = {}
    for name, learnable in layer.learnables.items():
        shape, found = shape_of(layer, name, given), theirs.learnables.get(name)
        if found is None or shape is None or _squeezed(found.shape) != _squeezed(shape):
            size = "missing" if found is None else _by(found.shape)
            hint = "build with the file's own number of classes, then net.with_classes([...])"
            raise UsageError(
                f"{name} of layer '{layer.name}' is {size} in {source.source.path}",
                f"here its size is {_by(shape or ())}",
                hint,
            )
        learnables[name] = replace(learnable, array=found.array, initializer=found.initializer)
    told = {key: theirs.properties[key] for key in TOLD if key in theirs.properties}
    return replace(layer, learnables=learnables, state=dict(theirs.state), properties={**layer.properties, **told})


def with_state_dict(network: Network, state: Mapping[str, Any], entry: Entry) -> Network:
    """Return a network with the values of torchvision's or timm's model, whose parameters come in the order of MATLAB's
    layers.

    The input layer normalises pixels of 0 to 255 as torchvision's transforms do those of 0 to 1.

    Raises:
        UnsupportedError: torchvision's model has another structure; the entry says how they differ.
        UsageError: the state dict is of another model; the first parameter that does not fit is named.
    """
    if not entry.same_as_torchvision:
        model = f"torchvision's {entry.torchvision}" if entry.torchvision else "any model of torchvision"
        differences = "; ".join(entry.differences) or "torchvision has no such network"
        raise UnsupportedError(
            f"{entry.name} is not {model}", differences, f"in MATLAB: net = {entry.call}; save('net.mat', 'net')"
        )
    network, tensors = network.initialize(), dict(state)
    layers = [layer for layer in network.layers if layer.learnables]
    if len(tensors) != 2 * len(layers):
        hint = f"pass torchvision.models.{entry.torchvision}().state_dict()"
        raise UsageError(
            f"the state dict holds {len(tensors)} tensors", f"{entry.torchvision} has {2 * len(layers)}", hint
        )
    changed, pairs = {}, iter(tensors.items())
    for layer in layers:
        (weight, w), (bias, b) = next(pairs), next(pairs)
        given = given_sizes(network, layer)
        expected = {each: array.shape for each, array in _expected(layer, given)}
        # timm writes vgg's fully connected layers as convolutions over the whole image
        values = {"weight": _array(w.flatten(1) if len(expected["weight"]) == 2 else w), "bias": _array(b)}
        found = {each: array.shape for each, array in values.items()}
        if found != expected:
            hint = f"pass the state dict of {entry.torchvision}, with as many classes"
            raise UsageError(
                f"{weight} and {bias} do not fit layer '{layer.name}'",
                f"their sizes are {found}, it takes {expected}",
                hint,
            )
        changed[layer.name] = with_tensors(layer, given, values)
    name = network.inputs[0]
    statistics = {"Mean": _per_channel(MEAN), "StandardDeviation": _per_channel(DEVIATION)}
    entrance = network.layers[name]
    changed[name] = replace(entrance, properties={**entrance.properties, "Normalization": "zscore"}, state=statistics)
    notes = (
        f"values of a state dict of {entry.torchvision}: {2 * len(layers)} of {2 * len(layers)} learnables matched by "
        "order and size",
        f"'{name}' normalises as torchvision's transforms do ('zscore'), not as MATLAB's {entry.name} "
        f"('{entry.normalization}')",
    )
    return replace(network.with_layers(changed), notes=notes)


def _expected(layer: Layer, given: Sequence[Activation]) -> Iterator[tuple[str, Array]]:
    return ((each.local, each.array) for each in layer_tensors(layer, given))


def _per_channel(values: Sequence[float]) -> Array:
    """Statistics of pixels of 0 to 255, from those of pixels of 0 to 1."""
    return Array.of(255 * np.array(values, np.float32).reshape(1, 1, -1))


def _array(value: Any) -> Array:
    """Copy a tensor of a state dict."""
    return Array.of(np.array(value.detach().cpu().float().numpy()))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A size without its ones: dlnetworks and older files put them elsewhere around vectors."""
    return tuple(n for n in shape if n != 1)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
