"""A test input of a network and what its torch module makes of it, in MATLAB's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.arrays import NDArray
from bridge.contract import contracts
from bridge.network import Layer, Network
from bridge.sizes import Activation

if TYPE_CHECKING:
    from torch import nn

SEED = 0
STEPS = 7  # of a sequence, unless its layer wants more
UNKNOWN = 8  # a length that an .onnx leaves free


@dataclass(frozen=True)
class Sample:
    """One observation at an input or output.

    Attributes:
        name: the input layer, or "layer" or "layer/port" of an output.
        format: of a dlarray: "SSCB", "CB", "CBT", ...
        value: in the order of the format, single precision.
    """

    name: str
    format: str
    value: NDArray


@dataclass(frozen=True)
class Trial:
    """Inputs and outputs in the order of the network's own."""

    inputs: tuple[Sample, ...]
    outputs: tuple[Sample, ...]


def run(network: Network, modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None) -> Trial:
    """Run the torch module of a network on one seeded observation.

    Raises:
        UnsupportedError: the module cannot be built.
    """
    import torch

    given = [torch.from_numpy(each) for each in observations(network)]
    with torch.no_grad():
        found = network.to_torch(modules=modules)(*given)
    results = found if isinstance(found, tuple) else (found,)
    entries = [(name, network.sizes[name][0]) for name in network.inputs]
    exits = [(name, _size_of(network, name)) for name in network.outputs]
    return Trial(
        tuple(Sample(name, size.format, matlab_layout(each.numpy(), size)) for (name, size), each in zip(entries, given, strict=True)),
        tuple(Sample(name, size.format, matlab_layout(each.numpy(), size)) for (name, size), each in zip(exits, results, strict=True)),
    )


def observations(network: Network) -> Iterator[NDArray]:
    """Yield one seeded observation of each input in torch's layout.

    It is uniform over the range that the input's statistics imply, 0..1 where they imply none; words are whole numbers.
    """
    rng = np.random.default_rng(SEED)
    for contract in contracts(network):
        layer, size = network.layers[contract.name], network.sizes[contract.name][0]
        channels, *spatial = [n or UNKNOWN for n in (size.channels, *size.spatial)]
        steps = [max(STEPS, int(layer.properties.get("MinLength", 1)))] if size.over_time else []
        shape = (1, *steps, channels, *spatial)
        words = _vocabulary(network, contract.name)
        low, high = (contract.low, contract.high) if contract.low is not None and contract.high is not None else (0.0, 1.0)
        yield (rng.integers(1, words + 1, shape) if words else rng.uniform(low, high, shape)).astype(np.float32)


def _vocabulary(network: Network, entry: str) -> int:
    """Return how many words the embedding behind an input knows, 0 where there is none."""
    readers = [network.layers[c.destination] for c in network.connections if c.source == entry]
    return next((int(layer.properties["NumWords"]) for layer in readers if layer.row.build == "word_embedding"), 0)


def source_of(network: Network, output: str) -> tuple[str, str]:
    """Return the layer and the port that an output, "layer" or "layer/port", is read at; a name alone means the first port."""
    if network.layers.has(output):
        return output, network.layers[output].outputs[0]
    layer, _, port = output.rpartition("/")
    return layer, port


def _size_of(network: Network, output: str) -> Activation:
    layer, port = source_of(network, output)
    return network.sizes[layer][network.layers[layer].outputs.index(port)]


def matlab_layout(value: NDArray, size: Activation) -> NDArray:
    """Turn N,C,..., N,T,C,... or N,C (of images of 1 x 1 pixels) into the order of MATLAB's format: space, C, N, T."""
    time = 1 if size.over_time else 0
    full = value.reshape(*value.shape[: 2 + time], *(value.shape[2 + time :] or (1,) * len(size.spatial)))
    order = (*range(2 + time, full.ndim), 1 + time, 0, *range(1, 1 + time))
    return full.transpose(order)
