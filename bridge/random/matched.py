"""Where in MATLAB's stream an array of numbers was drawn: a matched filter, by FFT.

The array w is laid along the numbers x of a seed (2*rand - 1, or randn) at every position, and the sum of w*x is told
in standard deviations of what other numbers give. What training has left of first values gives a peak where they were
drawn. For w that has nothing to do with x, the chance that the sum exceeds s deviations is at most exp(-s^2/2),
whatever w is: uniform numbers from -1 to 1 are strictly sub-Gaussian (their moment generating function is at most that
of the normal of their variance), normal ones are normal. So `deviations` gives a limit that is sure, not an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from bridge.arrays.lazy import NDArray
from bridge.random.stream import MatlabStream

HOP = 1 << 19  # positions that one transform tells; the longest piece of an array that is compared
KINDS = {"rand": math.sqrt(1 / 3), "randn": 1.0}  # standard deviations of 2*rand - 1 and randn


@dataclass(frozen=True)
class Peak:
    """Where an array fits best.

    Attributes:
        kind: "rand" or "randn".
        position: doubles drawn before it; of randn, before its first number was accepted.
        sigma: how many standard deviations it stands out by.
        scale: the array's values are best told as this times the numbers.
        correlation: of the values with the numbers.
    """

    kind: str
    position: int
    sigma: float
    scale: float
    correlation: float


def deviations(tests: int, false_alarm: float) -> float:
    """Return how many standard deviations none of so many sums of other numbers exceeds, but for a chance."""
    return math.sqrt(2 * math.log(max(tests, 1) / false_alarm))


class Numbers:
    """The first numbers of a seed, to be searched.

    Args:
        seed: of MATLAB's rng.
        doubles: how many of the stream.
    """

    def __init__(self, seed: int, doubles: int) -> None:
        self.seed, self.doubles = seed, doubles

    def best(self, arrays: Sequence[NDArray]) -> list[tuple[Peak, ...]]:
        """Return where each of several arrays fits best: a peak for each kind of numbers.

        Args:
            arrays: their values in the order of drawing, finite and not all 0; of long ones, the first are compared.
        """
        return list(zip(*(self._best(arrays, kind) for kind in KINDS), strict=True))

    def near(self, array: NDArray, first: int, last: int) -> tuple[Peak, ...]:
        """Return where an array fits best among the positions from `first` to `last`, for each kind of numbers."""
        peaks = []
        for kind in KINDS:
            values, piece = self._values(kind), array[:HOP]
            start, end = (self._index(kind, each) for each in (first, last))
            stretch = values[start : end + len(piece)]
            length = fft.next_fast_len(len(stretch) + len(piece), real=True)
            sums = fft.irfft(fft.rfft(stretch, length) * _template(piece, length), length)[: end - start + 1]
            peaks.append(self._at(piece, kind, start + int(np.argmax(sums))))
        return tuple(peaks)

    def _best(self, arrays: Sequence[NDArray], kind: str) -> list[Peak]:
        """Stretches of the numbers overlap by half, so that each position lies whole in one."""
        values = self._values(kind)
        templates = [_template(array[:HOP], 2 * HOP) for array in arrays]
        best = [(-math.inf, 0)] * len(arrays)
        for start in range(0, len(values), HOP):
            spectrum = fft.rfft(values[start : start + 2 * HOP], 2 * HOP)
            for index, template in enumerate(templates):
                sums = fft.irfft(spectrum * template, 2 * HOP)[:HOP]
                place = int(np.argmax(sums))
                best[index] = max(best[index], (float(sums[place]), start + place))
        return [self._at(array[:HOP], kind, place) for array, (_, place) in zip(arrays, best, strict=True)]

    def _at(self, piece: NDArray, kind: str, index: int) -> Peak:
        """Return how an array fits the numbers from one of them on, in double precision."""
        index = min(index, len(self._values(kind)) - 1)
        numbers = self._values(kind)[index : index + len(piece)].astype(np.float64)
        own, product, power = np.linalg.norm(piece), piece[: len(numbers)] @ numbers, numbers @ numbers
        position = index if kind == "rand" else int(self._normal[1][index])
        return Peak(
            kind,
            position,
            float(product / own / KINDS[kind]),
            float(product / power),
            float(product / own / math.sqrt(power)),
        )

    def _values(self, kind: str) -> NDArray:
        return self._uniform if kind == "rand" else self._normal[0]

    def _index(self, kind: str, position: int) -> int:
        """Return the first number that is drawn at a position or later."""
        index = position if kind == "rand" else int(np.searchsorted(self._normal[1], position))
        return min(index, len(self._values(kind)) - 1)

    @cached_property
    def _uniform(self) -> NDArray:
        numbers: NDArray = (2 * MatlabStream(self.seed).rand(1, self.doubles)[0] - 1).astype(np.float32)
        return numbers

    @cached_property
    def _normal(self) -> tuple[NDArray, NDArray]:
        values, positions = MatlabStream(self.seed).normals_within(self.doubles)
        return values.astype(np.float32), positions


def _template(piece: NDArray, length: int) -> NDArray:
    """Return the transform that a stretch of numbers is multiplied by, of the array with norm 1."""
    template: NDArray = np.conj(fft.rfft((piece / np.linalg.norm(piece)).astype(np.float32), length))
    return template
