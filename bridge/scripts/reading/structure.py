"""From the layers that a script trains to the edits that make them of the network it started from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from bridge import layers as constructors
from bridge.errors import BridgeError
from bridge.network import Connection, LayerList, Network, factor_names, simplest
from bridge.network.head import head
from bridge.network.ports import chain, shortest
from bridge.options.options import training_options
from bridge.recipes.parts import Base
from bridge.recipes.recipe import STAND_INS, Recipe
from bridge.recipes.verbs import COUNTS, FROM_DATA, Edit
from bridge.scripts.language.findings import Findings
from bridge.scripts.language.operators import whole
from bridge.scripts.language.values import Place, Unknown, find, unknown_in
from bridge.scripts.reading.objects import Boxes, OfData, ToldLayer, ToldNetwork
from bridge.scripts.reading.surgery import is_normalization
from bridge.tables.layers import table

FOLLOWING = table("scripts")["following"]  # from the data, or from the layer in front, whatever a script says
Gap = tuple[LayerList, list[ToldLayer]]  # layers of the network it starts from, and what stands in their place


@dataclass(frozen=True)
class Placed:
    """An edit, and where the script says it."""

    edit: Edit
    place: Place


class Unreadable(Exception):
    """A layer that cannot be written into a recipe: the place, and what is not known there."""

    def __init__(self, layer: ToldLayer, what: str) -> None:
        super().__init__(what)
        self.place, self.what = layer.place, what


def assembly_of(network: ToldNetwork, findings: Findings) -> list[Placed]:
    """Return the edit that makes a network from nothing; properties that are not known are listed.

    Raises:
        Unreadable: a layer, or a property of one, is not known.
        BridgeError: the layers do not fit each other.
    """
    writer = Writer(network, findings)
    pairs = {"connections": [shortest(each, network.layers) for each in network.connections]}
    in_a_row = network.connections == chain(network.layers)
    edit = Edit("assemble", [writer.written(layer) for layer in network.told], {} if in_a_row else pairs)
    Recipe(Base(), training_options("sgdm"), (edit,)).load_base()
    return [Placed(edit, network.told[0].place)]


def edits_of(network: ToldNetwork, base: Network, findings: Findings) -> list[Placed]:
    """Return the edits that make a network of the one it started from; properties that are not known are listed.

    Raises:
        BridgeError: the layers do not fit each other.
    """
    target = _with_output(network, base)
    try:
        _require_known(target)
        writer = Writer(target, findings)
        structure, made, target = _replaced(target, base, writer) or _rebuilt(target, base, writer)
    except Unreadable as error:
        findings.problem(error.place, error.what)
        return _factors(target, findings)
    return [*structure, *_connections(target, made), *_factors(target, findings)]


def _require_known(target: ToldNetwork) -> None:
    """Raise Unreadable for layers that a recipe has no word for."""
    for layer in target.told:
        origin, own = layer.origin, target.origin
        if origin is not None and own is not None and (origin.name, origin.file) != (own.name, own.file):
            raise Unreadable(layer, f"layer '{layer.name}' comes from a second network, which a recipe has no word for")
        if layer.base not in ("", layer.name) and layer.learnables:
            raise Unreadable(layer, f"layer '{layer.base}' gets another name, which a recipe has no word for")


def _with_output(network: ToldNetwork, base: Network) -> ToldNetwork:
    """Return a network of the newer kind with the output layer that the recipe's network has, and without a flatten
    layer at its end.
    """
    origin = network.origin
    kept = [each for each in network.told if not (each.origin and not each.base)]  # an end that training does without
    names = {layer.name for layer in kept}
    connections = [c for c in network.connections if {c.source, c.destination} <= names]
    outputs = [layer for layer in base.layers if layer.row.is_output]
    if origin is not None and len(outputs) == 1 and not any(layer.row.is_output for layer in kept):
        ends = names - {c.source for c in connections}
        last = next((layer for layer in kept if layer.name in ends and "softmax" in layer.row.traits), None)
        if len(ends) == 1 and last is not None:
            kept.append(ToldLayer.of(outputs[0], origin.place, origin=origin, base=outputs[0].name))
            connections.append(Connection(last.name, outputs[0].name))
    return ToldNetwork.of(kept, connections, network.kind)


# New layers in the place of old ones


def _replaced(target: ToldNetwork, base: Network, writer: Writer) -> tuple[list[Placed], Network, ToldNetwork] | None:
    """Return the edits that put new layers in the place of old ones, the network they make, and the target with the
    names that layers keep; None where layers do not stand in a row as before.
    """
    edits: list[Placed] = []
    same: dict[str, ToldLayer] = {}
    for old, new in _gaps(target, base):
        pairs = _paired(old, new)
        if pairs is None:
            return None
        for name, made in pairs:
            if len(made) == 1 and _is_same(base, name, made[0]):
                same[made[0].name] = ToldLayer.of(base.layers[name], made[0].place, origin=target.origin, base=name)
            else:
                entries = [writer.written(layer) for layer in made]
                layers = {"layers": entries[0] if len(entries) == 1 else entries}
                edits.append(Placed(Edit("replace", name, layers), made[0].place))
    try:
        return edits, _applied(base, edits), _renamed(target, same)
    except BridgeError:
        return None


def _gaps(target: ToldNetwork, base: Network) -> Iterator[Gap]:
    """Yield what stands between layers that stay, in the order of both."""
    kept = [layer.name if is_old(layer) else None for layer in target.told]
    matcher = SequenceMatcher(None, [layer.name for layer in base.layers], kept, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            yield base.layers[a:b], list(target.told[c:d])


def is_old(layer: ToldLayer) -> bool:
    """Whether a layer is the starting network's own. One with learnables stays it, whatever is set."""
    own = layer.own
    return own is not None and (bool(layer.learnables) or (layer.properties == own.properties and not layer.open))


def _paired(old: LayerList, new: list[ToldLayer]) -> list[tuple[str, list[ToldLayer]]] | None:
    """Return which new layers take the place of which old ones: one for one, or a chain for the one that has no
    partner; None where neither is so.
    """
    if len(old) == len(new):
        return [(a.name, [b]) for a, b in zip(old, new, strict=True)]
    ends = 0
    while min(len(old), len(new)) - ends > 1 and old[len(old) - 1 - ends].kind == new[-1 - ends].kind:
        ends += 1
    if len(old) - ends != 1 or not new:
        return None
    first = (old[0].name, new[: len(new) - ends])
    return [first, *((a.name, [b]) for a, b in zip(old[1:], new[len(new) - ends :], strict=True))]


def _is_same(base: Network, name: str, layer: ToldLayer) -> bool:
    """Whether a new layer differs from an old one by a name that nobody gave it, at most."""
    old = base.layers[name]
    if layer.kind != old.kind or old.learnables or old.row.is_output or layer.open:
        return False
    return (layer.automatic or layer.name == name) and layer.properties == old.properties


def _renamed(target: ToldNetwork, same: dict[str, ToldLayer]) -> ToldNetwork:
    """Return a network with old layers in the place of new ones that are the same."""
    names = {new: old.name for new, old in same.items()}
    ends = (
        replace(c, source=names.get(c.source, c.source), destination=names.get(c.destination, c.destination))
        for c in target.connections
    )
    return replace(target.with_told(same.get(each.name, each) for each in target.told), connections=tuple(ends))


# Layers removed, added and connected


def _rebuilt(target: ToldNetwork, base: Network, writer: Writer) -> tuple[list[Placed], Network, ToldNetwork]:
    """Return the edits that remove the old layers that are gone and add the new ones, those in a row together."""
    last = max((layer.place for layer in target.told), key=lambda place: place[1])
    kept = {layer.name for layer in target.told if is_old(layer)}
    gone = tuple(layer.name for layer in base.layers if layer.name not in kept)
    edits = [Placed(Edit("remove", gone), last)] if gone else []
    for row in _rows([layer for layer in target.told if layer.name not in kept], target):
        edits.append(Placed(Edit("add", [writer.written(layer) for layer in row]), row[0].place))
    return edits, _applied(base, edits), target


def _rows(layers: Sequence[ToldLayer], target: ToldNetwork) -> Iterator[list[ToldLayer]]:
    """Yield layers that follow each other alone, in the order of the target."""
    row: list[ToldLayer] = []
    for layer in layers:
        before = [c for c in target.connections if c.destination == layer.name]
        after = [c for c in target.connections if row and c.source == row[-1].name]
        if row and (before != after or len(before) != 1):
            yield row
            row = []
        row.append(layer)
    if row:
        yield row


def _connections(target: ToldNetwork, made: Network) -> list[Placed]:
    """Return the edits that connect layers as the target has them."""
    place = max((layer.place for layer in target.told), key=lambda each: each[1])
    wanted, there = set(target.connections), set(made.connections)
    found = [("disconnect", each) for each in sorted(there - wanted, key=_ends)]
    found += [("connect", each) for each in sorted(wanted - there, key=_ends)]
    return [Placed(Edit(verb, shortest(each, made.layers)), place) for verb, each in found]


def _ends(connection: Connection) -> tuple[str, ...]:
    return connection.source, connection.source_port, connection.destination, connection.destination_port


def _applied(network: Network, edits: Sequence[Placed]) -> Network:
    for each in edits:
        network = each.edit.apply(network, STAND_INS)
    return network


# Layers and factors as recipes hold them


class Writer:
    """Writes the layers of a network into a recipe.

    Attributes:
        head: the name of the layer whose outputs are the classes, "" where there is none.
    """

    def __init__(self, network: ToldNetwork, findings: Findings) -> None:
        self.findings = findings
        self.head = head_of_classes(network)

    def written(self, layer: ToldLayer) -> dict[str, Any]:
        """Return a layer as recipes hold it; what is not known of it is listed.

        Raises:
            Unreadable: it, or a property that it needs, is not known.
        """
        if not layer.row.constructor:
            raise Unreadable(layer, f"{layer.kind} is a layer of the script's own")
        entry = constructors.to_mapping(layer)
        for key, value in layer.open.items():
            entry.pop(key, None)
            of_classes = isinstance(value, OfData) and value.kind == "class count"
            if key in COUNTS and (of_classes or (layer.name == self.head and _is_data(value))):
                entry[key] = FROM_DATA
            elif key not in FOLLOWING:
                self._lacks(layer, key, value)
        if layer.origin is None:
            arrays = {**{key: each.array for key, each in layer.learnables.items()}, **layer.state}
            entry |= {key: each.read().tolist() for key, each in arrays.items() if each.size}
        return {**entry, "Name": layer.name}

    def _lacks(self, layer: ToldLayer, key: str, value: Any) -> None:
        what = f"{key} of {layer.row.constructor} {_why(value)}"
        if key in layer.row.arguments:
            raise Unreadable(layer, what)
        self.findings.problem(layer.told.get(key, layer.place), what)


def head_of_classes(network: ToldNetwork) -> str:
    """Return the name of the layer whose number of outputs training requires to be that of the classes."""
    try:
        found = head(network)
    except BridgeError:
        return ""
    return found.layer.name if found.softmax is not None else ""


def _is_data(value: Any) -> bool:
    """Whether a number comes from data that are made elsewhere."""
    return isinstance(value, OfData) or (isinstance(value, Unknown) and not value.why)


def _why(value: Any) -> str:
    """Return why a property cannot be written."""
    missing = unknown_in(value)
    if missing is not None:
        return f"is not known: {missing.text}{f' ({missing.why})' if missing.why else ''}"
    if find(value, lambda each: isinstance(each, Boxes)) is not None:
        return f"is not known: the data tell {value.count} of them, by {value.text}"
    return "is not known, only the data tell" if isinstance(value, OfData) else "is neither number nor text"


def _factors(network: ToldNetwork, findings: Findings) -> list[Placed]:
    """Return the edits of the factors of layers that stayed: whole layers frozen, then single factors."""
    stayed = [layer for layer in network.told if is_old(layer)]
    groups: dict[Place, list[ToldLayer]] = {}
    for layer in stayed:
        if layer.frozen or layer.is_frozen:
            place = layer.frozen or next(layer.told[rate] for rate in layer.rates.values() if rate in layer.told)
            groups.setdefault(place, []).append(layer)
    edits: list[Placed] = []
    covered: set[str] = set()
    for place, layers in groups.items():
        old_helper = any(is_normalization(each) and not _touched(each) for each in layers)
        chosen = [
            each for each in layers if each.is_frozen or not each.learnables or (old_helper and not _touched(each))
        ]
        if any(each.is_frozen for each in chosen):
            options = {"batch_norm": False} if old_helper else {}
            edits.append(Placed(Edit("freeze", tuple(each.name for each in chosen), options), place))
            covered |= {each.name for each in chosen}
    for layer in stayed:
        edits += _single_factors(layer, covered, findings)
    return edits


def _touched(layer: ToldLayer) -> bool:
    return any(rate in layer.told for rate in layer.rates.values())


def _single_factors(layer: ToldLayer, covered: set[str], findings: Findings) -> Iterator[Placed]:
    """Yield the edits of factors that differ from those of the network it starts from."""
    known = {name for key in layer.learnables for name in factor_names(layer.row, key)}
    for name in layer.told.keys() - known:
        what = f"{name} of layer '{layer.name}' is set, which a recipe has no word for"
        findings.problem(layer.told[name], what)
    for key, each in layer.learnables.items():
        own = layer.own.learnables[key] if layer.own is not None else each
        rate, decay = factor_names(layer.row, key)
        factors = (
            (rate, "set_learn_rate_factor", each.learn_rate_factor, own.learn_rate_factor),
            (decay, "set_l2_factor", each.l2_factor, own.l2_factor),
        )
        for name, verb, value, before in factors:
            spared = each.frozen and (layer.name in covered or name == decay)
            if name in layer.open:
                findings.problem(layer.told[name], f"{name} of layer '{layer.name}' is not known")
            elif name in layer.told and simplest(value) != simplest(before) and not spared:
                yield Placed(
                    Edit(verb, f"{layer.name}/{key}", {"factor": whole(value) if isinstance(value, float) else value}),
                    layer.told[name],
                )
