"""Factors that a script changed: layers frozen, and single factors set."""

from __future__ import annotations

from bridge.network import factor_names
from bridge.recipes.script.findings import Findings
from bridge.recipes.script.values import Graph, Item, Place, Symbol, unknown_in
from bridge.recipes.script.writing import Placed, equal
from bridge.recipes.verbs import Edit


def factors_of(graph: Graph, findings: Findings) -> list[Placed]:
    """Return the edits of the factors of layers that stayed: whole layers frozen, then single factors."""
    groups: dict[Place, list[Item]] = {}
    for item in graph.layers:
        if item.base is not None and (item.frozen or item.is_frozen):
            place = item.frozen or next(item.changes[rate][1] for rate in item.learn_rates.values() if rate in item.changes)
            groups.setdefault(place, []).append(item)
    edits: list[Placed] = []
    covered: dict[str, bool] = {}
    for place, items in groups.items():
        old_helper = any("Scale" in item.learn_rates and not _touched(item) for item in items)
        chosen = [item for item in items if item.is_frozen or not item.learn_rates or (old_helper and not _touched(item))]
        if any(item.is_frozen for item in chosen):
            edits.append(Placed(Edit("freeze", tuple(item.name for item in chosen), {"batch_norm": False} if old_helper else {}), place))
            covered |= {item.name: old_helper for item in chosen}
    for item in graph.layers:
        edits += _single_factors(item, covered, findings) if item.base is not None else []
    return edits


def _touched(item: Item) -> bool:
    return any(rate in item.changes for rate in item.learn_rates.values())


def _single_factors(item: Item, covered: dict[str, bool], findings: Findings) -> list[Placed]:
    found = []
    known = {name for learnable in item.learn_rates if item.row is not None for name in factor_names(item.row, learnable)}
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
