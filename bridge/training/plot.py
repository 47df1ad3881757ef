"""The training plot: one HTML file with SVG curves, which needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bridge.pages import escaped
from bridge.training.history import Row

MOST_POINTS = 1000
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 220, 70, 26, 24
COLORS = ("#1f6fb4", "#222222")
Point = tuple[float, float]


def page(rows: Sequence[Row], metrics: Sequence[str], finished: bool) -> str:
    """Return the page: a chart for each metric, the loss and the base rate over the iterations. Until finished it
    reloads itself.
    """
    groups = [(name, (f"Training{name}", f"Validation{name}")) for name in (*metrics, "Loss")] + [
        ("Base learn rate", ("BaseLearnRate",))
    ]
    charts = "\n".join(_chart(title, rows, names) for title, names in groups)
    last = rows[-1] if rows else {"Epoch": 0, "Iteration": 0}
    state = "finished" if finished else "running"
    reload = "" if finished else '<meta http-equiv="refresh" content="5">'
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{reload}<title>Training progress</title>
<style>body {{ font: 14px sans-serif; margin: 2em }} svg {{ display: block; margin: 1em 0 }} text {{ font-size: 12px
}}</style></head> <body><h1>Training progress</h1><p>{state}: epoch {last["Epoch"]}, iteration {last["Iteration"]}</p>
{charts}
</body></html>
"""


def _chart(title: str, rows: Sequence[Row], names: Sequence[str]) -> str:
    curves = [[(float(row["Iteration"]), float(row[name])) for row in rows if _is_drawn(row, name)] for name in names]
    points = [point for curve in curves for point in curve]
    if not points:
        return ""
    (x0, x1), (y0, y1) = _range([x for x, _ in points]), _range([y for _, y in points])

    def place(point: Point) -> str:
        x = LEFT + (point[0] - x0) / (x1 - x0) * (WIDTH - LEFT - 10)
        y = TOP + (y1 - point[1]) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    lines = [
        _curve(_thinned(curve), color, place, dashed=index > 0)
        for index, (curve, color) in enumerate(zip(curves, COLORS, strict=False))
    ]
    labels = [_text(LEFT, 16, title + (", validation dashed" if len(curves) > 1 and curves[1] else ""))]
    labels += [_text(LEFT - 6, TOP + 10, f"{y1:.4g}", "end"), _text(LEFT - 6, HEIGHT - BOTTOM, f"{y0:.4g}", "end")]
    labels += [
        _text(LEFT, HEIGHT - 6, f"{x0:g}"),
        _text(WIDTH - 10, HEIGHT - 6, f"{x1:g}", "end"),
        _text(WIDTH / 2, HEIGHT - 6, "iteration", "middle"),
    ]
    frame = (
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - 10}" height="{HEIGHT - TOP - BOTTOM}" fill="none" '
        'stroke="#ccc"/>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{escaped(title)}">{frame}{"".join(lines)}{"".join(labels)}</svg>'
    )


def _is_drawn(row: Row, name: str) -> bool:
    return name in row and math.isfinite(row[name])


def _curve(points: Sequence[Point], color: str, place: Callable[[Point], str], dashed: bool) -> str:
    if not points:
        return ""
    style = ' stroke-dasharray="6 4"' if dashed else ""
    marks = (
        "".join('<circle cx="{}" cy="{}" r="3" fill="{}"/>'.format(*place(point).split(","), color) for point in points)
        if dashed
        else ""
    )
    return (
        f'<polyline points="{" ".join(map(place, points))}" fill="none" stroke="{color}" '
        f'stroke-width="1.5"{style}/>{marks}'
    )


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    return points[:: math.ceil(len(points) / MOST_POINTS)] if len(points) > MOST_POINTS else points


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escaped(text)}</text>'
