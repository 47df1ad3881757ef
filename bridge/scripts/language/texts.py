"""Functions of text: comparing, joining, numbers as text, patterns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.indexing import are_texts, items_of, laid_as
from bridge.scripts.language.operators import character, whole
from bridge.scripts.language.values import Char

TEXTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "strtrim": str.strip}
LONGEST_TEXT = 1000
PATTERN_LENGTH = 200
LARGEST_PRINTED = 1e15  # num2str writes larger numbers with an exponent


@reads(*TEXTS, takes=(object, object))
def _tests_texts(call: Call, a: Any, b: Any) -> Any:
    """Each text against any of the others."""
    texts, others = items_of(a), items_of(b)
    if len(call.values) > 2 or not are_texts(texts, others):
        return call.unknown()
    test = TEXTS[call.function]
    return laid_as((any(test(each, other) for other in others) for each in texts), a)


@reads("strcmp", "strcmpi", "strncmp", "strncmpi", takes=(object, object))
def _are_same_texts(call: Call, a: Any, b: Any) -> Any:
    """Texts pair by pair, or one with each; of strncmp the first letters, which both must have."""
    left, right = items_of(a), items_of(b)
    if not are_texts(left, right):
        return call.unknown()
    most = call.values[2] if call.function.startswith("strn") else None
    changed = str.lower if call.function.endswith("i") else str

    def same(x: str, y: str) -> bool:
        return changed(x[:most]) == changed(y[:most]) and min(len(x), len(y)) >= (most or 0)

    count = max(len(left), len(right)) if left and right else 0
    pairs = zip(*(each * count if len(each) == 1 else each for each in (left, right)), strict=True)
    return laid_as((same(x, y) for x, y in pairs), b if len(right) > len(left) or not isinstance(a, tuple) else a)


@reads("string", takes=((str, int, tuple),))
def _string(call: Call, value: Any) -> Any:
    return (
        laid_as(map(str, items_of(value)), value)
        if type(value) is int or are_texts(items_of(value))
        else call.unknown()
    )


@reads("char", takes=((str, int, tuple),))
def _char(call: Call, value: Any) -> Any:
    letters = [each if isinstance(each, str) else character(each) for each in items_of(value)]
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
    if not are_texts(call.values):
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
