"""Plain values -> TOML, one way of writing each, so that a file that was read and written again is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dumps(document: Mapping[str, Any]) -> str:
    """Return a TOML document: first its values, then its tables, where a list of mappings is an array of tables."""
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping) or _are_tables(value)}
    blocks = ["\n".join(_lines({key: value for key, value in document.items() if key not in tables}))]
    for key, value in tables.items():
        blocks += (
            _blocks(_key(key), value)
            if isinstance(value, Mapping)
            else ["\n".join([f"[[{_key(key)}]]", *_lines(entry)]) for entry in value]
        )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _blocks(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    yield "\n".join([f"[{name}]", *_lines({key: value for key, value in table.items() if key not in inner})])
    for key, value in inner.items():
        yield from _blocks(f"{name}.{_key(key)}", value)


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {text(value)}" for key, value in values.items()]


def text(value: Any) -> str:
    """Return one value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {text(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else text(key)
