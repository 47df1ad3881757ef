"""What a variable of a script may hold, as far as it is known without running it. Every value is immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

Place = tuple[str, int]  # the name of a file, and a line of it


class Char(str):
    """Text in single quotes: `[a b]` joins it, where strings in double quotes become an array."""


class Cell(tuple[Any, ...]):
    """A cell array; arrays are plain tuples."""


class Column(tuple[Any, ...]):
    """An array that stands upright; a plain tuple lies."""


class ColumnCell(Cell):
    """A cell array that stands upright."""


class Many(tuple[Any, ...]):
    """A comma-separated list: what `s.Name` of several elements and `c{:}` are."""


class Struct(dict[str, Any]):
    """A struct. Never changed in place."""


class Table(dict[str, tuple[Any, ...]]):
    """A table, by columns of one length."""

    @property
    def height(self) -> int:
        return len(next(iter(self.values()), ()))


@dataclass(frozen=True)
class Unknown:
    """A value that reading alone does not tell.

    Attributes:
        text: the source it came from.
        place: where that is.
        why: what is not understood there, "" where nothing is wrong: data, say.
        refused: MATLAB refuses the line: a variable that it would set keeps what it held.
        output: which of the values of a call it is, from 0.
    """

    METHODS: ClassVar[dict[str, Callable[..., Any]]] = {}  # as those of an `Object`

    text: str
    place: Place
    why: str = ""
    refused: bool = False
    output: int = 0


@dataclass(frozen=True)
class Handle:
    """A function handle: a name, or parameters with an expression and the variables it was made with."""

    text: str
    place: Place
    name: str = ""
    parameters: tuple[str, ...] = ()
    body: Any = None
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    script: Any = field(default=None, compare=False, repr=False)


class Object:
    """A value, or an element of an array, of a class that is not the language's own.

    Functions that have a method here are its own, as in MATLAB: `METHODS["numel"]` is what `numel(it)` calls, and
    `METHODS["mrdivide"]` what `it/2` does.
    """

    METHODS: ClassVar[dict[str, Callable[..., Any]]] = {}
    text: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.METHODS = dict(cls.METHODS)

    @property
    def matlab(self) -> str:
        """The name of its class, "" where that is not known."""
        return ""

    @property
    def parts(self) -> int:
        """How many parts it has, for the work that a copy of it is."""
        return 1

    def names(self) -> Sequence[str] | None:
        """Return the names of its properties, None where they are not known."""
        return None

    def get(self, name: str) -> Any:
        """Return a property, None where it is not known."""
        return None

    def set(self, name: str, value: Any, place: Place) -> Any:
        """Return it with a property set, None where that is not followed.

        Raises:
            UsageError: it has no such property.
        """
        return None

    def merged(self, others: Sequence[Any], nothing: Unknown) -> Any:
        """Return what may be this or one of the others, with `nothing` for what differs; None: nothing is known."""
        return None


E = TypeVar("E", bound=Object)


class Objects(tuple[E, ...]):
    """An array of objects; a single one is an array of length 1."""

    NOUN: ClassVar[str] = "elements"  # what messages call them
    BASE: ClassVar[str] = ""  # the class that the classes of all of them derive from

    @property
    def matlab(self) -> str:
        """The name of the class of a single one, "" where that is not known."""
        return self[0].matlab if len(self) == 1 else ""

    def beyond(self, position: int) -> str:
        """Return what more there is to say of a position, from 1, that is beyond the end."""
        return ""


def find(value: Any, wanted: Callable[[Any], bool]) -> Any:
    """Return the first value inside another that is wanted, or None."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if wanted(found):
            return found
        inner = found.values() if isinstance(found, dict) else found if isinstance(found, (tuple, list)) else ()
        waiting += reversed(list(inner))
    return None


def is_plain(value: Any) -> bool:
    """Whether a value is a number, text, or an array of these."""
    return find(value, lambda each: not isinstance(each, (str, int, float, tuple)) or isinstance(each, Objects)) is None


def unknown_in(value: Any) -> Unknown | None:
    """Return what is not known inside a value."""
    return find(value, lambda each: isinstance(each, Unknown))  # type: ignore[no-any-return]


def described(value: Any) -> str:
    """Return a value as messages show it."""
    if isinstance(value, (Unknown, Handle, Object)):
        return value.text
    if isinstance(value, Cell):
        return f"{{{', '.join(map(described, value))}}}"
    return f"[{' '.join(map(described, value))}]" if isinstance(value, tuple) else str(value)
