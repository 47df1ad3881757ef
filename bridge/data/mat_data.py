"""Inputs and targets in .mat files, brought into Python's conventions: images N,C,H,W, labels as names, sequences as
lists of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.arrays.matlab import Categorical, Cell, describe, read, texts
from bridge.data import convert
from bridge.data.expected import Expected
from bridge.errors import UsageError
from bridge.readers.mat.file import require_read, variables

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class _Variable:
    """A variable that could be data: an array of numbers, an array of texts (labels) or a list of such
    arrays (a cell).
    """

    name: str
    value: Any
    size: str

    @property
    def observations(self) -> int:
        if isinstance(self.value, list):
            return len(self.value)
        shape = self.value.shape
        return int(shape[-1] if len(shape) > 2 else max(shape) if 1 in shape else shape[0])


def load(path: Path, expected: Expected) -> tuple[Pair, Pair | None]:
    """Tell inputs and targets apart by what the network takes, training and validation by "val" in the names.

    Variables with "test" in their names are left out.

    Returns:
        Inputs and targets for training, and for validation where the file holds them.

    Raises:
        UsageError: it is not clear which variables are meant; they are listed.
        UnreadableError: the file is damaged.
    """
    held = dict(variables(path))
    found = [
        _Variable(name, data, describe(value)) for name, value in held.items() if (data := _data(value)) is not None
    ]
    kept = [each for each in found if "test" not in each.name.lower()]
    validation = [each for each in kept if "val" in each.name.lower()]
    training = [each for each in kept if each not in validation]
    if not training:
        training, validation = validation, []
    try:
        return _choose(training, path, expected), _choose(validation, path, expected) if validation else None
    except UsageError:
        require_read(held.values(), path)
        raise


def is_cell(value: Any) -> TypeGuard[Cell]:
    """Whether a value is a cell array as a saved object holds it."""
    return isinstance(value, Cell)


def pair(saved: Cell, expected: Expected) -> Pair:
    """Return the inputs and targets in ValidationData of a saved options object.

    Raises:
        UsageError: they are of a kind that is not known.
    """
    inputs, targets = (_data(each) for each in saved)
    if inputs is None or targets is None:
        shown = " and ".join(describe(each) for each in saved)
        raise UsageError(
            "ValidationData of the saved options cannot be used",
            f"it holds {shown}",
            "pass validation=, or options.replace(ValidationData=[])",
        )
    return _in_python(inputs, targets, expected)


def _choose(held: Sequence[_Variable], path: Path, expected: Expected) -> Pair:
    inputs = [each for each in held if _could_be_input(each.value, expected)]
    pairs = [(x, y) for x in inputs for y in held if x is not y and x.observations == y.observations]
    if len(pairs) != 1:
        listed = ", ".join(f"{each.name} ({each.size})" for each in held) or "nothing of the kind"
        shown = " and ".join(map(str, expected.inputs))
        raise UsageError(
            f"it is not clear which variables of {path} are the inputs ({shown}) and their targets",
            f"it holds {listed}",
            "save one variable with inputs and one with targets, and for validation two with 'val' in their names",
        )
    x, y = pairs[0]
    return _in_python(x.value, y.value, expected)


def _could_be_input(value: Any, expected: Expected) -> bool:
    at = expected.inputs[0]
    if at.over_time or isinstance(value, list):
        return (
            at.over_time
            and isinstance(value, list)
            and value[0].dtype != object
            and (at.channels is None or at.channels in value[0].shape)
        )
    if value.dtype == object:
        return False
    return bool(value.shape[:-1] == at.size if at.spatial else value.ndim == 2 and value.shape[1] == at.channels)


def _in_python(inputs: Any, targets: Any, expected: Expected) -> Pair:
    at = expected.inputs[0]
    if at.spatial and not at.over_time:
        inputs = convert.images(inputs, at, convert.MATLAB)
    if isinstance(targets, list):
        return inputs, [_names(each) if expected.by_class else each for each in targets]
    if expected.by_class:
        names = _names(targets)
        return inputs, np.moveaxis(
            names.reshape(*names.shape[:2], -1), -1, 0
        ) if expected.by_element and names.ndim > 2 else names.reshape(-1, order="F")
    out = expected.output
    if out is not None and out.spatial and set(out.spatial) != {1}:
        targets = convert.images(targets, out, convert.MATLAB, "target")
    return inputs, targets


def _names(labels: NDArray) -> NDArray:
    """Return labels as names; numbers are called as `categorical` calls them."""
    return (
        labels
        if labels.dtype == object
        else np.array([f"{each:g}" for each in labels.flat], dtype=object).reshape(labels.shape)
    )


def _data(value: Any) -> Any:
    """Return an array of numbers, an array of texts, a list of such arrays, or None for what is no data."""
    value = read(value)
    if isinstance(value, Categorical):
        return value.labels if value.codes.size else None
    if isinstance(value, np.ndarray):
        return value if value.size and value.dtype.kind in "biuf" else None
    if not isinstance(value, Cell) or not value:
        return None
    names = texts(value)
    if names is not None:
        return np.array(names, dtype=object)
    parts = [_data(each) for each in value]
    return parts if all(isinstance(part, np.ndarray) for part in parts) else None
