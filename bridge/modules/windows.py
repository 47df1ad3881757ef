"""Convolutions and poolings with MATLAB's padding, where torch has no module for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.sizes import Pairs, same_padding


class Padding:
    """Padding before a sliding window, over the last dimensions of a tensor.

    Attributes:
        pairs: (before, after) for each dimension; None for 'same', which depends on the input's size.
        value: what is padded with.
    """

    def __init__(self, pairs: Pairs | None, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], value: float = 0.0) -> None:
        self.pairs, self.kernel, self.stride, self.dilation, self.value = pairs, kernel, stride, dilation, value

    def __call__(self, x: Tensor) -> Tensor:
        pairs = self.pairs
        if pairs is None:
            lengths = x.shape[-len(self.kernel) :]
            pairs = tuple(same_padding(*each) for each in zip(lengths, self.kernel, self.stride, self.dilation, strict=True))
        flat = [n for pair in reversed(pairs) for n in pair]
        return F.pad(x, flat, value=self.value) if any(flat) else x


class _PaddedConvolution:
    """Mixin: pads as `padding_rule` says, then convolves without padding. Over time the channels come last."""

    padding_rule: Padding | None = None
    channels_last: bool = False

    def forward(self, x: Tensor) -> Tensor:
        if self.channels_last:
            x = x.transpose(1, 2)
        if self.padding_rule is not None:
            x = self.padding_rule(x)
        x = super().forward(x)  # type: ignore[misc]
        return x.transpose(1, 2) if self.channels_last else x


class PaddedConv1d(_PaddedConvolution, nn.Conv1d):
    """Conv1d with MATLAB's padding; takes N,T,C where it slides over time."""


class PaddedConv2d(_PaddedConvolution, nn.Conv2d):
    """Conv2d with MATLAB's 'same' or asymmetric padding."""


class PaddedConv3d(_PaddedConvolution, nn.Conv3d):
    """Conv3d with MATLAB's 'same' or asymmetric padding."""


class _CroppedConvolution:
    """Mixin: a transposed convolution without padding, cropped as MATLAB does ('same' may crop asymmetrically).

    'same' gives an output of input x stride; of the total kernel - stride, the odd pixel is cropped at the end.
    """

    crops: Pairs | None = None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)  # type: ignore[misc]
        dimensions = x.dim() - 2
        for axis in range(dimensions):
            if self.crops is None:
                length = x.shape[2 + axis] * self.stride[axis]  # type: ignore[attr-defined]
                start = (self.kernel_size[axis] - self.stride[axis]) // 2  # type: ignore[attr-defined]
            else:
                start = self.crops[axis][0]
                length = out.shape[2 + axis] - sum(self.crops[axis])
            out = out.narrow(2 + axis, start, length)
        return out


class CroppedConvTranspose2d(_CroppedConvolution, nn.ConvTranspose2d):  # type: ignore[misc]
    """ConvTranspose2d with MATLAB's cropping."""


class CroppedConvTranspose3d(_CroppedConvolution, nn.ConvTranspose3d):  # type: ignore[misc]
    """ConvTranspose3d with MATLAB's cropping."""


class Pooling(nn.Module):
    """Max or average pooling with MATLAB's padding, for the cases in which torch's own module differs.

    Maximum: padding never wins. Average: padding counts as zeros (PaddingValue 0, MATLAB's default), or is left
    out of the mean ("mean"). Over time the channels come last.
    """

    def __init__(self, kind: str, padding: Padding, kernel: Sequence[int], stride: Sequence[int], count_padding: bool, channels_last: bool) -> None:
        super().__init__()
        self.kind, self.padding, self.kernel, self.stride = kind, padding, list(kernel), list(stride)
        self.count_padding, self.channels_last = count_padding, channels_last
        self._pool = getattr(F, f"{kind}_pool{len(kernel)}d")

    def forward(self, x: Tensor) -> Tensor:
        if self.channels_last:
            x = x.transpose(1, 2)
        out: Tensor = self._pool(self.padding(x), self.kernel, self.stride)
        if not self.count_padding:
            out = out / self._pool(self.padding(torch.ones_like(x[:1, :1])), self.kernel, self.stride)
        return out.transpose(1, 2) if self.channels_last else out


class PoolingWithIndices(nn.MaxPool2d):
    """Max pooling that also returns what max unpooling needs: (out, indices, size of the input)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, torch.Size]:  # type: ignore[override]
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
