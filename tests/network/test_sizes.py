"""Activation sizes: held against what torch's modules really put out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.arrays.lazy import Array
from bridge.errors import BridgeError
from bridge.modules.build import build_layer
from bridge.network import Layer, Learnable, make_layer
from bridge.network.activations import Activation
from bridge.network.sizes import layer_sizes
from bridge.network.windows import numbers, padding_pairs, same_padding
from bridge.tables.layers import layer_mappings

FORMATS = {1: "SCB", 2: "SSCB", 3: "SSSCB"}


def layer(kind: str, properties: Mapping[str, Any], **learnables: tuple[int, ...]) -> Layer:
    """A layer without a file, its learnables all zero."""
    arrays = {name: Learnable(Array.of(np.zeros(shape, np.float32))) for name, shape in learnables.items()}
    return make_layer(layer_mappings().rows[kind], "layer", properties, arrays)


def put_out(made: Layer, at: Activation) -> tuple[int, ...]:
    """The size of an observation, in MATLAB's order, as the torch module puts it out."""
    module = build_layer(made, [at], {})
    spatial, channels = [n or 0 for n in at.spatial], at.channels or 0
    with torch.no_grad():
        y = module(torch.zeros(1, channels, *spatial))
    y = y[0] if isinstance(y, tuple) else y
    return (*y.shape[2:], y.shape[1])


def agree(made: Layer, at: Activation) -> None:
    """The rule says what the module does; where the rule refuses, the module fails or puts out nothing."""
    try:
        (size, *_) = layer_sizes(made, [at])
    except BridgeError:
        with contextlib.suppress(BridgeError, RuntimeError):
            assert min(put_out(made, at)) == 0
        return
    assert size.size == put_out(made, at)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_same_padding_is_the_least_that_gives_the_size(length: int, kernel: int, stride: int, dilation: int) -> None:
    """Oracle: brute force over all paddings: the least with which a window starts at every stride of the input."""

    def windows(total: int) -> int:
        return len(
            [start for start in range(0, length + total, stride) if start + (kernel - 1) * dilation < length + total]
        )

    least = next(total for total in range(200) if windows(total) >= math.ceil(length / stride))
    before, after = same_padding(length, kernel, stride, dilation)
    assert before + after == least and after - before in (0, 1)


def vectors(count: int, low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * count)


@settings(max_examples=60)
@given(st.integers(1, 3), st.data())
def test_windows_put_out_what_the_rule_says(count: int, data: st.DataObject) -> None:
    at = Activation(FORMATS[count], (*data.draw(vectors(count, 1, 7)), 2))
    kernel, stride, dilation = (
        data.draw(vectors(count, 1, 4)),
        data.draw(vectors(count, 1, 3)),
        data.draw(vectors(count, 1, 2)),
    )
    mode, padding = data.draw(st.sampled_from(["manual", "same", "causal"])), data.draw(vectors(2 * count, 0, 2))
    window = {"Stride": stride, "PaddingMode": mode, "PaddingSize": padding}
    weights = {"Weights": (*kernel, 2, 3), "Bias": (3,)}
    agree(
        layer(
            f"Convolution{count}DLayer",
            {"FilterSize": kernel, "NumFilters": 3, "DilationFactor": dilation, **window},
            **weights,
        ),
        at,
    )
    agree(layer(f"MaxPooling{count}DLayer", {"PoolSize": kernel, **window}), at)
    agree(layer(f"AveragePooling{count}DLayer", {"PoolSize": kernel, "PaddingValue": "mean", **window}), at)


def test_a_volume_smaller_than_the_window_that_padding_makes_up_for() -> None:
    agree(
        layer("AveragePooling3DLayer", {"PoolSize": (1, 1, 3), "PaddingMode": "same", "PaddingValue": "mean"}),
        Activation("SSSCB", (1, 1, 1, 2)),
    )


@settings(max_examples=60)
@given(st.integers(2, 3), st.data())
def test_transposed_convolutions_put_out_what_the_rule_says(count: int, data: st.DataObject) -> None:
    at = Activation(FORMATS[count], (*data.draw(vectors(count, 1, 4)), 2))
    kernel, stride = data.draw(vectors(count, 1, 4)), data.draw(vectors(count, 1, 3))
    crops = {
        "CroppingMode": data.draw(st.sampled_from(["manual", "same"])),
        "CroppingSize": data.draw(vectors(2 * count, 0, 2)),
    }
    made = layer(
        f"TransposedConvolution{count}DLayer",
        {"FilterSize": kernel, "NumFilters": 3, "Stride": stride, **crops},
        Weights=(*kernel, 3, 2),
        Bias=(3,),
    )
    if crops["CroppingMode"] == "manual" or all(
        k >= s for k, s in zip(kernel, stride, strict=True)
    ):  # else refused, whatever its size
        agree(made, at)


@settings(max_examples=40)
@given(st.data())
def test_rearrangements_put_out_what_the_rule_says(data: st.DataObject) -> None:
    height, width = data.draw(vectors(2, 1, 6))
    at, block = Activation("SSCB", (height, width, 12)), data.draw(vectors(2, 1, 4))
    scale = data.draw(st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)))
    agree(layer("SpaceToDepthLayer", {"BlockSize": block}), at)
    agree(layer("DepthToSpace2DLayer", {"BlockSize": block}), at)
    agree(layer("Resize2DLayer", {"Scale": scale}), at)
    agree(layer("Resize2DLayer", {"OutputSize": block, "Method": "bilinear"}), at)
    agree(layer("GlobalAveragePooling2DLayer", {}), at)


CASES: dict[str, tuple[Layer, Sequence[Activation], Sequence[Activation]]] = {
    "time stays free": (
        layer("Convolution1DLayer", {"FilterSize": 3, "NumFilters": 5, "Stride": 2}),
        [Activation("CBT", (4,))],
        [Activation("CBT", (5,))],
    ),
    "space and time": (
        layer("MaxPooling2DLayer", {"PoolSize": (2, 3), "Stride": (2, 2)}),
        [Activation("SCBT", (7, 4))],
        [Activation("SCBT", (3, 4))],
    ),
    "every image of a sequence": (
        layer("MaxPooling2DLayer", {"PoolSize": (2, 3), "Stride": (2, 1)}),
        [Activation("SSCBT", (7, 5, 4))],
        [Activation("SSCBT", (3, 3, 4))],
    ),
    "unknown lengths": (
        layer("Convolution2DLayer", {"FilterSize": (3, 3), "NumFilters": 5}),
        [Activation("SSCB", (None, 6, 4))],
        [Activation("SSCB", (None, 4, 5))],
    ),
    "flatten of unknown lengths": (
        layer("FlattenLayer", {}),
        [Activation("SSCB", (None, 6, 4))],
        [Activation("CB", (None,))],
    ),
    "ports of unpooling": (
        layer("MaxPooling2DLayer", {"PoolSize": (2, 2), "Stride": (2, 2), "HasUnpoolingOutputs": True}),
        [Activation("SSCB", (7, 5, 4))],
        [Activation("SSCB", (3, 2, 4)), Activation("SSCB", (3, 2, 4)), Activation("SSCB", (7, 5, 4))],
    ),
    "expansion": (
        layer("MultiplicationLayer", {}),
        [Activation("SSCB", (6, 5, 4)), Activation("SSCB", (1, 1, 4))],
        [Activation("SSCB", (6, 5, 4))],
    ),
    "aspect ratio": (
        layer("Resize2DLayer", {"OutputSize": (9, math.nan)}),
        [Activation("SSCB", (6, 5, 4))],
        [Activation("SSCB", (9, None, 4))],
    ),
    "the last step": (
        layer("BiLSTMLayer", {"NumHiddenUnits": 5, "OutputMode": "last"}),
        [Activation("CBT", (4,))],
        [Activation("CB", (10,))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sizes_counted_by_hand(name: str) -> None:
    made, given_, expected = CASES[name]
    assert list(layer_sizes(made, given_)) == list(expected)


def test_how_sizes_are_written() -> None:
    assert str(Activation("SSCB", (227, 227, 3))) == "227×227×3"
    assert str(Activation("SSCBT", (None, 5, 3))) == "?×5×3×T"
    assert numbers(3, 2) == numbers((3, 3), 2) == (3, 3) and numbers((3,), 2) == (3,)
    assert padding_pairs((1, 2, 3, 4), 2) == ((1, 2), (3, 4)) and padding_pairs(1, 2) == ((1, 1), (1, 1))
