"""Join an .onnx with the .mat of the same network: MATLAB's names, classes and factors, proven by equal arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import DifferenceError, nearest
from bridge.network import JOINED, Layer, Network
from bridge.network.windows import numbers
from bridge.readers.onnx.rows import filters_as_rows


def mangled(name: str) -> str:
    """Return a layer name as MATLAB's ONNX exporter writes it: whatever no identifier can hold becomes "_"."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def join(onnx: Network, mat: Network) -> Network:
    """Return the network of `mat`, proven to hold the arrays of `onnx`.

    Layers are matched by MATLAB's names, or by those that they have in an .onnx of MATLAB's where one side has these.

    Raises:
        DifferenceError: a layer is missing on one side, or an array differs; the layer and the difference are named.
    """
    computing = [layer for layer in mat.layers if not layer.row.is_output]
    kept = {layer.name for layer in onnx.layers}
    key = str if all(layer.name in kept for layer in computing if layer.learnables) else mangled
    ours, theirs = _by_name(computing, key), _by_name(onnx.layers, key)
    hint = f"{mat.source.path} is of another network, or was trained on after the export"
    for name, layer in theirs.items():
        if layer.learnables and name not in ours:
            error = f"layer '{layer.name}' of the .onnx is not in {mat.source.path}"
            raise DifferenceError(error, nearest(name, ours), hint)
    proven = 0
    values = {}
    for name, layer in ours.items():
        other = theirs.get(name)
        if other is None:
            if layer.learnables:
                raise DifferenceError(
                    f"layer '{layer.name}' of {mat.source.path} is not in the .onnx", nearest(name, theirs), hint
                )
            continue
        proven += _require_equal(layer, other, hint)
        values.update(
            {
                written.replace(other.name, layer.name, 1): value
                for written, value in onnx.source.values.items()
                if written == other.name or written.startswith(f"{other.name}/")
            }
        )
    notes = [note for note in onnx.notes if "cannot tell them apart" not in note]
    proof = f"{JOINED}{mat.source.path}: weights equal bit for bit, {proven} of {proven}"
    return replace(
        mat, source=replace(onnx.source, values=values, factors=mat.source.path), notes=(*notes, *mat.notes, proof)
    )


def _by_name(layers: Iterable[Layer], key: Callable[[str], str]) -> dict[str, Layer]:
    """Return layers by what `key` makes of their names.

    Raises:
        DifferenceError: it makes one name of two.
    """
    found: dict[str, Layer] = {}
    for layer in layers:
        twin = found.setdefault(key(layer.name), layer)
        if twin is not layer:
            raise DifferenceError(
                f"layers '{twin.name}' and '{layer.name}' cannot be told apart",
                f"both are '{key(layer.name)}' in an .onnx",
                "rename one in MATLAB and export again",
            )
    return found


def _require_equal(layer: Layer, other: Layer, hint: str) -> int:
    if layer.kind != other.kind and layer.row.writes == "projected_lstm":
        products = "its weights there are products of those in the .mat, rounded, and equal none of them"
        raise DifferenceError(
            f"layer '{layer.name}' is a projected LSTM, in the .onnx an LSTM",
            products,
            "import the .mat alone: it holds everything",
        )
    pairs = [
        (name, each.array, other.learnables[name].array if name in other.learnables else None)
        for name, each in layer.learnables.items()
    ]
    pairs += [(name, array, other.state.get(name)) for name, array in layer.state.items() if name in other.state]
    for name, a, b in pairs:
        if b is None:
            raise DifferenceError(
                f"{name} of layer '{layer.name}' is not in the .onnx",
                f"there it has {', '.join(other.learnables) or 'none'}",
                hint,
            )
        mine, its = _comparable(layer, a), _comparable(other, b)
        if name in layer.state and mine.ndim == its.ndim:
            mine, its = _stretched(mine, its)
        mine, its = mine.reshape(-1), its.reshape(-1)
        if mine.size != its.size:
            raise DifferenceError(
                f"{name} of layer '{layer.name}' has {mine.size:,} values, in the .onnx {its.size:,}", hint=hint
            )
        if not np.array_equal(mine, its, equal_nan=True):
            differing = (mine != its) & ~(np.isnan(mine) & np.isnan(its))
            largest = float(np.max(np.abs(mine[differing].astype(np.float64) - its[differing])))
            difference = f"{np.count_nonzero(differing):,} of {mine.size:,} values are not the same"
            raise DifferenceError(
                f"{name} of layer '{layer.name}' differs from the .onnx by up to {largest:.3g}", difference, hint
            )
    return len(pairs)


def _comparable(layer: Layer, array: Array) -> NDArray:
    """Read an array; a convolution's weights in the order of a fully connected layer's, since MATLAB exports one as the
    other.
    """
    if layer.row.whole and len(array.shape) == len(layer.row.learnables["Weights"].matlab_axes.split()):
        array = filters_as_rows(layer.row)(array)
    elif "normalizes" in layer.row.traits:  # MATLAB drops trailing ones
        array = array.reshape((*array.shape, *(1,) * (len(numbers(layer.InputSize, 1)) - len(array.shape))))
    return array.read().astype(np.float32)


def _stretched(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Give two means of the same dimensions one size: exporters wrote a mean for each channel as a whole image."""
    fits = all(m == n or 1 in (m, n) for m, n in zip(a.shape, b.shape, strict=True))
    return tuple(np.broadcast_arrays(a, b)) if fits else (a, b)  # type: ignore[return-value]
