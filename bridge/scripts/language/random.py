"""MATLAB's random numbers in a script: rng, rand, randn, randi, randperm.

Where the script seeds the stream, what is drawn is a value like any other. A script that does not is taken to begin in
a fresh session: then only how much is drawn is followed, as its numbers rest on that assumption.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge.errors import BridgeError
from bridge.random import MatlabStream
from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.draws import Draws
from bridge.scripts.language.values import Column, Object, Unknown, is_plain
from bridge.tables.layers import table

MOST_DRAWN = 50_000_000  # doubles in one call
MOST_VALUES = 10_000  # numbers of an array that is followed
DRAWN_IN_A_STEP = 1000  # of the work that a script may be
CHUNK = 1_000_000
REFUSED = {name: row["refused"] for name, row in table("random")["functions"].items() if "refused" in row}


class Generator(Object):
    """What rng returns: the state that `rng(it)` goes back to."""

    def __init__(self, draws: Draws, text: str) -> None:
        self.draws, self.text = draws, text


@reads("rng")
def _rng(call: Call) -> Any:
    """Seed the stream, or go back to a state of it; return the state before."""
    before = call.reader.draws
    if call.values:
        call.reader.draws = _seeded(call, before)
    return Generator(before, call.text) if call.outputs else None


def _seeded(call: Call, before: Draws) -> Draws:
    """Return the state that rng(...) sets."""
    first, *rest = call.values
    if isinstance(first, Generator):
        return replace(first.draws, calls=before.calls + 1)
    lost = replace(before, seeded=True, lost="", calls=before.calls + 1)
    known = is_plain(call.values) and len(call.values) <= 2
    if not known:
        return lost.unknown(f"the seed of {call.text} is not known")
    seed, generator = (0, str(first)) if isinstance(first, str) else (first, str(rest[0]) if rest else "twister")
    try:
        made = MatlabStream(seed, generator="twister" if generator == "default" else generator)
    except BridgeError as error:
        return lost.unknown(f"{error.error}: {error.cause}")
    return Draws(made.seed, 0, True, place=call.place, calls=before.calls + 1)


@reads("rand", "randn", "randi", "randperm")
def _drawn(call: Call) -> Any:
    reader, nothing = call.reader, Unknown(call.text, call.place)
    count = _count(call)
    if reader.draws.deferred and count:
        why = f"{call.text} in line {call.place[1]} draws after what draws as much as the data tell"
        reader.draws = reader.draws.unknown(why)
        return nothing
    if count is None or not 0 <= count <= MOST_DRAWN or reader.draws.lost:
        reader.draws = reader.draws.unknown(f"how much {call.text} in line {call.place[1]} draws is not known")
        return nothing
    reader.steps += (count + reader.draws.far) // DRAWN_IN_A_STEP
    if reader.exhausted:
        reader.draws = reader.draws.unknown("the script draws too much to be followed")
        return nothing
    stream, begin = reader.draws.stream, reader.draws.position
    value = _values(call, stream) if count <= MOST_VALUES else None
    if value is None and stream.position == begin:
        DRAWS[call.function](stream, count)
    reader.draws = reader.draws.after(stream)
    return nothing if value is None or not reader.draws.seeded else value


def _values(call: Call, stream: MatlabStream) -> Any:
    """Return what a call draws, None where that is no array that is followed."""
    try:
        found = getattr(stream, call.function)(*call.values)
    except BridgeError:  # randperm(n,k): so much is drawn, which numbers is not known
        return None
    if not hasattr(found, "tolist"):
        return found
    rows = found.tolist()
    if found.ndim != 2 or not found.size:
        return None if found.size else ()
    if len(rows) == 1:
        return rows[0][0] if len(rows[0]) == 1 else tuple(rows[0])
    return Column(row[0] for row in rows) if len(rows[0]) == 1 else tuple(map(tuple, rows))


def _count(call: Call) -> int | None:
    """Return how many numbers a call draws, None where that is not known."""
    values = call.values
    if call.function == "randperm":
        last = values[-1] if values and values != (values[0],) * 2 else None  # how much randperm(n,n) draws is unknown
        return last if isinstance(last, int) and not isinstance(last, bool) else None
    sizes = values[1:] if call.function == "randi" else values
    if not is_plain(values) or any(isinstance(each, str) and each != "double" for each in sizes):
        return None
    lengths = [
        each for size in sizes if not isinstance(size, str) for each in (size if isinstance(size, tuple) else (size,))
    ]
    if not all(isinstance(each, int) for each in lengths):
        return None
    return int(math.prod(max(each, 0) for each in (lengths * 2 if len(lengths) == 1 else lengths)))


def _normals(stream: MatlabStream, count: int) -> None:
    for start in range(0, count, CHUNK):
        stream.randn(min(CHUNK, count - start), 1)


DRAWS: dict[str, Callable[[MatlabStream, int], None]] = {
    "rand": MatlabStream.skip,
    "randi": MatlabStream.skip,
    "randperm": MatlabStream.skip,
    "randn": _normals,
}


@reads(*REFUSED.keys() - {"single"})
def _refused(call: Call) -> Any:
    """A function that draws, but nobody knows how."""
    why = f"{call.function} in line {call.place[1]}: {REFUSED[call.function]}"
    call.reader.draws = call.reader.draws.unknown(why)
    return Unknown(call.text, call.place)
