"""In which order observations are seen, how they are divided into mini-batches, and when the network is validated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.options.options import TrainingOptions
from bridge.random import MatlabStream, stream_of


class Order:
    """The order of the observations in each epoch, drawn from MATLAB's stream, or imported.

    'once' draws one permutation for the whole training (proven for how much is drawn), 'every-epoch' one for each epoch
    (likely), and what validations draw in between lies between them.

    Args:
        count: how many observations there are.
        shuffle: "once", "never" or "every-epoch".
        rng: a seed, or a stream where the first permutation is drawn; the stream itself stays where it is.
        given: an order to follow instead: each number from 0 to count - 1 once; or one such row for each epoch.
        composed: whether the permutation of an epoch is applied to the order of the epoch before.
        validated: how many doubles validations have drawn by the end of so many iterations.

    Attributes:
        iterations: of an epoch; they tell how many validations come before one.

    Raises:
        UsageError: `given` is no such order.
    """

    def __init__(
        self,
        count: int,
        shuffle: str,
        rng: int | MatlabStream = 0,
        given: Sequence[Any] | NDArray | None = None,
        *,
        composed: bool = False,
        validated: Callable[[int], int] = lambda iterations: 0,
    ) -> None:
        self.iterations = 1
        self.varies = shuffle == "every-epoch"  # whether epochs differ
        self.drawn = given is None and shuffle != "never"  # whether it is drawn from the stream
        self._count, self._composed, self._validated = count, composed, validated
        self._start = stream_of(rng).state
        self._given = None if self.drawn else np.arange(count)[None] if given is None else _checked(given, count)
        if self._given is not None:
            self.varies = len(self._given) > 1
        self._restart()

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
        wanted = epoch if self.varies else 1
        if wanted < self._epoch:
            self._restart()
        while self._epoch < wanted:
            self._next(wanted)
        return self._order

    def doubles(self, iterations: int) -> int:
        """Return how many doubles so many iterations have drawn, the validations among them."""
        if not self.drawn:
            return 0
        epochs = max(math.ceil(iterations / self.iterations), 1) if self.varies else 1
        return epochs * self._count + (self._validated(iterations) if self.varies else 0)

    @property
    def checksum(self) -> int:
        """A number that tells orders apart."""
        return zlib.crc32((self.epoch(1) if self._given is None else self._given).astype(np.int64).tobytes())

    def _restart(self) -> None:
        self._epoch, self._order, self._stream = (
            0,
            np.arange(self._count),
            MatlabStream(self._start["seed"], position=self._start["position"]),
        )

    def _next(self, wanted: int) -> None:
        """Go on by an epoch; a permutation that no later one builds on is only skipped on the way to the one wanted."""
        done = self._epoch * self.iterations
        before = self._validated(done) if self.varies else 0
        self._stream.skip(self._start["position"] + self._epoch * self._count + before - self._stream.position)
        self._epoch += 1
        if self._epoch < wanted and not self._composed:
            self._stream.skip(self._count)
            return
        permutation = self._stream.randperm(self._count)[0] - 1
        self._order = self._order[permutation] if self._composed else permutation


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


def validates_at(iteration: int, last: int, options: TrainingOptions) -> bool:
    """Whether the network is validated after an iteration: by trainNetwork after the first, by trainnet before it
    (iteration 0), by both at every multiple of ValidationFrequency and after the last (proven: logs)."""
    first = 0 if options.trainer == "trainnet" else 1
    return iteration in (first, last) or (iteration > 0 and iteration % options.ValidationFrequency == 0)


def validations(iterations: int, options: TrainingOptions) -> int:
    """Return how often a training that goes on was validated by the end of so many iterations.

    Example:
        >>> from bridge.options.options import training_options
        >>> options = training_options("sgdm", trainer="trainnet", ValidationFrequency=5)
        >>> validations(0, options), validations(4, options), validations(10, options)
        (1, 1, 3)
    """
    often = iterations // int(options.ValidationFrequency)
    if options.trainer == "trainnet":
        return often + 1
    return often + (iterations > 0 and options.ValidationFrequency > 1)
