"""How often which class was predicted as which."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import printable


@dataclass(frozen=True)
class ClassResult:
    """One class: how many observations have it, and how often it was found (recall) and rightly so (precision).

    A part of nothing is None.
    """

    name: str
    observations: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, as MATLAB's `confusionmat` gives it.

    Attributes:
        classes: the names, in the network's order.
        counts: classes x classes numbers: the true class by row, the predicted one by column.
    """

    classes: tuple[str, ...]
    counts: NDArray

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], classes: Sequence[str]) -> Confusion:
        """Count pairs of a true and a predicted class, both among `classes`."""
        index = {name: number for number, name in enumerate(classes)}
        counts = np.zeros((len(index), len(index)), np.int64)
        for true, predicted in pairs:
            counts[index[true], index[predicted]] += 1
        return cls(tuple(classes), counts)

    @property
    def observations(self) -> int:
        return int(self.counts.sum())

    @property
    def right(self) -> int:
        return int(np.trace(self.counts))

    @property
    def accuracy(self) -> float:
        """The part of the observations whose class was predicted."""
        return self.right / self.observations

    @property
    def by_class(self) -> tuple[ClassResult, ...]:
        """Every class, in order."""
        hits, true, predicted = np.diag(self.counts), self.counts.sum(1), self.counts.sum(0)
        return tuple(
            ClassResult(name, int(n), hit / n if n else None, hit / m if m else None)
            for name, hit, n, m in zip(self.classes, hits.tolist(), true.tolist(), predicted.tolist(), strict=True)
        )

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "observations": self.observations,
            "accuracy": self.accuracy,
            "classes": [
                {
                    "name": each.name,
                    "observations": each.observations,
                    "recall": each.recall,
                    "precision": each.precision,
                }
                for each in self.by_class
            ],
            "confusion": self.counts.tolist(),
        }

    def csv(self) -> str:
        """Return the matrix as CSV, a line for each true class."""
        return csv_text(
            [
                ["true \\ predicted", *self.classes],
                *([name, *row] for name, row in zip(self.classes, self.counts.tolist(), strict=True)),
            ]
        )

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:.2%}, {self.right} of {self.observations}"


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV that a spreadsheet reads and does not run: a text that begins as a formula gets a quote."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _inert(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
