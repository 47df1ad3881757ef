"""How well a model predicts targets, and whether a known mistake in its input or its layers makes that worse than it
need be.

Targets are not what MATLAB computed: a network that was rightly brought over misses them by the error it was trained
to. But a mistake on the way shows: undoing it makes the error much smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bridge.parity.causes.diagnosis import Cause
from bridge.parity.causes.hypotheses import FAILURES, Hypothesis, of_layers, of_the_input
from bridge.parity.compare import OUTPUT, Batch, Subject, exactly, first
from bridge.parity.records import Values
from bridge.parity.references import Labels, Reference

MUCH = 2 / 3  # of the error that is left, from which on a hypothesis is believed
CHANCE = 3  # standard deviations, about, of a number of wrong classes: as many fewer are no chance
FEW_OBSERVATIONS, FEW_VALUES = 8, 10_000  # on which hypotheses are tried: at least so many


@dataclass(frozen=True)
class Fit:
    """The error against targets.

    Attributes:
        measure: "RMSE" over all responses, or "error rate", the share of observations with a wrong class.
        error: the error.
        observations: how many were predicted.
        targets: what they are called.
        cause: the known mistake without which the error is much smaller, or None.
        tried: how many were tried.
    """

    measure: str
    error: float
    observations: int
    targets: str
    cause: Cause | None
    tried: int

    @property
    def verdict(self) -> str:
        """One line."""
        found = f"{self.measure} {self.error:.2e} over {self.observations:,} targets"
        if self.cause is not None:
            return f"FAILED {found}"
        none = (
            f"none of {self.tried} known mistakes, undone, lowers it by a third"
            if self.tried
            else "too few observations to tell a mistake by"
        )
        return f"PASSED {found}; {none}"


def fit(subject: Subject, batches: Sequence[Batch], reference: Reference) -> Fit:
    """Predict the targets of a reference, and try the known mistakes where there are observations enough
    to tell one.
    """
    targets = reference.outputs[0]
    error, few = _error(subject, batches, targets), _few(batches)
    on_few = _error(subject, few, targets)
    tried = []
    for hypothesis in _hypotheses(subject, few) if reference.observations >= FEW_OBSERVATIONS else ():
        with suppress(*FAILURES):
            tried.append((_error(hypothesis.subject, few, targets), hypothesis))
    best, chosen = min(tried, key=lambda each: each[0], default=(on_few, None))
    cause = None
    if chosen is not None and best < MUCH * on_few:
        left = _error(chosen.subject, batches, targets)
        by_chance = CHANCE * math.sqrt(error / reference.observations) if isinstance(targets, Labels) else 0.0
        if left < min(MUCH * error, error - by_chance):
            measure = _measure(targets)
            cause = Cause(
                chosen.name, chosen.layer, f"the {measure} falls from {error:.2e} to {left:.2e} when {chosen.text}"
            )
    return Fit(_measure(targets), error, reference.observations, reference.name, cause, len(tried))


def _few(batches: Sequence[Batch]) -> list[Batch]:
    few: list[Batch] = []
    for batch in batches:
        observations, values = (sum(count(each.inputs[0]) for each in few) for count in (len, torch.numel))
        if observations >= FEW_OBSERVATIONS and values >= FEW_VALUES:
            break
        few.append(batch)
    return few


def _measure(targets: Values | Labels) -> str:
    return "error rate" if isinstance(targets, Labels) else "RMSE"


def _hypotheses(subject: Subject, batches: Sequence[Batch]) -> Iterator[Hypothesis]:
    """Yield what names a mistake; what only describes some other network is left out."""
    inputs: dict[str, tuple[Tensor, ...]] = {}
    with subject.watched(lambda layer, _, given, __: inputs.__setitem__(layer, given)) as run, exactly(subject.model):
        run(batches[0])
    suspects = [layer for layer in subject.layers if layer != OUTPUT]
    yield from of_the_input(subject, batches)
    yield from (
        each for each in of_layers(subject, batches, suspects, inputs) if each.rank == 0 and each.name != "activation"
    )


def _error(subject: Subject, batches: Sequence[Batch], targets: Values | Labels) -> float:
    total, count = 0.0, 0
    with subject.watched(lambda *_: None) as run, exactly(subject.model, *subject.replaced.values()):
        for batch in batches:
            ours = first(run(batch))
            part = slice(batch.start, batch.start + len(ours))
            if isinstance(targets, Labels):
                total += float((ours.flatten(1).argmax(1).cpu() != torch.from_numpy(targets.classes[part])).sum())
                count += len(ours)
                continue
            theirs = np.concatenate(targets[part]) if isinstance(targets, list) else targets[part]
            total += float(
                (ours.cpu().double() - torch.tensor(theirs, dtype=torch.float64).reshape(ours.shape)).square().sum()
            )
            count += ours.numel()
    return float(total / count if isinstance(targets, Labels) else np.sqrt(total / count))
