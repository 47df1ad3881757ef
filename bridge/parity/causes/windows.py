"""Variants of layers that slide a window: how they pad, what they average, how their weights lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from bridge.modules.windows import Pooling, PoolingWithIndices
from bridge.network.windows import same_padding
from bridge.parity.causes.changes import Computed, Variant, changed


class Moved(nn.Module):
    """A convolution or pooling whose padding is moved: `shift` more in front, as much less behind."""

    def __init__(self, module: nn.Module, shift: Sequence[int]) -> None:
        super().__init__()
        self.window, self.shift = module, tuple(shift)

    def forward(self, x: Tensor) -> Tensor:
        window: Any = self.window
        pairs = [(a + s, b - s) for (a, b), s in zip(padding_of(window, x), self.shift, strict=True)]
        is_max = isinstance(window, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)) or getattr(window, "kind", "") == "max"
        x = F.pad(x, [n for pair in reversed(pairs) for n in pair], value=float("-inf") if is_max else 0.0)
        if isinstance(window, nn.modules.conv._ConvNd):
            convolve = getattr(F, f"conv{len(pairs)}d")
            return convolve(x, window.weight, window.bias, window.stride, 0, window.dilation, window.groups)  # type: ignore[no-any-return]
        pool = getattr(F, f"{'max' if is_max else 'avg'}_pool{len(pairs)}d")
        return pool(x, window.kernel if isinstance(window, Pooling) else window.kernel_size, window.stride)  # type: ignore[no-any-return]


def padding_of(window: Any, x: Tensor) -> list[tuple[int, int]]:
    """Return the (before, after) padding of each dimension of a convolution or pooling on an input."""
    rule = window.padding if isinstance(window, Pooling) else getattr(window, "padding_rule", None)
    if rule is not None:
        w = rule.window
        lengths = x.shape[-len(w.kernel) :]
        return list(
            w.padding or (same_padding(*each) for each in zip(lengths, w.kernel, w.stride, w.dilation, strict=True))
        )
    count = x.dim() - 2
    pads = window.padding if isinstance(window.padding, tuple) else (window.padding,) * count
    return [(int(n), int(n)) for n in pads]


WINDOWS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MaxPool2d, nn.AvgPool2d, Pooling)


def padded_otherwise(module: Any, x: Tensor) -> Iterator[Variant]:
    if getattr(module, "over_time", False) or isinstance(module.padding, str) or isinstance(module, PoolingWithIndices):
        return
    pairs = padding_of(module, x)
    for shift in sorted(product((-1, 0, 1), repeat=len(pairs)), key=lambda steps: len(set(steps))):
        if any(shift):
            moved = " ".join(str(n) for (a, b), s in zip(pairs, shift, strict=True) for n in (a + s, b - s))
            own = " ".join(str(n) for pair in pairs for n in pair)
            yield Variant("padding", f"{{layer}} pads [{moved}] instead of [{own}]", Moved(module, shift))


def average_variants(module: Any) -> Iterator[Variant]:
    counted = module.count_padding if isinstance(module, Pooling) else module.count_include_pad
    other = {"count_padding" if isinstance(module, Pooling) else "count_include_pad": not counted}
    yield Variant(
        "padding value",
        f"{{layer}} {'leaves padding out of' if counted else 'counts padding in'} its means",
        changed(module, **other),
    )


def other_pooling(module: Any) -> Iterator[Variant]:
    if isinstance(module, PoolingWithIndices):
        return
    words, other = ("mean", nn.AvgPool2d) if isinstance(module, nn.MaxPool2d) else ("maximum", nn.MaxPool2d)
    yield Variant(
        "pooling",
        f"{{layer}} takes the {words}",
        other(module.kernel_size, module.stride, module.padding),
        general=True,
    )


def convolution_variants(module: Any) -> Iterator[Variant]:
    weight = module.weight
    if weight.dim() == 4 and weight.shape[2] == weight.shape[3] > 1:
        yield turned_weights(module, "height and width", weight.transpose(2, 3))
    if weight.dim() == 4 and weight.shape[2] * weight.shape[3] > 1:
        yield Variant(
            "weight axes",
            "the filters of {layer} are turned by 180 degrees",
            changed(module, weight=weight.flip(2, 3)),
            of_learnables=True,
        )
    if weight.shape[0] == weight.shape[1] > 1:
        yield turned_weights(module, "input and output channels", weight.transpose(0, 1))
    if weight.shape[1] > 1:
        yield Variant(
            "channel order",
            "{layer} takes its channels in reverse",
            changed(module, weight=weight.flip(1)),
            of_learnables=True,
        )


def turned_weights(module: nn.Module, axes: str, weight: Tensor) -> Variant:
    return Variant(
        "weight axes",
        f"{axes} of the Weights of {{layer}} are swapped",
        changed(module, weight=weight),
        of_learnables=True,
    )


def transposed_variants(module: Any) -> Iterator[Variant]:
    """Move what is cropped: compute all, and cut elsewhere."""
    whole = changed(module, padding=(0,) * (module.weight.dim() - 2), output_padding=(0,) * (module.weight.dim() - 2))
    plain_type = getattr(nn, f"ConvTranspose{module.weight.dim() - 2}d")

    def cut(x: Tensor, shift: Sequence[int]) -> Tensor:
        out, wanted = plain_type.forward(whole, x), module(x)
        for axis, step in enumerate(shift, 2):
            length = wanted.shape[axis]
            before = (
                (out.shape[axis] - length) // 2 if getattr(module, "crops", None) is None else module.crops[axis - 2][0]
            )
            before += step
            if not 0 <= before <= out.shape[axis] - length:
                raise ValueError("there is nothing to cut")
            out = out.narrow(axis, before, length)
        return out  # type: ignore[no-any-return]

    for shift in product((-1, 0, 1), repeat=module.weight.dim() - 2):
        if any(shift):
            made = Computed(partial(cut, shift=shift))
            yield Variant(
                "padding", f"the cropping of {{layer}} is moved by {list(shift)} from the end to the front", made
            )
