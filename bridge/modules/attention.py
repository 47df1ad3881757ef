"""Attention and embeddings of sequences N,T,C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation

if TYPE_CHECKING:
    from bridge.network import Layer


class WordEmbedding(nn.Embedding):
    """Vectors of words. Indices are MATLAB's, from 1: N,T,1 -> N,T,dimension.

    With `map_to_last`, any other index (0, NaN, too large) takes the last vector, as MATLAB's "map-to-last".
    """

    map_to_last: bool = True

    def forward(self, x: Tensor) -> Tensor:
        index = x.squeeze(-1)
        if self.map_to_last:
            index = torch.where((index >= 1) & (index < self.num_embeddings), index, self.num_embeddings)
        return super().forward(index.long() - 1)


class PositionEmbedding(nn.Embedding):
    """Vectors of the positions 1, 2, ... of a sequence: N,T,C -> N,T,dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.arange(x.shape[1], device=x.device)).expand(x.shape[0], -1, -1)


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
        return F.linear(
            y.transpose(1, 2).flatten(2), self.get_parameter("output_weight"), self.get_parameter("output_bias")
        )

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, dropout={self.dropout}"


class Attention(nn.Module):
    """Multi-head dot-product attention of queries N,T,C, keys N,S,C and values N,S,V, without weights of its own.

    softmax(scale Q K') V, heads taken from consecutive channels; without `scale` it is 1 / sqrt(channels of a head).
    """

    def __init__(self, heads: int, causal: bool, dropout: float, scale: float | None) -> None:
        super().__init__()
        self.heads, self.causal, self.dropout, self.scale = heads, causal, dropout, scale

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.causal, scale=self.scale)
        return y.transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, dropout={self.dropout}, scale={self.scale}"


class SinusoidalPositionEncoding(nn.Module):
    """Sines and cosines of the steps 1, 2, ...: N,T,C -> N,T,size.

    sin(p / 10000^(2i / size)) and its cosine in turn, the formula of Vaswani et al. (2017). Unconfirmed is that MATLAB
    has the channels in this order and counts from 1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        pairs = torch.arange(0, self.size, 2, device=x.device, dtype=x.dtype)
        angles = steps[:, None] * torch.exp(pairs * (-math.log(10000) / self.size))
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(1).expand(x.shape[0], -1, -1)

    def extra_repr(self) -> str:
        return f"size={self.size}"


# Builders


@BUILDERS("attention")
def attention(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    p = layer.properties
    _require_known_mask(layer)
    scale = None if p["Scale"] == "auto" else float(p["Scale"])
    return Attention(int(p["NumHeads"]), p["AttentionMask"] == "causal", float(p["DropoutProbability"]), scale)


@BUILDERS("sinusoidal_encoding")
def sinusoidal_encoding(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    along, size = layer.properties["Positions"], int(layer.properties["OutputSize"])
    if along not in ("auto", "temporal-indices") or size % 2:
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) encodes '{along}' in {size} channels",
            "known are positions in time, in an even number of channels",
        )
    return SinusoidalPositionEncoding(size)


def _require_known_mask(layer: Layer) -> None:
    mask = layer.properties["AttentionMask"]
    if mask not in ("none", "causal"):
        raise UnsupportedError(f"layer '{layer.name}' has the attention mask '{mask}'", "known are none and causal")


@BUILDERS("word_embedding")
def word_embedding(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    dimension, words = layer.learnables["Weights"].shape
    made = WordEmbedding(words, dimension)
    made.map_to_last = layer.properties["OOVMode"] == "map-to-last"
    return made


@BUILDERS("position_embedding")
def position_embedding(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    along = layer.properties["PositionDimension"]
    if along not in ("auto", "temporal"):
        raise UnsupportedError(
            f"layer '{layer.name}' embeds positions of dimension '{along}'", "known are positions in time"
        )
    dimension, positions = layer.learnables["Weights"].shape
    return PositionEmbedding(positions, dimension)


@BUILDERS("self_attention")
def self_attention(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    p = layer.properties
    _require_known_mask(layer)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, learnable in layer.learnables.items():
        local = layer.row.learnables[name].torch[0]
        shapes[local] = learnable.shape if local.endswith("weight") else (learnable.array.size,)
    return SelfAttention(int(p["NumHeads"]), p["AttentionMask"] == "causal", float(p["DropoutProbability"]), **shapes)
