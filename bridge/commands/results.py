"""What `bridge predict` writes beside pictures: a table of results, a confusion matrix as CSV and as a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from bridge.commands.terminal import passing
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.prediction import Prediction, Predictor
    from bridge.prediction.confusion import Confusion

BETWEEN = 0.2  # seconds between two signs of progress


@dataclass(frozen=True)
class Results:
    """The files to write, None for those that were not asked for.

    Attributes:
        predictor: what predicts; it knows the labels.
        table: a line for each input.
        matrix: the confusion matrix as CSV.
        page: the confusion matrix as a page.
        force: whether tables that are there are replaced.
    """

    predictor: Predictor
    table: Path | None
    matrix: Path | None
    page: Path | None
    force: bool

    @classmethod
    def of(
        cls, predictor: Predictor, output: Path | None, matrix: Path | None, page: Path | None, force: bool
    ) -> Results:
        """Check what is to be written before anything is predicted.

        Raises:
            UsageError: a file is there, the page is none, or no input has a label.
        """
        from bridge.pages import require_html

        table = output if output is not None and output.suffix.lower() == ".csv" else None
        made = cls(predictor, table, matrix, page, force)
        there = next((path for path in (table, matrix) if path is not None and os.path.lexists(path)), None)
        if there is not None and not force:
            raise UsageError(f"{there} exists", "existing files are kept", "choose another name, or pass --force")
        if page is not None:
            require_html(page)
        if not predictor.labels:
            made.require_no_matrix()
        return made

    @property
    def paths(self) -> list[Path]:
        """What is written."""
        return [path for path in (self.table, self.matrix, self.page) if path is not None]

    def require_no_matrix(self) -> None:
        """Raise UsageError where a confusion matrix was asked for."""
        if self.matrix is not None or self.page is not None:
            raise UsageError(
                "there is no confusion matrix",
                "no input has a label that is a class of the network",
                "name a folder of class folders, or a list with labels",
            )

    def write(self, found: Sequence[Prediction]) -> Confusion | None:
        """Write the files, and return the confusion matrix where there is one."""
        from bridge.commands.confusion import page
        from bridge.files.atomic import write_text
        from bridge.pages import write
        from bridge.prediction.confusion import csv_text

        predictor, confusion = self.predictor, self.predictor.confusion(found)
        if confusion is None:
            self.require_no_matrix()
        if self.table is not None:
            rows = [each.row(predictor.labels.get(each.input)) for each in found]
            head = list(dict.fromkeys(key for row in rows for key in row))
            lines: list[list[object]] = [[*head], *([row.get(key, "") for key in head] for row in rows)]
            write_text(self.table, csv_text(lines), force=self.force)
        if confusion is not None and self.matrix is not None:
            write_text(self.matrix, confusion.csv(), force=self.force)
        if confusion is not None and self.page is not None:
            write(self.page, page(confusion, predictor.network.source.path or predictor.network.kind))
        return confusion


def watched(predictions: Iterator[Prediction], total: int) -> Iterator[Prediction]:
    """Yield predictions; how far they are, and how fast, is shown on a terminal."""
    start = shown = perf_counter()
    for count, prediction in enumerate(predictions, 1):
        if perf_counter() - shown > BETWEEN:
            shown = perf_counter()
            passing(f"{count} of {total}, {count / (shown - start):.3g} a second")
        yield prediction
    passing()
