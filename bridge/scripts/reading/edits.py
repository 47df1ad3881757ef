"""From the layers that a script trains to the edits that make them of the network it started from."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.errors import BridgeError
from bridge.layers import SIDES
from bridge.network import Network, factor_names
from bridge.network.head import head
from bridge.options.options import training_options
from bridge.recipes.parts import Base
from bridge.recipes.recipe import STAND_INS, Recipe
from bridge.recipes.verbs import COUNTS, FROM_DATA, Edit
from bridge.scripts.language.values import Graph, Item, Layers, Link, Symbol, links_of, owner
from bridge.scripts.reading.findings import Findings
from bridge.scripts.reading.graphs import chained, graph_of
from bridge.scripts.reading.known import entries
from bridge.scripts.reading.writing import Placed, Unreadable, equal, factors_of, plain_entry, written


def edits_of(graph: Graph, base: Network, findings: Findings) -> list[Placed]:
    """Return the edits that make `graph` of the network it started from; properties that are not known are listed.

    Raises:
        Unreadable: a layer, or a property of one, is not known.
        UsageError: the layers do not fit each other.
    """
    target = _completed(graph, base)
    try:
        target, structure = _structure(target, base, findings)
    except Unreadable as error:
        findings.problem(error.place, error.what)
        return factors_of(target, findings)
    edited = base
    for each in structure:
        edited = each.edit.apply(edited, STAND_INS)
    links = set(links_of(edited))
    wanted = {_real(link, edited) for link in target.links}
    place = max((item.place for item in target.layers), key=lambda each: each[1])
    structure += [Placed(Edit("disconnect", _short(link, edited)), place) for link in sorted(links - wanted)]
    structure += [Placed(Edit("connect", _short(link, edited)), place) for link in sorted(wanted - links)]
    return structure + factors_of(target, findings)


def assembly_of(graph: Graph, findings: Findings) -> list[Placed]:
    """Return the edit that makes a network from nothing; properties that are not known are listed.

    Raises:
        Unreadable: a layer, or a property of one, is not known.
        UsageError: the layers do not fit each other.
    """
    place = graph.layers[0].place
    chain = set(graph.links) == set(chained(graph.layers))
    pairs = (
        {}
        if chain
        else {
            "connections": [tuple(end.removesuffix("/out").removesuffix("/in") for end in link) for link in graph.links]
        }
    )
    edit = Edit("assemble", [written(item, findings) for item in graph.layers], pairs)
    Recipe(Base(), training_options("sgdm"), (edit,)).load_base()
    return [Placed(edit, place)]


def _real(link: Link, network: Network) -> Link:
    """Return a connection with the ports that the layers really have: a layer's one input may have a name
    of its own.
    """
    source, destination = link
    layer = network.layers[owner(destination)]
    port = destination.rpartition("/")[2]
    return source, f"{layer.name}/{layer.inputs[0]}" if port in (
        "in",
        "in1",
    ) and port not in layer.inputs and layer.inputs else destination


def _short(link: Link, network: Network) -> Link:
    """Return a connection without the ports of layers that have one."""
    names = [owner(end) for end in link]
    source, destination = (network.layers[name] for name in names)
    return names[0] if len(source.outputs) == 1 else link[0], names[1] if len(destination.inputs) == 1 else link[1]


def _completed(graph: Graph, base: Network) -> Graph:
    """Return a graph of the newer kind with the output layer that the recipe's network has, and without a flatten layer
    at its end.
    """
    extra = set(entries("dlnetwork_ends").values()) - {layer.name for layer in base.layers}
    layers = [item for item in graph.layers if item.name not in extra or item.base is not None or item.origin is None]
    names = {item.name for item in layers}
    links = [link for link in graph.links if {owner(end) for end in link} <= names]
    outputs = [layer for layer in base.layers if layer.row.is_output]
    if len(outputs) == 1 and not any(item.row and item.row.is_output for item in layers):
        whole = graph_of(layers[0].origin, "DAGNetwork") if layers and layers[0].origin else None
        sinks = [item.name for item in Graph(Layers(layers), tuple(links), graph.kind).sinks]
        output = whole.item(outputs[0].name) if whole else None
        softmax = next(
            (item for item in layers if item.name in sinks and item.row and item.row.name == "SoftmaxLayer"), None
        )
        if output is not None and len(sinks) == 1 and softmax is not None:
            layers.append(output)
            links.append((f"{sinks[0]}/out", f"{output.name}/in"))
    return Graph(Layers(layers), tuple(links), graph.kind)


def _structure(target: Graph, base: Network, findings: Findings) -> tuple[Graph, list[Placed]]:
    """Return the graph without what is new in name only, and the edits that put the new layers in place, but for
    connections.
    """
    for item in target.layers:
        if (
            item.origin is not None
            and target.origin is not None
            and (item.origin.name, item.origin.file) != (target.origin.name, target.origin.file)
        ):
            raise Unreadable(item, f"layer '{item.name}' comes from a second network, which a recipe has no word for")
        if item.base is not None and item.name != item.base.name and item.base.learnables:
            raise Unreadable(item, f"layer '{item.base.name}' gets another name, which a recipe has no word for")
    gone = {layer.name for layer in base.layers} - {item.name for item in target.layers if not _is_new(item)}
    pairs = [pair for chain in _chains(target) for pair in _aligned(_old_chain(chain, target, base, gone), chain, base)]
    same = {
        made[0].name: old[0] for old, made in pairs if len(old) == len(made) == 1 and _is_same(base, old[0], made[0])
    }
    pairs = [(old, made) for old, made in pairs if made[0].name not in same]
    target = _with_old_names(target, same, base)
    whole = (
        _with_classes(pairs, base, findings)
        if gone <= {*same.values(), *(name for old, _ in pairs for name in old)}
        else None
    )
    if whole is not None:
        return _with_old_names(
            target, {made[0].name: old[0] for old, made in pairs if old[0] != head(base).layer.name}, base
        ), [whole]
    edits = [_replacement(old[0], made, findings) for old, made in pairs]
    last = max((item.place for item in target.layers), key=lambda place: place[1])
    left = [
        layer.name
        for layer in base.layers
        if layer.name in gone and layer.name not in {*same.values(), *(n for old, _ in pairs for n in old)}
    ]
    edits += [Placed(Edit("remove", tuple(left)), last)] if left else []
    placed = {item.name for _, made in pairs for item in made}
    added = [chain for chain in _chains(target) if chain[0].name not in placed]
    return target, edits + [
        Placed(Edit("add", [written(item, findings) for item in chain]), chain[0].place) for chain in added
    ]


def _is_new(item: Item) -> bool:
    return item.base is None or item.name != item.base.name


def _chains(graph: Graph) -> list[list[Item]]:
    """Return the new layers, those in a row together."""
    after = {
        item.name: [owner(b) for a, b in graph.links if owner(a) == item.name] for item in graph.layers if _is_new(item)
    }
    before = {
        item.name: [owner(a) for a, b in graph.links if owner(b) == item.name] for item in graph.layers if _is_new(item)
    }
    follows = {
        name: ends[0]
        for name, ends in after.items()
        if len(ends) == 1 and ends[0] in after and len(before[ends[0]]) == 1
    }
    chains = []
    for name in after:
        if name not in follows.values():
            chain = [name]
            while chain[-1] in follows and follows[chain[-1]] not in chain:
                chain.append(follows[chain[-1]])
            chains.append([graph.layers[graph.names[each]] for each in chain])
    return chains


def _old_chain(chain: Sequence[Item], graph: Graph, base: Network, gone: set[str]) -> list[str]:
    """Return the layers of the base that stood, in a row, where a chain of new ones stands; none where there is no such
    row.
    """
    before = [owner(a) for a, b in graph.links if owner(b) == chain[0].name]
    after = {owner(b) for a, b in graph.links if owner(a) == chain[-1].name}
    following: dict[str, list[str]] = {}
    for c in base.connections:
        following.setdefault(c.source, []).append(c.destination)
    starts = (
        [each for each in following.get(before[0], []) if each in gone]
        if len(before) == 1
        else list(base.inputs)
        if not before
        else []
    )
    found: list[str] = []
    name = starts[0] if len(starts) == 1 else ""
    while name and name in gone and name not in found and len(base.incoming[name]) <= 1:
        found.append(name)
        ends = following.get(name, [])
        name = ends[0] if len(ends) == 1 else ""
        if set(ends) == after:
            return found
    return []


Pair = tuple[list[str], list[Item]]


def _aligned(old: list[str], chain: list[Item], base: Network) -> list[Pair]:
    """Return which new layers take the place of which old ones: one for one, or a chain for the one that has no
    partner.
    """
    if len(old) == len(chain):
        return [([name], [item]) for name, item in zip(old, chain, strict=True)]
    ends: list[Pair] = []
    while len(old) > 1 and len(chain) > 1 and _is_kind(base, old[-1], chain[-1]):
        ends.insert(0, ([old[-1]], [chain[-1]]))
        old, chain = old[:-1], chain[:-1]
    return [(old, chain), *ends] if len(old) == 1 else []


def _is_kind(base: Network, name: str, item: Item) -> bool:
    return item.row is not None and base.layers[name].row.name == item.row.name


def _is_same(base: Network, name: str, item: Item) -> bool:
    """Whether a new layer differs from an old one by a name that nobody gave it, at most."""
    layer = base.layers[name]
    if (
        not _is_kind(base, name, item)
        or layer.learnables
        or layer.row.is_output
        or not (item.automatic or item.name == name)
    ):
        return False
    return all(key in layer.properties and equal(layer.properties[key], value) for key, value in item.values.items())


def _with_old_names(graph: Graph, same: dict[str, str], base: Network) -> Graph:
    """Return a graph with the old layers in place of new ones that are the same."""
    origin = graph.origin
    old = {item.name: item for item in graph_of(origin, "DAGNetwork").layers} if origin is not None else {}
    layers = Layers(old[same[item.name]] if item.name in same else item for item in graph.layers)
    links = tuple((_renamed(a, same), _renamed(b, same)) for a, b in graph.links)
    return Graph(layers, links, graph.kind)


def _renamed(end: str, names: dict[str, str]) -> str:
    return f"{names.get(owner(end), owner(end))}/{end.rpartition('/')[2]}"


def _with_classes(pairs: Sequence[Pair], base: Network, findings: Findings) -> Placed | None:
    """Return the edit `with_classes`, where nothing happens but a new head for the classes of the data."""
    try:
        old_head = head(base)
    except BridgeError:
        return None
    by_name = {old[0]: made[0] for old, made in pairs if len(old) == len(made) == 1}
    made = by_name.pop(old_head.layer.name, None)
    if made is None or len(by_name) + 1 != len(pairs) or not _is_kind(base, old_head.layer.name, made):
        return None
    size = next(key for key in COUNTS if key in old_head.layer.row.properties)
    values = made.values
    rest = {
        key: value
        for key, value in values.items()
        if key not in old_head.layer.properties or not equal(old_head.layer.properties[key], value)
    }
    allowed = {
        f for each in ("Weights", "Bias") for f in (*factor_names(old_head.layer.row, each), f"{each}Initializer")
    }
    of_data = (
        isinstance(values.get(size), Symbol)
        and set(rest) <= {size, *allowed}
        and values.keys() & SIDES.keys() <= old_head.layer.properties.keys()
    )
    others = all(_follows_data(base, name, item) for name, item in by_name.items())
    if not of_data or not others:
        return None
    given = {key: value for key, value in plain_entry(made, rest, findings).items() if key in allowed}
    name = {"name": made.name} if made.name != old_head.layer.name else {}
    return Placed(Edit("with_classes", FROM_DATA, {**name, **given}), made.place)


def _follows_data(base: Network, name: str, item: Item) -> bool:
    """Whether a layer behind the head is new in name only, or an output layer that takes its classes from the data."""
    layer = base.layers[name]
    if layer.row.is_output:
        return _is_kind(base, name, item) and all(
            key == "Classes" and isinstance(value, Symbol) for key, value in item.values.items()
        )
    return (
        _is_kind(base, name, item)
        and not layer.learnables
        and all(equal(layer.properties.get(k), v) for k, v in item.values.items())
    )


def _replacement(old: str, made: list[Item], findings: Findings) -> Placed:
    layers = [written(item, findings) for item in made]
    return Placed(Edit("replace", old, {"layers": layers[0] if len(layers) == 1 else layers}), made[0].place)
