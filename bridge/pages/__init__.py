"""Pages: one HTML file each, which needs nothing else and asks nothing of any network.

What comes from files is untrusted: every text passes `escaped`, and a content security policy forbids whatever the
page's own script and pictures do not need.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bridge.errors import UsageError, printable, shortened
from bridge.files.atomic import write_text

LONGEST = 300  # characters of a text in a page


def page(title: str, body: str, tone: str = "") -> str:
    """Return a whole page.

    Args:
        title: a text, escaped here.
        body: HTML.
        tone: "passed" or "differs" choose the accent colour.
    """
    script, style = ((files(__package__) / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri "
        "'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{style}</style>
</head>
<body class="{tone}">
{body}
<script>{script}</script>
</body>
</html>
"""


def require_html(path: Path) -> None:
    """Raise UsageError for a target that is no page, as a slip would overwrite the network that was to be read, or that
    has no folder.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"{path} is no name of a page",
            "what is there is replaced, so only pages are written",
            "name it something.html",
        )
    if not os.path.isdir(path.parent) or os.path.isdir(path):
        raise UsageError(
            f"cannot write {path}",
            "it is a folder" if os.path.isdir(path) else f"there is no folder {path.parent}",
            "choose another name",
        )


def write(path: Path, text: str) -> Path:
    """Write a page, in the place of an older one."""
    require_html(path)
    return write_text(path, text, force=True)


def escaped(text: object) -> str:
    """Return a text from anywhere so that HTML shows it: no markup, no control characters, and not without end."""
    return html.escape(shortened(printable(str(text)), LONGEST))


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, and the number by which it is sorted."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class Row:
    """A row: its cells, an id to which links lead, and the flags by which it is filtered and coloured."""

    cells: Sequence[str | Cell]
    id: str = ""
    flags: Sequence[str] = ()


def table(
    name: str, columns: Mapping[str, str], rows: Iterable[Row], flags: Mapping[str, str] | None = None, also: str = ""
) -> str:
    """Return a table that can be sorted by its columns and filtered by a text and by flags.

    Args:
        name: its id.
        columns: heading -> "number", or "" for texts.
        rows: its rows.
        flags: flag -> what its check box says.
        also: a CSS selector of what is searched together with the rows.
    """
    rows = list(rows)
    boxes = "".join(
        f'<label><input type="checkbox" data-flag="{flag}"> {escaped(text)}</label>'
        for flag, text in (flags or {}).items()
    )
    head = "".join(
        f'<th class="{kind}" aria-sort="none"><button>{escaped(each)}</button></th>' for each, kind in columns.items()
    )
    body = "\n".join(_row(row, list(columns.values())) for row in rows)
    return f"""<form class="tools" data-table="{name}" data-also="{also}">
<input type="search" placeholder="Filter" aria-label="Filter" autocomplete="off">{boxes}<output>{len(rows)} of
{len(rows)}</output></form> <div class="scroll"><table id="{name}"><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div>"""


def _row(row: Row, kinds: Sequence[str]) -> str:
    cells = [each if isinstance(each, Cell) else Cell(each) for each in row.cells]
    shown = "".join(
        f'<td class="{kind}"{"" if cell.order is None else f" data-order={cell.order!r}"}>{escaped(cell.text)}</td>'
        for cell, kind in zip(cells, kinds, strict=True)
    )
    return f'<tr{f" id={row.id}" if row.id else ""} class="{" ".join(row.flags)}">{shown}</tr>'


def facts(known: Mapping[str, object]) -> str:
    """Return a list of named facts; empty ones are left out."""
    rows = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in known.items() if value not in ("", None)
    )
    return f"<dl>{rows}</dl>"


def notes(texts: Iterable[str]) -> str:
    """Return notes as a list."""
    listed = "".join(f"<li>{escaped(text)}</li>" for text in texts)
    return f'<ul class="notes">{listed}</ul>' if listed else ""
