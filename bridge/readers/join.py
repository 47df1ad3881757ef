"""Join an .onnx with the .mat of the same network: MATLAB's names, classes and factors, proven by equal arrays."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import DifferenceError, nearest
from bridge.network import JOINED, Layer, Network
from bridge.network.sizes import numbers
from bridge.readers.onnx.rows import filters_as_rows


def mangled(name: str) -> str:
    """Return a layer name as MATLAB's ONNX exporter writes it: whatever no identifier can hold becomes "_"."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def join(onnx: Network, mat: Network) -> Network:
    """Return the network of `mat`, proven to hold the arrays of `onnx`.

    Raises:
        DifferenceError: a layer is missing on one side, or an array differs; the layer and the difference are named.
    """
    computing = [layer for layer in mat.layers if not layer.row.is_output]
    ours = {mangled(layer.name): layer for layer in computing}
    for layer in computing:
        twin = ours[mangled(layer.name)]
        if twin is not layer:
            shared = f"both are '{mangled(layer.name)}' in an .onnx"
            raise DifferenceError(
                f"layers '{layer.name}' and '{twin.name}' cannot be told apart",
                shared,
                "rename one in MATLAB and export again",
            )
    theirs = {layer.name: layer for layer in onnx.layers}
    hint = f"{mat.source.path} is of another network, or was trained on after the export"
    for name, layer in theirs.items():
        if layer.learnables and name not in ours:
            raise DifferenceError(f"layer '{name}' of the .onnx is not in {mat.source.path}", nearest(name, ours), hint)
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
                key.replace(name, layer.name, 1): value
                for key, value in onnx.source.values.items()
                if key == name or key.startswith(name + "/")
            }
        )
    notes = [note for note in onnx.notes if "cannot tell them apart" not in note]
    proof = f"{JOINED}{mat.source.path}: weights equal bit for bit, {proven} of {proven}"
    return replace(
        mat, source=replace(onnx.source, values=values, factors=mat.source.path), notes=(*notes, *mat.notes, proof)
    )


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
