"""In which order observations are seen, and how they are divided into mini-batches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError


class Order:
    """The order of the observations in each epoch.

    It is not drawn from MATLAB's stream (`bridge.random`); an order that MATLAB used can be imported.

    Args:
        count: how many observations there are.
        shuffle: "once", "never" or "every-epoch".
        seed: of the shuffling, which is a function of it and of the epoch.
        given: an order to follow instead: each number from 0 to count - 1 once; or one such row for each epoch.

    Raises:
        UsageError: `given` is no such order.
    """

    def __init__(self, count: int, shuffle: str, seed: int, given: Sequence[Any] | NDArray | None = None) -> None:
        self._count, self._shuffle, self._seed = count, shuffle, seed
        self._given = None if given is None else _checked(given, count)

    def epoch(self, epoch: int) -> NDArray:
        """Return the order of an epoch, from 1.

        Raises:
            UsageError: the imported order has no row for the epoch.
        """
        if self._given is not None:
            if 1 < len(self._given) < epoch:
                raise UsageError(
                    f"the order has {len(self._given)} rows, epoch {epoch} has none",
                    "an order has one row, or one for each epoch",
                )
            given: NDArray = self._given[0 if len(self._given) == 1 else epoch - 1]
            return given
        if self._shuffle == "never":
            return np.arange(self._count)
        return np.random.default_rng((self._seed, epoch if self._shuffle == "every-epoch" else 1)).permutation(
            self._count
        )

    @property
    def checksum(self) -> int:
        """A number that tells orders apart."""
        return zlib.crc32((self.epoch(1) if self._given is None else self._given).astype(np.int64).tobytes())

    @property
    def varies(self) -> bool:
        """Whether epochs differ."""
        return self._shuffle == "every-epoch" if self._given is None else len(self._given) > 1


def _checked(given: Sequence[Any] | NDArray, count: int) -> NDArray:
    try:
        rows = np.atleast_2d(given)
    except ValueError as error:
        raise UsageError(
            "the rows of the order differ in length", str(error), "an order has one row, or one for each epoch"
        ) from error
    wrong = (
        rows.ndim > 2
        or rows.dtype.kind not in "iu"
        or rows.shape[1] != count
        or not (np.sort(rows, 1) == np.arange(count)).all()
    )
    if wrong:
        from_one = (
            rows.ndim == 2 and rows.shape[1] == count and bool((np.sort(rows, 1) == np.arange(1, count + 1)).all())
        )
        raise UsageError(
            f"the order of shape {np.shape(given)} is no order of {count} observations",
            "it counts from 1, as MATLAB does"
            if from_one
            else f"each number from 0 to {count - 1} belongs into it once, or once in each row",
            "subtract 1" if from_one else "",
        )
    return rows


def mini_batches(order: NDArray, size: int) -> Iterator[NDArray]:
    """Divide an epoch as training does: the last, partial mini-batch is left out; fewer observations than `size` are
    one mini-batch.
    """
    for start in range(0, max(len(order) - size, 0) + 1, size):
        yield order[start : start + size]


def all_batches(order: NDArray, size: int) -> Iterator[NDArray]:
    """Divide as validation and statistics do: everything, the partial mini-batch included."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def iterations_per_epoch(count: int, size: int) -> int:
    """Return the number of mini-batches of an epoch of training: floor(count / size), at least 1."""
    return max(count // size, 1)
