"""Whether a training ran as MATLAB's did: its log laid over ours.

The number of iterations, the moments of validation and the learn rates are compared exactly. Losses may be of other
mini-batches in another order, so they are compared as samples: in stretches of the training, the difference of the
means against what the spread of both allows. Where the first iteration agrees, they are compared number by number too,
and known causes of a difference are tried by training again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.data.variables import Variables
from bridge.errors import BridgeError, UnreadableError, reading
from bridge.files.run import HISTORY, INFO
from bridge.parity import reruns
from bridge.parity.causes.diagnosis import Diagnosis
from bridge.parity.check import Check, facts
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.profiles import Profile
from bridge.parity.records import number
from bridge.parity.report.evidence import Evidence
from bridge.readers.mat.contents import contents

STRETCHES = 10  # of the training, in which the means of the losses are compared
DEVIATIONS = (
    5.0  # of the difference of two means: chance exceeds it once in two million stretches of independent losses
)
UNMEASURED = 1e-4  # of a loss, where rounding could not be measured
SAME = 1e-6  # of a rate, which is logged in single precision at worst


@dataclass(frozen=True)
class Log:
    """A training log: one value for each iteration, NaN where there is none."""

    name: str
    columns: Mapping[str, NDArray]

    @property
    def iterations(self) -> int:
        """How many there were."""
        return max((len(column) for column in self.columns.values()), default=0)


def check_log(run: str | Path, info: str | Path) -> Check:
    """Compare the log of a run of `bridge.train` with the one that MATLAB's trainNetwork or trainnet returned.

    Args:
        run: the output folder of the run, or an info.mat.
        info: a .mat with MATLAB's `info`.

    Raises:
        UsageError: a file does not exist.
        UnreadableError: a file holds no training log.
    """
    path = Path(run) / INFO if Path(run).is_dir() else Path(run)
    ours, theirs = read_log(path), read_log(Path(info))
    notes = [f"only one log has {name}" for name in sorted(set(ours.columns) ^ set(theirs.columns))]
    by_number = _by_number(Path(run), ours, theirs)
    found = Comparison(theirs.name, (*_rows(ours, theirs), *by_number.rows), "part")
    profile = Profile(
        "statistical",
        SAME,
        f"rates to {SAME:.0e}; means of losses within {DEVIATIONS:g} standard deviations of their difference",
    )
    curves = {name: (column, theirs.columns[name]) for name, column in ours.columns.items() if name in theirs.columns}
    evidence = Evidence(curves=curves, names=(str(run), str(info)))
    known = {**facts(path, info), **_training_profile(path.with_name(HISTORY))}
    notes += by_number.notes
    cause, tried = by_number.diagnosis.cause, by_number.diagnosis.tried or None
    return Check(str(run), found, profile, cause, tried, tuple(notes), known, evidence=evidence)


@dataclass(frozen=True)
class ByNumber:
    """What a comparison iteration by iteration says, beside that of samples."""

    rows: tuple[LayerDifference, ...] = ()
    notes: tuple[str, ...] = ()
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis(None, 0))


def _by_number(run: Path, ours: Log, theirs: Log) -> ByNumber:
    """Compare two logs number by number, as those of one random stream are.

    Where the first iteration agrees, both began with the same weights and the same mini-batch, and what differs later
    is a difference. Otherwise only the samples count, and why the numbers differ is a note.
    """
    distance = reruns.apart(ours.columns, theirs.columns)[: reruns.ITERATIONS]
    if not len(distance):
        return ByNumber()
    try:
        again = reruns.Run.of(run)
        limit, measured = reruns.rounding(again, ours.columns, len(distance)), True
    except BridgeError as error:
        again, limit, measured = None, np.full(len(distance), UNMEASURED), False
        reason = f"causes were not tried, as the run cannot be trained again: {error.error}"
    distance = distance[: len(limit)]
    wrong = np.flatnonzero(distance > limit[: len(distance)])
    if not len(wrong):
        how = "as rounding may" if measured else f"by less than {UNMEASURED:.0e}"
        told = f"number by number: the first {len(distance)} iterations agree; they differ {how}, at most by "
        return ByNumber(notes=(f"{told}{distance.max():.1e} of the loss",))
    first = int(wrong[0])
    before = float(distance[:first].max(initial=0.0))
    sudden = (
        f"at once, by {distance[first]:.1e}; before it they agree to {before:.1e}" if first else f"by {distance[0]:.1e}"
    )
    what = f"number by number: iteration {first + 1} is the first that differs, {sudden}"
    diagnosis = Diagnosis(None, 0)
    if again is not None:
        diagnosis = reruns.diagnose(again, ours.columns, theirs.columns, limit, first + 1)
        reason = f"cause: {diagnosis.cause}" if diagnosis.cause else f"none of {diagnosis.tried} known causes fits"
    if distance[0] > limit[0]:
        return ByNumber(notes=(f"{what}; {reason}",))
    scale = float(np.abs(theirs.columns["TrainingLoss"][first]))
    row = LayerDifference(
        f"loss from iteration {first + 1} on, number by number", float(distance[first]) * scale, scale,
        float(limit[first]) * scale, len(distance),
    )  # fmt: skip
    return ByNumber((row,), (f"{what}; {reason}",), diagnosis)


def _training_profile(history: Path) -> dict[str, str]:
    """Return the name of the profile that a run of bridge was trained with, as a fact."""
    if not history.is_file():
        return {}
    with reading(str(history)):
        name = json.loads(history.read_text(encoding="utf-8")).get("profile")
    return {"training profile": str(name)} if name else {}


def read_log(path: Path) -> Log:
    """Read the training log in a .mat: the info of trainNetwork or trainnet, tables as they are or as structs."""
    content = Variables.of(path)
    held = next(iter(contents(path).logs.values()), None) if path.suffix.lower() == ".mat" else None
    if held is None:
        content.require_whole()
        raise UnreadableError(
            f"{path} holds no training log",
            f"it holds {content}",
            "[net, info] = trainNetwork(...); save('info.mat', 'info')",
        )
    with reading(f"the log in {path}"):
        return Log(path.name, _of_trainnet(held) if "TrainingHistory" in held else _of_train_network(held))


def _of_train_network(held: Mapping[str, Any]) -> dict[str, NDArray]:
    rows = {
        name: number(value, array=True).reshape(-1).astype(float)
        for name, value in held.items()
        if name.startswith(("Training", "Validation", "Base"))
    }
    return {name: row for name, row in rows.items() if row.size > 1 or len(rows["TrainingLoss"]) == 1}


def _of_trainnet(held: Mapping[str, Any]) -> dict[str, NDArray]:
    history = {name: value for name, value in held["TrainingHistory"].items() if name not in ("Epoch", "Iteration")}
    names = {name: "BaseLearnRate" if name == "LearnRate" else f"Training{name}" for name in history}
    columns = {names[name]: number(value, array=True).reshape(-1).astype(float) for name, value in history.items()}
    validation = held.get("ValidationHistory")
    if isinstance(validation, dict) and "Iteration" in validation:
        at = number(validation["Iteration"], array=True).reshape(-1).astype(int)
        for name, value in validation.items():
            if name != "Iteration":
                column = np.full(len(columns["TrainingLoss"]) + 1, np.nan)  # trainnet validates before iteration 1 too
                column[at] = number(value, array=True).reshape(-1)
                columns[f"Validation{name}"] = column[1:]
    return columns


def _rows(ours: Log, theirs: Log) -> Iterator[LayerDifference]:
    a, b = ours.iterations, theirs.iterations
    yield LayerDifference(
        "number of iterations", abs(a - b), b, 0.0, 1, size=f"{a} iterations, expected {b}" if a != b else ""
    )
    shared = min(a, b)
    both = [name for name in theirs.columns if name in ours.columns]
    for name in (each for each in both if each.startswith("Validation")):
        mine, its = (np.flatnonzero(~np.isnan(log.columns[name][:shared])) + 1 for log in (ours, theirs))
        odd = np.setxor1d(mine, its).size
        text = f"{_listed(mine)}, expected {_listed(its)}" if odd else ""
        yield LayerDifference(f"moments of {name}", float(odd), float(len(its)), 0.0, len(its), size=text)
    if "BaseLearnRate" in both:
        rates = [log.columns["BaseLearnRate"][:shared] for log in (ours, theirs)]
        distance, scale = np.abs(rates[0] - rates[1]), float(np.abs(rates[1]).max(initial=0.0))
        first = int(np.argmax(distance > SAME * np.abs(rates[1]))) + 1
        wrong = distance > SAME * np.abs(rates[1])
        label = f"learn rate from iteration {first} on" if wrong.any() else "learn rates"
        yield LayerDifference(
            label, float((distance * wrong).max(initial=0.0)), scale, SAME * scale if not wrong.any() else 0.0, shared
        )
    for name in (each for each in both if each in ("TrainingLoss", "TrainingAccuracy", "TrainingRMSE")):
        yield from _stretches(name, ours.columns[name][:shared], theirs.columns[name][:shared])


def _stretches(name: str, ours: NDArray, theirs: NDArray) -> Iterator[LayerDifference]:
    """Compare means over stretches of the training; a loss is heavy-tailed, so its logarithm is taken."""
    count = min(STRETCHES, max(len(theirs) // 20, 1))
    for part in np.array_split(np.arange(len(theirs)), count):
        a, b = ours[part], theirs[part]
        if name == "TrainingLoss" and min(a.min(), b.min()) > 0:
            a, b = np.log(a), np.log(b)
        if len(part) < 2:
            continue
        spread = math.sqrt((_variance(a) + _variance(b)) / len(part))
        label = f"{name} of iterations {part[0] + 1} to {part[-1] + 1}"
        yield LayerDifference(
            label, float(abs(a.mean() - b.mean())), float(abs(b.mean())) or 1.0, DEVIATIONS * spread + 1e-6, len(part)
        )


def _variance(values: NDArray) -> float:
    """Return the variance around the trend, enlarged by how much each value depends on the one before."""
    steps = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(steps, values, 1), steps) if len(values) > 2 else values - values.mean()
    variance = float(rest.var())
    correlation = float((rest[1:] * rest[:-1]).mean() / variance) if variance > 0 else 0.0
    correlation = min(max(correlation, 0.0), 0.9)
    return variance * (1 + correlation) / (1 - correlation)


def _listed(moments: NDArray) -> str:
    shown = ", ".join(str(each) for each in moments[:6])
    return f"{shown}{', ...' if len(moments) > 6 else ''}" or "none"
