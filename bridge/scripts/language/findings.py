"""What is told of a script: each entry with the line it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.errors import BridgeError
from bridge.scripts.language.syntax import Script
from bridge.scripts.language.values import Place

CONTINUED = re.compile(r"\s*\.\.\.[^\n]*\n\s*")
Key = tuple[str, str | int]  # an entry of what is made of the script: ("options", "MaxEpochs"), ("edits", 0)


@dataclass(frozen=True)
class Entry:
    """One line of what a script says: the place, its source, and what it was taken for."""

    place: Place
    text: str
    what: str

    @property
    def line(self) -> int:
        return self.place[1]


class Refusal(Exception):
    """A line that MATLAB refuses: the place, and the error."""

    def __init__(self, place: Place, error: BridgeError) -> None:
        super().__init__(str(error))
        self.place, self.error = place, error


class Findings:
    """What was read, kept as text, not understood, and what is odd; each is told once, however often a loop comes by.

    Attributes:
        lines: entry of the recipe -> the line that says it, for comments.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.facts: dict[Entry, None] = {}
        self.kept: dict[Entry, None] = {}
        self.problems: dict[Entry, None] = {}
        self.reports: dict[Entry, None] = {}
        self.lines: dict[Key, str] = {}
        self._refused: set[Place] = set()

    def fact(self, place: Place, what: str, *keys: Key) -> None:
        """Tell what was read, and which entries of the recipe say it."""
        entry = self._entry(place, what)
        self.facts[entry] = None
        self.lines |= {key: f"line {entry.line}: {entry.text}" for key in keys}

    def keep(self, place: Place, what: str) -> None:
        """Tell what is kept as text."""
        self.kept[self._entry(place, what)] = None

    def problem(self, place: Place, what: str) -> None:
        """List a line as not understood."""
        self.problems[self._entry(place, what)] = None

    def refuse(self, refusal: Refusal) -> None:
        """List a line that MATLAB refuses, once: a loop may come to it for each of many layers."""
        if refusal.place not in self._refused:
            self._refused.add(refusal.place)
            self.problem(refusal.place, f"this line is passed over: {refusal.error.error}; {refusal.error.cause}")

    def report(self, place: Place, what: str) -> None:
        """Tell of something odd."""
        self.reports[self._entry(place, what)] = None

    def copy(self) -> Findings:
        """Return findings that go on from these, for one of several things that a script does."""
        made = Findings(self.script)
        for mine, own in zip(vars(made).values(), vars(self).values(), strict=True):
            if own is not self.script:
                mine.update(own)
        return made

    def _entry(self, place: Place, what: str) -> Entry:
        name, line = place
        files = [self.script, *filter(None, self.script.around.scripts.values())]
        script = next((each for each in files if each.path.name == name), self.script)
        return Entry(place, script.quote(line), CONTINUED.sub(" ", what))
