"""Loss and metrics over mini-batches, and over the processes that share them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bridge.training import distributed
from bridge.training.objective import Objective


class Means:
    """The loss and the metrics of an objective, each the mean over everything that was added."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._counts = [0.0] * (1 + len(objective.metrics))
        self._sums = list(self._counts)

    def add(self, predictions: Any, loss: Tensor, targets: Tensor) -> None:
        """Add a mini-batch with its loss."""
        metrics = self._objective.metrics
        predictions = predictions.detach() if isinstance(predictions, Tensor) else predictions
        self._add(0, loss.item(), self._objective.count(predictions, targets))
        for index, metric in enumerate(metrics, 1):
            self._add(index, *metric.measure(predictions, targets))

    def _add(self, index: int, mean: float, count: float) -> None:
        if count:  # the mean over nothing is NaN
            self._counts[index] += count
            self._sums[index] += mean * count

    def join(self, device: torch.device) -> float:
        """Add up what all processes have; return what this one's loss counts in the mean of their losses."""
        if distributed.count() == 1:
            return 1.0
        own, length = self._counts[0], len(self._counts)
        together = distributed.sums([*self._counts, *self._sums], device)
        self._counts, self._sums = together[:length], together[length:]
        return distributed.count() * own / self._counts[0] if self._counts[0] else 1.0

    def named(self, prefix: str) -> dict[str, float]:
        """Return the means under their names in the log: "TrainingLoss", "TrainingAccuracy"."""
        means = [total / count if count else math.nan for total, count in zip(self._sums, self._counts, strict=True)]
        found = {f"{prefix}Loss": means[0]}
        for metric, mean in zip(self._objective.metrics, means[1:], strict=True):
            found[f"{prefix}{metric.name}"] = metric.finish(mean)
        return found
