"""The report of a check: one HTML file with verdict and cause first, then charts, graph, values and tables.

    found = bridge.check(net, "reference.mat", evidence=True)
    bridge.parity.report.page.write(found, "report.html")

Without `evidence=True` the page has the verdict and the table of layers, and neither the graph nor any values.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bridge import pages
from bridge.arrays.lazy import NDArray
from bridge.network import Network
from bridge.pages import Cell, Row, escaped, figures, graph
from bridge.pages.learnables import learnable_table
from bridge.parity.check import Check
from bridge.parity.differences import LayerDifference
from bridge.parity.report import charts

SHADES = (
    1e-8  # the difference from which on layers are shaded, in as many steps as there are shades up to the tolerance
)
FAR = 100  # times the tolerance


def write(check: Check, path: str | Path) -> Path:
    """Write the report of a check as one HTML file, in the place of an older one.

    Args:
        check: of `bridge.check(..., evidence=True)`, `check_steps` or `check_log`.
        path: the file, .html.

    Returns:
        The path.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the file cannot be written, or is named like something else than a page.
    """
    require(Path(path))
    return pages.write(Path(path), report(check))


def require(path: Path) -> None:
    """Raise what `write` would raise before anything is computed."""
    pages.require_html(path)
    figures.require()


def report(check: Check) -> str:
    """Return the report as the text of an HTML page."""
    state, layer, rest = _verdict(check)
    parts = (
        _head(check, state, layer, rest),
        _curves(check) or _overview(check),
        _values(check),
        _layers(check),
        _learnables(check),
        _provenance(check),
    )
    return pages.page(
        f"{state} {layer}".strip(), "\n".join(part for part in parts if part), "passed" if check.passed else "differs"
    )


def _verdict(check: Check) -> tuple[str, str, str]:
    """Return the state, the layer and what is said of it."""
    first = check.first_divergence
    if first is not None:
        return "First divergence", first.layer, check.verdict.removeprefix(f"FIRST DIVERGENCE {first.layer}: ")
    state, _, rest = check.verdict.partition(" ")
    return state.capitalize(), "", rest


def _head(check: Check, state: str, layer: str, rest: str) -> str:
    kind, _, cause = check.explanation.partition(": ")
    told = f'<p class="cause"><b>{escaped(kind.capitalize())}</b> {escaped(cause)}</p>' if cause else ""
    where = f": <em>{escaped(layer)}</em>" if layer else ""
    return f"""<header>
<p class="eyebrow">{escaped(_name(check))} against {escaped(check.comparison.oracle or "another network")}, tolerance
profile {escaped(check.profile.name)}</p> <h1 id="verdict">{
        f"<em>{escaped(state)}</em>" if check.passed else escaped(state)
    }{where}</h1> <p id="detail">{escaped(rest)}</p>
{told}
</header>"""


def _name(check: Check) -> str:
    return check.model or "a network made in Python"


def _overview(check: Check) -> str:
    """The error by layer beside the graph; either alone where there is no other."""
    parts = []
    if check.layers:
        unit = check.comparison.unit
        caption = f"Largest difference of each {unit} as a part of its range. A point leads to its row in the table."
        parts.append(f"<section><h2>Error by {unit}</h2><p>{caption}</p>{charts.errors(check)}</section>")
    network = check.evidence.network if check.evidence is not None else None
    if network is not None:
        caption = (
            f"{len(network.layers)} layers in the order they run{', coloured by error' if _by_layer(check) else ''}."
        )
        parts.append(
            f"<section><h2>Network</h2><p>{caption}</p><div "
            f'class="box">{_graph(check, network)}</div>{_legend(check)}</section>'
        )
    return f'<div class="side">{"".join(parts)}</div>' if len(parts) > 1 else "".join(parts)


def _by_layer(check: Check) -> bool:
    return bool(check.layers) and check.comparison.unit == "layer"


def _graph(check: Check, network: Network) -> str:
    numbers = {each.layer: number for number, each in enumerate(check.layers)} if _by_layer(check) else {}
    nodes = []
    for layer in network.order:
        number = numbers.get(layer.name)
        found = check.layers[number] if number is not None else None
        nodes.append(
            graph.Node(
                layer.name,
                layer.kind.removesuffix("Layer"),
                "" if found is None else _small(found.relative),
                "" if found is None else _shade(found, found is check.first_divergence),
                graph.is_frozen(network, layer.name),
                f"{layer.name} ({layer.kind})"
                + ("" if found is None else f": max |d| {_small(found.max_abs)}, allowed {_small(found.allowed)}"),
                "" if number is None else charts.row_id(number),
            )
        )
    return graph.draw(nodes, graph.edges(network), "the network, coloured by error")


def _shade(found: LayerDifference, is_first: bool) -> str:
    """Return the classes of a layer: "s1" to "s5" below the tolerance, "above" or "far" beyond it."""
    if found.differs:
        shade = "far" if found.max_abs > FAR * found.allowed else "above"
    elif found.relative <= SHADES:
        shade = "s1"
    else:
        part = math.log(found.relative / SHADES) / math.log(max(found.allowed / (found.scale or 1.0) / SHADES, 10.0))
        shade = f"s{1 + min(int(part * graph.LEVELS), graph.LEVELS - 1)}"
    return f"{shade} first" if is_first else shade


def _legend(check: Check) -> str:
    if not _by_layer(check):
        return f'<p class="legend"><span>{graph.FROST}frozen</span></p>'
    shades = [("s1", f"up to {SHADES:.0e}"), ("s3", "between"), ("s5", "near the tolerance")]
    shades += [] if check.passed else [("above", "above it"), ("far", f"more than {FAR} times")]
    items = (
        "".join(f"<span>{graph.mark(shade)}{text}</span>" for shade, text in [*shades, ("", "not compared")])
        + f"<span>{graph.FROST}frozen</span>"
    )
    return f'<p class="legend">{items}</p>'


def _curves(check: Check) -> str:
    drawn = charts.curves(check.evidence) if check.evidence is not None else ""
    return (
        f"<section><h2>Learning curves</h2><p>Ours in colour, MATLAB's in grey.</p>{drawn}</section>" if drawn else ""
    )


def _values(check: Check) -> str:
    """The layer's values on both sides, and how the differences are distributed."""
    kept = check.evidence
    at = next((each for each in check.layers if kept is not None and each.layer == kept.layer), None)
    if kept is None or at is None:
        return ""
    if at.max_abs == 0:
        return "<section><h2>Values</h2><p>No value of any layer differs.</p></section>"
    which = "first diverging" if at is check.first_divergence else "worst"
    title = f"<h2>Values of the {which} layer: {escaped(at.layer)}</h2>"
    if kept.ours is None:
        return f"<section>{title}<p>They cannot be laid beside each other.</p></section>"
    names = f"checked: {Path(_name(check)).name}", f"against: {check.comparison.oracle or 'another network'}"
    caption = ", ".join(text for text in (charts.plane(kept).fixed, _known(kept.theirs, at)) if text)
    return f"""<section>{title}<p>{escaped(caption[:1].upper() + caption[1:])}.</p>
{charts.images(kept, names)}
{charts.distributions(kept, names, at.allowed)}</section>"""


def _known(theirs: NDArray | None, at: LayerDifference) -> str:
    if at.size:
        return f"the sizes differ: {at.size}"
    if theirs is None:
        return "the other side is not known"
    known = int(np.isfinite(theirs).sum())
    if known == theirs.size:
        return "where the difference is largest"
    return f"the reference holds {known:,} of {theirs.size:,} values (all with the option 'Full' of bridgeReference)"


def _layers(check: Check) -> str:
    if not check.layers:
        return ""
    whole = check.comparison.unit == "layer"
    columns = {
        "": "number",
        check.comparison.unit.capitalize(): "",
        "Max |d|": "number",
        "Of its range": "number",
        "Allowed": "number",
    }
    if whole:
        columns |= {"ULPs": "number", "Cosine": "number", "Outside": "number", "Classes": "number"}
    rows = [_row(number, each, whole, each is check.first_divergence) for number, each in enumerate(check.layers)]
    listed = pages.table("layers", columns, rows, {"differs": "only what differs"}, ".side .graph .layer")
    hint = " The filter searches the graph too." if whole and check.evidence is not None else ""
    return (
        f"<section><h2>{check.comparison.unit.capitalize()}s</h2><p>In the order they ran; a heading "
        f"sorts.{hint}</p>{listed}</section>"
    )


def _row(number: int, each: LayerDifference, whole: bool, is_first: bool) -> Row:
    cells: list[str | Cell] = [Cell(str(number + 1), number), each.layer]
    if each.size:
        cells += [Cell(each.size, math.inf), Cell("", math.inf)]
    else:
        cells += [Cell(_small(each.max_abs), each.max_abs), Cell(_small(each.relative), each.relative)]
    cells.append(Cell(_small(each.allowed), each.allowed))
    if whole:
        equal = (
            Cell(f"{each.agreement[0]:,} of {each.agreement[1]:,}", each.agreement[0] / each.agreement[1])
            if each.agreement
            else Cell("")
        )
        cells += [
            Cell(f"{each.ulps:,.0f}", each.ulps),
            Cell(f"{each.cosine:.7f}", each.cosine),
            Cell(f"{each.outside:.1%}", each.outside),
            equal,
        ]
    return Row(
        cells, charts.row_id(number), (*(("differs",) if each.differs else ()), *(("first",) if is_first else ()))
    )


def _small(number: float) -> str:
    return "0" if number == 0 else f"{number:.1e}"


def _learnables(check: Check) -> str:
    kept = check.evidence
    if kept is None or kept.network is None:
        return ""
    listed = learnable_table(kept.network, kept.learnables if _by_layer(check) else None)
    told = (
        " A difference is told where the other side holds the values, whole or in samples." if _by_layer(check) else ""
    )
    caption = f"Factors are MATLAB's.{told}"
    return f"<section><h2>Learnables and statistics</h2><p>{caption}</p>{listed}</section>" if listed else ""


def _provenance(check: Check) -> str:
    profile = check.profile
    reach = f"{profile.relative:g} of a layer's range; " if check.comparison.unit == "layer" else ""
    overrides = ", ".join(f"{layer} {tolerance:g}" for layer, tolerance in profile.overrides)
    known = {
        "checked": check.model,
        "against": check.comparison.oracle,
        "tolerance": f"{profile.name}: {reach}{profile.reason}",
        "other tolerances": overrides,
        **check.facts,
    }
    notes = f"<h2>Notes</h2>{pages.notes(check.notes)}" if check.notes else ""
    return f"<section>{notes}<h2>Versions and files</h2>{pages.facts(known)}</section>"
