"""Turning axes, on numpy arrays, torch tensors and lazily read arrays."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from bridge.arrays.axes import Turn, parse
from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError
from bridge.tables.layers import layer_mappings

NDArray = np.ndarray[Any, Any]

LEARNED = {(each.matlab_axes, each.torch_axes) for row in layer_mappings() for each in row.learnables.values()}
PATTERNS = sorted(
    LEARNED | {(each.matlab_axes, each.torch_axes) for row in layer_mappings() for each in row.state.values()}
)


def names_of(pattern: str) -> list[str]:
    return [name for axis in parse(pattern) for name in axis]


def filled(pattern: str, lengths: dict[str, int]) -> NDArray:
    """An array of a pattern whose elements say where they lie: a number made of the index along each named axis."""
    axes, names = parse(pattern), sorted(lengths)
    array = np.empty([math.prod(lengths[name] for name in axis) for axis in axes], np.int64)
    for at in product(*(range(lengths[name]) for name in names)):
        place = dict(zip(names, at, strict=True))
        index = []
        for axis in axes:
            position = 0
            for name in axis:  # the last name of a group runs fastest
                position = position * lengths[name] + place[name]
            index.append(position)
        array[tuple(index)] = int("".join(f"{n:02}" for n in at))
    return array


def drawn_lengths(data: st.DataObject, pattern: str) -> dict[str, int]:
    return {name: data.draw(st.integers(1, 4), label=name) for name in names_of(pattern)}


@pytest.mark.parametrize(("matlab", "there"), PATTERNS)
@given(data=st.data())
def test_every_pattern_of_the_tables_turns_and_turns_back(matlab: str, there: str, data: st.DataObject) -> None:
    """Oracle: each element's own index, computed name by name."""
    lengths = drawn_lengths(data, matlab)
    array, turn = filled(matlab, lengths), Turn(matlab, there)
    turned = turn(array, lengths)
    np.testing.assert_array_equal(turned, filled(there, lengths), strict=True)
    np.testing.assert_array_equal(Turn(there, matlab)(turned, lengths), array, strict=True)
    np.testing.assert_array_equal(turn(torch.from_numpy(array), lengths).numpy(), turned, strict=True)
    np.testing.assert_array_equal(turn(Array.of(array), lengths).read(), turned, strict=True)


@given(array_shapes(min_dims=1, max_dims=4, max_side=3))
def test_a_vector_is_any_array_of_its_elements(shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(Turn("c", "c")(array), array.ravel())


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((2, 7), {"h": 2, "w": 3}), ((2, 3, 2), {"h": 2, "w": 3}), ((2, 6), {}), ((6,), {"h": 2, "w": 3})],
    ids=str,
)
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="array of shape"):
        Turn("out (c w h)", "out (c h w)")(np.zeros(shape), sizes)


@given(st.data())
def test_lazy_steps_equal_numpys(data: st.DataObject) -> None:
    """Oracle: numpy's own reshape, transpose and slice, done at once."""
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, max_side=4))
    eager = np.arange(math.prod(shape)).reshape(shape)
    lazy = Array(shape, eager.dtype, lambda: np.arange(math.prod(shape)).reshape(shape), shape)
    for _ in range(data.draw(st.integers(0, 5))):
        match data.draw(st.sampled_from(["reshape", "transpose", "rows"])):
            case "reshape":
                wanted = tuple(data.draw(st.permutations([n for n in eager.shape if n > 1]))) or (1,)
                eager, lazy = eager.reshape(wanted), lazy.reshape(wanted)
            case "transpose":
                order = tuple(data.draw(st.permutations(range(eager.ndim))))
                eager, lazy = eager.transpose(order), lazy.transpose(order)
            case "rows":
                start = data.draw(st.integers(0, eager.shape[0] - 1))
                stop = data.draw(st.integers(start + 1, eager.shape[0]))
                eager, lazy = eager[start:stop], lazy.rows(start, stop)
        assert (lazy.shape, lazy.dtype, lazy.size) == (eager.shape, eager.dtype, eager.size)
    np.testing.assert_array_equal(lazy.read(), eager, strict=True)


def test_steps_that_cancel_are_not_taken() -> None:
    array = Array.of(np.zeros((2, 3, 4)))
    assert array.transpose((2, 0, 1)).transpose((1, 2, 0)).steps == ()
    assert array.reshape((6, 4)).reshape((2, 3, 4)).steps == ()
    assert array.reshape((6, 4)).reshape((24,)).steps == (("reshape", (24,)),)


def test_what_others_hold_is_read_only() -> None:
    held = np.zeros((4, 2))
    assert not Array.of(held).read().flags.writeable and held.flags.writeable
    fresh = Array((4, 2), held.dtype, lambda: np.zeros((4, 2)), (4, 2))
    assert fresh.transpose((1, 0)).read().flags.writeable
    assert not fresh.rows(0, 2).read().flags.writeable


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "values"
    np.arange(6, dtype=np.float32).tofile(path)
    array = Array.in_file(path, 8, (2, 2), np.dtype(np.float32))
    np.testing.assert_array_equal(array.read(), [[2, 3], [4, 5]])
    np.arange(7, dtype=np.float32).tofile(path)
    with pytest.raises(UnreadableError, match="has changed"):
        array.read()
