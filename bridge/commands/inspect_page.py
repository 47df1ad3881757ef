"""What `bridge inspect` shows, as one page: graph, tables and search."""

from __future__ import annotations

from bridge import pages
from bridge.commands import tables
from bridge.network import Layer, Network
from bridge.network.contract import contracts
from bridge.pages import Cell, Row, escaped, graph
from bridge.pages.learnables import learnable_table

COLUMNS = {"": "number", "Name": "", "Type": "", "Activations": "number", "Learnables": "number", "Note": ""}
LEGEND = (("s3", "has learnables"), ("", "has none"))


def page(network: Network) -> str:
    """Return the page of a network; no weights are read."""
    name = network.source.path or network.kind
    parts = (_head(network, name), _layers(network), _learnables(network), _connections(network), _about(network))
    return pages.page(name, "\n".join(part for part in parts if part))


def _head(network: Network, name: str) -> str:
    return f"""<header>
<p class="eyebrow">{escaped(tables.about(network))}</p>
<h1>{escaped(name)}</h1>
<p>{escaped(tables.totals(network))}</p>
{"".join(f"<p>input {escaped(contract)}</p>" for contract in contracts(network))}
</header>"""


def _layers(network: Network) -> str:
    """The graph beside the table of layers; one search for both."""
    number = {layer.name: at for at, layer in enumerate(network.layers, 1)}
    nodes = [_node(network, layer, number[layer.name]) for layer in network.order]
    rows = [_row(network, layer, at) for at, layer in enumerate(network.layers, 1)]
    listed = pages.table("layers", COLUMNS, rows, {"frozen": "only frozen"}, ".side .graph .layer")
    legend = (
        "".join(f"<span>{graph.mark(shade)}{text}</span>" for shade, text in LEGEND)
        + f"<span>{graph.FROST}frozen</span>"
    )
    drawn = graph.draw(nodes, graph.edges(network), "the layers and their connections")
    return f"""<div class="side turned"><section><h2>Graph</h2><p>In the order the layers run.</p><div
    class="box">{drawn}</div>
<p class="legend">{legend}</p></section>
<section><h2>Layers</h2><p>In MATLAB's order and counting. A heading sorts; the filter searches the graph
too.</p>{listed}</section></div>
    """


def _node(network: Network, layer: Layer, number: int) -> graph.Node:
    size = tables.size_text(network, layer)
    shade = "s3" if layer.learnables else ""
    title = f"{number} {layer.name} ({layer.kind}) {size}"
    return graph.Node(
        layer.name,
        layer.kind.removesuffix("Layer"),
        size,
        shade,
        graph.is_frozen(network, layer.name),
        title,
        f"layer-{number}",
    )


def _row(network: Network, layer: Layer, number: int) -> Row:
    size, count = tables.size_text(network, layer), sum(each.array.size for each in layer.learnables.values())
    frozen = graph.is_frozen(network, layer.name)
    marks = ", ".join(
        mark for mark, holds in (("frozen", frozen), ("unproven", layer.row.evidence == "unseen")) if holds
    )
    elements = network.sizes[layer.name][0].elements if size not in ("", "?") else 0
    values = Cell(f"{count:,}" if count else "", count)
    cells: list[str | Cell] = [
        Cell(str(number), number),
        layer.name,
        layer.kind,
        Cell(size, elements or 0),
        values,
        marks,
    ]
    return Row(cells, f"layer-{number}", ("frozen",) if frozen else ())


def _learnables(network: Network) -> str:
    listed = learnable_table(network)
    return (
        f"<section><h2>Learnables and statistics</h2><p>Sizes and factors are MATLAB's.</p>{listed}</section>"
        if listed
        else ""
    )


def _connections(network: Network) -> str:
    if tables.is_chain(network):
        return ""
    rows = [Row(pair) for pair in tables.connection_names(network)]
    return (
        f"<section><h2>Connections</h2>{pages.table('connections', {'Source': '', 'Destination': ''}, rows)}</section>"
    )


def _about(network: Network) -> str:
    known = dict(line.split(": ", 1) for line in tables.extras(network))
    known |= {"factors": network.source.factors, "sha256": network.source.sha256}
    noted = tables.notes(network)
    notes = f"<section><h2>Notes</h2>{pages.notes(noted)}</section>" if noted else ""
    return f"{notes}<section><h2>Also in the file</h2>{pages.facts(known)}</section>" if any(known.values()) else notes
