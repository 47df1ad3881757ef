"""Layers of a script, and the factors that it changed, as recipes hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.network import factor_names
from bridge.recipes.verbs import COUNTS, FROM_DATA, Edit
from bridge.scripts.language.values import Graph, Handle, Item, Options, Place, Store, Symbol, find, unknown_in
from bridge.scripts.reading.findings import Findings


@dataclass(frozen=True)
class Placed:
    """An edit, and where the script says it."""

    edit: Edit
    place: Place


class Unreadable(Exception):
    """A layer that cannot be written into a recipe: the place, and what is not known there."""

    def __init__(self, item: Item, what: str) -> None:
        super().__init__(what)
        self.place, self.what = item.place, what


def written(item: Item, findings: Findings) -> dict[str, Any]:
    """Return a new layer as recipes hold it.

    Raises:
        Unreadable: it, or a property, is not known.
    """
    if item.row is None or not item.row.constructor:
        raise Unreadable(item, f"{item.constructor} is a layer of the script's own")
    held = dict(item.base.properties) if item.base is not None else {}
    return {"layer": item.constructor, **plain_entry(item, {**held, **item.values}, findings), "Name": item.name}


def plain_entry(item: Item, values: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """Return properties as plain values; what is not known is listed, or raised where a layer needs it."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Symbol) and value.kind == "class count" and key in COUNTS:
            found[key] = FROM_DATA
        elif why := _not_plain(value):
            what = f"{key} of {item.constructor} {why}"
            if item.row is None or key in item.row.arguments:
                raise Unreadable(item, what)
            findings.problem(item.place, what)
        elif not isinstance(value, Symbol) and not (key in ("Classes", "ClassNames") and value == "auto"):
            found[key] = str(value) if isinstance(value, str) else tuple(value) if isinstance(value, tuple) else value
    return found


def _not_plain(value: Any) -> str:
    """Return why a property cannot be written, "" where it can."""
    missing = unknown_in(value)
    if missing is not None:
        return f"is not known: {missing.text}{f' ({missing.why})' if missing.why else ''}"
    if isinstance(value, Symbol) and value.kind != "classes":
        return "is not known, only the data tell"
    odd = find(value, lambda each: isinstance(each, (dict, Handle, Store, Graph, Item, Options)))
    return "is neither number nor text" if odd is not None else ""


def equal(held: Any, given: Any) -> bool:
    """Whether a property is what a script gives: one number may stand for all of several."""

    def flat(value: Any) -> Any:
        return tuple(value) if isinstance(value, (list, tuple)) else value

    held, given = flat(held), flat(given)
    return bool(held == given or (isinstance(held, tuple) and not isinstance(given, tuple) and set(held) == {given}))


def factors_of(graph: Graph, findings: Findings) -> list[Placed]:
    """Return the edits of the factors of layers that stayed: whole layers frozen, then single factors."""
    groups: dict[Place, list[Item]] = {}
    for item in graph.layers:
        if item.base is not None and (item.frozen or item.is_frozen):
            place = item.frozen or next(
                item.changes[rate][1] for rate in item.learn_rates.values() if rate in item.changes
            )
            groups.setdefault(place, []).append(item)
    edits: list[Placed] = []
    covered: dict[str, bool] = {}
    for place, items in groups.items():
        old_helper = any("Scale" in item.learn_rates and not _touched(item) for item in items)
        chosen = [
            item for item in items if item.is_frozen or not item.learn_rates or (old_helper and not _touched(item))
        ]
        if any(item.is_frozen for item in chosen):
            edits.append(
                Placed(
                    Edit("freeze", tuple(item.name for item in chosen), {"batch_norm": False} if old_helper else {}),
                    place,
                )
            )
            covered |= {item.name: old_helper for item in chosen}
    for item in graph.layers:
        edits += _single_factors(item, covered, findings) if item.base is not None else []
    return edits


def _touched(item: Item) -> bool:
    return any(rate in item.changes for rate in item.learn_rates.values())


def _single_factors(item: Item, covered: dict[str, bool], findings: Findings) -> list[Placed]:
    found = []
    known = {
        name for learnable in item.learn_rates if item.row is not None for name in factor_names(item.row, learnable)
    }
    for name, (_, place) in item.changes.items():
        if name not in known:
            findings.problem(place, f"{name} of layer '{item.name}' is set, which a recipe has no word for")
    for learnable in item.learn_rates:
        rate, decay = factor_names(item.row, learnable) if item.row is not None else ("", "")
        frozen = item.get(rate) == 0
        verbs = ((rate, "set_learn_rate_factor", item.name in covered and frozen), (decay, "set_l2_factor", frozen))
        for name, verb, spared in verbs:
            if name not in item.changes or spared:
                continue
            value, place = item.changes[name]
            if isinstance(value, Symbol) or unknown_in(value) is not None:
                findings.problem(place, f"{name} of layer '{item.name}' is not known")
            elif not equal(getattr(item.base, name, None), value):
                found.append(Placed(Edit(verb, f"{item.name}/{learnable}", {"factor": value}), place))
    return found
