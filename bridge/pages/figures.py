"""Figures of matplotlib in the style of the pages, as files or as SVG that is part of a page and follows
its colours.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from bridge.errors import MissingExtraError, printable, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# On paper these colours, in a page the variables of its style sheet, light or dark.
INK, MUTED, LINE, ACCENT = "#1b1f24", "#68717d", "#dde1e6", "#c53d13"
SHADE = "#858e9a"
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", SHADE: "--s4"}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5, "figure.constrained_layout.use": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": LINE, "axes.labelcolor": MUTED,
    "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.titlecolor": INK, "axes.titleweight": "normal", "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6, "legend.frameon": False, "legend.fontsize": 9.5, "axes.formatter.useoffset": False,
    "image.interpolation": "nearest", "lines.linewidth": 1.3, "text.parse_math": False,
}  # fmt: skip


def require() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("plots need matplotlib", "it is not installed", "pip install matplotlib") from error


def style(salt: str) -> AbstractContextManager[None]:
    """The style of the figures that are made and written inside; `salt` keeps the ids of several in one page apart."""
    require()
    import matplotlib

    settings: Any = {**STYLE, "svg.hashsalt": salt}
    return matplotlib.rc_context(settings)


def figure(width: float, height: float) -> Figure:
    """Return an empty figure; sizes in hundredths of an inch, about the pixels of a page."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 100, height / 100), dpi=100)


def grid(axes: Axes, which: Literal["both", "x", "y"] = "y") -> None:
    """Draw thin lines at the ticks, and no marks."""
    axes.grid(axis=which)
    axes.tick_params(length=0, which="both")


def whole(*counting: Axis) -> None:
    """Let axes count: whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    for axis in counting:
        axis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))


def logarithmic(axes: Axes, name: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, its powers of ten written as numbers are elsewhere in a page: 1e-04."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis: Axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log"})
    axis.set_major_locator(LogLocator(numticks=9 if name == "y" else 6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axis.set_minor_formatter(NullFormatter())


def shown(text: str, most: int = 44) -> str:
    """Return a text from a file as a figure writes it: in one line of letters that its font can be asked for."""
    return shortened(printable(text), most)


def embedded(made: Figure, label: str) -> str:
    """Return a figure as HTML: an SVG element without names of other documents, its colours the page's.

    Args:
        made: the figure.
        label: what it shows, for those who do not see it; escaped already.
    """
    buffer = io.StringIO()
    made.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = re.sub("<[^>]*>", lambda tag: _in_page(tag[0]), text[text.index("<svg") :])
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f'<div class="chart">{text}</div>'


def _in_page(tag: str) -> str:
    """Return a tag of an SVG file as a page has it; texts between tags hold no "<" or ">"."""
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag)
    tag = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", tag)  # numbered in every figure alike, and referred to by none
    tag = tag.replace("xlink:href=", "href=").replace(' target="_blank"', "")  # links lead to parts of the same page
    for colour, variable in VARIABLES.items():
        tag = tag.replace(colour, f"var({variable})")
    return tag


def save(made: Figure, path: Path) -> None:
    """Write a figure as .svg or .png."""
    options: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 200}
    made.savefig(path, facecolor="white", **options)
