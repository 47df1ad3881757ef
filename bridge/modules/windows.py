"""Convolutions and poolings with MATLAB's padding: torch's own modules where they say the same, ours where they do not.

A layer slides over the spatial dimensions; where it has one dimension more than there are, also over time, as
MATLAB documents it. Then the input is N,T,C,... and time is its last window dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation
from bridge.network.windows import (
    Pairs,
    Window,
    dimensions,
    filter_count,
    group_count,
    numbers,
    padding_pairs,
    same_padding,
    window,
)

if TYPE_CHECKING:
    from bridge.network import Layer


class Padding:
    """Padding with `value` before a window slides over the last dimensions of a tensor."""

    def __init__(self, window: Window, value: float = 0.0) -> None:
        self.window, self.value = window, value

    def __call__(self, x: Tensor) -> Tensor:
        kernel, stride, dilation = self.window.kernel, self.window.stride, self.window.dilation
        pairs = self.window.padding
        if pairs is None:
            lengths = x.shape[-len(kernel) :]
            pairs = tuple(same_padding(*each) for each in zip(lengths, kernel, stride, dilation, strict=True))
        flat = [n for pair in reversed(pairs) for n in pair]
        return F.pad(x, flat, value=self.value) if any(flat) else x

    def __repr__(self) -> str:
        return str(self.window.padding or "same")


class _PaddedConvolution:
    """Mixin: pads as `padding_rule` says, then convolves without padding."""

    padding_rule: Padding | None = None
    over_time: bool = False

    def forward(self, x: Tensor) -> Tensor:
        if self.over_time:
            x = x.movedim(1, -1)
        if self.padding_rule is not None:
            x = self.padding_rule(x)
        x = super().forward(x)  # type: ignore[misc]
        return x.movedim(-1, 1) if self.over_time else x


class PaddedConv1d(_PaddedConvolution, nn.Conv1d):
    """Conv1d with MATLAB's padding; takes N,T,C where it slides over time."""


class PaddedConv2d(_PaddedConvolution, nn.Conv2d):
    """Conv2d with MATLAB's 'same' or asymmetric padding; takes N,T,C,S where it slides over time too."""


class PaddedConv3d(_PaddedConvolution, nn.Conv3d):
    """Conv3d with MATLAB's 'same' or asymmetric padding; takes N,T,C,H,W where it slides over time too."""


PADDED: tuple[type[nn.Module], ...] = (PaddedConv1d, PaddedConv2d, PaddedConv3d)


class _CroppedConvolution:
    """Mixin: a transposed convolution without padding, cropped as MATLAB does ('same' may crop asymmetrically).

    'same' gives an output of input x stride; of the total kernel - stride, the odd pixel is cropped at the end.
    """

    crops: Pairs | None = None
    over_time: bool = False

    def forward(self, x: Tensor) -> Tensor:
        return self._cropped(x.movedim(1, -1)).movedim(-1, 1) if self.over_time else self._cropped(x)

    def _cropped(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)  # type: ignore[misc]
        for axis in range(x.dim() - 2):
            if self.crops is None:
                length = x.shape[2 + axis] * self.stride[axis]  # type: ignore[attr-defined]
                start = (self.kernel_size[axis] - self.stride[axis]) // 2  # type: ignore[attr-defined]
            else:
                start = self.crops[axis][0]
                length = out.shape[2 + axis] - sum(self.crops[axis])
            out = out.narrow(2 + axis, start, length)
        return out


class CroppedConvTranspose1d(_CroppedConvolution, nn.ConvTranspose1d):  # type: ignore[misc]
    """ConvTranspose1d with MATLAB's cropping; takes N,T,C where it slides over time."""


class CroppedConvTranspose2d(_CroppedConvolution, nn.ConvTranspose2d):  # type: ignore[misc]
    """ConvTranspose2d with MATLAB's cropping."""


class CroppedConvTranspose3d(_CroppedConvolution, nn.ConvTranspose3d):  # type: ignore[misc]
    """ConvTranspose3d with MATLAB's cropping."""


CROPPED: Mapping[int, type[nn.Module]] = {
    1: CroppedConvTranspose1d,
    2: CroppedConvTranspose2d,
    3: CroppedConvTranspose3d,
}


class Pooling(nn.Module):
    """Max or average pooling with MATLAB's padding, for the cases in which torch's own module differs.

    Maximum: padding never wins. Average: padding counts as zeros (PaddingValue 0, MATLAB's default), or is left
    out of the mean ("mean").
    """

    def __init__(self, kind: str, window: Window, count_padding: bool, over_time: bool) -> None:
        super().__init__()
        self.kind, self.count_padding, self.over_time = kind, count_padding, over_time
        self.padding = Padding(window, float("-inf") if kind == "max" else 0.0)
        self.kernel, self.stride = list(window.kernel), list(window.stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.over_time:
            x = x.movedim(1, -1)
        out = self._pool(self.padding(x))
        if not self.count_padding:
            out = out / self._pool(self.padding(torch.ones_like(x[:1, :1])))
        return out.movedim(-1, 1) if self.over_time else out

    def _pool(self, x: Tensor) -> Tensor:
        """torch's function, looked up here: as an attribute it could not be pickled."""
        pooled: Tensor = getattr(F, f"{self.kind}_pool{len(self.kernel)}d")(x, self.kernel, self.stride)
        return pooled

    def extra_repr(self) -> str:
        return f"{self.kind}, kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class PoolingWithIndices(nn.MaxPool2d):
    """Max pooling that also returns what max unpooling needs: (out, indices, size of the input)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
        out, indices = F.max_pool2d(x, self.kernel_size, self.stride, self.padding, return_indices=True)
        return out, indices, x.shape


class MaxUnpooling(nn.Module):
    """Put each value back where the maximum was; zeros elsewhere."""

    def forward(self, x: Tensor, indices: Tensor, size: Sequence[int]) -> Tensor:
        height, width = size[-2:]
        out = x.new_zeros((x.shape[0], x.shape[1], height * width))
        return out.scatter(2, indices.flatten(2), x.flatten(2)).view(*x.shape[:2], height, width)


class GlobalPooling(nn.Module):
    """Mean or maximum over time: N,T,C -> N,C."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1) if self.kind == "average" else x.amax(1)


# Builders


def _symmetric(window: Window, at: Activation) -> tuple[int, ...] | None:
    """The padding of each dimension, as torch's modules take it: the same at both ends, and not over time."""
    if at.over_time or window.padding is None or any(a != b for a, b in window.padding):
        return None
    return tuple(a for a, _ in window.padding)


@BUILDERS("convolution")
def convolution(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    at, count, w = given[0], dimensions(layer), window(layer)
    value = layer.properties.get("PaddingValue", 0)
    if value != 0:
        raise UnsupportedError(f"layer '{layer.name}' pads with {value}", "only zero padding has been seen")
    groups = group_count(layer, at.channels)
    inputs = at.channels or layer.learnables["Weights"].shape[count] * groups
    outputs, bias, pads = filter_count(layer, at.channels), "Bias" in layer.learnables, _symmetric(w, at)
    if pads is not None:
        plain: type[nn.Module] = getattr(nn, f"Conv{count}d")
        return plain(inputs, outputs, w.kernel, w.stride, pads, w.dilation, groups, bias)
    made: Any = PADDED[count - 1](inputs, outputs, w.kernel, w.stride, 0, w.dilation, groups, bias)
    made.padding_rule, made.over_time = Padding(w), at.over_time
    return made  # type: ignore[no-any-return]


@BUILDERS("transposed_convolution")
def transposed_convolution(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    count, properties = dimensions(layer), layer.properties
    kernel, stride = numbers(properties["FilterSize"], count), numbers(properties.get("Stride", 1), count)
    inputs, outputs = given[0].channels or layer.learnables["Weights"].shape[count + 1], int(properties["NumFilters"])
    crops = (
        None if properties.get("CroppingMode") == "same" else padding_pairs(properties.get("CroppingSize", 0), count)
    )
    bias = "Bias" in layer.learnables
    if crops is None and any(k < s for k, s in zip(kernel, stride, strict=True)):
        raise UnsupportedError(
            f"layer '{layer.name}' crops to 'same' with a stride above its filter size",
            "what fills the gap is not known",
        )
    if crops is not None and any(numbers(properties.get("OutputSizeOffset", 0), count)):
        raise UnsupportedError(
            f"layer '{layer.name}' has an OutputSizeOffset of {properties['OutputSizeOffset']}",
            "only zeros have been seen",
        )
    over_time = given[0].format == "CBT"
    if crops is not None and all(a == b for a, b in crops) and not over_time:
        plain: type[nn.Module] = getattr(nn, f"ConvTranspose{count}d")
        return plain(inputs, outputs, kernel, stride, tuple(a for a, _ in crops), bias=bias)
    made: Any = CROPPED[count](inputs, outputs, kernel, stride, bias=bias)
    made.crops, made.over_time = crops, over_time
    return made  # type: ignore[no-any-return]


def _pooling_pads(window: Window, at: Activation) -> tuple[int, ...] | None:
    """The padding as torch's pooling takes it: symmetric, and at most half the window."""
    pads = _symmetric(window, at)
    return pads if pads is not None and all(n <= k // 2 for n, k in zip(pads, window.kernel, strict=True)) else None


@BUILDERS("max_pooling")
def max_pooling(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    w = window(layer)
    pads = _pooling_pads(w, given[0])
    if len(layer.outputs) > 1:
        if pads is None:
            raise UnsupportedError(
                f"layer '{layer.name}' puts out indices of asymmetrically padded images, or of sequences",
                "that has not been seen",
            )
        return PoolingWithIndices(w.kernel, w.stride, pads)
    if pads is None:
        return Pooling("max", w, True, given[0].over_time)
    plain: type[nn.Module] = getattr(nn, f"MaxPool{len(pads)}d")
    return plain(w.kernel, w.stride, pads)


@BUILDERS("average_pooling")
def average_pooling(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """torch's AvgPool3d refuses an image that is smaller than its window, even where padding makes up for it."""
    w, value = window(layer), layer.properties.get("PaddingValue", 0)
    if value not in (0, "mean"):
        raise UnsupportedError(f"layer '{layer.name}' pads with {value}", "MATLAB documents 0 and 'mean'")
    pads = _pooling_pads(w, given[0])
    if pads is None or (len(pads) == 3 and any((n or k) < k for n, k in zip(given[0].spatial, w.kernel, strict=True))):
        return Pooling("avg", w, value == 0, given[0].over_time)
    plain: type[nn.Module] = getattr(nn, f"AvgPool{len(pads)}d")
    return plain(w.kernel, w.stride, pads, count_include_pad=value == 0)


@BUILDERS("global_pooling")
def global_pooling(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    if given[0].over_time:
        return GlobalPooling("average" if "Avg" in (layer.row.torch or "") else "max")
    plain: type[nn.Module] = getattr(nn, layer.row.torch or "")
    return plain(1)


@BUILDERS("max_unpooling")
def max_unpooling(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    return MaxUnpooling()
