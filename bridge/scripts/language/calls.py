"""Calls of functions, what tells their values, and what that may ask of the reader of the script."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any, Protocol

from tree_sitter import Node

from bridge.scripts.language.draws import Draws
from bridge.scripts.language.findings import Findings
from bridge.scripts.language.syntax import Script, line, text
from bridge.scripts.language.values import Object, Place, Unknown
from bridge.tables.layers import table
from bridge.tables.registry import Registry

Variables = MutableMapping[str, Any]
Argument = tuple[Any, Node]  # a value, and its source
MOST_STEPS = 40_000
DEEPEST_CALL = 20


@cache
def words(name: str) -> frozenset[str]:
    """Return a list of `mappings/scripts.toml`."""
    return frozenset(table("scripts")[name])


class Subject(Protocol):
    """What a script is read for: all that the language itself does not know.

    Attributes:
        sought: the functions whose calls are looked for. A branch that holds one is read even where it is switched off.
    """

    sought: frozenset[str]

    def count(self) -> int:
        """Return how many of these calls were found so far."""

    def variable(self, name: str) -> Any:
        """Return a variable that the script loaded from a file without naming it, None where there is none."""

    def part(self, value: Unknown, name: str) -> Any:
        """Return a field of a value that is not known."""

    def returned(self, value: Any, call: Call) -> Any:
        """Return what a function of the script's own gave, with what is known of it by its call."""

    def instance(self, call: Call, source: str) -> Any:
        """Return what the constructor of a class of the script's own makes; `source` is that of the class."""


class Reader(ABC):
    """What reads a script, as expressions, statements and functions see it.

    Attributes:
        script: the file that is read just now.
        subject: what it is read for.
        findings: what is told of it.
        draws: how far the random stream has gone.
        shared: global and persistent variables.
        ends: what `end` means, in the brackets around.
        steps, depth: the work done, and the functions within functions, which are both limited.
        guarded: how many places around may fail without an error: a `try`, a branch that may not be taken.
    """

    def __init__(self, script: Script, subject: Subject, findings: Findings) -> None:
        self.script, self.subject, self.findings = script, subject, findings
        self.draws = Draws()
        self.shared: set[str] = set()
        self.ends: list[int | Unknown] = []
        self.steps = self.depth = self.guarded = 0

    @abstractmethod
    def evaluate(self, node: Node, variables: Variables) -> Any:
        """Return the value of an expression."""

    @abstractmethod
    def call(self, node: Node, variables: Variables, outputs: int = 1) -> Any:
        """Return what a name, an index or a call gives; several outputs are a `Many`."""

    @abstractmethod
    def each(self, nodes: Sequence[Node], variables: Variables) -> list[Argument]:
        """Return values with their sources; a comma-separated list counts as several."""

    @abstractmethod
    def arguments(self, given: Node | None, variables: Variables) -> list[Argument]:
        """Return the arguments of a call; `Name = value` becomes a name and a value."""

    @abstractmethod
    def apply(self, called: str, given: Sequence[Argument], node: Node, outputs: int = 1) -> Any:
        """Return what a function gives: one of the script, one beside it, or one of MATLAB's that is known here."""

    @abstractmethod
    def within(self, script: Script, statements: Sequence[Node], variables: Variables) -> None:
        """Read statements of another file or function."""

    @property
    def exhausted(self) -> bool:
        """Whether the script takes too much work to be followed further."""
        return self.steps > MOST_STEPS or self.depth >= DEEPEST_CALL

    def knows(self, called: str) -> bool:
        """Whether a function is defined or known."""
        return called in FUNCTIONS or called in self.script.functions

    def place(self, node: Node) -> Place:
        """Return where a piece of source stands."""
        return self.script.name, line(node)

    def unknown(self, node: Node, why: str = "", quote: str = "") -> Unknown:
        """Return that a value is not known; its source is that of the node, if no other is given."""
        return Unknown(quote or text(node), self.place(node), why)

    def problem(self, node: Node, what: str) -> None:
        """List a line as not understood."""
        self.findings.problem(self.place(node), what)

    def report(self, node: Node, what: str) -> None:
        """Tell of something odd."""
        self.findings.report(self.place(node), what)


@dataclass(frozen=True)
class Call:
    """A function call: its name, values, and where each of them and the whole stand.

    Attributes:
        outputs: how many values are asked for.
        node: the source.
        reader: what reads the script.
    """

    function: str
    values: tuple[Any, ...]
    places: tuple[Place, ...]
    texts: tuple[str, ...]
    text: str
    place: Place
    outputs: int
    node: Node = field(repr=False)
    reader: Reader = field(repr=False)

    @classmethod
    def of(cls, function: str, given: Sequence[Argument], node: Node, reader: Reader, outputs: int = 1) -> Call:
        """Return a call with the places and texts of its arguments."""
        sources = [source for _, source in given]
        places, texts = tuple(map(reader.place, sources)), tuple(map(text, sources))
        values = tuple(value for value, _ in given)
        return cls(function, values, places, texts, text(node), reader.place(node), outputs, node, reader)

    def unknown(self, why: str = "") -> Unknown:
        """Return that the call's value is not known."""
        given = (each for each in self.values if isinstance(each, Unknown) and each.why)
        return next(given, None) or Unknown(self.text, self.place, why)

    def report(self, what: str) -> None:
        """Tell of something odd."""
        self.reader.findings.report(self.place, what)

    def named(self, first: int) -> dict[str, tuple[Any, int]]:
        """Return the name-value arguments behind the first few: name -> (value, its position)."""
        pairs = range(first, len(self.values) - 1, 2)
        return {str(self.values[at]): (self.values[at + 1], at + 1) for at in pairs if isinstance(self.values[at], str)}

    def option(self, first: int, name: str, default: Any = None) -> Any:
        """Return the value of one name-value argument, in any case of letters."""
        found = (value for key, (value, _) in self.named(first).items() if key.lower() == name.lower())
        return next(found, default)


FUNCTIONS: Registry[Callable[[Call], Any]] = Registry("function of MATLAB's")
HELPERS: set[str] = set()  # of MathWorks' examples, which scripts carry with them


def reads(
    *names: str,
    takes: tuple[Any, ...] = (),
    why: str = "",
    of: type[Object | Unknown] | None = None,
    carried: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tie what tells the value of functions to their names.

    Args:
        takes: the types of the first arguments, which are handed over behind the call.
        why: what is not known where an argument is missing or of another type.
        of: the class whose method it is.
        carried: it is one of MathWorks' examples: read by its own source where that is there and can be followed.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(call: Call) -> Any:
            given = call.values[: len(takes)]
            if len(given) < len(takes):
                return call.unknown(why or f"{call.function} is given too few arguments")
            return function(call, *given) if all(map(isinstance, given, takes)) else call.unknown(why)

        if of is not None:
            of.METHODS.update(dict.fromkeys(names, checked))
        else:
            FUNCTIONS(*names)(checked)
        HELPERS.update(names if carried else ())
        return function

    return register
