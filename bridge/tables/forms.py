"""What values a property of a layer may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

MOST = 2**31 - 1  # no length or count reaches it
AUTO = "auto"  # MATLAB's word for a number that training fills in


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value == int(value) and 1 <= value <= MOST


def _all(good: Callable[[Any], bool], least: int = 0) -> Callable[[Any], bool]:
    """Return whether a value, or all of `least` or more values, are good."""
    return lambda value: len(value) >= least and all(map(good, value)) if isinstance(value, tuple) else good(value)


# Form -> what it is, and whether a value is so.
FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "count": ("a whole number from 1", _is_whole),
    "flag": ("true or false", lambda value: isinstance(value, (bool, Real))),
    "number": ("a number", _is_number),
    "numbers": ("numbers", _all(_is_number)),
    "sizes": ("whole numbers from 1", _all(_is_whole, least=1)),
    "text": ("text", lambda value: isinstance(value, str)),
}


def form_of(default: Any) -> str:
    """Return the form that a default has, "" for None."""
    match default:
        case None:
            return ""
        case bool():
            return "flag"
        case str():
            return "text"
        case list() | tuple():
            return "numbers"
    return "number"
