"""Builders that serve many rows: a module of torch or of bridge by its name, and the refusal of a class without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from bridge.errors import UnsupportedError
from bridge.modules import activation, shape
from bridge.modules.builders import BUILDERS, Given
from bridge.tables.layers import preprocessing

if TYPE_CHECKING:
    from bridge.network import Layer


@BUILDERS("module")
def module(layer: Layer, given: Given) -> nn.Module:
    """Make the row's module with the properties the row maps onto arguments."""
    name = layer.row.torch or ""
    known = (getattr(family, name, None) for family in (shape, activation, nn))
    made = next((each for each in known if isinstance(each, type) and issubclass(each, nn.Module)), None)
    if made is None:
        raise UnsupportedError(f"layer '{layer.name}' ({layer.kind}) becomes '{name}', which torch does not have")
    arguments = {
        row.torch: layer.properties[name]
        for name, row in layer.row.properties.items()
        if row.torch and name in layer.properties
    }
    built: nn.Module = made(**arguments)
    return built


@BUILDERS("unknown")
def unknown(layer: Layer, given: Given) -> nn.Module:
    class_name = layer.row.matlab[0]
    error = f"layer '{layer.name}' is a {class_name}"
    if normalization := preprocessing(class_name):
        cause = (
            f"files newer than R2019a have Normalization '{normalization}' in the input layer instead; this one "
            f"holds {_shown(layer.properties)}"
        )
        hint = (
            f"pass modules={{'{class_name}': MyLayer}} (--modules mine.py), a torch module that takes its numbers "
            "from layer.properties"
        )
        raise UnsupportedError(error, cause, hint)
    held = {name: layer.properties[name] for name in layer.row.properties if name in layer.properties}
    if held:
        error = f"{error} with {_shown(held)}"
    raise UnsupportedError(error, layer.row.refused or "no table knows this class")


def _shown(properties: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {str(value)[:40]}" for name, value in properties.items()) or "nothing"
