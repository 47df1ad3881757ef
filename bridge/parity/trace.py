"""Where a trained network's first weights came from: seed and position in MATLAB's random stream.

Training moves weights away from where they were drawn, and leaves enough of it: laid along the stream
(`bridge.random.matched`), a layer stands out at its place by 7 to 400 standard deviations. The places of all layers
tell what was drawn before them, and what follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Layer, Network
from bridge.network.initialize import initializer_of, target_of
from bridge.random import MatlabStream
from bridge.random.matched import KINDS, Numbers, Peak, deviations
from bridge.tables.layers import table

FALSE_ALARM = 1e-6  # the chance that any layer of other numbers is placed, over all that is searched
SEEDS, DOUBLES = range(101), 10_000_000
TELLING = 64  # values of an array that is looked for everywhere: fewer could not stand out
MOST = 64  # arrays of a network that are looked for in every seed; the others only beside those that were found
LARGEST_SHARE = 0.75  # of them by size; the rest are the last ones, as a new head is
SLACK = 64  # doubles around a place beside another array
EXTRA = 0.03  # of their count that normal numbers draw more, on average 0.022
REJECTED = 16  # doubles of draws in a row that are rejected before one is accepted, at most
ALIKE = 0.85  # the part of the sigma of its own kind that an array has with the other kind is 0.92


@dataclass(frozen=True)
class Origin:
    """Where one array of a network came from.

    Attributes:
        layer, learnable: names.
        size: in MATLAB's order.
        frozen: whether its learn-rate factor is 0.
        place: "found" in the stream, found "beside" another array at the place that follows from it, "between" two
            others (too far trained to be recognised, but the gap is its size), or "" for none.
        begin, end: doubles drawn before it, and before what follows it; None without a place.
        kind: what it was drawn by, "rand" or "randn"; without a place, what its initializer draws by.
        sigma: how many standard deviations it stands out by.
        correlation: of its values with what was drawn.
        initializer: the one whose formula is nearest to its scale; "" where there is none.
        scale: its values are about this times what that initializer gives.
    """

    layer: str
    learnable: str
    size: tuple[int, ...]
    frozen: bool
    place: str = ""
    begin: int | None = None
    end: int | None = None
    kind: str = ""
    sigma: float = 0.0
    correlation: float = 0.0
    initializer: str = ""
    scale: float = 0.0


@dataclass(frozen=True)
class Trace:
    """What was found of a network in MATLAB's stream.

    Attributes:
        seed: whose stream it is; None where none fits.
        origins: of every array that was looked for, in the order of drawing.
        seeds: that were searched.
        doubles: of each.
        limit: standard deviations from which an array counts as found: other numbers exceed it anywhere in the search
            with a chance of at most `FALSE_ALARM`.
    """

    seed: int | None
    origins: tuple[Origin, ...]
    seeds: tuple[int, ...]
    doubles: int
    limit: float

    @property
    def placed(self) -> tuple[Origin, ...]:
        """The arrays with a place, in the order of the stream."""
        return tuple(sorted((each for each in self.origins if each.place), key=lambda each: each.begin or 0))


@dataclass(frozen=True)
class _Array:
    """An array that is looked for.

    Attributes:
        origin: its names and size.
        values: in the order of drawing.
        scales: what initializers multiply the numbers of the stream by.
    """

    origin: Origin
    values: NDArray
    scales: Mapping[str, float]

    @property
    def longest(self) -> int:
        """How many doubles it draws at most."""
        return math.ceil(len(self.values) * (1 + EXTRA)) + SLACK


def trace(
    network: Network,
    seeds: Sequence[int] = SEEDS,
    doubles: int = DOUBLES,
    *,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Look for the first weights of a network in MATLAB's stream.

    Seeds are searched in turn until one has some of its arrays: those of one training come from one stream.

    Args:
        network: with values.
        seeds: of MATLAB's rng.
        doubles: how much of each stream is searched.
        progress: called with each seed before it is searched.

    Raises:
        UsageError: no seed, or not a double, is to be searched.
        UnsupportedError: the network has no array that could be found.
    """
    seeds = tuple(seeds)
    if not seeds or doubles < 1:
        raise UsageError("nothing is searched", f"{len(seeds)} seeds and {doubles} doubles", "give one or more of each")
    arrays = tuple(_arrays(network))
    looked_for = _most_telling(arrays)
    if not looked_for:
        empty = all(each.array.size == 0 for _, _, each in network.learnables())
        cause = "it has no values" if empty else f"it has no learnable of {TELLING} values or more that MATLAB draws"
        raise UnsupportedError("the network cannot be traced", cause, "trace a network with trained weights")
    limit = deviations(len(seeds) * doubles * len(KINDS) * len(looked_for), FALSE_ALARM / 2)
    searched = []
    for seed in seeds:
        if progress is not None:
            progress(seed)
        searched.append(seed)
        numbers = Numbers(seed, doubles)
        peaks = numbers.best([arrays[index].values for index in looked_for])
        best = {index: _better(both, arrays[index]) for index, both in zip(looked_for, peaks, strict=True)}
        found = {index: peak for index, peak in best.items() if peak.sigma > limit}
        if found:
            origins = _placed(numbers, arrays, found)
            return Trace(seed, origins, tuple(searched), doubles, limit)
    return Trace(None, tuple(each.origin for each in arrays), tuple(searched), doubles, limit)


def _arrays(network: Network) -> Iterator[_Array]:
    """Yield the arrays that MATLAB may have drawn, in its order."""
    for layer in network.order:
        order = {name: place for place, name in enumerate(layer.row.learnables)}
        for name in sorted(layer.learnables, key=lambda name: order.get(name, len(order))):
            each = layer.learnables[name]
            if each.array.size == 0 or not (kind := _drawn_by(layer, name)):
                continue
            values = np.asarray(each.value).ravel(order="F").astype(np.float64)
            if np.isfinite(values).all() and values.any():
                frozen = not np.any(each.learn_rate_factor)
                origin = Origin(layer.name, name, each.shape, frozen, kind=kind)
                yield _Array(origin, values, _scales(layer, name, each.shape))


def _scales(layer: Layer, name: str, shape: tuple[int, ...]) -> dict[str, float]:
    """Return what each initializer multiplies the numbers of the stream by, to have values of an array's size."""
    target = target_of(layer, name, shape)
    row = layer.row.learnables.get(name)
    if row is not None and row.initializer == "orthogonal":
        orthogonal = {"orthogonal": 1 / math.sqrt(max(target.inputs, target.outputs))}  # of its first column, nearly
        return {"glorot": math.sqrt(6 / (target.inputs + target.outputs)), **orthogonal}
    return {
        "glorot": math.sqrt(6 / (target.inputs + target.outputs)),
        "he": math.sqrt(2 / target.inputs),
        "narrow-normal": 0.01,
    }


def _drawn_by(layer: Layer, name: str) -> str:
    """Return what a learnable's first values are drawn by, "" for constants; "rand" where that is not known."""
    try:
        how = initializer_of(layer, name)
    except UsageError:  # a function of the user's own
        how = None
    if isinstance(how, float):
        return ""
    return "rand" if how is None else str(table("random")["initializers"][how]["draws"])


def _most_telling(arrays: Sequence[_Array]) -> list[int]:
    """Return the arrays to look for everywhere: the largest, and the last ones, among which a new head is."""
    telling = [index for index, each in enumerate(arrays) if len(each.values) >= TELLING]
    largest = sorted(telling, key=lambda index: -len(arrays[index].values))[: int(MOST * LARGEST_SHARE)]
    last = [index for index in reversed(telling) if index not in largest]
    return sorted(largest + last[: MOST - len(largest)])


def _better(peaks: Sequence[Peak], array: _Array) -> Peak:
    """Return the peak of the kind that stands out more: a file's initializer need not be how it was drawn.

    Both kinds begin with the same words, so that a short array fits both at its place; there its initializer decides.
    """
    best = max(peaks, key=lambda peak: peak.sigma)
    told = next(peak for peak in peaks if peak.kind == array.origin.kind)
    return told if told.position == best.position and told.sigma > ALIKE * best.sigma else best


def _placed(numbers: Numbers, arrays: Sequence[_Array], found: Mapping[int, Peak]) -> tuple[Origin, ...]:
    """Return the origins of all arrays: of those found, those beside them, and those that fill a gap."""
    origins = [each.origin for each in arrays]
    for index in sorted(found, key=lambda index: found[index].position):
        before = max((each.end for each in origins if each.end is not None), default=None)
        origins[index] = _at(numbers, arrays[index], found[index], "found", before)
    for ranges in PASSES:
        missing = [index for index, each in enumerate(origins) if not each.place]
        stretches = [(index, *stretch) for index in missing for stretch in ranges(arrays, origins, index)]
        tests = sum(last - first + 1 for _, first, last in stretches) * len(KINDS)
        limit = deviations(tests, FALSE_ALARM / 2 / len(PASSES))
        for index, first, last in stretches:
            peak = _better(numbers.near(arrays[index].values, first, last), arrays[index])
            if peak.sigma > limit:
                before = max((each.end for each in origins[:index] if each.end is not None), default=None)
                origins[index] = _at(numbers, arrays[index], peak, "beside", before)
    for index in range(len(arrays)):
        origins[index] = _between(arrays, origins, index) or origins[index]
    return tuple(origins)


def _at(numbers: Numbers, array: _Array, peak: Peak, place: str, before: int | None) -> Origin:
    """Return the origin of an array at a peak, in doubles from where it was begun to where what follows begins."""
    count, begin = len(array.values), peak.position
    if peak.kind == "randn" and before is not None and abs(begin - before) <= REJECTED:
        stream = MatlabStream(numbers.seed, position=before)
        stream.randn()  # the first number may have been begun with draws that were rejected
        begin = before if stream.position > begin else begin
    stream = MatlabStream(numbers.seed, position=begin)
    stream.skip(count) if peak.kind == "rand" else stream.randn(1, count)
    initializer = min(
        (name for name in array.scales if table("random")["initializers"][name]["draws"] == peak.kind),
        key=lambda name: abs(math.log(abs(peak.scale) / array.scales[name])),
        default="",
    )
    return replace(
        array.origin, place=place, begin=begin, end=stream.position, kind=peak.kind, sigma=peak.sigma,
        correlation=peak.correlation, initializer=initializer,
        scale=peak.scale / array.scales[initializer] if initializer else peak.scale,
    )  # fmt: skip


Ranges = Callable[[Sequence[_Array], Sequence[Origin], int], list[tuple[int, int]]]


def _next_to(arrays: Sequence[_Array], origins: Sequence[Origin], index: int) -> list[tuple[int, int]]:
    """Return the doubles at which an array begins that follows the one before it, or precedes the one after it."""
    ends = [origins[index - 1].end] if index else []
    begins = [
        each.begin - len(arrays[index].values) for each in origins[index + 1 : index + 2] if each.begin is not None
    ]
    return [(place, place) for place in {*ends, *begins} if place is not None and place >= 0]


def _around(arrays: Sequence[_Array], origins: Sequence[Origin], index: int) -> list[tuple[int, int]]:
    """Return the doubles among which an array begins, as the nearest one with a place before or after it tells."""
    before = next((i for i in reversed(range(index)) if origins[i].place), None)
    after = next((i for i in range(index + 1, len(arrays)) if origins[i].place), None)
    if before is not None:
        first = origins[before].end or 0
        return [(first, first + sum(arrays[i].longest for i in range(before + 1, index)) + SLACK)]
    if after is not None:
        last = origins[after].begin or 0
        return [(max(0, last - sum(arrays[i].longest for i in range(index, after)) - SLACK), last)]
    return []


PASSES: tuple[Ranges, ...] = (_next_to, _around, _next_to)


def _between(arrays: Sequence[_Array], origins: Sequence[Origin], index: int) -> Origin | None:
    """Return the origin of an array that is alone in a gap of its size."""
    if origins[index].place or not 0 < index < len(arrays) - 1:
        return None
    begin, end, count = origins[index - 1].end, origins[index + 1].begin, len(arrays[index].values)
    if begin is None or end is None or not count <= end - begin <= arrays[index].longest:
        return None
    return replace(
        origins[index], place="between", begin=begin, end=end, kind="rand" if end - begin == count else "randn"
    )
