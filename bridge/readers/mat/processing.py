"""What the inputs and outputs of a shallow network go through: processing functions, all of them affine.

Their settings are read as the pages of mapminmax, mapstd, processpca, removeconstantrows and fixunknowns describe
what they do, and as the code that genFunction publishes uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray

Fields = Mapping[str, Any]


def numbers(value: Any) -> NDArray:
    """Return a saved value as numbers in double precision, in which MATLAB computes shallow networks."""
    return np.asarray(value.read() if isinstance(value, Array) else value, np.float64)


@dataclass(frozen=True)
class Affine:
    """matrix x + offset."""

    matrix: NDArray
    offset: NDArray

    @property
    def is_identity(self) -> bool:
        rows, columns = self.matrix.shape
        return rows == columns and not self.offset.any() and np.array_equal(self.matrix, np.eye(rows))

    def then(self, following: Affine) -> Affine:
        return Affine(following.matrix @ self.matrix, following.matrix @ self.offset + following.offset)


@dataclass(frozen=True)
class Step:
    """A processing function with its saved settings."""

    function: str
    settings: Fields
    affine: Affine


def steps_of(end: Fields, known: Mapping[str, Callable[[Fields], Affine]]) -> list[Step]:
    """Return the processing functions of an input or output that change anything, in MATLAB's order."""
    pairs = zip(end["processFcns"], end["processSettings"], strict=True)
    changing = [(function, settings) for function, settings in pairs if not numbers(settings.get("no_change", 0)).any()]
    steps = [Step(function, settings, known[function](settings)) for function, settings in changing]
    return [step for step in steps if not step.affine.is_identity]


def _scaling(settings: Fields) -> tuple[NDArray, NDArray, NDArray]:
    """Return gain, xoffset and y0 of y = (x - xoffset) gain + y0, a number a row; y0 is mapminmax's ymin, mapstd's
    ymean.
    """
    gain = numbers(settings["gain"]).ravel()
    y0 = numbers(settings["ymin"] if "ymin" in settings else settings["ymean"]).ravel()
    return gain, numbers(settings["xoffset"]).ravel(), np.broadcast_to(y0, gain.shape)


def normalization(settings: Fields) -> tuple[str, dict[str, Array]]:
    """Express a scaling as the Normalization of an input layer, with its statistics [C 1]."""
    gain, offset, y0 = _scaling(settings)
    if "ymin" in settings and (y0 == -1).all():
        kind, statistics = "rescale-symmetric", {"Min": offset, "Max": offset + 2 / gain}
    else:
        kind, statistics = "zscore", {"Mean": offset - y0 / gain, "StandardDeviation": 1 / gain}
    return kind, {name: Array.of(each[:, None]) for name, each in statistics.items()}


def scaled(settings: Fields) -> Affine:
    gain, offset, y0 = _scaling(settings)
    return Affine(np.diag(gain), y0 - gain * offset)


def unscaled(settings: Fields) -> Affine:
    gain, offset, y0 = _scaling(settings)
    return Affine(np.diag(1 / gain), offset - y0 / gain)


def projected(settings: Fields) -> Affine:
    """Return processpca: the transform, whose fields no file has shown."""
    return _linear(settings["transform"])


def unprojected(settings: Fields) -> Affine:
    return _linear(settings["inverseTransform"])


def _linear(matrix: Any) -> Affine:
    return Affine(numbers(matrix), np.zeros(len(numbers(matrix))))


def without_constant_rows(settings: Fields) -> Affine:
    kept = _indices(settings["keep"])
    return Affine(np.eye(_rows(settings))[kept], np.zeros(len(kept)))


def with_constant_rows(settings: Fields) -> Affine:
    matrix, offset = np.eye(_rows(settings))[:, _indices(settings["keep"])], np.zeros(_rows(settings))
    offset[_indices(settings["remove"])] = numbers(settings["constants"]).ravel()
    return Affine(matrix, offset)


def with_known_flags(settings: Fields) -> Affine:
    """Return fixunknowns for data without NaN: behind each row that had some in training comes one that says 1, known.

    The saved fields are read as published code uses them (`shift`: how far a row moves down); no file with one was
    seen.
    """
    inputs, outputs = _rows(settings), int(numbers(settings["yrows"]).item())
    moved = np.arange(inputs) + (numbers(settings["shift"]).ravel().astype(int) if outputs > inputs else 0)
    matrix, offset = np.zeros((outputs, inputs)), np.ones(outputs)
    matrix[moved, np.arange(inputs)], offset[moved] = 1, 0
    return Affine(matrix, offset)


def _rows(settings: Fields) -> int:
    return int(numbers(settings["xrows"]).item())


def _indices(value: Any) -> NDArray:
    return numbers(value).ravel().astype(int) - 1


SCALING = ("mapminmax", "mapstd")
FORWARD = {
    "mapminmax": scaled,
    "mapstd": scaled,
    "processpca": projected,
    "removeconstantrows": without_constant_rows,
    "fixunknowns": with_known_flags,
}
REVERSE = {
    "mapminmax": unscaled,
    "mapstd": unscaled,
    "processpca": unprojected,
    "removeconstantrows": with_constant_rows,
}
