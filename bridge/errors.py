"""What can go wrong, in three parts: the error, its cause, and what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MOST_QUOTED = 200  # characters of a file's text in a message
RUN = re.compile(  # in quotes, or without a space
    rf"""(?<!\w)(['"])(?P<quoted>(?:(?!\1).){{{MOST_QUOTED},}}?)\1(?!\w)|\S{{{MOST_QUOTED + 1},}}""", re.DOTALL
)


def _shortened_run(run: re.Match[str]) -> str:
    quote = run[1] or ""
    return f"{quote}{shortened(run['quoted'] or run[0])}{quote}"


class BridgeError(Exception):
    """Base of every error that bridge raises on purpose.

    Attributes:
        error: what happened, naming the layer, file or option.
        cause: why. Each kind of error has one, and a hint, for where nothing more is known.
        hint: what to do.
        exit_code: what a command exits with.
    """

    exit_code = 2
    cause = "it cannot be done with what was given"
    hint = "see `bridge --help`"

    def __init__(self, error: str, cause: str = "", hint: str = "") -> None:
        parts = (error, cause or self.cause, hint or self.hint)
        self.error, self.cause, self.hint = (RUN.sub(_shortened_run, part) for part in parts)
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(
            f"{label:<7}{printable(text)}"
            for label, text in (("error:", self.error), ("cause:", self.cause), ("hint:", self.hint))
        )

    def __reduce__(self) -> tuple[type[BridgeError], tuple[str, str, str]]:
        return type(self), (self.error, self.cause, self.hint)


class DifferenceError(BridgeError):
    """Two things that were compared are not the same."""

    exit_code = 1
    cause = "they hold different values"
    hint = "compare files of the same network after the same training"


class UsageError(BridgeError):
    """The call, an option or an edit makes no sense."""

    cause = "what was asked for does not fit what is there"
    hint = "see `bridge --help`, or help(bridge.load) in Python"


class UnreadableError(BridgeError):
    """The input is damaged, or not what it was said to be."""

    cause = "the file is damaged, or of a form that is not known here"
    hint = "copy it again, or save or export the network again in MATLAB"


class UnsupportedError(BridgeError):
    """The input is sound, and holds something bridge cannot do."""

    exit_code = 3
    cause = "it is not known how to do that"
    hint = "replace it in MATLAB, or pass a torch module of your own: --modules mine.py"


class MissingExtraError(BridgeError):
    """An optional dependency is not installed."""

    exit_code = 4
    cause = "it is an optional dependency"
    hint = "install it with pip"


class FaultError(BridgeError):
    """bridge itself failed, and nothing in the input explains it."""

    exit_code = 70  # EX_SOFTWARE of sysexits.h
    cause = "this is a fault of bridge, not of what it was given"
    hint = "please report it, with all that BRIDGE_TRACEBACK=1 prints"

    @classmethod
    def of(cls, where: str, error: BaseException) -> FaultError:
        """Return the error for an exception that nobody expected."""
        return cls(f"bridge failed{where and f' at {where}'}: {type(error).__name__}: {quoted(error)}")


REPORT = "copy or write it again; if it is sound, please report it, with all that BRIDGE_TRACEBACK=1 prints"
# What code meets in content that is not what it should be: a text where a number belongs, a field that is not there.
DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Read content that may be anything: what its damage makes the code inside raise becomes an UnreadableError.

    Args:
        what: the file, layer or part that is read.

    Raises:
        UnreadableError: with the first exception as its cause.
    """
    try:
        yield
    except DAMAGE as error:
        bounded = isinstance(error, (MemoryError, RecursionError))
        hint = "no program writes such a file: look where it comes from" if bounded else REPORT
        raise UnreadableError(f"{what} cannot be read", meaning(error), hint) from error


def meaning(error: BaseException) -> str:
    """Return what an exception says about the content that was read; classes and functions of bridge are not named."""
    match error:
        case RecursionError():
            return "it is nested deeper than can be read"
        case MemoryError():
            return "it asks for more memory than there is"
        case KeyError():
            return f"it holds no {quoted(repr(error.args[0])) if error.args else 'such part'}"
        case LookupError():
            return "it holds fewer parts than belong there"
        case AttributeError() | TypeError():
            return "it holds something of another kind than belongs there"
    return quoted(error) or type(error).__name__


def printable(text: str) -> str:
    """Return a text from a file in one line that no terminal obeys: escape sequences and the like become "?"."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)


def shortened(text: str, most: int = MOST_QUOTED) -> str:
    """Return a text of at most `most` characters, without its middle where it is longer: names differ at their ends."""
    end = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - end]}…{text[-end:]}"


def quoted(text: object) -> str:
    """Return a text from a file as a message quotes it: in one line that no terminal obeys, and not without end."""
    return shortened(printable(str(text)))


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are closest to a wrong one."""
    names = list(known)
    spelling = {each.lower(): each for each in names}
    close = [spelling[each] for each in difflib.get_close_matches(name.lower(), spelling, 3, 0.5)]
    return (
        f"the nearest are {', '.join(close)}"
        if close
        else f"there are {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"
    )
