"""The functions that the reader knows, by MATLAB's names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.recipes.script.evaluate import Call, Function

FUNCTIONS: dict[str, Function] = {}


def reads(*names: str, least: int = 0) -> Callable[[Function], Function]:
    """Register what tells the value of functions; with fewer than `least` arguments it is not known."""

    def register(function: Function) -> Function:
        for name in names:
            if name in FUNCTIONS:
                raise ValueError(f"{name} is registered twice")
            FUNCTIONS[name] = partial(_with_enough, function, least) if least else function
        return function

    return register


def _with_enough(function: Function, least: int, call: Call) -> Any:
    return function(call) if len(call.values) >= least else call.unknown(f"{call.function} is given too few arguments")


def named(call: Call, first: int) -> dict[str, tuple[Any, int]]:
    """Return the name-value arguments behind the first few: name -> (value, its position in the call)."""
    found: dict[str, tuple[Any, int]] = {}
    rest = range(first, len(call.values))
    for index in rest[::2]:
        if index + 1 < len(call.values) and isinstance(call.values[index], str):
            found[str(call.values[index])] = (call.values[index + 1], index + 1)
    return found


def named_value(call: Call, first: int, name: str, default: Any = None) -> Any:
    """Return the value of one name-value argument, in any case of letters."""
    return next((value for key, (value, _) in named(call, first).items() if key.lower() == name.lower()), default)
