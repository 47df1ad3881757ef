"""Changes of the input that a network may have been fed otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

from torch import Tensor

from bridge.parity.causes.variants import PIXELS


def input_changes(x: Tensor) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    """Yield known mistakes in an input like `x`: (kind, what undoes it, the change)."""
    yield "input scale", "the input is divided by 255", lambda x: x / PIXELS
    yield "input scale", "the input is multiplied by 255", lambda x: x * PIXELS
    yield "input scale", "the input is brought from 0..255 to -1..1", lambda x: x / (PIXELS / 2) - 1
    yield "input scale", "the input is brought from -1..1 to 0..255", lambda x: (x + 1) * (PIXELS / 2)
    if x.dim() == 4:
        yield from _image_changes(x)
    if x.dim() == 3:
        _, t, c = x.shape
        yield "time order", "the sequences run backwards", lambda x: x.flip(1)
        if t == c:
            yield "input layout", "time and channels of the input are swapped", lambda x: x.transpose(1, 2)
        yield (
            "input layout",
            "the elements of the input are read in the other order",
            lambda x: x.reshape(len(x), x.shape[2], -1).transpose(1, 2),
        )


def _image_changes(x: Tensor) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    _, c, h, w = x.shape
    if 1 < c <= 3:
        for order in permutations(range(c)):
            if list(order) != sorted(order):
                words = (
                    "BGR and not RGB"
                    if order == (2, 1, 0)
                    else f"in the order {' '.join(str(each + 1) for each in order)}"
                )
                yield "input channels", f"the channels of the input are {words}", _channels_in(order)
    if h == w:
        yield "height and width", "height and width of the input are swapped", lambda x: x.transpose(2, 3)
    else:
        yield (
            "height and width",
            "the pixels of the input are read row by row",
            lambda x: x.reshape(-1, c, w, h).transpose(2, 3),
        )
    yield "input layout", "the input is read as N,H,W,C", lambda x: x.reshape(-1, h, w, c).permute(0, 3, 1, 2)
    yield "input layout", "the input is read as H,W,C,N", lambda x: x.reshape(h, w, c, -1).permute(3, 2, 0, 1)


def _channels_in(order: Sequence[int]) -> Callable[[Tensor], Tensor]:
    return lambda x: x[:, list(order)]
