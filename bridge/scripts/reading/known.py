"""What the reader knows of MATLAB's functions: the tables of `mappings/scripts.toml`, and what tells each function's
value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from bridge.tables.layers import table

if TYPE_CHECKING:
    from bridge.scripts.language.evaluate import Call

FUNCTIONS: dict[str, Callable[[Call], Any]] = {}


@cache
def words(name: str) -> frozenset[str]:
    """Return a list of function names."""
    return frozenset(table("scripts")[name])


def entries(name: str) -> Mapping[str, Any]:
    """Return a table of function names."""
    return table("scripts")[name]  # type: ignore[no-any-return]


def reads(
    *names: str, takes: tuple[Any, ...] = (), why: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what tells the value of functions.

    Args:
        takes: the types of the first arguments, which are handed over behind the call.
        why: what is not known where an argument is missing or of another type.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(call: Call) -> Any:
            given = call.values[: len(takes)]
            if len(given) < len(takes):
                return call.unknown(why or f"{call.function} is given too few arguments")
            return function(call, *given) if all(map(isinstance, given, takes)) else call.unknown(why)

        for name in names:
            if name in FUNCTIONS:
                raise ValueError(f"{name} is registered twice")
            FUNCTIONS[name] = checked
        return function

    return register


def named(call: Call, first: int) -> dict[str, tuple[Any, int]]:
    """Return the name-value arguments behind the first few: name -> (value, its position in the call)."""
    pairs = range(first, len(call.values) - 1, 2)
    return {str(call.values[at]): (call.values[at + 1], at + 1) for at in pairs if isinstance(call.values[at], str)}


def named_value(call: Call, first: int, name: str, default: Any = None) -> Any:
    """Return the value of one name-value argument, in any case of letters."""
    return next((value for key, (value, _) in named(call, first).items() if key.lower() == name.lower()), default)
