"""labeloverlay against hand-computed pixels."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

from bridge.errors import UsageError
from bridge.images import jet, labeloverlay, overlay

LABELS = np.array([[0, 1, 2]])


def test_jet_has_matlabs_colours() -> None:
    """Oracle: MATLAB's printed colormaps of 1, 5 and 8 colours."""
    np.testing.assert_array_equal(jet(1), [[0, 1, 1]])
    np.testing.assert_array_equal(jet(5), [[0, 0.5, 1], [0, 1, 1], [0.5, 1, 0.5], [1, 1, 0], [1, 0.5, 0]])
    eight = [[0, 0, 1], [0, 0.5, 1], [0, 1, 1], [0.5, 1, 0.5], [1, 1, 0], [1, 0.5, 0], [1, 0, 0], [0.5, 0, 0]]
    np.testing.assert_array_equal(jet(8), eight)
    assert jet(0).shape == (0, 3)


def test_labels_are_painted_and_undefined_pixels_stay() -> None:
    """By hand: 0.5 * 100 + 0.5 * 255 = 177.5 -> 178, 0.5 * 100 = 50; then 0.75 * 100 + 0.25 * 255 = 138.75 -> 139."""
    gray = np.full((1, 3), 100, np.uint8)
    colors = [[1, 0, 0], [0, 0, 1]]
    assert labeloverlay(gray, LABELS, colors).tolist() == [[[100, 100, 100], [178, 50, 50], [50, 50, 178]]]
    assert labeloverlay(gray, LABELS, colors, 0.75)[0, 1].tolist() == [139, 75, 75]
    assert labeloverlay(gray, LABELS).tolist() == labeloverlay(np.dstack([gray] * 3), LABELS, jet(2)).tolist()


def test_little_memory_is_used() -> None:
    """The result, and little beside it; the whole picture in double precision would be eight times as large."""
    picture, labels = np.full((1000, 1000, 3), 7, np.uint8), np.ones((1000, 1000), np.uint8)
    tracemalloc.start()
    labeloverlay(picture, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * picture.nbytes


@pytest.mark.parametrize(
    ("image", "labels", "more", "message"),
    [
        (np.zeros((1, 3)), LABELS, {}, "image is float64"),
        (np.zeros((1, 3, 4), np.uint8), LABELS, {}, "of shape (1, 3, 4)"),
        (np.zeros((2, 3), np.uint8), LABELS, {}, "the labels are int64 of shape (1, 3)"),
        (np.zeros((1, 3), np.uint8), LABELS / 2, {}, "the labels are float64"),
        (np.zeros((1, 3), np.uint8), LABELS - 1, {}, "labels of -1 to 1"),
        (np.zeros((1, 3), np.uint8), LABELS, {"colors": [[1, 0, 0]]}, "colours of shape (1, 3)"),
        (np.zeros((1, 3), np.uint8), LABELS, {"transparency": 2}, "the transparency is 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(
    image: np.ndarray, labels: np.ndarray, more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        labeloverlay(image, labels, **more)


def test_parts_are_painted_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: one part, of narrow pictures and wide ones, and of pictures without pixels."""
    rng = np.random.default_rng(0)
    for height, width in ((50, 1), (7, 9), (1, 40), (0, 3), (3, 0)):
        picture, labels = rng.integers(0, 256, (height, width, 3), np.uint8), rng.integers(0, 4, (height, width))
        expected = labeloverlay(picture, labels, jet(3))
        with monkeypatch.context() as patch:
            patch.setattr(overlay, "PIXELS", 10)
            assert labeloverlay(picture, labels, jet(3)).tolist() == expected.tolist()
