"""Activations, where torch's own module takes another layout or does not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation

if TYPE_CHECKING:
    from bridge.network import Layer


class PReLUOverTime(nn.PReLU):
    """PReLU of sequences N,T,C with one slope a channel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def compet(n: Tensor) -> Tensor:
    """One where a channel is the largest, the first of equal ones; zero elsewhere."""
    return nn.functional.one_hot(n.argmax(-1), n.shape[-1]).to(n.dtype)


def radbasn(n: Tensor) -> Tensor:
    """radbas over the sum of its channels."""
    return nn.functional.softmax(-n * n, -1)


TRANSFER: Mapping[str, Callable[[Tensor], Tensor]] = {
    "compet": compet,
    "elliotsig": nn.functional.softsign,
    "elliot2sig": lambda n: n.sign() * n * n / (1 + n * n),
    "hardlim": lambda n: (n >= 0).to(n.dtype),
    "hardlims": lambda n: 2 * (n >= 0).to(n.dtype) - 1,
    "netinv": torch.reciprocal,
    "radbas": lambda n: torch.exp(-n * n),
    "radbasn": radbasn,
    "tribas": lambda n: (1 - n.abs()).clamp(min=0),
}


class TransferFunction(nn.Module):
    """A transfer function of shallow networks, of vectors N,C or sequences N,T,C, as MATLAB's pages give them."""

    def __init__(self, function: str) -> None:
        super().__init__()
        if function not in TRANSFER:
            raise UnsupportedError(f"the transfer function '{function}'", f"known are {', '.join(TRANSFER)}")
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return TRANSFER[self.function](x)

    def extra_repr(self) -> str:
        return f"function={self.function!r}"


class SymmetricPixels(nn.Module):
    """Turn pixels 0..255 into -1..1."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 127.5 - 1


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

    def extra_repr(self) -> str:
        return f"anchors={self.anchors}"


# Builders


@BUILDERS("softmax")
def softmax(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    return nn.Softmax(2 if given[0].over_time else 1)


@BUILDERS("prelu")
def prelu(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    """One slope, or one for each channel. MATLAB expands any Alpha that fits; no other shape is known here."""
    at, alpha = given[0], layer.learnables["Alpha"].array
    along_channels = (
        all(n == 1 for axis, n in enumerate(alpha.shape) if axis != len(at.spatial)) or len(alpha.shape) == 1
    )
    if alpha.size != 1 and not (along_channels and alpha.size == at.channels):
        size = "×".join(map(str, alpha.shape))
        raise UnsupportedError(
            f"layer '{layer.name}' has an Alpha of {size} for an input of {at}",
            "known are one slope, or one for each channel",
        )
    return (PReLUOverTime if at.over_time else nn.PReLU)(alpha.size)
