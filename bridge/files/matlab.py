"""MATLAB source of plain values."""

from __future__ import annotations

from bridge.errors import printable


def literal(text: str) -> str:
    """Return the source of a text: 'it''s'. What no line of source holds becomes "?"."""
    doubled = printable(text).replace("'", "''")
    return f"'{doubled}'"
