"""What is known of MATLAB's random numbers, from the table `mappings/random.toml`: the rest is refused by name."""

from __future__ import annotations

from typing import Any

from bridge.errors import UnsupportedError, UsageError
from bridge.tables.layers import table

IMPORT = "draw it in MATLAB, save it, and give the numbers"


def refuse_generator(name: str) -> None:
    """Raise unless a generator of rng or RandStream, by any of its names, is the one that is known.

    Raises:
        UnsupportedError: it is another of MATLAB's.
        UsageError: MATLAB has none of that name.
    """
    rows = table("random")["generators"]
    key = {other: key for key, row in rows.items() for other in (key, *row.get("also", ()))}.get(name)
    if key is None:
        raise UsageError(f"there is no random number generator {name!r}", f"MATLAB has {', '.join(rows)}")
    if "refused" in rows[key]:
        hint = "write rng(0) in the script: it seeds the default generator, 'twister'"
        raise UnsupportedError(f"the random numbers of {name!r} are not known", rows[key]["refused"], hint)


def function_row(name: str) -> dict[str, Any]:
    """Return what is known of a MATLAB function that draws: `draws`, `evidence` ("P" proven, "L" likely), `source`.

    Raises:
        UnsupportedError: what it draws is unconfirmed.
        KeyError: no table knows it to draw.
    """
    row = dict(table("random")["functions"][name])
    if "refused" in row:
        raise UnsupportedError(f"what {name} draws is not known", row["refused"], IMPORT)
    return row


def refuse_class(name: str) -> None:
    """Raise for a class of numbers that a call names, but for 'double'.

    Raises:
        UnsupportedError: it is another class, or "like".
    """
    if name != "double":
        known = table("random")["functions"].get(name, {})
        cause = known.get("refused", "only 'double' numbers are recomputed")
        raise UnsupportedError(f"random numbers of class {name!r} are not known", cause, IMPORT)
