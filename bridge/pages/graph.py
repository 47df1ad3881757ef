"""The graph of a network as SVG: one row for each layer in the order they run, branches in lanes beside each other.

However many layers there are, each has its own line for its name, so the picture stays readable; it only grows longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.errors import printable, shortened
from bridge.network import Network
from bridge.pages import escaped

ROW, LANE, MARGIN = 22, 13, 14  # pixels
NAME, KIND, NOTE = 200, 138, 74  # widths of the columns
LETTER = 6.6  # width of a letter of a name, at most
LEVELS = 5  # shades below the tolerance

# for a legend
FROST = '<svg class="graph" viewBox="0 0 14 14"><path class="frost" d="M1 7h12M4 1.5l6 11M4 12.5l6 -11"/></svg>'

Edge = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """A layer in the picture.

    Attributes:
        name: its name.
        kind: its class.
        note: what stands at the end of its line: a size, an error.
        shade: a CSS class that colours it; "" for none.
        frozen: whether it has learnables and all of them are frozen.
        title: what is told when pointed at.
        href: where a click leads.
    """

    name: str
    kind: str = ""
    note: str = ""
    shade: str = ""
    frozen: bool = False
    title: str = ""
    href: str = ""


def mark(shade: str) -> str:
    """Return the mark of a shade, for a legend."""
    return f'<svg class="graph" viewBox="0 0 14 14"><g class="{shade}"><circle cx="7" cy="7" r="4.5"/></g></svg>'


def is_frozen(network: Network, layer: str) -> bool:
    """Whether a layer has learnables, and training leaves all of them alone."""
    known = network.layers[layer].learnables.values() if network.layers.has(layer) else ()
    return bool(known) and all(each.frozen for each in known)


def edges(network: Network) -> list[Edge]:
    """Return which layer is connected to which, each pair once."""
    return list(dict.fromkeys((each.source, each.destination) for each in network.connections))


def lanes(names: Sequence[str], edges: Iterable[Edge]) -> tuple[dict[str, int], dict[Edge, int]]:
    """Return the lane of each layer and of each connection, so that no connection passes through a layer.

    A layer stands in the leftmost lane that leads to it. The first of its connections goes on in that lane, the others
    take the leftmost free ones. A connection holds its lane until its destination.

    Args:
        names: the layers in an order in which they can run.
        edges: the connections.
    """
    position = {name: at for at, name in enumerate(names)}
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, destination in edges:
        following[source].append(destination)
    taken: list[str] = []  # by lane, the destination of the connection in it
    place: dict[str, int] = {}
    way: dict[Edge, int] = {}

    def free() -> int:
        if "" not in taken:
            taken.append("")
        return taken.index("")

    for name in names:
        arriving = [lane for lane, destination in enumerate(taken) if destination == name]
        place[name] = arriving[0] if arriving else free()
        for lane in arriving:
            taken[lane] = ""
        for number, destination in enumerate(sorted(following[name], key=position.__getitem__)):
            lane = place[name] if number == 0 else free()
            taken[lane], way[name, destination] = destination, lane
    return place, way


def draw(nodes: Sequence[Node], edges: Sequence[Edge], label: str) -> str:
    """Return the picture as an SVG element.

    Args:
        nodes: the layers in an order in which they can run.
        edges: the connections, by name.
        label: what the picture shows, for those who do not see it.
    """
    place, way = lanes([node.name for node in nodes], edges)
    row = {node.name: number for number, node in enumerate(nodes)}
    left = MARGIN + LANE * max((*place.values(), *way.values()), default=0) + MARGIN
    width, height = left + NAME + KIND + NOTE + MARGIN, ROW * len(nodes) + 4
    lines = "".join(_line(row, place, edge, lane) for edge, lane in way.items())
    rows = "\n".join(
        _node(node, MARGIN + LANE * place[node.name], ROW * at + ROW // 2 + 2, left, width)
        for at, node in enumerate(nodes)
    )
    return f"""<svg class="graph" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"
    aria-label="{escaped(label)}">
<path class="edges" d="{lines}"/>
{rows}
</svg>"""


def _line(row: Mapping[str, int], place: Mapping[str, int], edge: Edge, lane: int) -> str:
    """Return the path of a connection: over to its lane within a row, down, and over to its destination
    within a row.
    """
    (x0, y0), (x1, y1) = ((MARGIN + LANE * place[name], ROW * row[name] + ROW // 2 + 2) for name in edge)
    x, half = MARGIN + LANE * lane, ROW // 2
    start = f"M{x0} {y0}" if x == x0 else f"M{x0} {y0}C{x0} {y0 + half} {x} {y0 + half} {x} {y0 + ROW}"
    end = f"V{y1}" if x == x1 else f"V{y1 - ROW}C{x} {y1 - half} {x1} {y1 - half} {x1} {y1}"
    return start + end


def _node(node: Node, x: int, y: int, left: int, width: int) -> str:
    title = f"<title>{escaped(node.title)}</title>" if node.title else ""
    frost = (
        f'<path class="frost" d="M{x - 8} {y}h16M{x - 4} {y - 7}l8 14M{x - 4} {y + 7}l8 -14"/>' if node.frozen else ""
    )
    inner = f"""<rect x="0" y="{y - ROW // 2}" width="{width}" height="{ROW}"/>{title}{frost}<circle cx="{x}" cy="{y}"
    r="4.5"/>
<text x="{left}" y="{y + 4}">{_short(node.name, NAME)}</text><text class="kind" x="{left + NAME}" y="{y + 4}">{
        _short(node.kind, KIND)
    }</text> <text class="note" x="{width - MARGIN}" y="{y + 4}">{escaped(node.note)}</text>"""
    inner = f'<a href="#{node.href}">{inner}</a>' if node.href else inner
    return f'<g class="layer {node.shade}{" frozen" if node.frozen else ""}">{inner}</g>'


def _short(text: str, width: int) -> str:
    """Return a text that fits, its middle left out where it does not: layer names differ at their ends."""
    return escaped(shortened(printable(text), int(width / LETTER)))
