"""How far MATLAB's random stream has gone at a line of a script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bridge.random import MatlabStream
from bridge.scripts.language.values import Place


@dataclass(frozen=True)
class Draws:
    """The state of MATLAB's random stream at a line. Immutable, so that a branch that is not taken draws nothing.

    Attributes:
        seed: of rng(seed).
        position: how many doubles were drawn since.
        seeded: whether the script calls rng; else a fresh session is assumed.
        deferred: how many calls have drawn since then as much as the data or the network tell; they are repeated with
            those, from here on, in the same order.
        lost: why seed or position are not known, "" where they are.
        place: the line that seeded it, None where none did.
        calls: how many calls drew, so that two states with none between them can be told.
        trusted: functions that were called and that are taken to draw nothing, though that is not known.
    """

    seed: int = 0
    position: int = 0
    seeded: bool = False
    deferred: int = 0
    lost: str = ""
    place: Place | None = field(default=None, compare=False)
    calls: int = 0
    trusted: tuple[str, ...] = ()
    _stream: MatlabStream | None = field(default=None, compare=False, repr=False)

    @property
    def stream(self) -> MatlabStream:
        """The stream at this position, to be drawn from and given to `after`."""
        kept = self._stream
        there = kept is not None and kept.seed == self.seed and kept.position == self.position
        return kept if kept is not None and there else MatlabStream(self.seed, position=self.position)

    @property
    def far(self) -> int:
        """How many doubles have to be drawn to come to this position."""
        return 0 if self._stream is not None and self._stream.position == self.position else self.position

    def after(self, stream: MatlabStream) -> Draws:
        """Return the state after a call that drew."""
        return replace(self, position=stream.position, calls=self.calls + 1, _stream=stream)

    def unknown(self, why: str) -> Draws:
        """Return the state after a call that drew nobody knows how much."""
        return replace(self, lost=self.lost or why, calls=self.calls + 1)

    def deferring(self) -> Draws:
        """Return the state after a call that draws as much as the data or the network tell."""
        return replace(self, deferred=self.deferred + 1, calls=self.calls + 1)

    def trusting(self, function: str) -> Draws:
        """Return the state after a call of a function that is taken to draw nothing."""
        return self if function in self.trusted else replace(self, trusted=(*self.trusted, function))

    def merged(self, others: list[Draws], why: str) -> Draws:
        """Return the state behind branches of which any may be taken."""
        return self if all(each == self for each in others) else self.unknown(why)
