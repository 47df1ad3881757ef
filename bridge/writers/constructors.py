"""The call of MATLAB's constructor that makes a layer, by the layer's row and `mappings/constructors.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.network import Layer
from bridge.tables.layers import LayerRow, table

MATHWORKS = (
    "nnet.",
    "rl.layer.",
)  # what the constructors are known of; the class of a user's own layer may take anything
ABSENT = (None, ())


@dataclass(frozen=True)
class Call:
    """A call of a constructor, but for the name and the arrays of the layer, which it takes as Name, Value.

    Attributes:
        constructor: the MATLAB function; "" for a class that is not MathWorks'.
        positional: arguments by position.
        named: the others, factors among them.
        sets_factors: whether setLearnRateFactor and setL2Factor set the factors, as the constructor takes none.
        lost: properties whose value the constructor can neither be given nor makes itself.
    """

    constructor: str
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    sets_factors: bool = False
    lost: tuple[str, ...] = ()


def call_of(layer: Layer, classes: tuple[str, ...] | None = None) -> Call:
    """Return the call that makes a layer; `classes` are those of the network, for an output layer that has none."""
    row, facts = layer.row, table("constructors")
    if not (row.constructor and row.matlab[0].startswith(MATHWORKS)):
        return Call("")
    own = facts.get(row.name, {})
    properties = {
        name: value for name, value in layer.properties.items() if name in row.properties and value not in ABSENT
    }
    if classes and "Classes" in row.properties and properties.get("Classes", "auto") == "auto":
        properties["Classes"] = classes
    shown = {*row.arguments, *facts["derived"], *own.get("derived", ()), *own.get("fixed", ())}
    unchanged = {name for name in facts["later"] if properties.get(name) == _default(row, name)}
    named = dict(_sides(row, properties))
    named |= {
        name: matrix(name, value)
        for name, value in properties.items()
        if name not in shown | unchanged and not _is_side(name)
    }
    by_name = own.get("factors", True)
    return Call(
        row.constructor,
        tuple(_positional(name, properties, own) for name in row.arguments if name in properties),
        named | (dict(_factors(layer)) if by_name else {}),
        not by_name,
        tuple(name for name in own.get("fixed", ()) if name in properties and properties[name] != _default(row, name)),
    )


def _default(row: LayerRow, name: str) -> Any:
    """Return the value of a property in a layer that its constructor makes."""
    known = row.properties.get(name)
    value = known.made if known else None
    return tuple(value) if isinstance(value, list) else value


def _positional(name: str, properties: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    value = properties[name]
    if name in own.get("last", ()) and isinstance(value, tuple):
        return value[-1]
    other = own.get("instead", {}).get(value) if isinstance(value, str) else None
    return properties.get(other, value) if other else matrix(name, value)


def _is_side(name: str) -> bool:
    return any(name in pair for pair in table("constructors")["sides"].values())


def _sides(row: LayerRow, properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield Padding and Cropping, if a layer has them."""
    for argument, (mode, size) in table("constructors")["sides"].items():
        if size in row.properties:
            word = properties.get(mode, "manual")
            yield argument, word if word != "manual" else matrix(size, properties[size])


def matrix(name: str, value: Any) -> Any:
    """Return a property that MATLAB has as a matrix by rows; any other as it is. Six sides are [t l f; b r k]."""
    sides = {size for _, size in table("constructors")["sides"].values()}
    columns = (
        3
        if name in sides and isinstance(value, tuple) and len(value) == 6
        else table("constructors")["columns"].get(name)
    )
    if columns is None or not isinstance(value, tuple) or len(value) % columns:
        return value
    rows = len(value) // columns
    return tuple(value[row::rows] for row in range(rows))


def _factors(layer: Layer) -> Iterator[tuple[str, Any]]:
    """Yield the factors that are known; the others are MATLAB's defaults, which the constructor knows."""
    for name, each in layer.learnables.items():
        if not each.assumed:
            row = layer.row.learnables[name]
            yield from ((row.learn_rate, each.learn_rate_factor), (row.l2, each.l2_factor))
