"""What goes to the terminal: the text of a file is shown there and never obeyed. The verbs print through this alone."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from bridge.errors import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LONGEST = 120  # characters of a cell; --json gives it whole
NARROWEST = 80  # columns in which a table can be folded; a narrower terminal wraps whole lines


def say(*lines: object) -> None:
    """Print lines on stdout; a line break in one of them begins none."""
    for line in lines:
        print(printable(str(line)))


def tell(*lines: object) -> None:
    """Print lines on stderr; a line break in one of them begins none."""
    for line in lines:
        print(printable(str(line)), file=sys.stderr)


def passing(text: str = "") -> None:
    """Show a text on stderr in the place of the one before it, where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{printable(text)}", end="", file=sys.stderr, flush=True)


def title(name: str, rest: str) -> None:
    """Print a line that begins with a name in bold."""
    from rich.text import Text

    line = Text.assemble((shortened(printable(name), LONGEST), "bold"), printable(f": {rest}"))
    console().print(line, soft_wrap=True)


def styled(text: str, style: str, indent: int = 0) -> None:
    """Print a text in a style of rich's; indented, it is wrapped to the width of the terminal."""
    from rich.text import Text

    out, shown = console(), Text(printable(text), style)
    for line in shown.wrap(out, out.width - indent) if indent else [shown]:
        out.print(Text(" " * indent) + line, soft_wrap=True)


def console() -> Console:
    """Return a console on stdout: as wide as the terminal, or as the content where there is none or it is
    too narrow.
    """
    from rich.console import Console

    plain = Console(highlight=False, emoji=False, markup=False, soft_wrap=False)
    if plain.is_terminal and plain.width >= NARROWEST:
        return plain
    return Console(highlight=False, emoji=False, markup=False, width=200)


class Rows:
    """A table in the making.

    Args:
        columns: the headings; several that are empty differ in their blanks.
        right: those of columns that are justified to the right.
        whole: those of columns that are never folded.
    """

    def __init__(self, *columns: str, right: Collection[str] = (), whole: Collection[str] = ()) -> None:
        from rich import box
        from rich.table import Table

        self.table: Table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            self.table.add_column(
                name.strip(), overflow="fold", justify="right" if name in right else "left", no_wrap=name in whole
            )

    def add(self, *cells: object) -> None:
        """Add a row of plain texts."""
        from rich.text import Text

        self.table.add_row(*(Text(shortened(printable(str(cell)), LONGEST)) for cell in cells))

    def print(self) -> None:
        """Print it on stdout."""
        console().print(self.table)
