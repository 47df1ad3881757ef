"""What is told of a script: each entry with the line it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.scripts.language.syntax import Script
from bridge.scripts.language.values import Place

Key = tuple[str, str | int]  # an entry of a recipe: ("options", "MaxEpochs"), ("edits", 0)


@dataclass(frozen=True)
class Entry:
    """One line of what a script says: the place, its source, and what it was taken for."""

    place: Place
    text: str
    what: str

    @property
    def line(self) -> int:
        return self.place[1]


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

    def report(self, place: Place, what: str) -> None:
        """Tell of something odd."""
        self.reports[self._entry(place, what)] = None

    def _entry(self, place: Place, what: str) -> Entry:
        name, line = place
        files = [self.script, *filter(None, self.script.beside.values())]
        script = next((each for each in files if each.path.name == name), self.script)
        return Entry(place, script.quote(line), what)
