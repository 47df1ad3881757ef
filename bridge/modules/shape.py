"""Layers that combine or move elements as MATLAB does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation
from bridge.network.sizes import joined_dimension
from bridge.network.windows import cut_corner, numbers, padding_pairs

if TYPE_CHECKING:
    from bridge.network import Layer


class Addition(nn.Module):
    """The sum of the inputs, in memory of its own also where there is one; dimensions of length one are repeated."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, inputs) if len(inputs) > 1 else inputs[0].clone()


class Multiplication(nn.Module):
    """The elementwise product of the inputs; dimensions of length one are repeated."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.mul, inputs)


class Scaling(nn.Module):
    """The input times a number plus a number, or times and plus one for each channel of vectors."""

    def __init__(self, scale: float | tuple[float, ...], bias: float | tuple[float, ...] = 0) -> None:
        super().__init__()
        self.scale, self.bias = scale, bias

    def forward(self, x: Tensor) -> Tensor:
        if self.bias == 0 and not isinstance(self.scale, tuple):
            return x * self.scale
        return x * x.new_tensor(self.scale) + x.new_tensor(self.bias)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, bias={self.bias}"


class Quadratic(nn.Module):
    """The products of all pairs of channels: u1*u1, u1*u2, u2*u2, u1*u3, ... (documented)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., : i + 1] * x[..., i : i + 1] for i in range(x.shape[-1])], -1)


class Indexing1D(nn.Module):
    """The first or last element along one dimension of the tensor."""

    def __init__(self, dim: int, last: bool) -> None:
        super().__init__()
        self.dim, self.last = dim, last

    def forward(self, x: Tensor) -> Tensor:
        return x.select(self.dim, -1 if self.last else 0)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, last={self.last}"


class Concatenation(nn.Module):
    """The inputs joined along one dimension of the tensor."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class SpatialDropout(nn.Module):
    """Dropout of whole channels: all of a channel's elements in space and time, for each observation (documented)."""

    def __init__(self, p: float, over_time: bool) -> None:
        super().__init__()
        self.p, self.channel = p, 2 if over_time else 1

    def forward(self, x: Tensor) -> Tensor:
        kept = x.new_ones([n if axis in (0, self.channel) else 1 for axis, n in enumerate(x.shape)])
        return x * F.dropout(kept, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class FullyConnected(nn.Linear):
    """Linear that flattens images first: N,C,H,W -> N,(C H W), or N,T,C,H,W -> N,T,(C H W)."""

    first: int = 1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(self.first))


class Flatten(nn.Module):
    """MATLAB's flatten: the height runs fastest, then the width, (the depth,) the channels.

    Args:
        spatial: how many spatial dimensions there are.
        over_time: whether the second dimension is time.
    """

    def __init__(self, spatial: int, over_time: bool) -> None:
        super().__init__()
        lead = 2 if over_time else 1
        self.order = (*range(lead + 1), *reversed(range(lead + 1, lead + 1 + spatial)))
        self.first = lead

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order).flatten(self.first)


class SequenceFolding(nn.Module):
    """N,T,... -> (N T),... and the number of observations that unfolding needs."""

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        return x.flatten(0, 1), x.shape[0]


class SequenceUnfolding(nn.Module):
    """(N T),... -> N,T,..."""

    def forward(self, x: Tensor, observations: int) -> Tensor:
        unfolded: Tensor = x.unflatten(0, (observations, -1))
        return unfolded


class SpaceToDepth(nn.Module):
    """Blocks of h x w pixels become channels: channel index (row in block, column in block, channel), channel fastest.

    The order is the one of spaceToDepth's documented example; unconfirmed for yolov2ReorgLayer. Rows and columns
    beyond the last whole block are dropped.
    """

    def __init__(self, block: tuple[int, int]) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.block
        rows, columns = x.shape[2] // height, x.shape[3] // width
        x = x[:, :, : rows * height, : columns * width].unflatten(3, (columns, width)).unflatten(2, (rows, height))
        x = x.permute(0, 3, 5, 1, 2, 4)  # n height width c rows columns
        return x.flatten(1, 3)


class DepthToSpace(nn.Module):
    """Channels become blocks of h x w pixels; "dcr" reads (row, column, channel), "crd" (channel, row, column)."""

    def __init__(self, block: tuple[int, int], mode: str) -> None:
        super().__init__()
        self.block, self.mode = block, mode

    def forward(self, x: Tensor) -> Tensor:
        last = self.mode == "dcr"
        x = x.unflatten(1, (*self.block, -1) if last else (-1, *self.block))
        x = x.permute((0, 3, 4, 1, 5, 2) if last else (0, 1, 4, 2, 5, 3))  # n c rows height columns width
        return x.flatten(4, 5).flatten(2, 3)


class Resize(nn.Module):
    """Resize by scale or to a size, sampling as torch's `mode` says.

    The size by scale is rounded down, and the step between samples is taken from the sizes: unconfirmed where the
    scaled size is no integer. So are nearest samples halfway between two pixels.
    """

    def __init__(self, size: tuple[int, ...] | None, scale: tuple[float, ...] | None, mode: str) -> None:
        super().__init__()
        self.size, self.scale, self.mode = size, scale, mode

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Tensor:
        size = self.size if reference is None else tuple(reference.shape[2:])
        if size is None:
            size = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], self.scale or (), strict=True))
        return F.interpolate(x, size, mode=self.mode, align_corners=None if self.mode.startswith("nearest") else False)

    def extra_repr(self) -> str:
        return f"{self.mode}, size={self.size}, scale={self.scale}"


class Crop(nn.Module):
    """Cut the input to the spatial size of the reference.

    Args:
        corner: where the cut begins, zero-based, (row, column) or (row, column, plane); None for the centre (the odd
            pixel stays at the end, which is unconfirmed).
    """

    def __init__(self, corner: tuple[int, ...] | None) -> None:
        super().__init__()
        self.corner = corner

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        for axis, length in enumerate(reference.shape[2:]):
            start = (x.shape[2 + axis] - length) // 2 if self.corner is None else self.corner[axis]
            x = x.narrow(2 + axis, start, length)
        return x


# Builders


@BUILDERS("fully_connected")
def fully_connected(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    at, (outputs, inputs) = given[0], layer.learnables["Weights"].shape
    bias = "Bias" in layer.learnables
    if not at.spatial:
        return nn.Linear(inputs, outputs, bias)
    if None in at.spatial:
        raise UnsupportedError(
            f"layer '{layer.name}' follows images of unknown size",
            "the order of its Weights depends on their height and width",
        )
    made = FullyConnected(inputs, outputs, bias)
    made.first = 2 if at.over_time else 1
    return made


@BUILDERS("concatenation")
def concatenation(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    at, dim = given[0], joined_dimension(layer, given[0])
    return Concatenation(1 + at.over_time + (0 if dim == len(at.size) else dim))


@BUILDERS("spatial_dropout")
def spatial_dropout(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    return SpatialDropout(layer.properties["Probability"], given[0].over_time)


@BUILDERS("flatten")
def flatten(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    return Flatten(len(given[0].spatial), given[0].over_time)


@BUILDERS("blocks")
def blocks(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    rows, columns = numbers(layer.properties["BlockSize"], 2)
    if layer.row.torch == "SpaceToDepth":
        return SpaceToDepth((rows, columns))
    return DepthToSpace((rows, columns), str(layer.properties["Mode"]).lower())


# (GeometricTransformMode, NearestRoundingMode) -> the mode of torch's interpolate that samples so
NEAREST: Mapping[tuple[str, str], str] = {("half-pixel", "round"): "nearest-exact", ("asymmetric", "floor"): "nearest"}


@BUILDERS("resize")
def resize(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    count, p = len(given[0].spatial), layer.properties
    method, transform, rounding = str(p["Method"]), str(p["GeometricTransformMode"]), str(p["NearestRoundingMode"])
    linear = method in ("bilinear", "trilinear") and transform == "half-pixel"
    mode = method if linear else NEAREST.get((transform, rounding)) if method == "nearest" else None
    if mode is None:
        raise UnsupportedError(
            f"layer '{layer.name}' resizes by '{method}', '{transform}', rounding '{rounding}'",
            "no module of torch samples so",
        )
    scale, size = p.get("Scale"), p.get("OutputSize")
    if isinstance(size, tuple) and any(math.isnan(n) for n in size):
        raise UnsupportedError(
            f"layer '{layer.name}' keeps the aspect ratio", "how it rounds the other length is not known"
        )
    scales = (
        None if scale is None else tuple(float(s) for s in (scale if isinstance(scale, tuple) else (scale,) * count))
    )
    return Resize(numbers(size, count) if size else None, scales, mode)


@BUILDERS("zero_padding")
def zero_padding(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    (top, bottom), (left, right) = padding_pairs(layer.properties["PaddingSize"], 2)
    return nn.ZeroPad2d((left, right, top, bottom))


@BUILDERS("crop")
def crop(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    return Crop(cut_corner(layer))


@BUILDERS("scaling_and_bias")
def scaling_and_bias(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """Of numbers for each element, those of vectors: along which dimension others run their file does not tell."""
    numbers_of = [layer.properties[name] for name in ("Scale", "Bias")]
    several = {len(each) for each in numbers_of if isinstance(each, tuple)}
    if several and (given[0].spatial or several != {given[0].channels}):
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) scales by {max(several)} numbers an input of {given[0]}",
            "known are one number, and one for each channel of vectors",
        )
    return Scaling(*numbers_of)


@BUILDERS("indexing")
def indexing(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    index = layer.properties["Index"]
    if index not in ("first", "last"):
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) has the index '{index}'", "MATLAB documents 'first' and 'last'"
        )
    return Indexing1D(1 if given[0].over_time else 2, index == "last")
