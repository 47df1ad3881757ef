"""Plain values -> TOML, one way of writing each, so that a file that was read and written again is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.errors import UsageError, quoted

Place = tuple[str, str | int]  # a table and a key in it, or a list of tables and the number of one, from 0
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SURROGATE = re.compile(r"[\ud800-\udfff]")


def dumps(document: Mapping[str, Any], comments: Mapping[Place, str] | None = None) -> str:
    """Return a TOML document: first its values, then its tables, where a list of mappings is an array of tables.

    Args:
        document: plain values.
        comments: what stands behind a value ("options", "MaxEpochs"), or behind the head of a table in a list ("edits",
            0).
    """
    known = comments or {}
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping) or _are_tables(value)}
    blocks = ["\n".join(_lines({key: value for key, value in document.items() if key not in tables}))]
    for key, value in tables.items():
        if isinstance(value, Mapping):
            blocks += _blocks(_key(key), value, known)
        else:
            blocks += [
                "\n".join([f"[[{_key(key)}]]{_comment(known, key, at)}", *_lines(entry)])
                for at, entry in enumerate(value)
            ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _comment(comments: Mapping[Place, str], table: str, key: str | int) -> str:
    found = " ".join(comments.get((table, key), "").split())
    return f"  # {''.join(c for c in found if c.isprintable())}" if found else ""


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _blocks(name: str, table: Mapping[str, Any], comments: Mapping[Place, str]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    own = {key: value for key, value in table.items() if key not in inner}
    yield "\n".join(
        [f"[{name}]", *(f"{line}{_comment(comments, name, key)}" for key, line in zip(own, _lines(own), strict=True))]
    )
    for key, value in inner.items():
        yield from _blocks(f"{name}.{_key(key)}", value, comments)


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {text(value)}" for key, value in values.items()]


def text(value: Any) -> str:
    """Return one value on one line.

    Raises:
        UsageError: a text has half a character, which no file of text can hold.
        TypeError: the value is none of TOML's.
    """
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {text(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
    if not isinstance(value, str):
        raise TypeError(f"TOML has no {type(value).__name__}")
    if SURROGATE.search(value):
        raise UsageError(f"'{quoted(value)}' cannot be written", "it holds half a character", "give it another text")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else text(key)
