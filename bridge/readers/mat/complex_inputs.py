"""Input layers with SplitComplexInputs: complex numbers become channels, first all real parts, then all imaginary ones.

Such a layer is read as the one of real numbers that it equals: twice as many channels, with statistics for each part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import read

SPLIT, SIZE, NORMALIZATION = "SplitComplexInputs", "InputSize", "Normalization"


def of_real_numbers(fields: Mapping[str, Any], name: str, notes: list[str]) -> Mapping[str, Any]:
    """Return the saved fields of an input layer as those of a layer of real numbers; any other layer's as they are."""
    size = read(fields.get(SIZE))
    if not isinstance(size, np.ndarray) or not np.any(read(fields.get(SPLIT, False))):
        return fields
    size = np.array(size, np.float64)
    channels = int(size.flat[-1])
    size.flat[-1] = 2 * channels
    axis = max(size.size - 1, 0)
    statistics = fields.get(NORMALIZATION)
    if isinstance(statistics, dict):
        statistics = {key: _split(value, axis, channels) for key, value in statistics.items()}
    notes.append(f"layer '{name}' takes complex numbers as {2 * channels} channels: real parts, then imaginary ones")
    return {**fields, SIZE: size, NORMALIZATION: statistics, SPLIT: False}


def _split(value: Any, axis: int, channels: int) -> Any:
    """Return the statistics of both parts along the channels; those that are real hold for either part."""
    array = read(value) if isinstance(value, Array) else value
    if not isinstance(array, np.ndarray) or array.size == 0 or array.dtype.kind not in "fc":
        return value
    if array.size == 1 and channels == 1:
        array = array.reshape((1,) * max(array.ndim, axis + 1))
    elif array.ndim <= axis or array.shape[axis] != channels:
        if not np.iscomplexobj(array):  # one number for all channels, or a field that is no statistic
            return value
        array = np.repeat(array.reshape((*array.shape, *(1,) * (axis + 1 - array.ndim))), channels, axis)
    parts: list[NDArray] = [array.real, array.imag] if np.iscomplexobj(array) else [array, array]
    return np.concatenate(parts, axis)
