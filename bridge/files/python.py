"""Python source of plain values: the only ways in which what a file holds comes into code that is written."""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bridge.errors import printable, shortened
from bridge.files.names import KEYWORDS

MOST = 80  # characters of a comment
WIDTH = 100  # of a line that is written


def literal(value: Any) -> str:
    """Return the source of a plain value: its `repr` in ASCII, text in double quotes unless it holds some.

    >>> print(literal(("x", 1, float("inf"))), literal('say "x"'))
    ("x", 1, float("inf")) 'say "x"'

    Raises:
        TypeError: it is neither text, number, boolean nor None, nor a list, tuple or dict of such.
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, str):
        source = ascii(str.__str__(value))
        return source if '"' in source else f'"{source[1:-1]}"'
    if isinstance(value, float):
        source = float.__repr__(value)
        return source if math.isfinite(value) else f'float("{source}")'
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    if value is None or isinstance(value, bool):
        return repr(value)
    raise TypeError(f"a {type(value).__name__} has no source")


def call(function: str, *positional: Any, **named: Any) -> str:
    """Return the source of a call with plain values: `call("f", 1, x="a")` is 'f(1, x="a")'."""
    return f"{function}({', '.join([*map(literal, positional), *arguments(named)])})"


def arguments(named: Mapping[str, Any]) -> list[str]:
    """Return the source of arguments by name.

    Raises:
        ValueError: a name is no identifier.
    """
    odd = next((name for name in named if not name.isidentifier() or name in KEYWORDS), None)
    if odd is not None:
        raise ValueError(f"{odd!r} is no name of an argument")
    return [f"{name}={literal(value)}" for name, value in named.items()]


def docstring(text: str) -> str:
    """Return the source of a docstring, whose lines are those of the text."""
    return ast.unparse(ast.Module([ast.Expr(ast.Constant(text))], []))


def comment(text: str) -> str:
    """Return a text as a comment of one line, its middle left out where it is long."""
    return f"# {shortened(printable(text), MOST)}"


def wrapped(line: str) -> list[str]:
    """Break a call that is too long behind its opening parenthesis and wherever a line is full."""
    if len(line) <= WIDTH or line.endswith("()"):
        return [line]
    head, _, arguments = line.partition("(")
    lines = textwrap.wrap(f"{arguments.removesuffix(')')},", WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"{head}(", *(f"    {each}" for each in lines), ")"]


def listed(start: str, texts: Iterable[str], end: str) -> Iterator[str]:
    """Yield a collection on one line where it fits, else one item a line."""
    items = list(texts)
    comma = "," if len(items) == 1 and start.endswith("(") else ""
    line = f"{start}{', '.join(items)}{comma}{end}"
    if len(line) <= WIDTH:
        yield line
        return
    yield start
    yield from (f"    {each}," for each in items)
    yield end
