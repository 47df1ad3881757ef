"""Functions of the language itself: counting, comparing, arrays, structs, calls of handles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bridge.scripts.language.calls import Call, reads, words
from bridge.scripts.language.indexing import are_texts, elements, invoke, items_of, laid_as, length, shape
from bridge.scripts.language.operators import broadcast, concatenated, truth, whole
from bridge.scripts.language.statements import Leave, Way
from bridge.scripts.language.values import (
    Cell,
    Char,
    Column,
    ColumnCell,
    Handle,
    Many,
    Object,
    Objects,
    Struct,
    Unknown,
    unknown_in,
)

NUMBERS: dict[str, Callable[[float], float]] = {
    "floor": math.floor, "ceil": math.ceil, "round": lambda x: math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1),
    "fix": math.trunc, "abs": abs,
    "sqrt": math.sqrt, "exp": math.exp, "log10": math.log10, "log": math.log, "double": float, "single": float
}  # fmt: skip
CONSTANTS = {"pi": math.pi, "inf": math.inf, "Inf": math.inf, "eps": 2.0**-52}
FILLED: dict[str, Any] = {"zeros": 0, "ones": 1, "true": True, "false": False, "cell": ()}
MOST_FILLED = 10_000


@reads(*CONSTANTS)
def _constant(call: Call) -> Any:
    return call.unknown() if call.values else CONSTANTS[call.function]


@reads(*words("told_by_running"))
def _told_by_running(call: Call) -> Any:
    return Unknown(call.text, call.place) if call.outputs else None


@reads("numel", "length", takes=(object,))
def _count(call: Call, value: Any) -> Any:
    found = length(value)
    return call.unknown() if found is None else found


@reads("size", "height", "width", takes=(object,))
def _size(call: Call, value: Any) -> Any:
    dimension = {"height": 1, "width": 2}.get(call.function, call.values[1] if len(call.values) > 1 else None)
    found = shape(value)
    if found is None:
        return call.unknown()
    if dimension is None:
        return Many(found) if call.outputs > 1 else found
    return found[dimension - 1] if dimension in (1, 2) else call.unknown()


@reads("isempty", takes=(object,))
def _isempty(call: Call, value: Any) -> Any:
    if isinstance(value, Object):
        return False
    found = length(value) if not unknown_in(value) else None
    return call.unknown() if found is None else found == 0


@reads(*NUMBERS, takes=(object,))
def _number(call: Call, value: Any) -> Any:
    function = NUMBERS[call.function]
    return (
        broadcast(lambda x, _: whole(function(x)), value, 0)
        if not unknown_in(value) and len(call.values) == 1
        else call.unknown()
    )


@reads("max", "min")
def _extreme(call: Call) -> Any:
    items = [item for each in call.values for item in items_of(each)]
    if not items or not all(isinstance(each, (int, float)) for each in items) or len(call.values) > 2:
        return call.unknown()
    if len(call.values) == 2 and any(isinstance(each, tuple) for each in call.values):
        return call.unknown()
    best = max(items) if call.function == "max" else min(items)
    return Many((best, items.index(best) + 1)) if call.outputs > 1 else best


@reads("mod", "rem", takes=((int, float), (int, float)))
def _mod(call: Call, a: float, b: float) -> Any:
    return whole(math.fmod(a, b) if call.function == "rem" else a % b if b else a)


@reads("ismember", takes=((str, int, float, tuple), (str, int, float, tuple)))
def _ismember(call: Call, a: Any, b: Any) -> Any:
    letters = isinstance(a, Char) and isinstance(b, Char)  # compared letter by letter
    if letters or unknown_in(call.values):
        return call.unknown()
    known = set(items_of(b))
    return laid_as((each in known for each in items_of(a)), a)


@reads("any", "all", takes=(object,))
def _any(call: Call, value: Any) -> Any:
    found = [truth(each) for each in items_of(value)]
    return call.unknown() if None in found else (any if call.function == "any" else all)(found)


@reads("sum", takes=(tuple,))
def _sum(call: Call, value: tuple[Any, ...]) -> Any:
    return (
        sum(value)
        if len(call.values) == 1 and all(isinstance(each, (int, float)) for each in value)
        else call.unknown()
    )


@reads("sort", takes=(tuple,))
def _sort(call: Call, value: tuple[Any, ...]) -> Any:
    """A vector of numbers, or a list of texts, in order, and where its elements stood."""
    words = [each.lower() for each in call.values[1:] if isinstance(each, str)]
    numbers = all(isinstance(each, (int, float)) for each in value)
    if (
        not (numbers or are_texts(value))
        or len(words) < len(call.values) - 1
        or not set(words) <= {"ascend", "descend"}
    ):
        return call.unknown()
    order = sorted(range(len(value)), key=lambda at: value[at], reverse="descend" in words)
    return Many((type(value)(value[at] for at in order), laid_as((at + 1 for at in order), value)))


@reads("find", takes=(object,))
def _find(call: Call, value: Any) -> Any:
    found = [truth(each) for each in items_of(value)]
    if None in found:
        return call.unknown()
    places = [index for index, each in enumerate(found, 1) if each]
    wanted = call.values[1] if len(call.values) > 1 else len(places)
    if not isinstance(wanted, int):
        return call.unknown()
    places = places[max(len(places) - wanted, 0) :] if "last" in call.values[2:] else places[:wanted]
    return places[0] if len(places) == 1 else laid_as(places, value if isinstance(value, tuple) else ())


@reads("setdiff", "unique", "intersect", "union", takes=(object,))
def _sets(call: Call, value: Any) -> Any:
    sets = [items_of(each) for each in call.values]
    if unknown_in(call.values) or not all(isinstance(item, (str, int, float)) for each in sets for item in each):
        return call.unknown()
    first, other = set(sets[0]), set(sets[1]) if len(sets) > 1 else set()
    made = sorted(
        {"setdiff": first - other, "unique": first, "intersect": first & other, "union": first | other}[call.function]
    )
    return Cell(made) if isinstance(value, Cell) else tuple(made)


@reads("logical", "cell2mat", "categorical", "cellstr", takes=(object,))
def _as_is(call: Call, value: Any) -> Any:
    return Cell((value,)) if call.function == "cellstr" and isinstance(value, str) else value


@reads("class", takes=(object,))
def _class(call: Call, value: Any) -> Any:
    name = value.matlab if isinstance(value, (Object, Objects)) else ""
    return Char(name) if name else call.unknown()


@reads("isa", takes=(object, str))
def _isa(call: Call, value: Any, wanted: str) -> Any:
    kind = _class(call, value)
    if isinstance(kind, Unknown):
        return kind
    own = wanted.rpartition(".")[2].lower() == kind.rpartition(".")[2].lower()
    return own or (isinstance(value, Objects) and wanted == value.BASE)


@reads("properties", "fieldnames", takes=(object,))
def _properties(call: Call, value: Any) -> Any:
    single = value[0] if isinstance(value, Objects) and len(value) == 1 else value
    names = list(value) if isinstance(value, Struct) else single.names() if isinstance(single, Object) else None
    return call.unknown() if names is None else ColumnCell(Char(each) for each in names)


@reads("isprop", "isfield", takes=(object, (str, tuple)))
def _has_property(call: Call, value: Any, wanted: Any) -> Any:
    names = _properties(call, value)
    return names if isinstance(names, Unknown) else laid_as((each in names for each in items_of(wanted)), wanted)


@reads("string.empty", "cell.empty", "double.empty")
def _empty(call: Call) -> Any:
    return ()


@reads("struct")
def _struct(call: Call) -> Any:
    names, values = call.values[::2], call.values[1::2]
    if not are_texts(names) or any(isinstance(each, Cell) and len(each) > 1 for each in values):
        return call.unknown("a struct of several elements is not followed")
    if any(isinstance(each, Cell) and not each for each in values):
        return ()
    return Struct(
        {name: value[0] if isinstance(value, Cell) else value for name, value in zip(names, values, strict=True)}
    )


@reads(*FILLED)
def _filled(call: Call) -> Any:
    """Rows and columns of one value; a matrix is not followed."""
    held = FILLED[call.function]
    sizes = call.values * 2 if len(call.values) == 1 else call.values or (1, 1)
    if len(sizes) != 2 or not all(isinstance(each, int) for each in sizes):
        return call.unknown()
    count = max(sizes[0], 0) * max(sizes[1], 0)
    if count > MOST_FILLED or (count > 1 and 1 not in sizes):
        return call.unknown()
    upright = sizes[1] == 1 and count != 1
    if call.function == "cell":
        return (ColumnCell if upright else Cell)([held] * count)
    return held if count == 1 else (Column if upright else tuple)([held] * count)


@reads("vertcat", "horzcat")
def _concatenated(call: Call) -> Any:
    values = list(call.values)
    nothing = call.unknown(f"what {call.function} makes is not followed")
    return concatenated([[each] for each in values] if call.function == "vertcat" else [values], nothing)


@reads("arrayfun", "cellfun", takes=(Handle, object))
def _map(call: Call, handle: Handle, over: Any) -> Any:
    items = elements(over)
    names = [each for each in call.values[2:] if isinstance(each, str)]
    if items is None or (names and "UniformOutput" not in names):
        return call.unknown()
    given = [each[0] if isinstance(each, Cell) and call.function == "cellfun" else each for each in items]
    found = [invoke(call.reader, handle, [(each, call.node)], call.node) for each in given]
    upright = isinstance(over, (Objects, Column, ColumnCell))
    if call.option(2, "UniformOutput", True) in (False, 0):
        return (ColumnCell if upright else Cell)(found)
    return (Column if upright else tuple)(found)


@reads("feval", takes=((str, Handle),))
def _feval(call: Call, handle: Any) -> Any:
    handle = Handle(handle, call.place, name=handle) if isinstance(handle, str) else handle
    return invoke(call.reader, handle, [(value, call.node) for value in call.values[1:]], call.node, call.outputs)


@reads("error", "rethrow")
def _error(call: Call) -> Any:
    raise Leave(Way.ERROR)
