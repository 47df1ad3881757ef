"""Normalisation with MATLAB's formulas: torch's own modules where they say the same, ours where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation
from bridge.network.windows import group_count

if TYPE_CHECKING:
    from bridge.network import Layer

# Attributes of a batch-norm module whose VarianceDecay is not its MeanDecay: the former; the variance before a step.
VARIANCE_MOMENTUM, _BEFORE = "variance_momentum", "_variance_before"

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
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class GroupNormOverTime(nn.GroupNorm):
    """Group normalisation of sequences N,T,C,...: each group over its channels, space and time (documented)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


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

    def extra_repr(self) -> str:
        return f"window={self.window}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


# Builders


@BUILDERS("input_normalization")
def input_normalization(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    kind = layer.properties.get("Normalization", "none")
    if kind not in STATISTICS:
        raise UnsupportedError(
            f"layer '{layer.name}' normalises by '{kind}'", "that is a function of the user or unknown"
        )
    missing = [name for name in STATISTICS[kind] if name not in layer.state]
    if missing:
        raise UnsupportedError(
            f"layer '{layer.name}' normalises by '{kind}' and holds no {', '.join(missing)}",
            "the network was not trained yet",
        )
    made = InputNormalization(kind)
    for name in STATISTICS[kind]:
        made.register_buffer(layer.row.state[name].torch, torch.empty(0))
    return made


@BUILDERS("batch_normalization")
def batch_normalization(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    at, channels = given[0], given[0].channels or layer.learnables["Scale"].array.size
    kind = (
        BatchNormOverTime
        if at.over_time
        else (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(at.spatial)]
    )
    made: nn.Module = kind(channels, eps=layer.properties["Epsilon"], momentum=layer.properties["MeanDecay"])
    if layer.properties["VarianceDecay"] != layer.properties["MeanDecay"]:  # torch has one momentum for both
        setattr(made, VARIANCE_MOMENTUM, layer.properties["VarianceDecay"])
        made.register_forward_pre_hook(_remember_variance)
        made.register_forward_hook(_move_variance)
    return made


def variance_momentum(module: nn.Module) -> float:
    """Return how far a mini-batch moves the variance of a batch-norm module: VarianceDecay, or torch's momentum."""
    own: Any = getattr(module, VARIANCE_MOMENTUM, module.momentum)
    return own or 0.0


def _remember_variance(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    if module.training:
        setattr(module, _BEFORE, module.get_buffer("running_var").clone())


def _move_variance(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
    """variance = VarianceDecay*(the mini-batch's, unbiased as torch's) + (1 - VarianceDecay)*variance"""
    if module.training:
        values = arguments[0].detach().movedim(-1 if isinstance(module, BatchNormOverTime) else 1, 0).flatten(1)
        before = getattr(module, _BEFORE)
        module.get_buffer("running_var").data.copy_(before.lerp(values.var(1), variance_momentum(module)))


@BUILDERS("group_normalization")
def group_normalization(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """Group and instance normalisation; the latter is one group for each channel."""
    channels = given[0].channels or layer.learnables["Scale"].array.size
    kind = GroupNormOverTime if given[0].over_time else nn.GroupNorm
    return kind(group_count(layer, channels, "channel-wise"), channels, eps=layer.properties["Epsilon"])


@BUILDERS("layer_normalization")
def layer_normalization(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """Normalise over what OperationDimension says: "auto" is the channels, with space where there is any, but not time.

    Releases before R2023a had no such property and normalised over time too (documented): so does a file without it.
    """
    at, chosen = given[0], layer.properties.get("OperationDimension", "batch-excluded")
    spatial = len(at.spatial)
    channel, space, time = -1 - spatial, tuple(range(-spatial, 0)), (1,) if at.over_time else ()
    axes = {
        "auto": (channel, *space),
        "channel-only": (channel,),
        "spatial-channel": (channel, *space),
        "batch-excluded": (*time, channel, *space),
    }
    if chosen not in axes:
        raise UnsupportedError(f"layer '{layer.name}' normalises over '{chosen}'", f"known are {', '.join(axes)}")
    return LayerNormalization(
        given[0].channels or layer.learnables["Scale"].array.size, channel, axes[chosen], layer.properties["Epsilon"]
    )


@BUILDERS("cross_channel_normalization")
def cross_channel_normalization(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    p = layer.properties
    return CrossChannelNormalization(int(p["WindowChannelSize"]), p["Alpha"], p["Beta"], p["K"])
