"""MATLAB's default random stream (rng: "twister"), number for number.

MT19937 seeded as MATLAB seeds it: rng(0), rng('default') and a fresh session by 5489, rng(s) by s. Everything that
draws takes whole doubles of two words each, so seed and position tell the state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UnsupportedError, UsageError
from bridge.random.known import refuse_class, refuse_generator
from bridge.random.ziggurat import BLOCK, Words, draws, normals

FRESH = 5489  # the seed of MT19937 that rng(0) stands for
LARGEST = 2**53 - 1  # of randi
SKIPPED = 1 << 20  # doubles drawn at once where they are not looked at


class MatlabStream:
    """MATLAB's default stream from `rng(seed)`, or from a later position of it.

    `rand`, `randn` and `randi` take sizes as MATLAB does: nothing for one number (a float or int), n for n x n, several
    numbers or one sequence of them for a size; arrays are filled in column-major order, as in MATLAB. A negative length
    is 0, and ones at the end of a size fall away beyond the second.

    Example:
        >>> stream = MatlabStream(0)
        >>> stream.rand(1, 3).round(4).tolist()
        [[0.8147, 0.9058, 0.127]]
        >>> stream.position
        3
        >>> MatlabStream(**stream.state).rand() == stream.rand()
        True
    """

    def __init__(self, seed: int = 0, *, position: int = 0, generator: str = "twister") -> None:
        """Begin at `rng(seed)`, `position` doubles on.

        Args:
            seed: a whole number from 0 to 2^32 - 1; 0 is also rng('default') and a fresh session.
            position: how many doubles were drawn before.
            generator: MATLAB's name for the algorithm; only "twister" is known.

        Raises:
            UsageError: the seed or the position is no such number.
            UnsupportedError: MATLAB's other generators, and rng('shuffle').
        """
        refuse_generator(seed if isinstance(seed, str) else generator)
        if not _is_whole(seed) or not 0 <= seed < 2**32:
            raise UsageError(f"the seed is {seed!r}", "MATLAB's seeds are whole numbers from 0 to 4294967295")
        self._seed, self._position = int(seed), 0
        self._words = np.random.RandomState(self._seed or FRESH)
        self.skip(position)

    def __repr__(self) -> str:
        return f"MatlabStream({self._seed}, position={self._position})"

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def position(self) -> int:
        """How many doubles were drawn since rng(seed)."""
        return self._position

    @property
    def state(self) -> dict[str, int]:
        """The whole state; `MatlabStream(**state)` goes on from it."""
        return {"seed": self._seed, "position": self._position}

    def skip(self, count: int) -> None:
        """Draw `count` doubles and forget them.

        Raises:
            UsageError: `count` is no whole number from 0.
        """
        if not _is_whole(count) or count < 0:
            raise UsageError(f"{count!r} doubles cannot be skipped", "it is a whole number from 0")
        for start in range(0, int(count), SKIPPED):
            self._doubles(min(SKIPPED, int(count) - start))

    def rand(self, *size: Any) -> Any:
        """Return uniform numbers between 0 and 1, one double each.

        Raises:
            UsageError: the size is none.
            UnsupportedError: a class other than 'double'.
        """
        return self._filled(size, self._doubles)

    def randn(self, *size: Any) -> Any:
        """Return normal numbers with mean 0 and variance 1: one double each, for 1.5 % of them more.

        Raises:
            UsageError: the size is none.
            UnsupportedError: a class other than 'double'.
        """
        return self._filled(size, lambda count: normals(count, self._pairs))

    def normals_within(self, doubles: int) -> tuple[NDArray, NDArray]:
        """Draw with randn until `doubles` doubles are drawn, and return the numbers and the position of each.

        The last one may draw a few doubles more. From whichever double randn begins, its numbers are soon these: only
        the first of them may be others.
        """
        end = self._position + doubles
        values, positions = [np.empty(0)], [np.empty(0, np.int64)]
        while self._position < end:
            begin = self._position
            drawn, places = draws(self._pairs(min(BLOCK, end - begin)), self._pairs)
            values.append(drawn)
            positions.append(begin + places)
        return np.concatenate(values), np.concatenate(positions)

    def randi(self, limits: int | Sequence[int], *size: Any) -> Any:
        """Return whole numbers from 1 to `limits`, or from the first to the second of two limits; one double each.

        Raises:
            UsageError: the limits or the size are none.
            UnsupportedError: a class other than 'double'.
        """
        lowest, highest = _limits(limits)
        count = highest - lowest + 1

        def draw(wanted: int) -> NDArray:
            drawn: NDArray = (lowest + np.floor(count * self._doubles(wanted))).astype(np.int64)
            return drawn

        return self._filled(size, draw)

    def randperm(self, n: int, k: int | None = None) -> NDArray:
        """Return the numbers 1 to n in random order, 1 x n; draws n doubles.

        With a smaller k it draws k doubles (so many are known to be drawn) and raises: MATLAB's choice is unconfirmed.
        The stream is then where MATLAB's is.

        Raises:
            UsageError: n or k is none.
            UnsupportedError: k is given.
        """
        if not _is_whole(n) or n < 0:
            raise UsageError(f"randperm({n!r})", "it takes a whole number from 0")
        if k is None:
            order: NDArray = np.argsort(self._doubles(int(n)), kind="stable")[None] + 1
            return order
        if not _is_whole(k) or not 0 <= k <= n:
            raise UsageError(f"randperm({n}, {k!r})", f"the second number is a whole one from 0 to {n}")
        if k == n:
            cause = "how many doubles it draws, and which order it gives, is unconfirmed"
            raise UnsupportedError(f"randperm({n}, {k}) cannot be drawn", cause, f"write randperm({n}) in MATLAB")
        self.skip(int(k))
        cause = f"it draws {k} doubles, and which numbers they become is unconfirmed"
        hint = "the stream has gone on by as many; import the numbers from MATLAB"
        raise UnsupportedError(f"the values of randperm({n}, {k}) are not known", cause, hint)

    def _doubles(self, count: int) -> NDArray:
        self._position += count
        return self._words.random_sample(count)

    def _pairs(self, count: int) -> Words:
        self._position += count
        return self._words.randint(0, 2**32, (count, 2), dtype=np.uint32)

    def _filled(self, size: tuple[Any, ...], draw: Any) -> Any:
        shape = _shape(size)
        if shape is None:
            return draw(1)[0].item()
        return draw(math.prod(shape)).reshape(shape, order="F")


def stream_of(rng: int | MatlabStream) -> MatlabStream:
    """Return the stream that `rng` names: a number is a seed, a stream is itself and goes on.

    Raises:
        UsageError: it is neither.
    """
    return rng if isinstance(rng, MatlabStream) else MatlabStream(rng)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _shape(size: tuple[Any, ...]) -> tuple[int, ...] | None:
    """Return the size that MATLAB's arguments mean, None for a single number."""
    given = list(size)
    while given and isinstance(given[-1], str):
        refuse_class(given.pop())
    if len(given) == 1 and isinstance(given[0], (Sequence, np.ndarray)):
        given = list(given[0])
        if len(given) < 2:
            raise UsageError(f"{size!r} is no size", "a size in one argument has two or more numbers")
    if not given:
        return None
    if not all(isinstance(n, Real) and not isinstance(n, bool) and float(n).is_integer() for n in given):
        raise UsageError(f"{size!r} is no size", "it is made of whole numbers")
    lengths = [max(0, int(n)) for n in given]
    shape = lengths * 2 if len(lengths) == 1 else lengths
    while len(shape) > 2 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _limits(limits: int | Sequence[int]) -> tuple[int, int]:
    given: list[Any] = list(limits) if isinstance(limits, (Sequence, np.ndarray)) else [limits]
    given = [1, *given] if len(given) == 1 else given
    if len(given) != 2 or not all(isinstance(n, Real) and float(n).is_integer() for n in given):
        raise UsageError(f"randi({limits!r})", "it takes a whole number, or two")
    lowest, highest = map(int, given)
    if lowest > highest or highest - lowest >= LARGEST:
        raise UsageError(f"randi({limits!r})", "the lower limit exceeds the upper one, or they are 2^53 apart")
    return lowest, highest
