"""Networks saved as plain structs by `bridgeExport.m` (the layout is in docs/mat-structs.md)."""

from __future__ import annotations

from typing import Any

from bridge.mapping import Mappings
from bridge.network import Network, Source

FORMAT = "bridge.network/"


def is_struct_form(value: dict[str, Any]) -> bool:
    return str(value.get("Format", "")).startswith(FORMAT)


def network_from(value: dict[str, Any], source: Source, tables: Mappings) -> Network:
    raise NotImplementedError
