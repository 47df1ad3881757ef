"""Functions of the language itself: counting, comparing, text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from bridge.scripts.language.evaluate import Call
from bridge.scripts.language.indexing import elements, invoke, length, shape
from bridge.scripts.language.operators import broadcast, character, concatenated, truth, whole
from bridge.scripts.language.statements import Leave
from bridge.scripts.language.values import (
    Cell,
    Char,
    Column,
    ColumnCell,
    Graph,
    Handle,
    Layers,
    Many,
    Options,
    Store,
    Struct,
    Symbol,
    Unknown,
    unknown_in,
)
from bridge.scripts.reading.known import named_value, reads, words

TEXTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
NUMBERS: dict[str, Callable[[float], float]] = {
    "floor": math.floor, "ceil": math.ceil, "round": lambda x: math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1),
    "fix": math.trunc, "abs": abs,
    "sqrt": math.sqrt, "exp": math.exp, "log10": math.log10, "log": math.log, "double": float, "single": float,
}  # fmt: skip
OF_COUNTS = ("floor", "ceil", "round", "fix", "abs", "double", "single")  # these leave whole numbers as they are
CONSTANTS = {"pi": math.pi, "inf": math.inf, "Inf": math.inf, "eps": 2.0**-52}
FILLED: dict[str, Any] = {"zeros": 0, "ones": 1, "true": True, "false": False, "cell": ()}
COUNTS = {"classes": "class count", "files": "observations", "labels": "observations", "label counts": "class count"}
CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "strtrim": str.strip}
LONGEST_TEXT = 1000
MOST_FILLED = 10_000
PATTERN_LENGTH = 200
LARGEST_PRINTED = 1e15  # num2str writes larger numbers with an exponent


@reads(*CONSTANTS)
def _constant(call: Call) -> Any:
    return call.unknown() if call.values else CONSTANTS[call.function]


@reads(*words("told_by_running"))
def _told_by_running(call: Call) -> Any:
    return Unknown(call.text, call.place) if call.outputs else None


@reads("numel", "length", takes=(object,))
def _count(call: Call, value: Any) -> Any:
    if isinstance(value, Symbol) and value.kind in COUNTS:
        return Symbol(COUNTS[value.kind], data=value.data)
    found = length(value)
    return call.unknown() if found is None else found


@reads("size", "height", "width", takes=(object,))
def _size(call: Call, value: Any) -> Any:
    dimension = {"height": 1, "width": 2}.get(call.function, call.values[1] if len(call.values) > 1 else None)
    if isinstance(value, Symbol) and dimension == 1:
        return _count(call, value)
    found = shape(value)
    if found is None:
        return call.unknown()
    if dimension is None:
        return Many(found) if call.outputs > 1 else found
    return found[dimension - 1] if dimension in (1, 2) else call.unknown()


@reads("isempty", takes=(object,))
def _isempty(call: Call, value: Any) -> Any:
    if isinstance(value, (Store, Options)):
        return False
    found = length(value) if not unknown_in(value) else None
    return call.unknown() if found is None else found == 0


@reads(*NUMBERS, takes=(object,))
def _number(call: Call, value: Any) -> Any:
    if isinstance(value, Symbol):
        exact = value.kind in ("observations", "class count") or (
            value.kind == "iterations" and call.function in ("floor", "fix")
        )
        return value if exact and call.function in OF_COUNTS else call.unknown()
    function = NUMBERS[call.function]
    return (
        broadcast(lambda x, _: whole(function(x)), value, 0)
        if not unknown_in(value) and len(call.values) == 1
        else call.unknown()
    )


@reads("max", "min")
def _extreme(call: Call) -> Any:
    symbols = [each for each in call.values if isinstance(each, Symbol) and each.kind == "iterations"]
    if call.function == "max" and len(symbols) == 1 and 1 in call.values:
        return symbols[0]
    items = [item for each in call.values for item in _items(each)]
    if not items or not all(isinstance(each, (int, float)) for each in items) or len(call.values) > 2:
        return call.unknown()
    if len(call.values) == 2 and any(isinstance(each, tuple) for each in call.values):
        return call.unknown()
    best = max(items) if call.function == "max" else min(items)
    return Many((best, items.index(best) + 1)) if call.outputs > 1 else best


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@reads("mod", "rem", takes=((int, float), (int, float)))
def _mod(call: Call, a: float, b: float) -> Any:
    return whole(math.fmod(a, b) if call.function == "rem" else a % b if b else a)


@reads(*TEXTS, takes=(object, object))
def _tests_texts(call: Call, a: Any, b: Any) -> Any:
    """Each text against any of the others."""
    texts, others = _items(a), _items(b)
    if len(call.values) > 2 or not _are_texts(texts, others):
        return call.unknown()
    test = TEXTS[call.function]
    return _shaped((any(test(each, other) for other in others) for each in texts), a)


@reads("strcmp", "strcmpi", "strncmp", "strncmpi", takes=(object, object))
def _are_same_texts(call: Call, a: Any, b: Any) -> Any:
    """Texts pair by pair, or one with each; of strncmp the first letters, which both must have."""
    left, right = _items(a), _items(b)
    if not _are_texts(left, right):
        return call.unknown()
    most = call.values[2] if call.function.startswith("strn") else None
    changed = str.lower if call.function.endswith("i") else str

    def same(x: str, y: str) -> bool:
        return changed(x[:most]) == changed(y[:most]) and min(len(x), len(y)) >= (most or 0)

    count = max(len(left), len(right)) if left and right else 0
    pairs = zip(*(each * count if len(each) == 1 else each for each in (left, right)), strict=True)
    return _shaped((same(x, y) for x, y in pairs), b if len(right) > len(left) or not isinstance(a, tuple) else a)


def _are_texts(*lists: tuple[Any, ...]) -> bool:
    return all(isinstance(each, str) for items in lists for each in items)


def _shaped(found: Iterable[Any], like: Any) -> Any:
    """Return results as the values lay that they are of."""
    upright = isinstance(like, (Column, ColumnCell))
    return next(iter(found)) if not isinstance(like, tuple) else Column(found) if upright else tuple(found)


@reads("ismember", takes=((str, int, float, tuple), (str, int, float, tuple)))
def _ismember(call: Call, a: Any, b: Any) -> Any:
    letters = isinstance(a, Char) and isinstance(b, Char)  # compared letter by letter
    if letters or unknown_in(call.values):
        return call.unknown()
    known = set(_items(b))
    return _shaped((each in known for each in _items(a)), a)


@reads("any", "all", takes=(object,))
def _any(call: Call, value: Any) -> Any:
    found = [truth(each) for each in _items(value)]
    return call.unknown() if None in found else (any if call.function == "any" else all)(found)


@reads("sum", takes=(tuple,))
def _sum(call: Call, value: tuple[Any, ...]) -> Any:
    return (
        sum(value)
        if len(call.values) == 1 and all(isinstance(each, (int, float)) for each in value)
        else call.unknown()
    )


@reads("find", takes=(object,))
def _find(call: Call, value: Any) -> Any:
    found = [truth(each) for each in _items(value)]
    if None in found:
        return call.unknown()
    places = [index for index, each in enumerate(found, 1) if each]
    wanted = call.values[1] if len(call.values) > 1 else len(places)
    if not isinstance(wanted, int):
        return call.unknown()
    places = places[max(len(places) - wanted, 0) :] if "last" in call.values[2:] else places[:wanted]
    return places[0] if len(places) == 1 else _shaped(places, value if isinstance(value, tuple) else ())


@reads("setdiff", "unique", "intersect", "union", takes=(object,))
def _sets(call: Call, value: Any) -> Any:
    if call.function == "unique" and isinstance(value, (Symbol, Unknown)):
        return _categories(call, value)
    sets = [_items(each) for each in call.values]
    if unknown_in(call.values) or not all(isinstance(item, (str, int, float)) for each in sets for item in each):
        return call.unknown()
    first, other = set(sets[0]), set(sets[1]) if len(sets) > 1 else set()
    made = sorted(
        {"setdiff": first - other, "unique": first, "intersect": first & other, "union": first | other}[call.function]
    )
    return Cell(made) if isinstance(value, Cell) else tuple(made)


@reads("categories", takes=(object,))
def _categories(call: Call, value: Any) -> Any:
    """The class names of the data, whose number trainNetwork and trainnet require the network to have."""
    if isinstance(value, Symbol) and value.kind == "labels":
        return Symbol("classes", data=value.data)
    return Symbol("classes", data=value) if isinstance(value, Unknown) and not value.why else call.unknown()


@reads("logical", "cell2mat", "categorical", "cellstr", takes=(object,))
def _as_is(call: Call, value: Any) -> Any:
    return Cell((value,)) if call.function == "cellstr" and isinstance(value, str) else value


@reads("string", takes=((str, int, tuple),))
def _string(call: Call, value: Any) -> Any:
    return (
        _shaped(map(str, _items(value)), value) if type(value) is int or _are_texts(_items(value)) else call.unknown()
    )


@reads("char", takes=((str, int, tuple),))
def _char(call: Call, value: Any) -> Any:
    letters = [each if isinstance(each, str) else character(each) for each in _items(value)]
    known = len(call.values) == 1 and None not in letters and (len(letters) == 1 or type(value) is tuple)
    return Char("".join(map(str, letters))) if known else call.unknown()


@reads(*CASES, takes=(str,))
def _case(call: Call, value: str) -> Any:
    return type(value)(CASES[call.function](value))


@reads("strrep", "replace", takes=(str, str, str))
def _replaced(call: Call, value: str, old: str, new: str) -> Any:
    return (
        type(value)(value.replace(old, new)) if max(len(value), len(old), len(new)) < LONGEST_TEXT else call.unknown()
    )


@reads("strcat", "append")
def _joined(call: Call) -> Any:
    if not _are_texts(call.values):
        return call.unknown()
    parts = [each.rstrip() if call.function == "strcat" and isinstance(each, Char) else each for each in call.values]
    return (Char if all(isinstance(each, Char) for each in call.values) else str)("".join(parts))


@reads("num2str", "int2str", takes=((int, float),))
def _digits(call: Call, value: float) -> Any:
    """A number as text: whole numbers with all digits, others with four behind the point."""
    number = whole(value) if len(call.values) == 1 else math.nan
    if isinstance(number, bool) or not abs(number) < LARGEST_PRINTED:
        return call.unknown()
    if isinstance(number, int):
        return Char(number)
    return (
        Char(f"{number:.{min(max(math.floor(math.log10(abs(number))), 0) + 5, 16)}g}")
        if call.function == "num2str"
        else call.unknown()
    )


@reads("sprintf", takes=(str,))
def _formatted(call: Call, form: str) -> Any:
    values = call.values[1:]
    if not re.fullmatch(r"(?:[^%\\]|%[-0-9.]{0,6}[dgfsi])*", form):
        return call.unknown()
    takes = [{"s": str, "d": int, "i": int}.get(kind, (int, float)) for kind in re.findall(r"%[-0-9.]*([dgfsi])", form)]
    fits = len(takes) == len(values) and all(isinstance(each, kind) for each, kind in zip(values, takes, strict=True))
    if not fits or any(isinstance(each, float) and not math.isfinite(each) for each in values):
        return call.unknown()
    return type(form)(form.replace("%i", "%d") % values)


@reads("regexp", "regexpi", takes=(str, str))
def _regexp(call: Call, text: str, pattern: str) -> Any:
    """The position of the first match of a pattern of letters and anchors; other patterns are not followed."""
    plain = (
        re.fullmatch(r"\^?[\w.*()|-]*\$?", pattern)
        and pattern.count("*") <= 1
        and pattern.count("(") == pattern.count(")")
    )
    if not plain or any(each != "once" for each in call.values[2:]):
        return call.unknown()
    found = re.search(pattern, text[:PATTERN_LENGTH], re.IGNORECASE if call.function == "regexpi" else 0)
    return () if found is None else found.start() + 1


@reads("class", takes=(object,))
def _class(call: Call, value: Any) -> Any:
    return (
        Char(value.kind)
        if isinstance(value, Graph)
        else Char(value[0].matlab)
        if isinstance(value, Layers) and len(value) == 1
        else call.unknown()
    )


@reads("isa", takes=(object, str))
def _isa(call: Call, value: Any, wanted: str) -> Any:
    kind = _class(call, value)
    if isinstance(kind, Unknown):
        return kind
    return wanted.rpartition(".")[2].lower() == kind.rpartition(".")[2].lower() or (
        isinstance(value, Layers) and wanted == "nnet.cnn.layer.Layer"
    )


@reads("properties", "fieldnames", takes=(object,))
def _properties(call: Call, value: Any) -> Any:
    item = value[0] if isinstance(value, Layers) and len(value) == 1 else None
    names = (
        item.properties
        if item is not None and item.row is not None
        else list(value)
        if isinstance(value, Struct)
        else None
    )
    return call.unknown() if names is None else ColumnCell(Char(each) for each in names)


@reads("isprop", "isfield", takes=(object, (str, tuple)))
def _has_property(call: Call, value: Any, wanted: Any) -> Any:
    names = _properties(call, value)
    return names if isinstance(names, Unknown) else _shaped((each in names for each in _items(wanted)), wanted)


@reads("string.empty", "cell.empty", "double.empty")
def _empty(call: Call) -> Any:
    return ()


@reads("struct")
def _struct(call: Call) -> Any:
    names, values = call.values[::2], call.values[1::2]
    if not _are_texts(names) or any(isinstance(each, Cell) and len(each) > 1 for each in values):
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


@reads("fullfile")
def _fullfile(call: Call) -> Any:
    return Char("/".join(each.rstrip("/\\") for each in call.values)) if _are_texts(call.values) else call.unknown()


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
    upright = isinstance(over, (Layers, Column, ColumnCell))
    if named_value(call, 2, "UniformOutput", True) in (False, 0):
        return (ColumnCell if upright else Cell)(found)
    return (Column if upright else tuple)(found)


@reads("feval", takes=((str, Handle),))
def _feval(call: Call, handle: Any) -> Any:
    handle = Handle(handle, call.place, name=handle) if isinstance(handle, str) else handle
    return invoke(call.reader, handle, [(value, call.node) for value in call.values[1:]], call.node, call.outputs)


@reads("error", "rethrow")
def _error(call: Call) -> Any:
    raise Leave("error")
