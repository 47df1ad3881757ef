"""What a network expects of its input: size, layout, and the pixel range its statistics imply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bridge.network.base import BaseNetwork
from bridge.network.layer import Layer


@dataclass(frozen=True)
class Contract:
    """The input contract of one input layer.

    Attributes:
        name: the input layer.
        size: in MATLAB's order ("227×227×3").
        layout: of the torch tensor.
        normalization: MATLAB's word for it.
        statistics: (name, least, greatest) of each statistic it uses.
        low, high: the range of values the statistics imply, or None where the file does not tell.
    """

    name: str
    size: str
    layout: str
    normalization: str
    statistics: tuple[tuple[str, float, float], ...]
    low: float | None
    high: float | None

    @property
    def range_text(self) -> str:
        return "not told by the file" if self.low is None else f"{self.low:g}..{self.high:g}"

    def mismatch(self, least: float, greatest: float) -> str:
        """Say that values of 0 to 1 are given where those of pixels of 0 to 255 are expected, or the other way round;
        "" where nothing speaks against the values.
        """
        if self.high is None or not (
            (least >= 0 and 0 < greatest <= 1 and self.high >= 2) or (self.high <= 1 and greatest >= 2)
        ):
            return ""
        return f"input '{self.name}': float {self.range_text} expected, {least:.3g}..{greatest:.3g} given"

    def __str__(self) -> str:
        about = ", ".join(
            f"{name} {'..'.join(dict.fromkeys((f'{low:.4g}', f'{high:.4g}')))}" for name, low, high in self.statistics
        )
        return (
            f"{self.name}: {self.size} as {self.layout}, normalization "
            f"{self.normalization}{f' ({about})' if about else ''}, values {self.range_text}"
        )


def contracts(network: BaseNetwork) -> Iterator[Contract]:
    """Yield the contract of every input."""
    for name in network.inputs:
        layer, size = network.layers[name], network.sizes[name][0]
        kind = str(layer.properties.get("Normalization", "none"))
        arrays = {key: layer.state[key].read() for key in layer.state if kind != "none"}
        statistics = tuple(
            (key, float(np.min(value)), float(np.max(value))) for key, value in arrays.items() if value.size
        )
        low, high = _range(layer, kind, dict((key, (a, b)) for key, a, b in statistics))
        yield Contract(name, str(size), ",".join(size.axes) or "as in the file", kind, statistics, low, high)


def _range(layer: Layer, kind: str, statistics: dict[str, tuple[float, float]]) -> tuple[float | None, float | None]:
    """A mean of pixels between 1 and 255 implies 0..255, one between 0 and 1 implies 0..1; Min and Max
    tell it exactly.
    """
    if kind.startswith("rescale") and {"Min", "Max"} <= set(statistics):
        return statistics["Min"][0], statistics["Max"][1]
    least, greatest = statistics.get("Mean", (0.0, 0.0))
    if "pixels" not in layer.row.traits or least < 0 or greatest <= 0 or least == greatest == 1:
        return None, None
    return (0.0, 1.0) if greatest <= 1 else (0.0, 255.0) if greatest <= 255 else (None, None)


def constant_shift(network: BaseNetwork) -> Iterator[str]:
    """Yield a note for every input layer that subtracts the same constant from all its values."""
    for contract in contracts(network):
        for name, least, greatest in contract.statistics if contract.normalization == "zerocenter" else ():
            if name == "Mean" and least == greatest and network.layers[contract.name].state[name].size > 1:
                meaning = "its mean has no effect" if least == 0 else f"the network computes f(x - {least:g})"
                yield f"input '{contract.name}' subtracts {least:g} from every value: {meaning}"
