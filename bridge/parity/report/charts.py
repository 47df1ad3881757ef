"""The charts of a report. Each function returns a piece of HTML, or "" where there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.pages import figures
from bridge.pages.figures import ACCENT, INK, LINE, MUTED, SHADE
from bridge.parity.check import Check
from bridge.parity.differences import ROUNDING, LayerDifference
from bridge.parity.report.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 1500  # of a scatter plot
MOST_POWERS = 10  # of ten in a histogram; what is smaller stands at its foot
MOST_ROWS = 128  # of an image of vectors
WIDE = 1240
DASHED = (0, (5, 3))
WORDS = {
    "N": "observation",
    "C": "channel",
    "H": "height",
    "W": "width",
    "D": "plane",
    "S": "position",
    "T": "time step",
}
LOOKED_AT = (
    ("H", "W"),
    ("C", "T"),
    ("C", "S"),
    ("N", "C"),
)  # axes that make a picture: the first that a layer has, the first of both downwards


def errors(check: Check) -> str:
    """The difference of every layer relative to its range, in the order they ran, on a logarithmic scale with the
    tolerance.
    """
    layers = check.layers
    if not layers:
        return ""
    relative, allowed = (
        np.array(values)
        for values in zip(*((each.relative, each.allowed / (each.scale or 1.0)) for each in layers), strict=True)
    )
    low, high = _powers(np.concatenate([relative, allowed]))
    with figures.style("errors"):
        made = figures.figure(720, 440)
        axes = made.add_subplot()
        figures.logarithmic(axes, "y")
        axes.set_ylim(low, high)
        margin = 0.02 * len(layers) + 0.5
        axes.set_xlim(1 - margin, len(layers) + margin)
        figures.grid(axes)
        figures.whole(axes.xaxis)
        if (relative == 0).any():
            axes.annotate(
                "0",
                (0, 0),
                (-6, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="right",
                va="center",
                color=MUTED,
            )
        _tolerance(axes, np.clip(allowed, low, high))
        _points(axes, layers, np.clip(relative, low, high))
        if check.first_divergence is not None:
            _mark(axes, layers.index(check.first_divergence), len(layers), figures.shown(check.first_divergence.layer))
        axes.set_xlabel(f"{check.comparison.unit}s in the order they ran")
        axes.set_ylabel("largest difference / range")
        return figures.embedded(made, "difference by layer")


def _tolerance(axes: Axes, allowed: NDArray) -> None:
    """A dashed line; it has steps where single layers have tolerances of their own."""
    axes.step(
        np.arange(len(allowed) + 1) + 0.5,
        [allowed[0], *allowed],
        where="pre",
        color=ACCENT,
        linewidth=1,
        linestyle=DASHED,
    )
    axes.annotate(
        "allowed",
        (1, allowed[-1]),
        (-2, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=ACCENT,
    )


def _points(axes: Axes, layers: Sequence[LayerDifference], height: NDArray) -> None:
    """One point a layer, which leads to its row in the table."""
    at = np.arange(1, len(layers) + 1)
    axes.plot(at, height, color=LINE, linewidth=1)
    for differs, colour in ((False, SHADE), (True, ACCENT)):
        chosen = [number for number, each in enumerate(layers) if each.differs is differs]
        points = axes.scatter(
            at[chosen],
            height[chosen],
            s=26 if len(layers) < 120 else 14,
            color=colour,
            linewidths=0,
            zorder=3,
            clip_on=False,
        )
        points.set_urls([f"#{row_id(number)}" for number in chosen])


def _mark(axes: Axes, number: int, count: int, name: str) -> None:
    """A line through the first divergence, with its name on the side that has room."""
    side, align = (-5, "right") if number > 0.6 * count else (5, "left")
    axes.axvline(number + 1, color=ACCENT, linewidth=0.8, alpha=0.5, zorder=1)
    axes.annotate(
        name,
        (number + 1, 1),
        (side, -3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha=align,
        va="top",
        color=INK,
    )


def _powers(values: NDArray) -> tuple[float, float]:
    """Return the ends of a logarithmic axis: what is 0 stands at its foot, what is infinite at its top."""
    drawn = np.log10(np.append(values[(values > 0) & np.isfinite(values)], ROUNDING))
    return 10.0 ** (float(np.floor(drawn.min())) - 0.4), 10.0 ** (float(np.ceil(drawn.max())) + 0.3)


def row_id(number: int) -> str:
    """The id of a layer's row in the table."""
    return f"layer-{number + 1}"


# The values of one layer


@dataclass(frozen=True)
class Plane:
    """A part of a layer's values that can be looked at.

    Attributes:
        ours, theirs: two-dimensional; `theirs` is None where the other side has no such part.
        fixed: which part it is, counted as MATLAB counts.
        down, across: what its axes are.
    """

    ours: NDArray
    theirs: NDArray | None
    fixed: str
    down: str
    across: str

    @property
    def square(self) -> bool:
        """Whether its pixels are."""
        return self.across == WORDS["W"]


def plane(evidence: Evidence) -> Plane:
    """Return the plane that holds the largest difference: a channel of an image, the channels over time, or all
    vectors.
    """
    assert evidence.ours is not None
    axes = evidence.axes
    at = np.unravel_index(_largest(evidence.ours, evidence.theirs), evidence.ours.shape)
    down, across = next(pair for pair in LOOKED_AT if set(pair) <= set(axes))
    taken = [
        slice(MOST_ROWS if letter == "N" else None) if letter in (down, across) else int(number)
        for letter, number in zip(axes, at, strict=True)
    ]
    fixed = ", ".join(
        f"{WORDS[letter]} {number + 1}" for letter, number in zip(axes, taken, strict=True) if isinstance(number, int)
    )
    ours, theirs = (
        _taken(side, taken, axes.index(down) > axes.index(across)) for side in (evidence.ours, evidence.theirs)
    )
    assert ours is not None
    return Plane(ours, theirs, fixed, WORDS[down], WORDS[across])


def _taken(side: NDArray | None, taken: Sequence[slice | int], turned: bool) -> NDArray | None:
    """Return the part of one side, None where it has no such part."""
    if (
        side is None
        or side.ndim != len(taken)
        or any(isinstance(n, int) and n >= length for n, length in zip(taken, side.shape, strict=True))
    ):
        return None
    part = side[tuple(taken)]
    return part.T if turned else part


def _largest(ours: NDArray, theirs: NDArray | None) -> int:
    distance = np.abs(ours - theirs) if theirs is not None and theirs.shape == ours.shape else np.abs(ours)
    return int(np.nanargmax(distance)) if np.isfinite(distance).any() else 0


def images(evidence: Evidence, names: tuple[str, str]) -> str:
    """One layer on both sides as images on one scale of colours, and their difference on its own."""
    chosen = plane(evidence)
    ours, theirs = chosen.ours, chosen.theirs
    if theirs is not None and np.isnan(theirs).all():
        theirs = None
    sides = [ours] if theirs is None else [ours, theirs]
    least, greatest = (
        float(f([f(side[np.isfinite(side)], initial=start) for side in sides]))
        for f, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    panels: list[tuple[str, NDArray, dict[str, Any]]] = [
        (figures.shown(name), side, {"cmap": "viridis", "vmin": least, "vmax": greatest})
        for name, side in zip(names, sides, strict=False)
    ]
    if theirs is not None and theirs.shape == ours.shape:
        difference = ours - theirs
        bound = float(np.nanmax(np.abs(difference))) or 1.0
        panels.append(("difference", difference, {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}))
    with figures.style("images"):
        made = figures.figure(WIDE, min(max(80 + 310 * len(ours) // ours.shape[1], 200), 400) if chosen.square else 300)
        row = made.subplots(1, 3)
        for axes in row[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, side, options) in zip(row, panels, strict=False):
            height, width = side.shape
            extent = (0.5, width + 0.5, height + 0.5, 0.5)  # counted from 1
            drawn = axes.imshow(side, aspect="equal" if chosen.square else "auto", extent=extent, **options)
            axes.set_title(name)
            figures.whole(axes.xaxis, axes.yaxis)
            axes.tick_params(length=0)
            axes.set_xlabel(chosen.across)
            axes.set_ylabel(chosen.down)
            axes.spines[:].set_visible(False)
            bar = made.colorbar(
                drawn, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0))
            )  # as high as the image, whatever its shape
            bar.outline.set_visible(False)
            bar.ax.tick_params(length=0)
        return figures.embedded(made, "values of the layer on both sides, and their difference")


def distributions(evidence: Evidence, names: tuple[str, str], allowed: float) -> str:
    """How the differences of one layer are distributed: value against value, over sizes, and over channels."""
    ours, theirs = evidence.ours, evidence.theirs
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return ""
    known = np.isfinite(theirs) & np.isfinite(ours)
    if not (ours[known] != theirs[known]).any():
        return ""
    with figures.style("distributions"):
        made = figures.figure(WIDE, 300)
        against, sizes, channels = made.subplots(1, 3)
        _against(against, ours[known], theirs[known], names)
        _sizes(sizes, np.abs(ours[known] - theirs[known]), allowed)
        _channels(
            channels, np.moveaxis(np.where(known, np.abs(ours - theirs), -1.0), evidence.axes.index("C"), 0), allowed
        )
        return figures.embedded(made, "distribution of the differences")


def _against(axes: Axes, ours: NDArray, theirs: NDArray, names: Sequence[str]) -> None:
    chosen = np.linspace(0, len(ours) - 1, min(len(ours), MOST_POINTS)).astype(int)
    chosen[-1] = int(np.abs(ours - theirs).argmax())
    low, high = float(min(ours.min(), theirs.min())), float(max(ours.max(), theirs.max()))
    figures.grid(axes, "both")
    axes.plot([low, high], [low, high], color=ACCENT, linewidth=1)
    axes.scatter(theirs[chosen], ours[chosen], s=7, color=SHADE, alpha=0.6, linewidths=0, zorder=3)
    axes.set_title("value against value")
    axes.set_xlabel(figures.shown(names[1], 30))
    axes.set_ylabel(figures.shown(names[0], 30))


def _sizes(axes: Axes, distance: NDArray, allowed: float) -> None:
    """A histogram over powers of ten; values that are equal have no logarithm and are counted in words."""
    apart = distance[distance > 0]
    equal = distance.size - apart.size
    axes.set_title(f"sizes of the differences{f'; {equal:,} of {distance.size:,} are equal' if equal else ''}")
    axes.set_xlabel("|difference|")
    axes.set_ylabel("values")
    figures.grid(axes)
    high = math.ceil(math.log10(apart.max()) + 1e-9)
    low = max(math.floor(math.log10(apart.min())), high - MOST_POWERS)
    axes.hist(
        np.maximum(apart, 10.0**low),
        bins=np.logspace(low, max(high, low + 1), 6 * max(high - low, 1) + 1).tolist(),
        color=SHADE,
    )
    figures.logarithmic(axes, "x")
    figures.whole(axes.yaxis)
    if allowed > 0:
        axes.axvline(allowed, color=ACCENT, linewidth=1, linestyle=DASHED)


def _channels(axes: Axes, distance: NDArray, allowed: float) -> None:
    """The largest difference in each channel: all of them differ, or one."""
    largest = distance.reshape(len(distance), -1).max(1)  # -1 where nothing is known
    at = np.arange(1, len(largest) + 1)
    figures.grid(axes)
    axes.vlines(
        at[largest >= 0], 0, largest[largest >= 0], color=SHADE, linewidth=max(0.6, min(6.0, 180 / len(largest)))
    )
    if 0 < allowed < largest.max():
        axes.axhline(allowed, color=ACCENT, linewidth=1, linestyle=DASHED)
    axes.set_ylim(0, (float(largest.max()) or 1.0) * 1.05)
    axes.set_title("largest difference in each channel")
    axes.set_xlabel("channel")
    axes.set_ylabel("|difference|")
    figures.whole(axes.xaxis)


# Training curves


def curves(evidence: Evidence) -> str:
    """The curves of two training logs laid over each other, ours in front."""
    chosen = [name for name in evidence.curves if not name.startswith("Validation")]
    if not chosen:
        return ""
    columns = min(len(chosen), 3)
    with figures.style("curves"):
        made = figures.figure(WIDE, 320 * math.ceil(len(chosen) / columns))
        all_axes = np.atleast_1d(made.subplots(math.ceil(len(chosen) / columns), columns)).reshape(-1)
        for axes in all_axes[len(chosen) :]:
            axes.set_axis_off()
        for axes, name in zip(all_axes, chosen, strict=False):
            _curve(axes, name, evidence)
        all_axes[0].legend(loc="best")
        return figures.embedded(made, "training curves of both sides")


def _curve(axes: Axes, name: str, evidence: Evidence) -> None:
    figures.grid(axes)
    validation = evidence.curves.get(name.replace("Training", "Validation")) if name.startswith("Training") else None
    for side, colour in ((1, SHADE), (0, ACCENT)):
        label = figures.shown(evidence.names[side].rpartition("/")[2] or evidence.names[side], 30)
        values = evidence.curves[name][side]
        step = max(1, len(values) // 1000)
        axes.plot(
            np.arange(1, len(values) + 1)[::step], values[::step], color=colour, linewidth=1, alpha=0.85, label=label
        )
        if validation is not None:
            held = np.flatnonzero(np.isfinite(validation[side]))
            axes.plot(
                held + 1,
                validation[side][held],
                color=colour,
                marker="o",
                markersize=3.5,
                linewidth=0.8,
                linestyle=(0, (4, 2)),
            )
    positive = [each[np.isfinite(each)] for each in evidence.curves[name]]
    if "Loss" in name and all(each.size and each.min() > 0 for each in positive):
        figures.logarithmic(axes, "y")
    axes.set_title(figures.shown(name) + (", validation dotted" if validation is not None else ""))
    axes.set_xlabel("iteration")
