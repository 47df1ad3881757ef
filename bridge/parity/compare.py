"""Compare a module with a reference, layer by layer, through forward hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays import NDArray
from bridge.errors import DifferenceError
from bridge.modules.windows import PoolingWithIndices
from bridge.network import Network
from bridge.tensors import given_sizes, tensors

# Single precision rounds each operation to 6e-8 of its result; sums over thousands of terms in another order, layer
# after layer, have stayed below 1e-5 of a layer's largest value on every real file.
FLOAT32 = 1e-5


@dataclass(frozen=True)
class LayerDifference:
    """How far one layer's activation is from the reference.

    Attributes:
        layer: MATLAB's layer name.
        max_abs: largest absolute difference.
        scale: largest absolute value of the reference.
    """

    layer: str
    max_abs: float
    scale: float

    @property
    def relative(self) -> float:
        """Largest difference relative to the layer's largest value."""
        return self.max_abs / self.scale if self.scale > 0 else self.max_abs


@dataclass(frozen=True)
class Comparison:
    """The layers that were compared, in the order they ran, against an oracle with a name."""

    oracle: str
    layers: tuple[LayerDifference, ...]
    tolerance: float

    @property
    def first_divergence(self) -> LayerDifference | None:
        return next((each for each in self.layers if not each.relative <= self.tolerance), None)

    @property
    def worst(self) -> LayerDifference | None:
        return max(self.layers, key=lambda each: each.relative, default=None)

    def require(self) -> None:
        """Raise DifferenceError, naming the first layer that differs."""
        first = self.first_divergence
        if first is not None:
            agree = self.layers[: self.layers.index(first)]
            before = max((each.relative for each in agree), default=0.0)
            raise DifferenceError(
                f"layer '{first.layer}' differs from {self.oracle} by {first.max_abs:.2g}, {first.relative:.2g} of its range",
                f"allowed is {self.tolerance:.0e}; the {len(agree)} layer(s) before it agree to {before:.1e}",
            )


def compare(model: fx.GraphModule, inputs: Sequence[Tensor], reference: Mapping[str, NDArray], oracle: str, tolerance: float = FLOAT32) -> Comparison:
    """Run a module once and compare each layer's activation as it appears; none is kept.

    Args:
        model: a module of `Network.to_torch()`.
        inputs: what to run it on.
        reference: activations by MATLAB's layer name, in torch's layout; other layers are not compared.
        oracle: what made the reference.
        tolerance: allowed difference relative to a layer's largest value.
    """
    found: list[LayerDifference] = []
    layers: Mapping[str, str] = model.meta["layers"]

    def hook(name: str) -> Callable[..., Any]:
        def look(module: nn.Module, arguments: tuple[Tensor, ...], output: Any) -> Any:
            value = output[0] if isinstance(output, tuple) else output
            found.append(difference(name, value.detach().cpu().numpy(), reference[name]))
            if isinstance(module, PoolingWithIndices) and f"{name}/indices" in reference:
                return _with_indices(name, arguments[0], output, reference, found)
            return None

        return look

    handles = [model.get_submodule(module).register_forward_hook(hook(name)) for module, name in layers.items() if name in reference]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Comparison(oracle, tuple(found), tolerance)


def _with_indices(name: str, x: Tensor, output: Any, reference: Mapping[str, NDArray], found: list[LayerDifference]) -> Any:
    """Go on with the reference's choice of maxima, once the values it chose are proven maxima.

    Where two values of a window are equal to rounding, either may win, and an unpooling puts the winner elsewhere.
    """
    indices = torch.from_numpy(reference[f"{name}/indices"]) % (x.shape[2] * x.shape[3])
    chosen = x.flatten(2).gather(2, indices.flatten(2))
    found.append(difference(name, chosen.detach().cpu().numpy(), reference[name]))
    return output[0], indices, output[2]


def difference(layer: str, ours: NDArray, theirs: NDArray) -> LayerDifference:
    """Compare one activation; shapes may differ in dimensions of length one."""
    if ours.size != theirs.size:
        return LayerDifference(layer, float("inf"), 1.0)
    a, b = ours.reshape(-1).astype(np.float64), theirs.reshape(-1).astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    distance = np.where(same, 0.0, np.abs(a - b))
    return LayerDifference(layer, float(distance.max(initial=0.0)), float(np.abs(b[np.isfinite(b)]).max(initial=0.0)))


def count_equal_arrays(network: Network, model: fx.GraphModule) -> tuple[int, int]:
    """Count the learnables and statistics whose file values, read again, equal the module's bit for bit: (equal, all)."""
    names = {layer: module for module, layer in model.meta["layers"].items()}
    equal = total = 0
    for layer in network.layers:
        if layer.name not in names:
            continue
        module = model.get_submodule(names[layer.name])
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for each in tensors(layer, given_sizes(network, layer)):
            if each.local not in held and layer.row.build == "input_normalization":
                continue  # a statistic that this normalization does not use
            total += 1
            equal += each.local in held and _is_equal(held[each.local].detach().cpu().numpy(), each.array.read())
    return equal, total


def _is_equal(held: NDArray, array: NDArray) -> bool:
    """Whether a tensor holds the array, in the tensor's precision: modules compute in single, as MATLAB does."""
    return np.array_equal(held, array.astype(held.dtype), equal_nan=held.dtype.kind == "f")
