"""What a shell offers where a name is expected: names from the tables, read when a shell asks."""

from __future__ import annotations

from collections.abc import Iterable


def recipes(incomplete: str) -> list[str]:
    from bridge.tables.layers import table_files

    return _beginning(incomplete, table_files("recipes"))


def networks(incomplete: str) -> list[str]:
    from bridge.tables.pretrained import catalogue

    return _beginning(incomplete, catalogue())


def tolerances(incomplete: str) -> list[str]:
    from bridge.tables.layers import table

    return _beginning(incomplete, table("profiles"))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
