"""The knowledge of the reader: `mappings/scripts.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from bridge.mapping import table


@cache
def words(name: str) -> frozenset[str]:
    """Return a list of function names."""
    return frozenset(table("scripts")[name])


def entries(name: str) -> Mapping[str, Any]:
    """Return a table of function names."""
    return table("scripts")[name]  # type: ignore[no-any-return]
