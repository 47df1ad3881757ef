"""Class names that were saved beside a network: a dlnetwork has none of its own."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bridge.errors import UnreadableError, UsageError
from bridge.readers.mat.networks import describe, variables
from bridge.readers.mat.objects import Object
from bridge.readers.mat.v5 import Cell, damaged


def class_names(path: Path) -> tuple[str, ...]:
    """Read the one variable of a .mat file that holds names: a cell or string array, or a categorical.

    Raises:
        UsageError: several variables hold names; they are listed.
        UnreadableError: none does; what the file holds is listed.
    """
    held = dict(variables(path))
    found = {variable: names for variable, value in held.items() if (names := names_of(value))}
    if len(found) > 1:
        listed = "; ".join(
            f"{variable} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for variable, names in found.items()
        )
        raise UsageError(
            f"{path} holds {len(found)} lists of names",
            listed,
            "save the class names alone: save('classes.mat', 'classes')",
        )
    if not found:
        listed = ", ".join(f"{variable} ({describe(value)})" for variable, value in list(held.items())[:12])
        hint = "class names are a cell array, a string array or a categorical"
        raise UnreadableError(f"{path} holds no class names", f"it holds {listed or 'nothing'}", hint)
    return next(iter(found.values()))


def names_of(value: Any) -> tuple[str, ...]:
    """Return the names in a saved value, () where it holds none.

    A categorical that names each category once gives its elements; labels of data give their categories.
    """
    if isinstance(value, Cell):
        return tuple(value) if all(isinstance(each, str) for each in value) else ()
    if not isinstance(value, Object):
        return ()
    if value.class_name == "string":
        return string_array(value.properties.get("any"))
    if value.class_name != "categorical":
        return ()
    names = names_of(value.properties.get("categoryNames"))
    codes = np.asarray(value.properties.get("codes", ())).reshape(-1, order="F").tolist()
    return tuple(names[code - 1] for code in codes) if sorted(codes) == list(range(1, len(names) + 1)) else names


def string_array(packed: Any) -> tuple[str, ...]:
    """Unpack a string array: version, number of dims, dims, length of each text, then the texts in UTF-16, as 64-bit
    words.
    """
    if not isinstance(packed, np.ndarray) or packed.dtype != np.uint64:
        return ()
    words = packed.reshape(-1, order="F")
    dims = [int(each) for each in words[2 : 2 + int(words[1])]] if words.size > 2 else []
    start = 2 + len(dims)
    lengths = [int(each) for each in words[start : start + math.prod(dims)]]
    text = words[start + len(lengths) :].astype("<u8").tobytes()
    if len(lengths) != math.prod(dims) or 2 * sum(lengths) > len(text):
        raise damaged("a string array whose texts are cut short")
    ends = np.cumsum([0, *lengths]) * 2
    return tuple(text[a:b].decode("utf-16-le", errors="replace") for a, b in pairwise(ends))
