"""Normalisation with MATLAB's formulas, where torch has no module for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What each Normalization of an input layer needs.
STATISTICS: dict[str, tuple[str, ...]] = {
    "none": (),
    "zerocenter": ("Mean",),
    "zscore": ("Mean", "StandardDeviation"),
    "rescale-zero-one": ("Min", "Max"),
    "rescale-symmetric": ("Min", "Max"),
}


class InputNormalization(nn.Module):
    """What an input layer does to its data, visible and switchable.

    kind "zerocenter": x - mean; "zscore": (x - mean) / std; "rescale-zero-one": (x - min) / (max - min);
    "rescale-symmetric": the same, stretched to -1..1; "none": x. Statistics are buffers that broadcast to x.
    """

    mean: Tensor
    std: Tensor
    min: Tensor
    max: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "zerocenter":
            return x - self.mean
        if self.kind == "zscore":
            return (x - self.mean) / self.std
        if self.kind == "rescale-zero-one":
            return (x - self.min) / (self.max - self.min)
        if self.kind == "rescale-symmetric":
            return 2 * (x - self.min) / (self.max - self.min) - 1
        return x

    def extra_repr(self) -> str:
        return self.kind


class BatchNormOverTime(nn.BatchNorm1d):
    """Batch normalisation of sequences N,T,C over batch and time."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class GroupNormOverTime(nn.GroupNorm):
    """Group normalisation of sequences N,T,C, each group over its channels and time."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class LayerNormalization(nn.Module):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset for each observation, variance biased.

    Args:
        channels: length of scale and offset.
        channel_axis: of the input, counted from the end.
        axes: what mean and variance run over (documented: channel, with space or time by OperationDimension).
    """

    def __init__(self, channels: int, channel_axis: int, axes: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.channel_axis, self.axes, self.eps = channel_axis, axes, eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(self.axes, keepdim=True)
        normal = centred * (centred.square().mean(self.axes, keepdim=True) + self.eps).rsqrt()
        shape = (-1, *(1,) * (-1 - self.channel_axis))
        return normal * self.weight.view(shape) + self.bias.view(shape)


class CrossChannelNormalization(nn.Module):
    """x / (k + alpha * sum of squares / window) ** beta over a window of neighbouring channels.

    An even window reaches floor((window - 1) / 2) channels down and floor(window / 2) up, the mirror of torch's.
    """

    def __init__(self, window: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.window, self.alpha, self.beta, self.k = window, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        mirrored = self.window % 2 == 0
        x = x.flip(1) if mirrored else x
        x = F.local_response_norm(x, self.window, self.alpha, self.beta, self.k)
        return x.flip(1) if mirrored else x
