"""Markdown of plain texts: what a file holds is shown by it, and makes no mark, link or tag."""

from __future__ import annotations

import re

from bridge.errors import printable

# what begins a mark, a tag, an entity or a link; "_" only at the edge of a word
MARKS = re.compile(r"[\\`*\[\]<>&|~]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
BEGINNING = re.compile(r"^(\d*)([-+#=.)])")  # what begins a list or a heading


def text(value: object) -> str:
    """Return a text as Markdown of one line that shows it."""
    escaped = MARKS.sub(r"\\\g<0>", printable(str(value)).strip())
    return BEGINNING.sub(r"\1\\\2", escaped)


def code(value: object) -> str:
    """Return a text as a piece of code, between more backticks than it has in a row."""
    shown = printable(str(value))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    padding = " " if not shown.strip() or shown[0] in " `" or shown[-1] in " `" else ""
    return f"{fence}{padding}{shown}{padding}{fence}"
