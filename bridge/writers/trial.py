"""A test input of a network and what its torch module makes of it, in MATLAB's layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.network.blame import interpreting
from bridge.network.contract import contracts
from bridge.network.tensors import given_sizes
from bridge.writers.state import Modules

if TYPE_CHECKING:
    from torch import fx

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


def run(network: Network, modules: Modules | None = None) -> Trial:
    """Run a network on one seeded observation, each layer's module built when its turn comes and gone after it.

    Raises:
        UnsupportedError: a module cannot be built.
    """
    import torch

    given = [torch.from_numpy(each) for each in observations(network)]
    with torch.no_grad():
        found = layer_by_layer(network, modules or {}).run(*given)
    results = found if isinstance(found, tuple) else (found,)
    entries = [(name, network.sizes[name][0]) for name in network.inputs]
    exits = [(name, network.size_of(name)) for name in network.outputs]
    return Trial(
        tuple(
            Sample(name, size.format, matlab_layout(each.numpy(), size))
            for (name, size), each in zip(entries, given, strict=True)
        ),
        tuple(
            Sample(name, size.format, matlab_layout(each.numpy(), size))
            for (name, size), each in zip(exits, results, strict=True)
        ),
    )


def layer_by_layer(network: Network, modules: Modules) -> fx.Interpreter:
    """Return what runs a network as its module does, with the weights of one layer at a time in memory."""
    from torch import fx, nn

    from bridge.modules.build import build_layer, module_names
    from bridge.modules.graph import graph_of, works_on_images

    names = module_names(layer.name for layer in network.layers)
    layers = {names[layer.name]: layer for layer in network.layers if not layer.row.is_output}
    graph = graph_of(network, {layer.name for layer in layers.values()}, names)

    class Runner(fx.Interpreter):
        def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            layer = layers[target]
            given = given_sizes(network, layer)
            given = [at.at_one_time() for at in given] if works_on_images(layer, given) else given
            return build_layer(layer, given, modules).eval()(*args)

    return Runner(fx.GraphModule({name: nn.Identity() for name in layers}, graph))


def observations(network: Network, steps: int = STEPS) -> Iterator[NDArray]:
    """Yield one seeded observation of each input in torch's layout.

    It is uniform over the range that the input's statistics imply, 0..1 where they imply none; words are whole numbers.
    """
    rng = np.random.default_rng(SEED)
    for contract in contracts(network):
        layer, size = network.layers[contract.name], network.sizes[contract.name][0]
        channels, *spatial = [n or UNKNOWN for n in (size.channels, *size.spatial)]
        low, high = (
            (contract.low, contract.high) if contract.low is not None and contract.high is not None else (0.0, 1.0)
        )
        with interpreting(layer):
            time = [max(steps, int(layer.properties.get("MinLength", 1)))] if size.over_time else []
            shape = (1, *time, channels, *spatial)
            words = _vocabulary(network, contract.name)
            drawn = rng.integers(1, words + 1, shape) if words else rng.uniform(low, high, shape)
        yield drawn.astype(np.float32)


def _vocabulary(network: Network, entry: str) -> int:
    """Return how many words the embedding behind an input knows, 0 where there is none."""
    readers = [network.layers[c.destination] for c in network.connections if c.source == entry]
    return next((int(layer.properties["NumWords"]) for layer in readers if layer.row.build == "word_embedding"), 0)


def matlab_layout(value: NDArray, size: Activation) -> NDArray:
    """Turn N,C,..., N,T,C,... or N,C (of images of 1 x 1 pixels) into the order of MATLAB's format: space, C, N, T."""
    time = 1 if size.over_time else 0
    full = value.reshape(*value.shape[: 2 + time], *(value.shape[2 + time :] or (1,) * len(size.spatial)))
    order = (*range(2 + time, full.ndim), 1 + time, 0, *range(1, 1 + time))
    return full.transpose(order)
