"""What an input takes, as far as its statistics tell: worked out by hand from pixels of 0..255 and of 0..1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bridge
from bridge.network.contract import contracts
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net

Range = tuple[float | None, float | None]
NOT_TOLD: Range = (None, None)


def mean(*values: float) -> np.ndarray:
    return np.array([[values]], np.float32)


def sequences(size: int | tuple[int, ...], shape: tuple[int, ...]) -> Layer:
    return L.sequenceInputLayer(size, "in", "zerocenter", Mean=np.full(shape, 100, np.float32))


INPUTS: dict[str, tuple[Callable[[], Layer], Range]] = {
    "pixels": (lambda: L.imageInputLayer((4, 4, 3), "in", "zerocenter", mean(118, 109, 101)), (0, 255)),
    "parts of one": (lambda: L.imageInputLayer((4, 4, 3), "in", "zerocenter", mean(0.5, 0.4, 0.3)), (0, 1)),
    "pixels, dark ones too": (lambda: L.imageInputLayer((4, 4, 3), "in", "zerocenter", mean(0.5, 2, 101)), (0, 255)),
    "beyond 8 bits": (lambda: L.imageInputLayer((4, 4, 1), "in", "zerocenter", mean(3000)), NOT_TOLD),
    "below zero": (lambda: L.imageInputLayer((4, 4, 1), "in", "zerocenter", mean(-3)), NOT_TOLD),
    "no effect": (lambda: L.imageInputLayer((4, 4, 1), "in", "zerocenter", mean(0)), NOT_TOLD),
    "not normalised": (lambda: L.imageInputLayer((4, 4, 3), "in", "none"), NOT_TOLD),
    "volumes": (
        lambda: L.image3dInputLayer((4, 4, 2, 1), "in", "zerocenter", Mean=np.full((1, 1), 90, np.float32)), (0, 255),
    ),
    "least and greatest": (
        lambda: L.imageInputLayer((4, 4, 1), "in", "rescale-zero-one", Min=mean(-2), Max=mean(7)), (-2, 7),
    ),
    "features": (
        lambda: L.featureInputLayer(3, "in", "zerocenter", Mean=np.full((3, 1), 100, np.float32)), NOT_TOLD,
    ),
    "sequences": (lambda: sequences(3, (3, 1)), NOT_TOLD),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_the_range_of_an_input(case: str, tmp_path: Path) -> None:
    """A mean tells the range of images alone: features and sequences are measured in any unit."""
    make, expected = INPUTS[case]
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", (make(), L.regressionLayer("out")))})
    (found,) = contracts(bridge.load(tmp_path / "net.mat"))
    assert (found.low, found.high) == expected
    assert found.range_text == ("not told by the file" if expected == NOT_TOLD else f"{expected[0]:g}..{expected[1]:g}")
