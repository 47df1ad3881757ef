"""Which learnables and statistics of a layer are not the oracle's, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from bridge.arrays.lazy import Array, NDArray
from bridge.modules.normalization import STATISTICS, InputNormalization
from bridge.modules.weights import as_array
from bridge.network import Layer, Network
from bridge.network.tensors import given_sizes, statistic, tensors, with_tensors
from bridge.parity.causes.changes import changed
from bridge.parity.causes.variants import rewired
from bridge.parity.compare import Oracle, Subject
from bridge.parity.oracles import Recording
from bridge.parity.records import Record
from bridge.readers.join import mangled

SUMS_TO = 1e-9  # two double-precision sums over the same single-precision values, in another order, differ by far less


@dataclass(frozen=True)
class LearnableDifference:
    """A learnable or statistic of a layer that is not the oracle's.

    Attributes:
        name: MATLAB's.
        max_abs: the largest difference that was seen.
        differing, elements: how many of the compared values differ, of how many.
        theirs: the oracle's tensors by the name of the module's, in torch's layout; empty where only samples are known.
        seen: "" or in what it was seen, where no compared value differs.
    """

    name: str
    max_abs: float
    differing: int
    elements: int
    theirs: Mapping[str, NDArray]
    seen: str = ""

    def __str__(self) -> str:
        if self.seen:
            return f"by {self.max_abs:.1e} in their {self.seen}, and in none of {self.elements:,} samples"
        return f"by up to {self.max_abs:.1e} in {self.differing:,} of {self.elements:,} values"


def differing(subject: Subject, oracle: Oracle, layer: str) -> list[LearnableDifference]:
    """Return the learnables and statistics of a layer that differ from the oracle's, as far as both are known."""
    network = subject.network
    if network is None or not network.layers.has(layer):
        return []
    known = network.layers[layer]
    held = {
        name: value
        for module in [subject.module(layer)]
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }
    current = with_tensors(known, given_sizes(network, known), {name: as_array(value) for name, value in held.items()})
    if isinstance(oracle, Recording):
        return list(_against_records(current, oracle, network))
    return list(_against_network(held, oracle.network, layer)) if oracle.network is not None else []


def _against_network(
    held: Mapping[str, torch.Tensor], other: Network | None, layer: str
) -> Iterator[LearnableDifference]:
    """Compare in torch's layout, where a fully connected layer and the convolution it is exported as have the same
    order.
    """
    assert other is not None
    theirs = next((each for each in other.layers if each.name == layer or mangled(each.name) == mangled(layer)), None)
    if theirs is None:
        return
    arrays: dict[str, dict[str, NDArray]] = {}
    for each in tensors(theirs, given_sizes(other, theirs)):
        arrays.setdefault(each.name, {})[each.local] = each.array.read().astype(np.float32)
    for name, parts in arrays.items():
        pairs = [(held[local].detach().cpu().numpy(), array) for local, array in parts.items() if local in held]
        if any(ours.size != array.size for ours, array in pairs):
            yield LearnableDifference(name, float("inf"), 0, 0, {}, "size")
        elif pairs:
            distance = np.concatenate([np.abs(ours.reshape(-1) - array.reshape(-1)) for ours, array in pairs])
            shaped = {local: array.reshape(tuple(held[local].shape)) for local, array in parts.items() if local in held}
            if distance.any():
                yield LearnableDifference(name, float(distance.max()), int((distance > 0).sum()), distance.size, shaped)


def _against_records(layer: Layer, oracle: Recording, network: Network) -> Iterator[LearnableDifference]:
    """Compare in MATLAB's layout and order, by samples and statistics."""
    values = {name: each.array for name, each in layer.learnables.items()} | dict(layer.state)
    for name, array in values.items():
        record = oracle.reference.parameters.get((layer.name, name))
        if record is None:
            continue
        ours = array.read().astype(np.float32).reshape(-1, order="F")
        if ours.size != record.elements:
            yield LearnableDifference(name, float("inf"), 0, 0, {}, "size")
            continue
        distance = np.abs(ours[record.index] - record.value)
        theirs = _in_torch(layer, name, record, network) if record.whole else {}
        if distance.any():
            yield LearnableDifference(name, float(distance.max()), int((distance > 0).sum()), distance.size, theirs)
            continue
        statistics = {"mean": (ours.mean(dtype=np.float64), record.mean), "extremes": (float(ours.min()), record.least)}
        for seen, (mine, its) in statistics.items():
            if abs(mine - its) > SUMS_TO * max(record.scale, 1e-30):
                yield LearnableDifference(name, float(abs(mine - its)), 0, distance.size, {}, seen)
                break


def _in_torch(layer: Layer, name: str, record: Record, network: Network) -> dict[str, NDArray]:
    shape = (layer.learnables[name].array if name in layer.learnables else layer.state[name]).shape
    array = Array.of(record.value.astype(np.float32).reshape(shape, order="F"))
    if name in layer.learnables:
        layer = replace(layer, learnables={**layer.learnables, name: replace(layer.learnables[name], array=array)})
    else:
        layer = replace(layer, state={**layer.state, name: array})
    return {each.local: each.array.read() for each in tensors(layer, given_sizes(network, layer)) if each.name == name}


def normalizations(subject: Subject, oracle: Oracle, layer: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield (text, module) for each normalization that an input layer could do with the statistics the reference holds
    of it.
    """
    network = subject.network
    if (
        not isinstance(oracle, Recording)
        or network is None
        or not network.layers.has(layer)
        or "normalizes" not in network.layers[layer].row.traits
    ):
        return
    known, records = network.layers[layer], oracle.reference.parameters
    for kind, names in STATISTICS.items():
        if not names or not all((layer, name) in records and records[layer, name].whole for name in names):
            continue
        made = InputNormalization(kind)
        for name in names:
            record = records[layer, name]
            array = Array.of(record.value.astype(np.float32).reshape(record.sizes[0], order="F"))
            made.register_buffer(
                known.row.state[name].torch, torch.from_numpy(np.array(statistic(array, known, name).read()))
            )
        yield f"the input is normalised by '{kind}' with the reference's {' and '.join(names)}", made


def with_theirs(module: nn.Module, differences: Sequence[LearnableDifference]) -> nn.Module:
    """Return a copy of a module with the oracle's values."""
    values = {
        name: torch.from_numpy(np.array(array, np.float32))
        for each in differences
        for name, array in each.theirs.items()
    }
    return rewired(module, values) if isinstance(module, nn.RNNBase) else changed(module, **values)
