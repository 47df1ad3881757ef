"""From a saved MATLAB layer object to a `Layer`, by its row of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.arrays.matlab import Categorical, Cell, Handle, Object, Unread
from bridge.errors import UnreadableError, quoted, reading, shortened
from bridge.network import Connection, Layer, LayerList, Learnable, factor_names, make_layer, saved_factor
from bridge.readers.mat.complex_inputs import of_real_numbers
from bridge.tables.layers import LayerRow, Mappings, preprocessing, unknown_output_row, unknown_row

FACTORS = ("LearnRateFactor", "L2Factor")
RESCALED = {(0, 1): "rescale-zero-one", (-1, 1): "rescale-symmetric"}  # what "rescale" is saved with
ENDED_BY_OUTPUTS = ("SeriesNetwork", "DAGNetwork")  # the kinds that are trained with output layers alone
OF_OUTPUTS = frozenset(("Classes", "ResponseNames"))  # properties of MATLAB's base classes of output layers
LONGEST_PROPERTY = 4096  # elements; longer arrays are no property a layer is configured by


def required(value: Any) -> Any:
    """Return a value that is needed.

    Raises:
        UnreadableError: it could not be decoded.
    """
    if isinstance(value, Unread) and value.error is not None:
        error = value.error
        raise UnreadableError(error.error, error.cause, error.hint)  # a new one: its traceback holds the file open
    return value


def plain(value: Any) -> Any:
    """Turn a saved value into number, text, tuple or None; what is none of these becomes None.

    Raises:
        UnreadableError: it could not be decoded.
    """
    required(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, Categorical):
        return value.names
    if isinstance(value, Handle):
        return value.text or None
    if isinstance(value, Cell):
        items = tuple(plain(item) for item in value)
        return items if all(isinstance(item, (str, int, float)) for item in items) else None
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, np.ndarray) or value.size == 0 or value.size > LONGEST_PROPERTY or np.iscomplexobj(value):
        return None
    flat = tuple(_number(each) for each in value.reshape(-1, order="F").tolist())
    return flat[0] if value.size == 1 else flat


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_array(value: Any) -> Array | None:
    """Wrap a saved numeric value; None where it holds nothing.

    Raises:
        UnreadableError: it could not be decoded.
    """
    required(value)
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "fiu":
        return Array.of(value)
    return value if isinstance(value, Array) and value.size else None


def layer_from(saved: Object, name: str, tables: Mappings, notes: list[str]) -> Layer:
    """Make a `Layer` of a saved layer object.

    Raises:
        UnreadableError: its fields make no sense, or one that is needed cannot be decoded.
    """
    fields = of_real_numbers(saved.properties, name, notes)
    row = tables.by_class(saved.class_name)
    if row is None:
        notes.append(_unknown(name, saved.class_name))
        row = unknown_row(saved.class_name)
    elif row.refused:
        held = [f"; {key} = {quoted(value)}" for key in row.properties if (value := plain(fields.get(key)))]
        notes.append(f"layer '{name}' ({saved.class_name}) is shown, not computed: {row.refused}{''.join(held)}")
    elif normalization := row.normalization or preprocessing(saved.class_name):
        does = "has numbers of its own" if row.is_unknown else "scales 0..255 to -1..1"
        notes.append(
            f"layer '{name}' ({saved.class_name}) {does}, as Normalization '{normalization}' of newer files "
            "(unconfirmed)"
        )
    with reading(f"layer '{name}' ({row.name})"):
        properties = {key: value for key, value in _properties(row, fields).items() if value is not None}
        names = list(row.learnables) or [
            key for key, value in fields.items() if isinstance(value, dict) and "LearnRateFactor" in value
        ]
        learnables = {key: _learnable(key, fields, row, name) for key in names}
        return make_layer(row, name, properties, learnables, _state(row, fields))


def with_output_layers(layers: LayerList, connections: Sequence[Connection], kind: str, notes: list[str]) -> LayerList:
    """Make output layers of the layers of unknown classes that nothing reads, where the network must end in some, or
    where they have what MATLAB gives output layers. A note tells what they hold.
    """
    read = {each.source for each in connections}

    def ends(layer: Layer) -> bool:
        alone = layer.name not in read and len(layer.inputs) == 1 and not layer.learnables
        if not layer.row.is_unknown or layer.row.refused or not alone:
            return False
        return kind in ENDED_BY_OUTPUTS or not OF_OUTPUTS.isdisjoint(layer.properties)

    return LayerList(_output_layer(layer, notes) if ends(layer) else layer for layer in layers)


def _output_layer(layer: Layer, notes: list[str]) -> Layer:
    class_name = layer.row.matlab[0]
    with suppress(ValueError):
        notes.remove(_unknown(layer.name, class_name))
    held = ", ".join(f"{key} {_shown(value)}" for key, value in layer.properties.items() if key != "Description")
    notes.append(
        f"layer '{layer.name}' ({class_name}) is an output layer that no table knows: it computes nothing in "
        f"prediction, and training asks for its loss{f'; it holds {held}' if held else ''}"
    )
    return replace(layer, row=unknown_output_row(class_name), outputs=())


def _unknown(name: str, class_name: str) -> str:
    return f"layer '{name}' has the class {class_name}, which no table knows"


def _shown(value: Any) -> str:
    items = value if isinstance(value, tuple) else (value,)
    return shortened(" ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in items), 60)


def _properties(row: LayerRow, fields: Mapping[str, Any]) -> dict[str, Any]:
    if not row.properties and row.is_unknown:
        own = {key: value for key, value in fields.items() if key not in ("Name", "Version")}
        return {key: plain(value) for key, value in own.items() if not isinstance(value, Unread)}
    found = {}
    for name, known in row.properties.items():
        value = plain(fields.get(known.saved, fields.get(name)))
        if value is None and known.older in fields:
            value = _on_both_sides(plain(fields[known.older]), known.default)
        key = str(value).lower() if isinstance(value, bool) else str(value)
        found[name] = known.values.get(key, value)
    if "Normalization" in row.properties:
        found["Normalization"] = _normalization(fields)
    return found


def _on_both_sides(value: Any, default: Any) -> Any:
    """Return what files up to R2018 hold of a padding, [rows columns], as [top bottom left right]."""
    if not isinstance(value, tuple) or not isinstance(default, (list, tuple)) or 2 * len(value) != len(default):
        return value
    return tuple(each for each in value for _ in range(2))


def _normalization(fields: Mapping[str, Any]) -> str:
    saved = required(fields.get("Normalization"))
    if isinstance(saved, dict):
        kind = str(plain(saved.get("Type")) or "none")
        onto = tuple(plain(saved.get(key)) for key in ("TargetMin", "TargetMax"))
        return RESCALED.get(onto, kind) if kind == "rescale" else kind
    return saved if isinstance(saved, str) and saved else "none"


def _learnable(name: str, fields: Mapping[str, Any], row: LayerRow, layer: str) -> Learnable:
    saved, known = fields.get(name), row.learnables.get(name)
    if not isinstance(saved, dict):  # a bare array, whose factors may be properties of the layer
        beside = zip(FACTORS, factor_names(row, name), strict=True)
        saved = {"Value": saved, **{key: fields[each] for key, each in beside if each in fields}}
    array = as_array(saved.get("Value"))
    defaults = known.defaults if known else (1.0, 1.0)
    rate, decay = (
        saved_factor(plain(saved[key]), layer, name) if key in saved else default
        for key, default in zip(FACTORS, defaults, strict=True)
    )
    array = array or Array.of(np.empty((0, 0), np.float32))
    return Learnable(
        _matlab_layout(array, fields, name, row, layer),
        rate,
        decay,
        not saved.keys() >= set(FACTORS),
        plain(saved["Initializer"].get("Class")) if isinstance(saved.get("Initializer"), dict) else None,
    )


def _matlab_layout(array: Array, fields: Mapping[str, Any], name: str, row: LayerRow, layer: str) -> Array:
    """Give a saved array the dimensions MATLAB shows: trailing ones back, a fully connected layer's as a matrix.

    After images a fully connected layer saves its Weights as [H W C Out]; MATLAB shows Out x (H*W*C), H fastest.
    """
    if array.size == 0:
        return array
    if "flattens" in row.traits:
        out = array.size if name == "Bias" else _outputs(fields, array, layer)
        if name == "Bias":
            return array.reshape((out, 1))
        if len(array.shape) == 2 and array.shape[0] == out:
            return array
        backwards = tuple(range(len(array.shape)))[::-1]
        return array.transpose(backwards).reshape((out, array.size // out))
    pattern = row.learnables[name].matlab_axes.split() if name in row.learnables else []
    missing = len(pattern) - len(array.shape)
    return array.reshape((*array.shape, *(1,) * missing)) if missing > 0 and len(pattern) > 1 else array


def _outputs(fields: Mapping[str, Any], array: Array, layer: str) -> int:
    size = plain(fields.get("OutputSize"))
    count = int(size[-1] if isinstance(size, tuple) else size) if size is not None else array.shape[-1]
    if count < 1 or array.size % count:
        raise UnreadableError(
            f"Weights of layer '{layer}' have size {array.shape}", f"it has {count} outputs", "save the network again"
        )
    return count


def _state(row: LayerRow, fields: Mapping[str, Any]) -> dict[str, Array]:
    found = {}
    normalization = required(fields.get("Normalization"))
    nested = normalization if isinstance(normalization, dict) else {}
    for name, known in row.state.items():
        for key in known.saved:
            value = nested.get(key, fields.get(key))
            if isinstance(value, dict):
                value = value.get("Value")
            array = as_array(value)
            if array is not None:
                found[name] = array
                break
    return found
