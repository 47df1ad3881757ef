"""MATLAB's randn: normal numbers by the ziggurat of Marsaglia and Tsang (2000) with 256 levels, from MT19937's words.

A draw takes the two 32-bit words of one double. The top 8 bits of the second choose a level, the other 24 and 29 bits
of the first a number from -1 to 1 that is scaled to the level's width. About 2 % of the draws need more doubles: one
decides in the wedge at a level's edge (where it fails, the draw starts again), pairs search the tail beyond the last
edge. Evidence: 41.9 million doubles of one data set stay in step, and 168 printed values of rng(0) agree to their 16
digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray

Words = NDArray  # n x 2: the two 32-bit words of each double
Take = Callable[[int], Words]

LEVELS = 256
TAIL = 3.6541528853610088  # where the lowest level ends and the tail begins
# Printed values of randn place these levels' edges one unit of the 15th digit below what the recursion gives.
ONE_LOWER = (75, 109, 116, 201)
BLOCK = 1 << 16  # doubles worked on at once: their arrays stay in the processor's cache


def _edges() -> NDArray:
    """Return the widths of the levels, the lowest first; the last edge is 0.

    All levels have one area. MATLAB's table holds 15 digits: of the 131 levels that 168 printed values visit, 127 have
    the width of this recursion in double precision, rounded so, and the other four the next lower number. A level that
    none of them visits may be off by one unit of the 15th digit.
    """
    height = math.exp(-TAIL * TAIL / 2)
    area = TAIL * height + math.sqrt(math.pi / 2) * math.erfc(TAIL / math.sqrt(2))
    widths = [area / height, TAIL]
    for _ in range(LEVELS - 2):
        height += area / widths[-1]
        widths.append(math.sqrt(-2 * math.log(height)))
    edges = [float(f"{width:.15g}") for width in widths]
    for level in ONE_LOWER:
        edges[level] = float(f"{edges[level] - 1e-14:.15g}")
    return np.array([*edges, 0.0])


EDGES = _edges()
HEIGHTS = np.exp(-EDGES * EDGES / 2)
WIDTHS, INNER = EDGES[-2::-1].copy(), EDGES[:0:-1].copy()  # of the level that is 255 minus the index


def doubles(words: Words) -> NDArray:
    """Return MATLAB's rand of pairs of words (n x 2): 53 bits, from 0 to 1."""
    return ((words[:, 0] >> 5) * 67108864.0 + (words[:, 1] >> 6)) / 9007199254740992.0


def normals(count: int, take: Take) -> NDArray:
    """Return `count` numbers of randn, in MATLAB's order.

    Args:
        count: how many.
        take: gives the next n doubles of the stream as n x 2 words of 32 bits. Exactly as many are taken as MATLAB
            draws: a number needs at least one, so no more are taken at once than numbers are missing.
    """
    made = np.empty(count)
    done = 0
    while done < count:
        values, _ = draws(take(min(count - done, BLOCK)), take)
        made[done : done + len(values)] = values
        done += len(values)
    return made


def draws(words: Words, take: Take) -> tuple[NDArray, NDArray]:
    """Return the numbers whose draws begin in a block of doubles, and at which of its doubles each does.

    What the last draw needs beyond the block is taken.

    A draw is worked out at every double as if one began there. That is wrong only behind a draw that needs more than
    one double, so the few such places are gone through in order.
    """
    top = words[:, 1] >> 24
    signed = ((words[:, 0] >> 3) * 16777216.0 + (words[:, 1] & 0xFFFFFF)) * 2.0**-52 - 1
    values = signed * WIDTHS[top]
    slow = np.flatnonzero(np.abs(values) >= INNER[top])
    levels = LEVELS - 1 - top[slow].astype(np.intp)
    inside = _in_wedge(levels, values[slow], doubles(words[np.minimum(slow + 1, len(words) - 1)]))
    begins = np.ones(len(words), bool)
    free = 0  # the first double that no draw has taken
    for place, level, kept in zip(slow.tolist(), levels.tolist(), inside.tolist(), strict=True):
        if place < free:
            continue
        draw = _Draw(words, place + 1, take)
        if level == 0:
            values[place] = math.copysign(EDGES[1] + _beyond(draw), values[place])
        elif place + 1 < len(words):
            draw.skip()
            begins[place] = kept
        else:
            begins[place] = _in_wedge(np.intp(level), values[place], draw.uniform())
        free = draw.next
        begins[place + 1 : free] = False
    return values[begins], np.flatnonzero(begins)


class _Draw:
    """The doubles that follow the first one of a draw, within a block and beyond its end."""

    def __init__(self, words: Words, start: int, take: Take) -> None:
        self._words, self.next, self._take = words, start, take

    def skip(self) -> None:
        self.next += 1

    def uniform(self) -> float:
        pair = self._words[self.next : self.next + 1] if self.next < len(self._words) else self._take(1)
        self.next += 1
        return float(doubles(pair)[0])


def _in_wedge(level: Any, value: Any, uniform: Any) -> Any:
    """Whether a number beyond a level's inner edge lies below the density: a uniform height decides."""
    height = HEIGHTS[level] + uniform * (HEIGHTS[level + 1] - HEIGHTS[level])
    return height < np.exp(-value * value / 2)


def _beyond(draw: _Draw) -> float:
    """Return how far beyond the last edge a number of the tail lies (Marsaglia 1964)."""
    while True:
        distance, depth = -_log(draw.uniform()) / EDGES[1], -_log(draw.uniform())
        if 2 * depth > distance * distance:
            return float(distance)


def _log(uniform: float) -> float:
    return math.log(uniform) if uniform else -math.inf
