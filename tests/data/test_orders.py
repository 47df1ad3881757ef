"""The order of dimensions: found where it can be, asked for where it cannot, named where it is transposed."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.arrays.lazy import NDArray
from bridge.data.orders import arrange, by_format
from bridge.errors import UsageError
from bridge.network.activations import Activation

IMAGE = Activation("SSCB", (5, 4, 3))
SQUARE = Activation("SSCB", (3, 3, 3))
VECTOR = Activation("CB", (6,))
SEQUENCE = Activation("CBT", (2,))


@pytest.mark.parametrize("order", ["HWCN", "NHWC", "NCHW"])
def test_images_are_recognised_in_every_order(order: str) -> None:
    images = np.arange(7 * 60).reshape(7, 3, 5, 4)  # N,C,H,W
    given = images.transpose(["NCHW".index(letter) for letter in order])
    np.testing.assert_array_equal(arrange(given, IMAGE, None, "X"), images)
    np.testing.assert_array_equal(arrange(given, IMAGE, order, "X"), images)


def test_matlab_drops_the_last_dimension_of_one() -> None:
    assert np.shape(arrange(np.zeros((5, 4, 3)), IMAGE, None, "X")) == (1, 3, 5, 4)
    grey = Activation("SSCB", (5, 4, 1))
    assert np.shape(arrange(np.zeros((5, 4)), grey, None, "X")) == (1, 1, 5, 4)
    assert np.shape(arrange(np.zeros((5, 4, 1, 9)), grey, None, "X")) == (9, 1, 5, 4)


def test_cells_of_images_are_stacked() -> None:
    found = arrange([np.full((5, 4, 3), n) for n in range(2)], IMAGE, None, "X")
    assert np.shape(found) == (2, 3, 5, 4) and found[1].min() == 1


def test_sequences_in_cells_have_any_length() -> None:
    cells = [np.arange(2 * t).reshape(2, t) for t in (3, 5)]
    found = arrange(cells, SEQUENCE, None, "X")
    assert [each.shape for each in found] == [(1, 3, 2), (1, 5, 2)]
    np.testing.assert_array_equal(found[0][0], cells[0].T)
    np.testing.assert_array_equal(arrange([cell.T for cell in cells], SEQUENCE, None, "X")[1][0], cells[1].T)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 3, 3, 3), SQUARE), ((3, 3, 3), SQUARE), ((6, 6), VECTOR), ((2, 2), SEQUENCE), ((2, 4, 5), SEQUENCE)],
    ids=str,
)
def test_two_orders_that_fit_are_asked_for(shape: tuple[int, ...], size: Activation) -> None:
    with pytest.raises(UsageError, match="nothing tells which is meant") as raised:
        arrange(np.zeros(shape), size, None, "X", option="--input-dims")
    assert "--input-dims" in raised.value.hint


def test_the_number_of_observations_decides() -> None:
    assert np.shape(arrange(np.zeros((4, 6)), VECTOR, None, "Y", count=4)) == (4, 6)
    assert np.shape(arrange(np.zeros((6, 4)), VECTOR, None, "Y", count=4)) == (4, 6)
    with pytest.raises(UsageError, match="takes 6 for each of 5 observations"):
        arrange(np.zeros((4, 6)), VECTOR, None, "Y", count=5)


@pytest.mark.parametrize("shape", [(4, 5, 3, 7), (7, 4, 5, 3), (7, 3, 4, 5)])
def test_a_transposed_array_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="transposed"):
        arrange(np.zeros(shape), IMAGE, None, "X")


def test_a_format_is_taken_at_its_word() -> None:
    array = np.arange(5 * 4 * 3 * 2).reshape(5, 4, 3, 2)
    np.testing.assert_array_equal(by_format(array, "SSCB", IMAGE, "X"), array.transpose(3, 2, 0, 1))
    sequences = np.arange(2 * 4 * 5).reshape(2, 4, 5)
    np.testing.assert_array_equal(by_format(sequences, "CBT", SEQUENCE, "X"), sequences.transpose(1, 2, 0))
    with pytest.raises(UsageError, match="transposed"):
        by_format(array.swapaxes(0, 1), "SSCB", IMAGE, "X")


def test_an_order_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="in the order NCHW"):
        arrange(np.zeros((5, 4, 3, 2)), IMAGE, "NCHW", "X")
    with pytest.raises(UsageError, match="names 3 dimensions"):
        arrange(np.zeros((5, 4, 3, 2)), IMAGE, "HWC", "X")


@pytest.mark.parametrize("value", [np.zeros((0, 3, 5, 4)), np.zeros((5, 4, 3, 0)), [], [np.zeros((0, 0, 0))]])
def test_no_observations_are_refused(value: NDArray | list[NDArray]) -> None:
    """Nothing compared would be nothing that differs."""
    with pytest.raises(UsageError, match="without values"):
        arrange(value, IMAGE, None, "X")


@pytest.mark.parametrize("kind", ["complex64", "datetime64[s]", "U3", "O", "V8"])
def test_what_is_no_real_number_is_refused(kind: str) -> None:
    given = np.zeros((5, 4, 3), kind)
    for value in (given, [given]):
        with pytest.raises(UsageError, match="no real numbers"):
            arrange(value, IMAGE, None, "X")
