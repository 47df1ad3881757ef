"""ResetInputNormalization: the statistics of input layers, computed anew over all training data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays.lazy import Array, NDArray
from bridge.modules.normalization import STATISTICS, InputNormalization
from bridge.network import Layer, Network
from bridge.network.windows import numbers
from bridge.training.moments import Moments, axes_over


def with_places(network: Network) -> Network:
    """Return the network with zeros and ones for the statistics that input layers which were never trained lack.

    They have one value a channel: what NormalizationDimension 'auto' means when the statistics are computed in training
    (documented).
    """
    changed = {}
    for name in network.inputs:
        layer = network.layers[name]
        missing = [
            each
            for each in STATISTICS.get(str(layer.properties.get("Normalization", "none")), ())
            if each not in layer.state
        ]
        if missing:
            state = {each: Array.of(_place(layer, each)) for each in missing}
            changed[name] = replace(layer, state={**layer.state, **state})
    return network.with_layers(changed) if changed else network


def _place(layer: Layer, statistic: str) -> NDArray:
    size = numbers(layer.properties["InputSize"], 1)
    dimension = layer.properties.get("NormalizationDimension", "auto")
    shape = (
        size
        if dimension == "element"
        else (1,) * len(size)
        if dimension == "all"
        else (*(1,) * (len(size) - 1), size[-1])
    )
    return np.full(shape, 1 if statistic in ("StandardDeviation", "Max") else 0, np.float32)


def reset_input_normalization(model: fx.GraphModule, batches: Iterable[tuple[Tensor, ...]], divisor: str = "N") -> None:
    """Compute the statistics of every input layer over all data.

    One value for each channel or for each element, as the layer has them.

    Args:
        model: a module of `Network.to_torch()`.
        batches: the inputs, all of the training data; sequences without padding.
        divisor: of a standard deviation, "N" or "N-1" (the switch `zscore_divisor`, unconfirmed).
    """
    found = list(_input_layers(model))
    collected = [_Statistics(module) for _, module in found]
    for inputs in batches if found else ():
        for (position, _), statistics in zip(found, collected, strict=True):
            statistics.add(inputs[position])
    for statistics in collected:
        statistics.store(int(divisor == "N-1"))


def _input_layers(model: fx.GraphModule) -> Iterator[tuple[int, InputNormalization]]:
    """Yield (position among the inputs, module) of each input layer that normalises."""
    entries = [node for node in model.graph.nodes if node.op == "placeholder"]
    for node in model.graph.nodes:
        module: nn.Module | None = model.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, InputNormalization) and STATISTICS[module.kind]:
            yield entries.index(node.args[0]), module


class _Statistics:
    """The statistics of one input layer, in the making."""

    def __init__(self, module: InputNormalization) -> None:
        self._buffers = dict(module.named_buffers())
        shape = next(iter(self._buffers.values())).shape
        self._moments = Moments(shape) if "mean" in self._buffers else None
        self._least, self._greatest = torch.full(shape, torch.inf), torch.full(shape, -torch.inf)

    def add(self, x: Tensor) -> None:
        if self._moments is not None:
            self._moments.add(x)
            return
        over, shape = axes_over(x, self._least.shape), self._least.shape
        self._least = torch.minimum(self._least, x.amin(over, keepdim=True).reshape(shape).cpu())
        self._greatest = torch.maximum(self._greatest, x.amax(over, keepdim=True).reshape(shape).cpu())

    def store(self, less: int) -> None:
        if self._moments is not None:
            values = {"mean": self._moments.mean, "std": self._moments.variance(less).sqrt()}
        else:
            values = {"min": self._least, "max": self._greatest}
        for name, buffer in self._buffers.items():
            buffer.copy_(values[name])
