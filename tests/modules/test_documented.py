"""Examples whose numbers MathWorks printed itself, on the pages of spaceToDepth and depthToSpace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fixtures import layers as L
from fixtures.layers import Layer
from tests.modules import oracle
from tests.modules.cases import chain, image
from tests.modules.conftest import Read
from tests.modules.oracle import NDArray, Value


def of_channels(*channels: list[list[int]]) -> NDArray:
    return np.stack([np.array(channel, float) for channel in channels], -1)


X = np.arange(1.0, 49)
EXAMPLES: dict[str, tuple[Layer, NDArray, NDArray]] = {
    "spaceToDepth(reshape(1:48,4,4,3), 2)": (
        L.spaceToDepthLayer("layer", (2, 2)),
        X.reshape(4, 4, 3, order="F"),
        of_channels(
            [[1, 9], [3, 11]], [[17, 25], [19, 27]], [[33, 41], [35, 43]], [[5, 13], [7, 15]], [[21, 29], [23, 31]], [[37, 45], [39, 47]],
            [[2, 10], [4, 12]], [[18, 26], [20, 28]], [[34, 42], [36, 44]], [[6, 14], [8, 16]], [[22, 30], [24, 32]], [[38, 46], [40, 48]],
        ),
    ),
    "depthToSpace(reshape(1:48,2,2,12), 2)": (
        L.depthToSpace2dLayer("layer", (2, 2)),
        X.reshape(2, 2, 12, order="F"),
        of_channels(
            [[1, 13, 3, 15], [25, 37, 27, 39], [2, 14, 4, 16], [26, 38, 28, 40]],
            [[5, 17, 7, 19], [29, 41, 31, 43], [6, 18, 8, 20], [30, 42, 32, 44]],
            [[9, 21, 11, 23], [33, 45, 35, 47], [10, 22, 12, 24], [34, 46, 36, 48]],
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_module_puts_out_the_printed_numbers(example: str, read: Read) -> None:
    layer, x, expected = EXAMPLES[example]
    model = read(chain(image(x.shape), layer)).to_torch()
    y = model(torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)))
    np.testing.assert_array_equal(y[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_oracle_puts_out_the_printed_numbers(example: str) -> None:
    layer, x, expected = EXAMPLES[example]
    compute: Callable[..., Value] = oracle.ORACLES[layer.cls]  # type: ignore[assignment]
    np.testing.assert_array_equal(compute(layer, Value("SSC", x)).data, expected)
