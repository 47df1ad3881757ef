"""What the two containers of .mat files, v5 and v7.3, share: variables, references, and how damage is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.arrays.matlab import Unread
from bridge.errors import UnreadableError

DEEPEST = 64  # nesting of cells, structs and objects; MATLAB's networks stay below 20
ELEMENT_COST = 1024  # bytes that one element stands for: it takes that much time, if not memory


@dataclass(frozen=True)
class Variable:
    """A variable of a file, not yet decoded.

    Attributes:
        name: "" where the file is too damaged to tell.
        described: its size and class ("1000x3 double"), where that is known without decoding.
        plain: whether it holds numbers or text alone, and so no network.
        decode: gives its value, a reference for an object. It raises UnreadableError where nothing can be decoded.
    """

    name: str
    described: str
    plain: bool
    decode: Callable[[], Any]

    @property
    def value(self) -> Any:
        """The decoded value; an `Unread` where it cannot be."""
        try:
            return self.decode()
        except UnreadableError as error:
            return Unread.because(self.described, error)


@dataclass(frozen=True)
class Opaque:
    """An undecoded object: its class, and the reference, or whatever else the container holds of it."""

    class_name: str
    content: Any


def of_file(error: UnreadableError, path: Path) -> UnreadableError:
    """Return a new error that names the file."""
    if str(path) in error.error:
        return UnreadableError(error.error, error.cause, error.hint)
    return UnreadableError(f"{path}: {error.error}", error.cause, error.hint)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Read a part of a file: what is told of its damage names the file."""
    try:
        yield
    except UnreadableError as error:
        if str(path) in error.error:
            raise
        raise of_file(error, path) from error


def damaged(what: str, where: str = "") -> UnreadableError:
    """Tell that bytes contradict the format; `where` names them."""
    return UnreadableError(
        f"the .mat file is damaged{where and ' ' + where}: {what}",
        "its bytes contradict the form of the file: it was cut short, changed, or written so by another program",
        "copy or save it again",
    )


def too_deep(what: str) -> UnreadableError:
    """Tell that a file nests further than is read."""
    return UnreadableError(
        f"more than {DEEPEST} levels of {what} are not read",
        "what MATLAB saves of a network has fewer",
        "save the network alone, without other variables",
    )
