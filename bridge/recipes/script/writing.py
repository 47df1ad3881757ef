"""A layer of a script as recipes hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bridge.recipes.script.values import Graph, Handle, Item, Options, Place, Store, Symbol, find, unknown_in
from bridge.recipes.verbs import COUNTS, FROM_DATA, Edit


@dataclass(frozen=True)
class Placed:
    """An edit, and where the script says it."""

    edit: Edit
    place: Place


class Unreadable(Exception):
    """A layer that cannot be written into a recipe: the place, and what is not known there."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place, self.what = place, what


Problems = list[tuple[Place, str]]


def written(item: Item, problems: Problems) -> dict[str, Any]:
    """Return a new layer as recipes hold it.

    Raises:
        Unreadable: it, or a property, is not known.
    """
    if item.row is None or not item.row.constructor:
        raise unreadable(item, f"{item.constructor} is a layer of the script's own")
    held = dict(item.base.properties) if item.base is not None else {}
    return {"layer": item.constructor, **plain_entry(item, {**held, **item.values}, problems), "Name": item.name}


def plain_entry(item: Item, values: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Return properties as plain values; what is not known is added to `problems`, or raised where a layer needs it."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        missing = unknown_in(value)
        odd = find(value, lambda each: isinstance(each, (dict, Handle, Store, Graph, Item, Options)))
        if isinstance(value, Symbol) and value.kind == "class count" and key in COUNTS:
            found[key] = FROM_DATA
        elif missing is not None or odd is not None or (isinstance(value, Symbol) and value.kind != "classes"):
            text = f" is not known: {missing.text}{f' ({missing.why})' if missing.why else ''}" if missing is not None else ""
            what = f"{key} of {item.constructor}{text or (' is neither number nor text' if odd is not None else ' is not known, only the data tell')}"
            if item.row is None or key in item.row.arguments:
                raise unreadable(item, what)
            problems.append((item.place, what))
        elif not isinstance(value, Symbol) and not (key in ("Classes", "ClassNames") and value == "auto"):
            found[key] = str(value) if isinstance(value, str) else tuple(value) if isinstance(value, tuple) else value
    return found


def unreadable(item: Item, what: str) -> Unreadable:
    """Return the exception of a layer."""
    return Unreadable(item.place, what)


def equal(held: Any, given: Any) -> bool:
    """Whether a property is what a script gives: one number may stand for all of several."""
    def flat(value: Any) -> Any:
        return tuple(value) if isinstance(value, (list, tuple)) else value

    held, given = flat(held), flat(given)
    return bool(held == given or (isinstance(held, tuple) and not isinstance(given, tuple) and set(held) == {given}))
