"""What the user sees of a training: MATLAB's table with Verbose, a progress bar on a terminal, a plot in a file. All of
it on stderr.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from bridge.errors import printable
from bridge.files.atomic import write_text
from bridge.files.run import PLOT
from bridge.options.options import TrainingOptions
from bridge.training.history import Row
from bridge.training.plot import page

SECONDS_BETWEEN_PLOTS = 1.0
Column = tuple[str, str, int]  # what of a row, its title in two lines joined by "|", its width


class Progress:
    """The table, the bar and the plot of one training.

    Args:
        options: Verbose and VerboseFrequency, Plots.
        metrics: the logged metrics.
        validates: whether there is validation data.
        iterations: how many there will be at most.
        folder: where the plot is written, or None; at most once in SECONDS_BETWEEN_PLOTS, but for the last.
        rows: the log, to which each row is added before `update` gets it.
        quiet: whether nothing is shown: another process does it.
    """

    def __init__(
        self,
        options: TrainingOptions,
        metrics: Sequence[str],
        validates: bool,
        iterations: int,
        folder: Path | None,
        rows: Sequence[Row],
        quiet: bool = False,
    ) -> None:
        self._stream, self._quiet = sys.stderr, quiet
        self._verbose, self._frequency = options.Verbose and not quiet, options.VerboseFrequency
        table = _Table if options.trainer == "trainNetwork" else _PlainTable
        self._table = table(metrics, validates)
        self._plot = (
            folder / PLOT if folder is not None and options.Plots == "training-progress" and not quiet else None
        )
        self._iterations, self._metrics = iterations, metrics
        self._bar: Any = None
        self._rows, self._printed, self._plotted = rows, -1, -math.inf

    def __enter__(self) -> Progress:
        if self._stream.isatty() and not self._quiet:
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("", total=self._iterations)
            self._bar.start()
        if self._verbose:
            self._print(self._table.head())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, row: Row) -> None:
        """Show a finished row."""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=row["Iteration"], description=printable(_summary(row, self._metrics))
            )
        if row["Iteration"] % self._frequency == 0 or row["Iteration"] == 1 or "ValidationLoss" in row:
            self._print_row(row)
        if time.monotonic() - self._plotted > SECONDS_BETWEEN_PLOTS:
            self._write_plot(False)

    def finish(self, reason: str) -> None:
        """Print the last row, the end of the table and the reason why the training ended."""
        if self._rows:
            self._print_row(self._rows[-1])
        if self._verbose:
            self._print(self._table.foot(reason))
        self._write_plot(True)

    def say(self, text: str) -> None:
        """Print a line where Verbose is on."""
        if self._verbose:
            self._print([text])

    def _write_plot(self, finished: bool) -> None:
        if self._plot is not None:
            write_text(self._plot, page(self._rows, self._metrics, finished), force=True)
            self._plotted = time.monotonic()

    def _print_row(self, row: Row) -> None:
        if self._verbose and row["Iteration"] != self._printed:
            self._printed = row["Iteration"]
            self._print([self._table.line(row)])

    def _print(self, lines: Sequence[str]) -> None:
        for line in map(printable, lines):
            if self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, file=self._stream, flush=True)


def _bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    iteration = TextColumn("iteration"), MofNCompleteColumn()
    columns = (
        BarColumn(),
        *iteration,
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Bar(*columns, console=Console(file=stream), transient=True)


def _summary(row: Row, metrics: Sequence[str]) -> str:
    parts = [f"epoch {row['Epoch']}"]
    if "TrainingLoss" in row:
        parts += [f"loss {row['TrainingLoss']:.4g}", *(f"{name} {row[f'Training{name}']:.4g}" for name in metrics)]
    return ", ".join([*parts, f"rate {row['BaseLearnRate']:.3g}"])


def clock(seconds: float) -> str:
    """Return hh:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}"


class _Table:
    """The table of trainNetwork."""

    def __init__(self, metrics: Sequence[str], validates: bool) -> None:
        sets = (
            (("Training", "Mini-batch"), ("Validation", "Validation")) if validates else (("Training", "Mini-batch"),)
        )
        self._columns: list[Column] = [
            ("Epoch", "Epoch|", 7),
            ("Iteration", "Iteration|", 11),
            ("TimeElapsed", "Time Elapsed|(hh:mm:ss)", 14),
        ]
        self._columns += [
            (f"{kind}{name}", f"{title}|{name}", 12) for name in (*metrics, "Loss") for kind, title in sets
        ]
        self._columns.append(("BaseLearnRate", "Base Learning|Rate", 15))

    def head(self) -> list[str]:
        """Return the lines above the first row."""
        titles = [[f"{part:^{width}}" for part in title.split("|")] for _, title, width in self._columns]
        return [
            self._rule(),
            *("|" + "|".join(f" {title[line]} " for title in titles) + "|" for line in (0, 1)),
            self._rule(),
        ]

    def line(self, row: Row) -> str:
        """Return a row."""
        return "|" + "|".join(f" {_cell(name, row).rjust(width)} " for name, _, width in self._columns) + "|"

    def foot(self, reason: str) -> list[str]:
        """Return the lines below the last row."""
        return [self._rule(), f"Training finished: {reason}."]

    def _rule(self) -> str:
        return "|" + "=" * (sum(width + 3 for _, _, width in self._columns) - 1) + "|"


class _PlainTable:
    """The table of trainnet."""

    def __init__(self, metrics: Sequence[str], validates: bool) -> None:
        sets = ("Training", "Validation") if validates else ("Training",)
        names = [f"{kind}{name}" for name in ("Loss", *metrics) for kind in sets]
        self._names = ["Iteration", "Epoch", "TimeElapsed", "BaseLearnRate", *names]

    def head(self) -> list[str]:
        """Return the lines above the first row."""
        titles = [name.removeprefix("Base") for name in self._names]
        return ["".join(f"    {title}" for title in titles), "".join(f"    {'_' * len(title)}" for title in titles)]

    def line(self, row: Row) -> str:
        """Return a row."""
        return "".join(f"    {self._value(name, row).rjust(len(name.removeprefix('Base')))}" for name in self._names)

    def foot(self, reason: str) -> list[str]:
        """Return the lines below the last row."""
        return [f"Training stopped: {reason}"]

    def _value(self, name: str, row: Row) -> str:
        if name == "TimeElapsed":
            return clock(row[name])
        return f"{row[name]:.5g}" if name in row else ""


def _cell(name: str, row: Row) -> str:
    if name not in row:
        return ""
    if name == "TimeElapsed":
        return clock(row[name])
    if name in ("Epoch", "Iteration"):
        return str(row[name])
    if name.endswith("Accuracy"):
        return f"{row[name]:.2f}%"
    return f"{row[name]:.4f}" if name != "BaseLearnRate" or row[name] >= 1e-3 else f"{row[name]:.4e}"
