"""The log of a training, under the names MATLAB gives its fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.files.atomic import write_file, write_text
from bridge.files.run import HISTORY, INFO, NETWORK

if TYPE_CHECKING:
    from torch import nn

    from bridge.network import Network

SCHEMA = "bridge.history/1"
Row = dict[str, Any]


@dataclass(frozen=True)
class TrainingInfo:
    """What a training did. The columns of its log are attributes in MATLAB's spelling: `info.TrainingLoss`,
    `info.ValidationRMSE`.

    Attributes:
        trainer: "trainNetwork" or "trainnet".
        metrics: the metrics that were logged: ("Accuracy",), ("RMSE",) or none.
        rows: one for each iteration: Iteration, Epoch, TimeElapsed (seconds), BaseLearnRate, TrainingLoss,
            Training<metric> and, where it was validated, ValidationLoss, Validation<metric>. The loss of an iteration
            is that before its update. trainnet's first row is iteration 0, with a validation alone.
        final: FinalValidationLoss and FinalValidation<metric>: those of the output network, its statistics finalised.
        OutputNetworkIteration: the iteration that the output network is from.
        StopReason: why the training ended.
        notes: what it depends on and no run of MATLAB has confirmed.
        model: the trained module, in eval mode.
        network: the trained network, where a `Network` was given.
        profile: the name of the profile that has settled switches of the training, or "".
        random: what of the random numbers is MATLAB's own.
    """

    trainer: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    final: Mapping[str, float]
    OutputNetworkIteration: int
    StopReason: str
    notes: tuple[str, ...]
    model: nn.Module = field(repr=False)
    network: Network | None = field(default=None, repr=False)
    profile: str = ""
    random: str = ""

    def __getattr__(self, name: str) -> Any:
        if name in ("final", "rows") or name.startswith("_"):
            raise AttributeError(name)
        if name in self.final:
            return self.final[name]
        if any(name in row for row in self.rows):
            return self.column(name)
        raise AttributeError(f"the log has no {name!r}")

    @property
    def iterations(self) -> int:
        """The number of iterations that were done."""
        return int(self.rows[-1]["Iteration"]) if self.rows else 0

    def column(self, name: str) -> NDArray:
        """Return a column over the iterations from 1 on, NaN where it has no value."""
        return np.array([row.get(name, np.nan) for row in self.rows if row["Iteration"] > 0], dtype=np.float64)

    def to_matlab(self) -> dict[str, Any]:
        """Return the fields of `info` (trainNetwork), or of the TrainingInfo object with its tables as structs
        (trainnet).
        """
        return _info(self) if self.trainer == "trainNetwork" else _training_info(self)

    def save(self, folder: Path) -> None:
        """Write the network (folder `network`), history.json and info.mat (variable `info`), each whole or
        not at all.
        """
        if self.network is not None:
            self.network.save(folder / NETWORK)
        write_json(folder / HISTORY, self.facts())
        write_file(folder / INFO, self._savemat, force=True)

    def facts(self) -> dict[str, Any]:
        """Return everything but the network as JSON values."""
        return {
            "schema": SCHEMA,
            "trainer": self.trainer,
            "profile": self.profile or None,
            "random": self.random,
            "metrics": list(self.metrics),
            **{name: number(value) for name, value in self.final.items()},
            "OutputNetworkIteration": self.OutputNetworkIteration,
            "StopReason": self.StopReason,
            "notes": list(self.notes),
            "rows": [{name: number(value) for name, value in row.items()} for row in self.rows],
        }

    def _savemat(self, path: Path) -> None:
        from scipy.io import savemat

        savemat(path, {"info": self.to_matlab()}, do_compression=True)


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False) + "\n", force=True)


def number(value: Any) -> Any:
    """Return a JSON value: NaN and infinities are null."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _info(info: TrainingInfo) -> dict[str, Any]:
    validated = any("ValidationLoss" in row for row in info.rows)
    sets = ("Training", "Validation") if validated else ("Training",)
    names = [f"{each}{name}" for each in sets for name in ("Loss", *info.metrics)] + ["BaseLearnRate"]
    rows = {name: info.column(name)[None, :] for name in names}
    return {**rows, **info.final, "OutputNetworkIteration": float(info.OutputNetworkIteration)}


def _training_info(info: TrainingInfo) -> dict[str, Any]:
    trained = [row for row in info.rows if "TrainingLoss" in row]
    validated = [row for row in info.rows if "ValidationLoss" in row]
    names = {
        "Iteration": "Iteration",
        "Epoch": "Epoch",
        "LearnRate": "BaseLearnRate",
        **{n: f"Training{n}" for n in ("Loss", *info.metrics)},
    }
    history = {field: _tall(trained, name) for field, name in names.items()}
    validation = {
        "Iteration": _tall(validated, "Iteration"),
        **{n: _tall(validated, f"Validation{n}") for n in ("Loss", *info.metrics)},
    }
    return {
        "TrainingHistory": history,
        "ValidationHistory": validation,
        "OutputNetworkIteration": float(info.OutputNetworkIteration),
        "StopReason": info.StopReason,
    }


def _tall(rows: list[Row], name: str) -> NDArray:
    return np.array([row[name] for row in rows], dtype=np.float64)[:, None]
