"""The window that a convolution or a pooling slides over its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.network.activations import Length

if TYPE_CHECKING:
    from bridge.network.layer import Layer


Pairs = tuple[tuple[int, int], ...]


def numbers(value: Any, count: int) -> tuple[int, ...]:
    """Return a size property as integers: a vector as it is, a single number for each of `count` dimensions."""
    return tuple(int(n) for n in value) if isinstance(value, (tuple, list)) else (int(value),) * count


def padding_pairs(value: Any, dimensions: int) -> Pairs:
    """Return [t b l r] (or [l r], [t b l r f k]) as ((before, after), ...); a single number counts for all sides."""
    flat = numbers(value, 2 * dimensions)
    return tuple((flat[2 * i], flat[2 * i + 1]) for i in range(dimensions))


def same_padding(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """MATLAB's 'same' padding of one dimension: the odd pixel goes to the bottom or right (proven on real files)."""
    total = max((length - 1) // stride * stride + (kernel - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Window:
    """What a convolution or pooling slides, one number for each dimension.

    Attributes:
        padding: (before, after); None for 'same' where it depends on the input's size.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs | None

    def lengths(self, at: Sequence[Length]) -> list[Length]:
        """The lengths after the window slid over the dimensions of lengths `at`."""
        if self.padding is None:
            return [None if n is None else math.ceil(n / s) for n, s in zip(at, self.stride, strict=False)]
        each = zip(at, self.kernel, self.stride, self.dilation, self.padding, strict=False)
        return [None if n is None else (n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, d, pad in each]


def window(layer: Layer) -> Window:
    """Return the window of a convolution or pooling layer.

    Raises:
        UnsupportedError: its PaddingMode is not known.
    """
    count, properties = dimensions(layer), layer.properties
    kernel = numbers(properties["FilterSize" if "FilterSize" in layer.row.properties else "PoolSize"], count)
    stride, dilation = numbers(properties.get("Stride", 1), count), numbers(properties.get("DilationFactor", 1), count)
    reach = [(k - 1) * d for k, d, _ in zip(kernel, dilation, stride, strict=True)]
    padding: Pairs | None
    match properties.get("PaddingMode", "manual"):
        case "manual":
            padding = padding_pairs(properties.get("PaddingSize", 0), count)
        case "causal":
            padding = tuple((n, 0) for n in reach)
        case "same":
            padding = tuple((n // 2, n - n // 2) for n in reach) if set(stride) == {1} else None
        case mode:
            raise UnsupportedError(
                f"layer '{layer.name}' ({layer.kind}) pads in mode '{mode}'",
                "MATLAB documents 'manual', 'same' and 'causal'",
            )
    if min(*kernel, *stride, *dilation) < 1 or min((n for pair in padding or () for n in pair), default=0) < 0:
        raise UnreadableError(
            f"layer '{layer.name}' ({layer.kind}) has a window of {kernel} with stride {stride}, dilation {dilation} "
            f"and padding {padding}"
        )
    return Window(kernel, stride, dilation, padding)


def dimensions(layer: Layer) -> int:
    """Return how many dimensions a layer works over, as its row says.

    Raises:
        UsageError: the row does not say it; a row of a user's may not.
    """
    if layer.row.dimensions is None:
        hint = "add `dimensions = 2` (or 1, 3) to it"
        raise UsageError(f"the row [{layer.kind}] does not say over how many dimensions it works", hint=hint)
    return layer.row.dimensions


def group_count(layer: Layer, channels: Length, default: int | str = 1) -> int:
    """The number of groups of a convolution or a normalisation of `channels` channels, `default` where its class has no
    NumGroups.
    """
    groups = layer.properties["NumGroups"] if "NumGroups" in layer.row.properties else default
    return {"channel-wise": channels or 1, "all-channels": 1}[groups] if isinstance(groups, str) else int(groups)


def filter_count(layer: Layer, channels: Length) -> int:
    """The number of filters of a convolution, in all its groups; `channels` are its input's."""
    if "NumFiltersPerGroup" in layer.properties:
        return int(layer.properties["NumFiltersPerGroup"]) * group_count(layer, channels)
    return int(layer.properties["NumFilters"])


def cut_corner(layer: Layer) -> tuple[int, ...] | None:
    """Return where a crop begins, zero-based, the row first: Location is [x y] or [x y z], from 1. None: the centre."""
    location = layer.properties.get("Location")
    if layer.properties.get("Mode") != "custom" or not isinstance(location, tuple):
        return None
    x, y, *z = (int(n) - 1 for n in location)
    return (y, x, *z)
