"""MATLAB's layer constructors: `layers.fully_connected(5, name="fc_new", WeightLearnRateFactor=20)`.

Each row of the tables has one, named as MATLAB's without "Layer" and with underscores: convolution2dLayer is
`convolution2d`, batchNormalizationLayer is `batch_normalization`. They take MATLAB's arguments in MATLAB's order and
MATLAB's properties by name, in any case of letters; learnables and statistics take arrays in MATLAB's layout, and have
no values until `Network.initialize` without. `help(layers.lstm)` lists what a constructor takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import numpy as np

from bridge.arrays.axes import parse
from bridge.arrays.lazy import Array
from bridge.errors import UsageError, nearest
from bridge.network.initializers import initializer_name
from bridge.network.layer import Factor, Layer, Learnable, checked_gates, factor_names, make_layer
from bridge.tables.forms import AUTO
from bridge.tables.layers import LayerRow, layer_mappings, table

L = TypeVar("L", bound=Layer)
NO_VALUES = Array.of(np.empty((0, 0), np.float32))  # of a learnable that is not initialized yet
Constructor = Callable[..., Layer]
PER_DIMENSION = ("FilterSize", "PoolSize", "Stride", "DilationFactor")
SIDES = {"Padding": ("PaddingMode", "PaddingSize"), "Cropping": ("CroppingMode", "CroppingSize")}
MODES = ("same", "causal")


def __getattr__(name: str) -> Constructor:
    if name.startswith("_"):
        raise AttributeError(name)
    if name not in constructors():
        raise AttributeError(f"bridge.layers has no {name!r}; {nearest(name, constructors())}")
    return constructors()[name]


def __dir__() -> list[str]:
    return sorted(constructors())


@cache
def constructors() -> Mapping[str, Constructor]:
    """Return every constructor of the built-in tables by its Python name."""
    return {python_name(row): constructor(row) for row in layer_mappings() if row.constructor}


def python_name(row: LayerRow) -> str:
    """Return the Python name of a row's constructor."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", row.constructor.removesuffix("Layer")).lower()


def constructor(row: LayerRow) -> Constructor:
    """Return the constructor of a row, also of one from a table of your own."""

    def make(*arguments: Any, name: str = "", **properties: Any) -> Layer:
        if len(arguments) > len(row.arguments):
            takes = ", ".join(row.arguments) or "names only"
            raise _refusal(
                row, f"{row.constructor} is given {len(arguments)} arguments by position", f"it takes {takes}"
            )
        given = dict(zip(row.arguments, arguments, strict=False))
        named = spelled(row, properties)
        twice = next((key for key in named if key in given), None)
        if twice is not None:
            raise _refusal(row, f"{twice} of {row.constructor} is given twice", "by position and by name")
        return new_layer(row, str(named.pop("Name", name)), {**given, **named})

    make.__name__ = make.__qualname__ = python_name(row)
    make.__doc__ = describe(row)
    return make


def new_layer(row: LayerRow, name: str, given: Mapping[str, Any]) -> Layer:
    """Make a layer of properties, factors, initializers and arrays, named in MATLAB's spelling.

    Raises:
        UsageError: one is missing, or its value makes no sense.
    """
    missing = [key for key in row.arguments if key not in given and row.properties[key].default is None]
    if missing:
        raise _refusal(
            row, f"{row.constructor} needs {', '.join(missing)}", f"its arguments are {', '.join(row.arguments)}"
        )
    properties = {key: each.new for key, each in row.properties.items() if each.new is not None}
    for key, value in given.items():
        if key in SIDES:
            properties.update(_sides(row, key, _plain(value)))
        elif key in row.properties:
            properties[key] = _property(row, key, _plain(value))
    state = {
        key: _array(value, each.matlab_axes, f"{key} of {row.constructor}")
        for key, each in row.state.items()
        if (value := given.get(key)) is not None
    }
    return make_layer(row, name, properties, {key: _learnable(row, key, given) for key in row.learnables}, state)


def spelled(row: LayerRow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with the names in MATLAB's spelling.

    Raises:
        UsageError: a name is unknown, the nearest is offered; or it is given twice.
    """
    known = {name.lower(): name for name in property_names(row)}
    found: dict[str, Any] = {}
    for name, value in given.items():
        spelling = known.get(name.lower())
        if spelling is None:
            raise _refusal(row, f"{row.constructor} has no property '{name}'", nearest(name, known.values()))
        if spelling in found:
            raise _refusal(
                row, f"{spelling} of {row.constructor} is given twice", "upper and lower case do not tell names apart"
            )
        found[spelling] = value
    return found


def _refusal(row: LayerRow, error: str, cause: str) -> UsageError:
    return UsageError(error, cause, f"help(bridge.layers.{python_name(row)}) lists what it takes")


def property_names(row: LayerRow) -> list[str]:
    """Return every name that the constructor of a row takes."""
    factors = [
        name for each in row.learnables.values() for name in (each.learn_rate, each.l2, f"{each.name}Initializer")
    ]
    sides = [side for side, (_, size) in SIDES.items() if size in row.properties]
    return ["Name", *row.properties, *sides, *row.learnables, *factors, *row.state]


def from_mapping(entry: Mapping[str, Any]) -> Layer:
    """Return the layer of an entry as recipes hold it: {"layer": "fullyConnectedLayer", "OutputSize": 5, "Name": "fc"}.

    Raises:
        UsageError: the constructor or a property is unknown, or a value makes no sense.
    """
    row = row_of(entry)
    named = spelled(row, {key: value for key, value in entry.items() if key != "layer"})
    return new_layer(row, str(named.pop("Name", "")), named)


def row_of(entry: Mapping[str, Any]) -> LayerRow:
    """Return the row whose constructor an entry names."""
    name = entry.get("layer") if isinstance(entry, Mapping) else None
    if name not in rows():
        raise UsageError(
            f"{name!r} is no layer constructor",
            nearest(str(name), rows()),
            'write { layer = "fullyConnectedLayer", OutputSize = 5 }',
        )
    return rows()[str(name)]


@cache
def rows() -> Mapping[str, LayerRow]:
    """Return the rows of the built-in tables by MATLAB's constructor."""
    return {row.constructor: row for row in layer_mappings() if row.constructor}


def to_mapping(layer: Layer) -> dict[str, Any]:
    """Return a layer as recipes hold it, without its arrays: what differs from a new layer of its kind.

    Example:
        >>> to_mapping(convolution2d(3, 8, name="conv", Padding="same"))
        {'layer': 'convolution2dLayer', 'FilterSize': 3, 'NumFilters': 8, 'Padding': 'same', 'Name': 'conv'}
    """
    row, facts = layer.row, table("constructors")
    own = facts.get(row.name, {})
    derived = {*facts["derived"], *own.get("derived", ()), *row.arguments} - {*own.get("instead", {}).values()}
    given = {key: value for key in row.arguments if (value := layer.properties.get(key)) is not None}
    usual = new_layer(row, layer.name, given)
    changed = [key for key, value in layer.properties.items() if value != usual.properties.get(key)]
    of_side = {each: side for side, pair in SIDES.items() for each in pair}
    given |= {key: shown(layer, key) for key in (of_side.get(each, each) for each in changed) if key not in derived}
    for key, each in layer.learnables.items():
        known, names = row.learnables[key], factor_names(row, key)
        factors = zip(names, (each.learn_rate_factor, each.l2_factor), known.defaults, strict=True)
        given |= {name: _whole(value) for name, value, default in factors if value != default}
        given |= {f"{key}Initializer": each.initializer} if each.initializer not in (None, known.initializer) else {}
    return {
        "layer": row.constructor,
        **{key: _shortest(key, value) for key, value in given.items()},
        "Name": layer.name,
    }


def _shortest(name: str, value: Any) -> Any:
    """Return one number where all dimensions or sides have the same."""
    alike = (name in PER_DIMENSION or name in SIDES) and isinstance(value, tuple) and len(set(value)) == 1
    return value[0] if alike else value


def _whole(factor: Factor) -> Any:
    return int(factor) if isinstance(factor, float) and factor.is_integer() else factor


def shown(layer: Layer, name: str) -> Any:
    """Return a property or factor as MATLAB shows it, Padding and Cropping too; None where it is not known."""
    mode, size = SIDES.get(name, ("", ""))
    if size in layer.properties:
        return word if (word := layer.properties.get(mode)) in MODES else layer.properties[size]
    value, row = getattr(layer, name, None), layer.row.properties.get(name)
    return row.made if value is None and row is not None else value


def with_property(layer: L, name: str, value: Any) -> L:
    """Return a layer with a property, factor or initializer set, as `layer.Stride = 2` does in MATLAB.

    Raises:
        UsageError: the value makes no sense.
    """
    row = layer.row
    for key, each in layer.learnables.items():
        rate, decay = factor_names(row, key)
        if name == rate:
            changed = replace(each, assumed=False, learn_rate_factor=checked_gates(row, key, value))
        elif name == decay:
            changed = replace(each, assumed=False, l2_factor=checked_gates(row, key, value))
        elif name == f"{key}Initializer":
            changed = replace(each, initializer=initializer_name(value))
        else:
            continue
        return replace(layer, learnables={**layer.learnables, key: changed})
    plain = _plain(value)
    given = _sides(row, name, plain) if name in SIDES else {name: _property(row, name, plain)}
    fresh = make_layer(row, layer.name, {**layer.properties, **given})
    return replace(layer, properties=fresh.properties, inputs=fresh.inputs, outputs=fresh.outputs)


def describe(row: LayerRow) -> str:
    """Return the documentation of a row's constructor."""
    lines = [
        f"Return the layer {row.name}: MATLAB's {row.constructor}({', '.join(row.arguments)}).",
        "",
        "Properties, with their defaults:",
    ]
    for name, each in row.properties.items():
        default = each.made
        lines.append(f"    {name}{f' = {default}' if default is not None else ''}")
    for name, known in row.learnables.items():
        rate, decay = known.defaults
        lines.append(
            f"    {name}: {known.learn_rate} = {rate:g}, {known.l2} = {decay:g}, {name}Initializer = "
            f"{known.initializer}"
        )
    return "\n".join(lines if row.properties or row.learnables else lines[:1])


def _learnable(row: LayerRow, name: str, given: Mapping[str, Any]) -> Learnable:
    known = row.learnables[name]
    rate = checked_gates(row, name, given.get(known.learn_rate, known.defaults[0]))
    decay = checked_gates(row, name, given.get(known.l2, known.defaults[1]))
    how = given.get(f"{name}Initializer")
    array = _array(given.get(name, ()), known.matlab_axes, f"{name} of {row.constructor}")
    return Learnable(array, rate, decay, initializer=initializer_name(how) if how is not None else None)


def _array(value: Any, pattern: str, what: str) -> Array:
    """Wrap an array; a vector gets the ones that MATLAB puts around it."""
    try:
        array = np.array(value, np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is {value!r}", "it takes an array of numbers in MATLAB's layout") from error
    axes = parse(pattern)
    if array.size == 0:
        return NO_VALUES
    if array.ndim == 1 and sum(map(bool, axes)) == 1 and len(axes) > 1:
        array = array.reshape([array.size if axis else 1 for axis in axes])
    return Array.of(array)


def _plain(value: Any) -> Any:
    """Return a property as networks hold it: Python's own numbers, a list as a tuple, an array flat,
    column by column.
    """
    rows = value if isinstance(value, (list, tuple)) else ()
    if isinstance(value, np.ndarray) or (
        all(isinstance(each, (list, tuple)) for each in rows) and len({len(each) for each in rows}) == 1
    ):
        return tuple(np.asarray(value).ravel(order="F").tolist())
    return tuple(rows) if isinstance(value, list) else value.item() if isinstance(value, np.generic) else value


def _property(row: LayerRow, name: str, value: Any) -> Any:
    require_property(row, name, value)
    dimensions = _dimensions(row)
    return (value,) * dimensions if name in PER_DIMENSION and dimensions > 1 and isinstance(value, int) else value


def require_property(row: LayerRow, name: str, value: Any) -> None:
    """Refuse a value that a property cannot have.

    Raises:
        UsageError: it is of another form than its row says, or a probability not from 0 to 1.
    """
    known = row.properties.get(name)
    if known is not None and value is not None:
        values = value if isinstance(value, tuple) else (value,)
        is_exact = known.form not in ("count", "sizes") or all(isinstance(n, (int, np.integer, str)) for n in values)
        waits = name in row.arguments and value == AUTO != known.default
        if waits or not is_exact or not known.fits(value):
            raise UsageError(f"{name} of {row.constructor} is {value!r}", f"it takes {known.takes}")
    if name.endswith("Probability") and (
        not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool) or not 0 <= value <= 1
    ):
        raise UsageError(f"{name} of {row.constructor} is {value!r}", "it takes a number from 0 to 1")


def _dimensions(row: LayerRow) -> int:
    """The number of dimensions that a layer slides over."""
    sides = next((row.properties[size].default for _, size in SIDES.values() if size in row.properties), ())
    return len(sides) // 2


def _sides(row: LayerRow, name: str, value: Any) -> dict[str, Any]:
    """Turn Padding or Cropping (a word, one number, one for each dimension or one for each side) into mode and size."""
    mode, size = SIDES[name]
    if value in MODES:
        return {mode: value}
    count = _dimensions(row)
    flat = value if isinstance(value, tuple) else (value,)
    if not flat or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in flat):
        raise UsageError(f"{name} of {row.constructor} is {value!r}", "it takes whole numbers from 0")
    repeats = 2 * count // len(flat) if 2 * count % len(flat) == 0 else 0
    if repeats * len(flat) != 2 * count or len(flat) not in (1, count, 2 * count):
        raise UsageError(
            f"{name} of {row.constructor} is {value!r}", f"it takes one number, {count} or {2 * count}, or 'same'"
        )
    return {
        mode: "manual",
        size: tuple(n for n in flat for _ in range(repeats)) if math.prod((repeats, count)) > 1 else flat,
    }
