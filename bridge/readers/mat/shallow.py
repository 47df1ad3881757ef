"""The old shallow `network` object, as the layers that compute the same."""

from __future__ import annotations

from typing import Any

from bridge.errors import UnsupportedError
from bridge.mapping import Mappings
from bridge.network import Network, Source


def is_shallow(value: dict[str, Any]) -> bool:
    return "IW" in value and "LW" in value and "layers" in value


def network_from(value: dict[str, Any], source: Source, tables: Mappings) -> Network:
    raise UnsupportedError("shallow networks are not read yet")
