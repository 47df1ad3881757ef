"""Layers that combine, move or look up elements as MATLAB does."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Addition(nn.Module):
    """The sum of the inputs; dimensions of length one are repeated."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, inputs)


class Multiplication(nn.Module):
    """The elementwise product of the inputs; dimensions of length one are repeated."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.mul, inputs)


class Concatenation(nn.Module):
    """The inputs joined along one dimension of the tensor."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, self.dim)


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
        return x.unflatten(0, (observations, -1))


class SpaceToDepth(nn.Module):
    """Blocks of h x w pixels become channels: channel index (row in block, column in block, channel), channel fastest.

    The order is the one documented for depthToSpace2dLayer's "dcr" mode, reversed; unconfirmed for yolov2ReorgLayer.
    """

    def __init__(self, block: tuple[int, int]) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        (height, width), (n, c, _, _) = self.block, x.shape
        x = x.unflatten(3, (-1, width)).unflatten(2, (-1, height))  # n c H bh W bw
        return x.permute(0, 3, 5, 1, 2, 4).reshape(n, c * height * width, x.shape[2], x.shape[4])


class DepthToSpace(nn.Module):
    """Channels become blocks of h x w pixels; "dcr" reads (row, column, channel), "crd" (channel, row, column)."""

    def __init__(self, block: tuple[int, int], mode: str) -> None:
        super().__init__()
        self.block, self.mode = block, mode

    def forward(self, x: Tensor) -> Tensor:
        (height, width), (n, c, rows, columns) = self.block, x.shape
        channels = c // (height * width)
        if self.mode == "dcr":
            x = x.view(n, height, width, channels, rows, columns).permute(0, 3, 4, 1, 5, 2)
        else:
            x = x.view(n, channels, height, width, rows, columns).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(n, channels, rows * height, columns * width)


class Resize(nn.Module):
    """Resize by scale or to a size, nearest or linear, sampling at pixel centres ("half-pixel").

    Rounding of ties is unconfirmed; torch's "nearest-exact" is used.
    """

    def __init__(self, size: tuple[int, ...] | None, scale: tuple[float, ...] | None, method: str, dimensions: int) -> None:
        super().__init__()
        self.size, self.scale = size, scale
        self.mode = "nearest-exact" if method == "nearest" else {2: "bilinear", 3: "trilinear"}[dimensions]

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Tensor:
        size = self.size if reference is None else tuple(reference.shape[2:])
        corners = None if self.mode == "nearest-exact" else False
        if size is not None:
            return F.interpolate(x, size, mode=self.mode, align_corners=corners)
        assert self.scale is not None
        wanted = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], self.scale, strict=True))
        return F.interpolate(x, wanted, mode=self.mode, align_corners=corners)


class Crop(nn.Module):
    """Cut the input to the height and width of the reference.

    Args:
        corner: zero-based (row, column) of the cut; None for the centre (the odd pixel stays at the bottom and right).
    """

    def __init__(self, corner: tuple[int, int] | None) -> None:
        super().__init__()
        self.corner = corner

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        height, width = reference.shape[2:]
        row, column = self.corner if self.corner is not None else ((x.shape[2] - height) // 2, (x.shape[3] - width) // 2)
        return x[:, :, row : row + height, column : column + width]


class WordEmbedding(nn.Embedding):
    """Vectors of words. Indices are MATLAB's, from 1: N,T,1 -> N,T,dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.squeeze(-1).long() - 1)


class PositionEmbedding(nn.Embedding):
    """Vectors of the positions 1, 2, ... of a sequence: N,T,C -> N,T,dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weight[: x.shape[1]].expand(x.shape[0], -1, -1)


class YOLOv2Transform(nn.Module):
    """Turn a head's raw channels into IoU, box and class numbers.

    Channels are grouped by quantity, anchors fastest: iou, x, y (sigmoid), w, h (exp), then the classes of every
    anchor (softmax over the classes).
    """

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors

    def forward(self, x: Tensor) -> Tensor:
        a = self.anchors
        classes = x[:, 5 * a :].unflatten(1, (-1, a)).softmax(1).flatten(1, 2)
        return torch.cat([x[:, : 3 * a].sigmoid(), x[:, 3 * a : 5 * a].exp(), classes], 1)


class PReLUOverTime(nn.PReLU):
    """PReLU of sequences N,T,C with one slope a channel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention over N,T,C with MATLAB's separate query, key, value and output weights.

    softmax(Q K' / sqrt(channels of a head)) V, heads taken from consecutive channels, then the output weights.
    """

    def __init__(self, heads: int, causal: bool, dropout: float, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout = heads, causal, dropout
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def forward(self, x: Tensor) -> Tensor:
        names = ("query", "key", "value")
        q, k, v = (F.linear(x, self.get_parameter(f"{n}_weight"), self.get_parameter(f"{n}_bias")) for n in names)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.causal)
        return F.linear(y.transpose(1, 2).flatten(2), self.get_parameter("output_weight"), self.get_parameter("output_bias"))
