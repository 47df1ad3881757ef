"""Functions of the language itself: counting, comparing, text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.recipes.script.evaluate import Call
from bridge.recipes.script.operators import broadcast, character, truth, whole
from bridge.recipes.script.places import elements, invoke, length, shape
from bridge.recipes.script.registry import named_value, reads
from bridge.recipes.script.statements import Leave
from bridge.recipes.script.values import Cell, Char, Column, ColumnCell, Graph, Handle, Layers, Many, Store, Struct, Symbol, Unknown, unknown_in

TEXTS: dict[str, Callable[[str, str], bool]] = {
    "strcmp": lambda a, b: a == b, "strcmpi": lambda a, b: a.lower() == b.lower(), "contains": lambda a, b: b in a,
    "startsWith": lambda a, b: a.startswith(b), "endsWith": lambda a, b: a.endswith(b),
}  # fmt: skip
NUMBERS: dict[str, Callable[[float], float]] = {
    "floor": math.floor, "ceil": math.ceil, "round": lambda x: math.floor(abs(x) + 0.5) * (1 if x >= 0 else -1), "fix": math.trunc, "abs": abs,
    "sqrt": math.sqrt, "exp": math.exp, "log10": math.log10, "log": math.log, "double": float, "single": float, "int32": round, "uint8": round,
}  # fmt: skip
CONSTANTS = {"true": True, "false": False, "pi": math.pi, "inf": math.inf, "Inf": math.inf, "eps": 2.0**-52}
LONGEST_TEXT = 1000
PATTERN_LENGTH = 200
LARGEST_PRINTED = 1e15  # num2str writes larger numbers with an exponent


def _constant(value: Any, call: Call) -> Any:
    return value


for _name, _value in CONSTANTS.items():
    reads(_name)(partial(_constant, _value))


@reads("numel", "length")
def _count(call: Call) -> Any:
    value = call.values[0] if call.values else None
    counted = _symbol_count(value)
    if counted is not None:
        return counted
    found = length(value)
    return call.unknown() if found is None else found


def _symbol_count(value: Any) -> Any:
    """Return how many labels, files or classes data has."""
    if isinstance(value, Store):
        return Symbol("observations", data=value)
    if isinstance(value, Symbol):
        kinds = {"classes": "class count", "files": "observations", "labels": "observations", "label counts": "class count"}
        return Symbol(kinds[value.kind], data=value.data) if value.kind in kinds else None
    return None


@reads("size", "height", "width", least=1)
def _size(call: Call) -> Any:
    asked = {"height": 1, "width": 2}.get(call.function, call.values[1] if len(call.values) > 1 else None)
    value, dimension = call.values[0], asked
    counted = _symbol_count(value)
    if counted is not None:
        return counted if dimension == 1 else 1 if dimension == 2 else call.unknown()
    found = shape(value)
    if found is None:
        return call.unknown()
    if dimension is None:
        return Many(found) if call.outputs > 1 else found
    return found[dimension - 1] if dimension in (1, 2) else call.unknown()


@reads("isempty", least=1)
def _isempty(call: Call) -> Any:
    found = length(call.values[0]) if not unknown_in(call.values[0]) else None
    return call.unknown() if found is None else found == 0


@reads(*NUMBERS)
def _number(call: Call) -> Any:
    value = call.values[0] if call.values else None
    if isinstance(value, Symbol):
        exact = value.kind in ("observations", "class count") or (value.kind == "iterations" and call.function in ("floor", "fix"))
        return value if exact and call.function not in ("sqrt", "exp", "log", "log10") else call.unknown()
    function: Callable[[float], float] = NUMBERS[call.function]
    try:
        return broadcast(lambda x, _: whole(function(x)), value, 0) if not unknown_in(value) else call.unknown()
    except (TypeError, ValueError, ArithmeticError):
        return call.unknown()


@reads("max", "min")
def _extreme(call: Call) -> Any:
    symbols = [each for each in call.values if isinstance(each, Symbol) and each.kind == "iterations"]
    if call.function == "max" and len(symbols) == 1 and 1 in call.values:
        return symbols[0]
    items = [item for each in call.values for item in (each if isinstance(each, tuple) else (each,))]
    if not items or not all(isinstance(each, (int, float)) for each in items) or len(call.values) > 2:
        return call.unknown()
    best = max(items) if call.function == "max" else min(items)
    return Many((best, items.index(best) + 1)) if call.outputs > 1 else best


@reads("mod", "rem")
def _mod(call: Call) -> Any:
    a, b = (*call.values, None, None)[:2]
    return whole(a % b) if isinstance(a, (int, float)) and isinstance(b, (int, float)) and b else call.unknown()


@reads(*TEXTS)
def _compare(call: Call) -> Any:
    a, b = (each[0] if isinstance(each, tuple) and len(each) == 1 else each for each in (*call.values, None, None)[:2])
    test: Callable[[str, str], bool] = TEXTS[call.function]
    lists = isinstance(a, tuple)
    wanted: tuple[Any, ...] = b if isinstance(b, tuple) else (b,)
    if call.function.startswith("strcmp") and isinstance(b, tuple):
        if lists:
            known = len(a) == len(b) and all(isinstance(each, str) for each in (*a, *b))
            return tuple(test(x, y) for x, y in zip(a, b, strict=True)) if known else call.unknown()
        a, wanted, lists = b, (a,), True
    if not all(isinstance(each, str) for each in (*(a if lists else (a,)), *wanted)):
        return call.unknown()
    found = tuple(any(test(each, other) for other in wanted) for each in (a if lists else (a,)))
    return found if lists else found[0]


@reads("ismember")
def _ismember(call: Call) -> Any:
    a, b = (*call.values, None, None)[:2]
    letters = isinstance(a, Char) and isinstance(b, Char)  # compared letter by letter
    if letters or unknown_in(call.values) or not isinstance(a, (str, int, float, tuple)) or not isinstance(b, (str, int, float, tuple)):
        return call.unknown()
    known = set(b) if isinstance(b, tuple) else {b}
    return tuple(each in known for each in a) if isinstance(a, tuple) else a in known


@reads("any", "all", least=1)
def _any(call: Call) -> Any:
    value = call.values[0]
    found = [truth(each) for each in (value if isinstance(value, tuple) else (value,))]
    return call.unknown() if None in found else (any if call.function == "any" else all)(found)


@reads("sum")
def _sum(call: Call) -> Any:
    value = call.values[0] if len(call.values) == 1 else None
    return sum(value) if isinstance(value, tuple) and all(isinstance(each, (int, float)) for each in value) else call.unknown()


@reads("find", least=1)
def _find(call: Call) -> Any:
    value = call.values[0]
    found = [truth(each) for each in (value if isinstance(value, tuple) else (value,))]
    if None in found:
        return call.unknown()
    places = [index for index, each in enumerate(found, 1) if each]
    wanted = call.values[1] if len(call.values) > 1 else None
    places = places[-wanted:] if "last" in call.values[2:] and isinstance(wanted, int) else places[:wanted] if isinstance(wanted, int) else places
    return places[0] if len(places) == 1 else Column(places) if isinstance(value, Column) else tuple(places)


@reads("setdiff", "unique", "intersect", "union", least=1)
def _sets(call: Call) -> Any:
    if call.function == "unique" and call.values and isinstance(call.values[0], (Symbol, Unknown)):
        return _categories(call)
    sets = [each if isinstance(each, tuple) else (each,) for each in call.values]
    if unknown_in(call.values) or not all(isinstance(item, (str, int, float)) for each in sets for item in each):
        return call.unknown()
    other = set(sets[1]) if len(sets) > 1 else set()
    chosen = {"setdiff": set(sets[0]) - other, "unique": set(sets[0]), "intersect": set(sets[0]) & other, "union": set(sets[0]) | other}
    made = sorted(chosen[call.function])
    return Cell(made) if isinstance(call.values[0], Cell) else tuple(made)


@reads("categories")
def _categories(call: Call) -> Any:
    """The class names of the data, whose number trainNetwork and trainnet require the network to have."""
    value = call.values[0] if call.values else None
    if isinstance(value, Symbol) and value.kind == "labels":
        return Symbol("classes", data=value.data)
    return Symbol("classes", data=value) if isinstance(value, Unknown) and not value.why else call.unknown()


@reads("string", "char", "cellstr", "logical", "cell2mat", "categorical")
def _as_is(call: Call) -> Any:
    value = call.values[0] if call.values else ""
    if call.function == "string" and isinstance(value, str):
        return str(value)
    if call.function == "string" and isinstance(value, (Cell, tuple)) and all(isinstance(each, str) for each in value):
        return (Column if isinstance(value, (Column, ColumnCell)) else tuple)(str(each) for each in value)
    if call.function == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if call.function in ("string", "char"):
        letters = [each if isinstance(each, str) else character(each) for each in (value if isinstance(value, tuple) else (value,))]
        known = call.function == "char" and len(call.values) == 1 and None not in letters and (len(letters) == 1 or type(value) is tuple)
        return Char("".join(map(str, letters))) if known else call.unknown()
    return Cell((value,)) if call.function == "cellstr" and isinstance(value, str) else value


@reads("num2str", "int2str", "sprintf", "strcat", "append", "lower", "upper", "strtrim", "strrep", "replace", least=1)
def _text(call: Call) -> Any:
    values = call.values
    if not all(isinstance(each, (str, int, float)) for each in values):
        return call.unknown()
    if call.function in ("num2str", "int2str"):
        return _digits(call)
    if call.function == "sprintf":
        return _formatted(call)
    if call.function in ("strrep", "replace"):
        short = len(values) == 3 and all(isinstance(each, str) and len(each) < LONGEST_TEXT for each in values)
        return type(values[0])(values[0].replace(values[1], values[2])) if short else call.unknown()
    if call.function in ("strcat", "append"):
        if not all(isinstance(each, str) for each in values):
            return call.unknown()
        parts = [each.rstrip() if call.function == "strcat" and isinstance(each, Char) else each for each in values]
        return (Char if all(isinstance(each, Char) for each in values) else str)("".join(parts))
    changes: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "strtrim": str.strip}
    return type(values[0])(changes[call.function](values[0])) if isinstance(values[0], str) else call.unknown()


def _digits(call: Call) -> Any:
    """A number as text: whole numbers with all digits, others with four behind the point."""
    number = whole(call.values[0]) if len(call.values) == 1 and not isinstance(call.values[0], str) else math.nan
    if isinstance(number, bool) or not abs(number) < LARGEST_PRINTED:
        return call.unknown()
    if isinstance(number, int):
        return Char(number)
    return Char(f"{number:.{min(max(math.floor(math.log10(abs(number))), 0) + 5, 16)}g}") if call.function == "num2str" else call.unknown()


def _formatted(call: Call) -> Any:
    form, *values = call.values
    if not isinstance(form, str) or not re.fullmatch(r"(?:[^%\\]|%[-0-9.]{0,6}[dgfsi])*", form):
        return call.unknown()
    takes = [{"s": str, "d": int, "i": int}.get(kind, (int, float)) for kind in re.findall(r"%[-0-9.]*([dgfsi])", form)]
    fits = len(takes) == len(values) and all(isinstance(each, kind) for each, kind in zip(values, takes, strict=True))
    if not fits or any(isinstance(each, float) and not math.isfinite(each) for each in values):
        return call.unknown()
    try:
        return type(form)(form.replace("%i", "%d") % tuple(values))
    except (TypeError, ValueError):
        return call.unknown()


@reads("regexp", "regexpi")
def _regexp(call: Call) -> Any:
    """The position of the first match of a pattern of letters and anchors; other patterns are not followed."""
    text, pattern, *words = (*call.values, None, None)
    if not isinstance(text, str) or not isinstance(pattern, str) or not re.fullmatch(r"\^?[\w.*()|-]*\$?", pattern) or pattern.count("*") > 1:
        return call.unknown()
    found = re.search(pattern, text[:PATTERN_LENGTH], re.IGNORECASE if call.function == "regexpi" else 0) if pattern.count("(") == pattern.count(")") else None
    kinds = [each for each in words if each not in ("once", None)]
    return call.unknown() if kinds else () if found is None else found.start() + 1


@reads("isa", least=2)
@reads("class", least=1)
def _isa(call: Call) -> Any:
    value = call.values[0]
    kind = value.kind if isinstance(value, Graph) else value[0].matlab if isinstance(value, Layers) and len(value) == 1 else None
    if kind is None:
        return call.unknown()
    if call.function == "class":
        return Char(kind)
    wanted = call.values[1]
    if not isinstance(wanted, str):
        return call.unknown()
    return wanted.rpartition(".")[2].lower() == kind.rpartition(".")[2].lower() or (isinstance(value, Layers) and wanted == "nnet.cnn.layer.Layer")


@reads("isprop", "isfield", least=2)
@reads("properties", "fieldnames", least=1)
def _properties(call: Call) -> Any:
    value = call.values[0]
    item = value[0] if isinstance(value, Layers) and len(value) == 1 else None
    names = item.properties if item is not None and item.row is not None else list(value) if isinstance(value, Struct) else None
    if names is None:
        return call.unknown()
    if call.function in ("properties", "fieldnames"):
        return ColumnCell(Char(each) for each in names)
    wanted = call.values[1]
    return tuple(each in names for each in wanted) if isinstance(wanted, tuple) else wanted in names


@reads("string.empty", "cell.empty", "double.empty")
def _empty(call: Call) -> Any:
    return ()


@reads("struct")
def _struct(call: Call) -> Any:
    pairs = zip(call.values[::2], call.values[1::2], strict=False)
    if not all(isinstance(each, str) for each in call.values[::2]):
        return call.unknown()
    return Struct({key: value[0] if isinstance(value, Cell) and len(value) == 1 else value for key, value in pairs})


@reads("cell", "zeros", "ones")
def _filled(call: Call) -> Any:
    sizes = [each for each in call.values if isinstance(each, int)]
    count = max(1, math.prod(sizes)) if sizes and 0 not in sizes else 0
    if len(sizes) != len(call.values) or count > 10_000 or (len(sizes) == 1 and count > 1) or (len(sizes) > 1 and 1 not in sizes):
        return call.unknown()
    upright = len(sizes) > 1 and sizes[1] == 1
    if call.function == "cell":
        return (ColumnCell if upright else Cell)([()] * count)
    return (Column if upright else tuple)([int(call.function == "ones")] * count)


@reads("fullfile")
def _fullfile(call: Call) -> Any:
    return Char("/".join(str(each).rstrip("/\\") for each in call.values)) if all(isinstance(each, str) for each in call.values) else call.unknown()


@reads("arrayfun", "cellfun", least=2)
def _map(call: Call) -> Any:
    handle, items = call.values[0], elements(call.values[1]) if len(call.values) > 1 else None
    names = [each for each in call.values[2:] if isinstance(each, str)]
    if not isinstance(handle, Handle) or items is None or (names and "UniformOutput" not in names):
        return call.unknown()
    given = [each[0] if isinstance(each, Cell) and call.function == "cellfun" else each for each in items]
    found = [invoke(call.reader, handle, [(each, call.node)], call.node) for each in given]
    upright = isinstance(call.values[1], (Layers, Column, ColumnCell))
    if named_value(call, 2, "UniformOutput", True) in (False, 0):
        return (ColumnCell if upright else Cell)(found)
    return (Column if upright else tuple)(found)


@reads("feval")
def _feval(call: Call) -> Any:
    handle = call.values[0] if call.values else None
    handle = Handle(handle, call.place, name=handle) if isinstance(handle, str) else handle
    given = [(value, call.node) for value in call.values[1:]]
    return invoke(call.reader, handle, given, call.node, call.outputs) if isinstance(handle, Handle) else call.unknown()


@reads("error", "rethrow")
def _error(call: Call) -> Any:
    raise Leave("error")
