"""Accuracy against size: the pretrained networks as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import pages
from bridge.errors import UsageError
from bridge.files.atomic import write_file
from bridge.pages import Cell, Row, figures
from bridge.tables.pretrained import CATEGORIES, Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

PICTURES, PAGES = (".svg", ".png"), (".html", ".htm")
# Colours that are told apart with any colour vision, each with a mark of its own.
MARKS = dict(
    zip(
        CATEGORIES,
        (("#2b5fb8", "o"), ("#d9730d", "D"), ("#16795a", "s"), ("#8a4fb0", "^"), ("#5d6672", "v")),
        strict=False,
    )
)
PLACES = (
    (9, 0, "left", "center"),
    (-9, 0, "right", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (8, 7, "left", "bottom"),
    (8, -7, "left", "top"),
    (-8, 7, "right", "bottom"),
    (-8, -7, "right", "top"),
)
TICKS = (5, 10, 20, 50, 100, 200, 500)  # MB
SOURCE = "top-1 on ImageNet's validation images and sizes as MathWorks states them"


def write(entries: Sequence[Entry], path: Path) -> Path:
    """Write the picture as .svg or .png, or as an .html page with a table, in the place of an older one.

    Networks without an accuracy are left out.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the name ends in none of these, or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in (*PICTURES, *PAGES):
        raise UsageError(
            f"{path} is no name of a picture",
            f"a plot is written as {', '.join((*PICTURES, '.html'))}",
            "--plot models.svg",
        )
    stated = [each for each in entries if each.top1]
    if not stated:
        raise UsageError(
            f"there is nothing to draw in {path}", "no accuracy is stated for these networks", "leave out --plot"
        )
    with figures.style("models"):
        if kind in PAGES:
            return pages.write(path, _page(stated, figures.embedded(_figure(stated, ""), "accuracy against size")))
        made = _figure(stated, f"MATLAB's pretrained networks: {SOURCE}")
        return write_file(path, lambda target: figures.save(made, target), force=True)


def _figure(entries: Sequence[Entry], title: str) -> Figure:
    made = figures.figure(1100, 600)
    axes = made.add_subplot()
    axes.set_xscale("log")
    figures.grid(axes, "both")
    for category, (colour, marker) in MARKS.items():
        held = [each for each in entries if each.category == category]
        if held:
            sizes, accuracies = [each.megabytes for each in held], [each.top1 or 0 for each in held]
            axes.scatter(sizes, accuracies, s=44, color=colour, marker=marker, linewidths=0, label=category, zorder=3)
    axes.margins(0.09)
    axes.set_xticks(TICKS, [f"{each:g}" for each in TICKS])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("size of the weights (MB)")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_title(title)
    axes.legend(loc="lower right")
    made.draw_without_rendering()
    _name(axes, entries)
    return made


def _name(axes: Axes, entries: Sequence[Entry]) -> None:
    """Write each name at the first place beside its point where it covers no other name and no other point."""
    points = [tuple(axes.transData.transform((each.megabytes, each.top1 or 0))) for each in entries]
    boxes: list[tuple[float, float, float, float]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    for at, each in enumerate(entries):
        others = [box for number, box in enumerate(boxes) if number != at]
        for dx, dy, horizontal, vertical in PLACES:
            text = axes.annotate(
                figures.shown(each.name),
                (each.megabytes, each.top1 or 0),
                (dx, dy),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                color=figures.INK,
            )
            box = _extents(text)
            if not any(_overlap(box, other) for other in others) or (dx, dy) == PLACES[-1][:2]:
                boxes.append(box)
                break
            text.remove()


def _extents(text: Annotation) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = text.get_window_extent().extents
    return float(x0), float(y0), float(x1), float(y1)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _page(entries: Sequence[Entry], picture: str) -> str:
    columns = {
        "Name": "",
        "For": "",
        "Input": "number",
        "MB": "number",
        "Top-1 %": "number",
        "Learnables (M)": "number",
        "Depth": "number",
    }
    rows = [
        Row([
            each.name, each.category, "×".join(map(str, each.input_size)), Cell(f"{each.megabytes:g}", each.megabytes),
            Cell(f"{each.top1 or 0:.2f}", each.top1 or 0),
            Cell(f"{each.learnables:g}", each.learnables), Cell(str(each.depth or ""), each.depth),
        ])
        for each in entries
    ]  # fmt: skip
    body = (
        f"<header><h1>Pretrained networks</h1><p>{pages.escaped(SOURCE)}</p></header>\n{picture}\n"
        f"<h2>Networks</h2>{pages.table('models', columns, rows)}"
    )
    return pages.page("Pretrained networks", body)
