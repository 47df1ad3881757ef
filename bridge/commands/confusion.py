"""How a confusion matrix is shown: on a terminal and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge import pages
from bridge.commands.terminal import Rows, say
from bridge.pages import Cell, Row, escaped

if TYPE_CHECKING:
    from bridge.prediction.confusion import Confusion

MOST = 20  # classes of a matrix that a terminal shows


def show(found: Confusion) -> None:
    """Print the table of the classes, the matrix where it is small, and the accuracy."""
    numbers = ("observations", "recall", "precision")
    table = Rows("Class", *numbers, right=numbers, whole=numbers)
    for each in found.by_class:
        table.add(each.name, each.observations, _part(each.recall), _part(each.precision))
    table.print()
    if len(found.classes) <= MOST:
        columns = tuple(map(str, range(1, len(found.classes) + 1)))
        matrix = Rows("true \\ predicted", *columns, right=columns, whole=columns)
        for number, (name, row) in enumerate(zip(found.classes, found.counts.tolist(), strict=True), 1):
            matrix.add(f"{number} {name}", *(count or "" for count in row))
        matrix.print()
    say(found)


def _part(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def page(found: Confusion, title: str) -> str:
    """Return the page of a confusion matrix; the more of a true class, the darker."""
    columns = {"Class": "", "Observations": "number", "Recall": "number", "Precision": "number"}
    rows = [
        Row([each.name, Cell(str(each.observations), each.observations), _cell(each.recall), _cell(each.precision)])
        for each in found.by_class
    ]
    head = "".join(f"<th>{escaped(name)}</th>" for name in found.classes)
    lines = zip(found.classes, found.counts.tolist(), strict=True)
    body = "".join(f"<tr><th>{escaped(name)}</th>{_line(row, at)}</tr>" for at, (name, row) in enumerate(lines))
    return pages.page(
        title,
        f"""<header><p class="eyebrow">bridge predict</p><h1>{escaped(title)}</h1><p>{escaped(found)}</p></header>
<h2>Confusion matrix</h2><p>The true class by row, the predicted one by column.</p>
<div class="scroll"><table class="confusion"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>
<h2>Classes</h2>{pages.table("classes", columns, rows)}""",
    )


def _line(row: list[int], at: int) -> str:
    total = sum(row) or 1
    return "".join(
        f'<td class="{"hit" if column == at else "miss"}" style="--part:{100 * count / total:.0f}%">{count or ""}</td>'
        for column, count in enumerate(row)
    )


def _cell(value: float | None) -> Cell:
    return Cell(_part(value), -1.0 if value is None else value)
