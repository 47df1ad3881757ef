"""What a report shows beyond numbers: the network, one layer's values on both sides, its learnables,
training curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bridge.arrays.lazy import NDArray
from bridge.network import Network
from bridge.parity.causes.learnables import differing
from bridge.parity.compare import Batch, Expected, Oracle, Subject, capture, places
from bridge.parity.differences import Comparison
from bridge.parity.oracles import axes_of


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a check keeps for its report.

    Attributes:
        network: what was checked, where it is a network.
        layer: the first diverging layer, or the worst one where all agree.
        ours, theirs: that layer's values in the batch that differs most, observations first, in torch's layout.
            `theirs` is NaN where a reference holds no sample. None where the values cannot be laid beside each other.
        axes: what the axes of `ours` are, a letter each: N observation, C channel, H, W, D space, S its only dimension,
            T time.
        learnables: (layer, learnable or statistic) -> how it differs; of those that differ.
        curves: of two training logs, name -> (ours, theirs), one value for each iteration.
        names: what the two logs are called.
    """

    network: Network | None = None
    layer: str = ""
    ours: NDArray | None = None
    theirs: NDArray | None = None
    axes: str = ""
    learnables: Mapping[tuple[str, str], str] = field(default_factory=dict)
    curves: Mapping[str, tuple[NDArray, NDArray]] = field(default_factory=dict)
    names: tuple[str, str] = ("", "")


def gather(subject: Subject, batches: Sequence[Batch], oracle: Oracle, found: Comparison) -> Evidence:
    """Run the batch that differs most once more, up to the layer that a report shows, and keep that layer alone.

    Args:
        subject, batches, oracle: of the comparison.
        found: what it found.
    """
    at = found.first_divergence or found.worst
    assert at is not None
    caught = capture(subject, batches[at.batch], oracle, at.layer)
    ours, theirs = _beside(caught.ours, caught.expected)
    learnables = {
        (layer, each.name): str(each) for layer in subject.layers for each in differing(subject, oracle, layer)
    }
    axes = axes_of(subject.network, at.layer, ours.ndim) if ours is not None else ""
    return Evidence(subject.network, at.layer, ours if axes else None, theirs if axes else None, axes, learnables)


def _beside(ours: Tensor | None, expected: Expected | None) -> tuple[NDArray | None, NDArray | None]:
    """Return both sides as arrays in torch's layout.

    A reference of samples pairs only some values, in MATLAB's order; what does not come out at its place (class labels,
    say) cannot be shown.
    """
    if ours is None or expected is None:
        return None, None
    pair, flat = expected(ours), ours.reshape(-1)
    if pair.size or pair.ours.numel() == pair.theirs.numel() == 0:
        return _array(ours), None
    if pair.ours.numel() != pair.theirs.numel():
        return _array(ours), _array(pair.theirs)
    at = places(expected, ours)
    if not torch.equal(flat[at], pair.ours.reshape(-1)):
        return None, None
    theirs = torch.full(flat.shape, torch.nan, dtype=torch.float64)
    theirs[at.cpu()] = pair.theirs.reshape(-1).to("cpu", torch.float64)
    return _array(ours), _array(theirs.view(ours.shape))


def _array(values: Tensor) -> NDArray:
    return np.asarray(values.detach().cpu().numpy(), np.float64)
