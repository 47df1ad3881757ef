"""What the places of a network's first weights in MATLAB's stream say about the session that made it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.parity.trace import Origin, Trace
from bridge.random import MatlabStream

MOST_RUNS = 3  # ways in which earlier runs fit that are told
MOST_NAMES = 5


@dataclass(frozen=True)
class Span:
    """The stretch of the stream that a network's first weights fill.

    Attributes:
        begin, end: doubles drawn before and after them.
        arrays: in the order of drawing.
        assumed: those of them that were not found, and taken to lie beside the others.
    """

    begin: int
    end: int
    arrays: tuple[Origin, ...]
    assumed: tuple[Origin, ...]


def conclusions(trace: Trace) -> list[str]:
    """Return what follows from a trace, a sentence each."""
    if trace.seed is None:
        return [_absent(trace)]
    told = [_seed(trace.seed), _rows(trace.placed)]
    span = span_of(trace)
    begin, end = (span.begin, span.end) if span else (trace.placed[0].begin or 0, trace.placed[-1].end or 0)
    told.append(
        f"{begin:,} doubles were drawn before the weights: by data, a split (randperm({begin}) draws as many), or runs"
        if begin
        else "nothing was drawn before the weights"
    )
    fits = sorted(runs_before(span))[:MOST_RUNS] if span and trace.seed == 0 else []
    if fits:
        runs = ", or ".join(f"{count} with {between:,}" for between, count in fits)
        told.append(
            f"earlier runs of the same script fit: {runs} doubles after the weights of each (Shuffle 'once' draws one "
            "for each observation)"
        )
    told.append(f"what was drawn next, as the order of observations, begins at double {end:,}")
    if span and span.assumed:
        told.append(f"taken to lie beside the others, too far trained to be found: {_names(span.assumed)}")
    lost = [each for each in trace.origins if not each.place and (span is None or each not in span.assumed)]
    for frozen, why in ((True, "frozen, and not of this stream"), (False, "not of this stream, or trained too far")):
        names = [each for each in lost if each.frozen is frozen]
        told += [f"{why}: {_names(names)}"] if names else []
    return told


def span_of(trace: Trace) -> Span | None:
    """Return the stretch of all first weights, None where they do not lie in a row.

    Uniform arrays at either end that were not found are taken to lie there too, too far trained, where most values were
    found. Where most were not, they are taken as pretrained.
    """
    placed = trace.placed
    if any(each.end != following.begin for each, following in pairwise(placed)):
        return None
    begin, end = placed[0].begin or 0, placed[-1].end or 0
    lost = [each for each in trace.origins if not each.place and not each.frozen]
    if not lost or _values(lost) >= _values(placed):
        return Span(begin, end, placed, ())
    first = trace.origins.index(placed[0])
    before = [each for each in lost if trace.origins.index(each) < first]
    size = _values(before)
    if any(each.kind == "randn" for each in lost) or size > begin:
        return None
    everything = tuple(each for each in trace.origins if each.place or each in lost)
    return Span(begin - size, end + _values(lost) - size, everything, tuple(lost))


def runs_before(span: Span) -> Iterator[tuple[int, int]]:
    """Yield how many doubles each of how many earlier runs in a fresh session drew after the same weights.

    Runs of a script with another seed begin anew. Normal numbers draw more or fewer doubles at other places, so that
    with them only one run can be told.
    """
    stream = MatlabStream(0)
    for each in span.arrays:
        count = math.prod(each.size)
        stream.skip(count) if each.kind == "rand" else stream.randn(1, count)
    most = span.begin // stream.position
    for runs in range(1, (min(most, 1) if any(each.kind == "randn" for each in span.arrays) else most) + 1):
        if span.begin % runs == 0:
            yield span.begin // runs - stream.position, runs


def _values(origins: Sequence[Origin]) -> int:
    return sum(math.prod(each.size) for each in origins)


def _absent(trace: Trace) -> str:
    seeds = f"rng({trace.seeds[0]})" if len(trace.seeds) == 1 else f"each of {len(trace.seeds)} seeds"
    return (
        f"none of {len(trace.origins)} arrays is found among the first {trace.doubles:,} doubles of {seeds}: "
        "another seed, a later place, pretrained weights, or trained too far"
    )


def _seed(seed: int) -> str:
    return f"the stream is that of {f'rng({seed})' if seed else 'rng(0): a fresh session, or rng default'}"


def _rows(placed: Sequence[Origin]) -> str:
    """Tell which arrays were drawn in a row."""
    rows = [[placed[0]]]
    for each in placed[1:]:
        if each.begin == rows[-1][-1].end:
            rows[-1].append(each)
        else:
            rows.append([each])
    told = [f"{len(row)} from double {row[0].begin:,} to {row[-1].end:,}" for row in rows]
    return f"arrays drawn in a row: {', '.join(told)}"


def _names(origins: Sequence[Origin]) -> str:
    names = [f"{each.layer}/{each.learnable}" for each in origins]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
