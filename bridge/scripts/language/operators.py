"""Literals, brackets and operators."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from tree_sitter import Node

from bridge.errors import UsageError
from bridge.scripts.language.calls import Call, Reader, Variables
from bridge.scripts.language.syntax import children, text
from bridge.scripts.language.values import Cell, Char, Column, ColumnCell, Object, Objects, Unknown, unknown_in

LONGEST_RANGE = 100_000
LONGEST_JOINED = 1000
Operation = Callable[[Any, Any], Any]

ARITHMETIC: Mapping[str, Operation] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, ".*": operator.mul, "/": operator.truediv,
    "./": operator.truediv,
    "^": operator.pow, ".^": operator.pow, "\\": lambda a, b: b / a, ".\\": lambda a, b: b / a
}  # fmt: skip
COMPARISONS: Mapping[str, Operation] = {
    "==": operator.eq, "~=": operator.ne, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge
}  # fmt: skip
METHODS: Mapping[str, str] = {"/": "mrdivide", "./": "rdivide", "*": "mtimes", ".*": "times", "+": "plus", "-": "minus"}
TURNED: Mapping[type, type] = {tuple: Column, Column: tuple, Cell: ColumnCell, ColumnCell: Cell}


def whole(number: float) -> float | int:
    """Return a number that is whole as an integer."""
    return int(number) if isinstance(number, float) and math.isfinite(number) and number.is_integer() else number


def truth(value: Any) -> bool | None:
    """Return whether MATLAB takes a value for true, None where that is not known."""
    if isinstance(value, (bool, int, float)):
        return bool(value)
    if isinstance(value, tuple) and not isinstance(value, (Cell, Objects)):
        found = [truth(each) for each in value]
        return None if None in found else bool(found) and all(found)
    return None


def is_case(value: Any, choices: Any) -> bool | None:
    """Return whether a case of a switch is the one, None where that is not known."""
    plain = (str, int, float)
    found = [
        value == each if isinstance(value, plain) and isinstance(each, plain) else None
        for each in (choices if isinstance(choices, Cell) else (choices,))
    ]
    return True if True in found else None if None in found else False


def _number(reader: Reader, node: Node, variables: Variables) -> Any:
    source = text(node).replace(" ", "").lower()
    try:
        return int(source, 0) if source[:2] in ("0x", "0b") else whole(float(source.replace("d", "e")))
    except ValueError:
        return reader.unknown(node, "this number is not understood")


def _string(reader: Reader, node: Node, variables: Variables) -> Any:
    source = text(node)
    quote = source[:1]
    inner = source[1:-1].replace(quote * 2, quote)
    return Char(inner) if quote == "'" else inner


def _rows(reader: Reader, node: Node, variables: Variables) -> list[list[Any]]:
    return [
        [value for value, _ in reader.each(children(row), variables)] for row in children(node) if row.type == "row"
    ]


def _matrix(reader: Reader, node: Node, variables: Variables) -> Any:
    """Return what square brackets hold."""
    rows = _rows(reader, node, variables)
    if any(each.type != "row" for each in children(node)):
        return reader.unknown(node, "these brackets could not be read")
    return concatenated(rows, reader.unknown(node, "what these brackets make is not followed"))


def concatenated(rows: list[list[Any]], nothing: Unknown) -> Any:
    """Return what rows of values in square brackets make: objects, cells, joined text, numbers; rows of numbers become
    a tuple of rows.
    """
    items = list(chain.from_iterable(rows))
    upright = len(rows) > 1 and all(len(row) == 1 for row in rows)
    array = next((each for each in items if isinstance(each, Objects)), None)
    if array is not None:
        odd = next((each for each in items if not isinstance(each, type(array)) and each != ()), None)
        joined = type(array)(chain.from_iterable(items)) if odd is None else odd
        return joined if odd is None or (isinstance(odd, Unknown) and odd.why) else nothing
    if any(isinstance(each, Cell) for each in items):
        parts = (item for each in items for item in (each if isinstance(each, Cell) else () if each == () else (each,)))
        return ColumnCell(parts) if upright or (len(rows) == 1 and isinstance(items[0], ColumnCell)) else Cell(parts)
    if any(isinstance(each, Column) for each in items):
        fits = upright and all(isinstance(each, Column) or not isinstance(each, tuple) for each in items)
        return Column(_flat(items)) if fits or len(items) == 1 else nothing
    found = _flat(items)
    if any(isinstance(each, str) for each in found):
        return _texts(items, found, len(rows), nothing)
    numbers = [_flat(row) for row in rows]
    if len(rows) > 1 and len({len(row) for row in numbers}) == 1 and len(numbers[0]) > 1:
        return tuple(numbers)
    return found[0] if len(items) == 1 and len(found) == 1 else Column(found) if upright else found


def _texts(items: list[Any], found: tuple[Any, ...], rows: int, nothing: Unknown) -> Any:
    """Return what brackets with text hold: characters, by number too, become one text, strings an array."""
    letters = [each if isinstance(each, Char) else character(each) for each in found]
    if rows == 1 and None not in letters and any(isinstance(each, Char) for each in items):
        return Char("".join(map(str, letters)))
    if not all(isinstance(each, str) for each in found):
        return unknown_in(found) or nothing
    return Column(found) if rows == len(items) > 1 else found[0] if len(items) == len(found) == 1 else found


def character(number: Any) -> Char | None:
    """Return the character of a code, None where a value is none."""
    is_code = isinstance(number, int) and not isinstance(number, bool) and 0 < number <= sys.maxunicode
    return Char(chr(number)) if is_code else None


def _flat(items: Any) -> tuple[Any, ...]:
    return tuple(item for each in items for item in (each if isinstance(each, tuple) else (each,)))


def _cell(reader: Reader, node: Node, variables: Variables) -> Any:
    rows = _rows(reader, node, variables)
    if len(rows) > 1 and any(len(row) > 1 for row in rows):
        return reader.unknown(node, "a cell array of rows and columns is not followed")
    return (ColumnCell if len(rows) > 1 else Cell)(chain.from_iterable(rows))


def _range(reader: Reader, node: Node, variables: Variables) -> Any:
    parts = [reader.evaluate(each, variables) for each in children(node)]
    if len(parts) not in (2, 3) or not all(isinstance(each, (int, float)) for each in parts):
        return unknown_in(tuple(parts)) or reader.unknown(node)
    first, step, last = parts if len(parts) == 3 else (parts[0], 1, parts[1])
    if step == 0 or not all(map(math.isfinite, parts)):
        return ()
    steps = (float(last) - float(first)) / step + 1e-10
    if steps >= LONGEST_RANGE:
        return reader.unknown(node, "the range is too long")
    return tuple(whole(first + index * step) for index in range(math.floor(steps) + 1)) if steps >= 0 else ()


def _binary(reader: Reader, node: Node, variables: Variables) -> Any:
    left, right, sign = _sides(reader, node, variables)
    if sign in ("&", "|"):
        return _logical(reader, node, left, right, sign)
    if (
        sign == "+"
        and not (isinstance(left, Char) and isinstance(right, Char))
        and any(isinstance(each, str) for each in (left, right))
    ):
        return joined(left, right) or reader.unknown(node)
    for each in (left, right):
        if isinstance(each, Object) and METHODS.get(sign) in each.METHODS:
            sides = [(left, children(node)[0]), (right, children(node)[-1])]
            return each.METHODS[METHODS[sign]](Call.of(METHODS[sign], sides, node, reader))
    return _computed(reader, node, ARITHMETIC.get(sign), left, right)


def joined(left: Any, right: Any) -> Any:
    """Return texts put together, each with each where one side has several; None where they are no texts."""
    if isinstance(left, tuple) or isinstance(right, tuple):
        count = len(left if isinstance(left, tuple) else right)
        if count > LONGEST_JOINED:
            return None
        pairs = zip(*(each if isinstance(each, tuple) else (each,) * count for each in (left, right)), strict=False)
        found = tuple(joined(a, b) for a, b in pairs)
        return None if None in found else found
    return (
        f"{left}{right}"
        if all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in (left, right))
        else None
    )


def _comparison(reader: Reader, node: Node, variables: Variables) -> Any:
    left, right, sign = _sides(reader, node, variables)
    if isinstance(left, Char) and isinstance(right, Char) and len(left) != len(right):
        return reader.unknown(node)
    return _computed(reader, node, COMPARISONS.get(sign), left, right)


def _boolean(reader: Reader, node: Node, variables: Variables) -> Any:
    """Return what && or || gives; the right side is read only where the left one does not decide."""
    left, sign = reader.evaluate(children(node)[0], variables), _sign(node)
    if truth(left) is (sign == "||"):
        return sign == "||"
    try:
        right = reader.evaluate(children(node)[-1], variables)
    except UsageError:
        if truth(left) is None:
            return reader.unknown(node)
        raise
    return _logical(reader, node, left, right, sign)


def _logical(reader: Reader, node: Node, left: Any, right: Any, sign: str) -> Any:
    """Return what "and" or "or" gives; one side that decides is enough."""
    if isinstance(left, tuple) or isinstance(right, tuple):
        return _computed(reader, node, operator.and_ if "&" in sign else operator.or_, left, right)
    found = [truth(left), truth(right)]
    decisive = "|" in sign
    return decisive if decisive in found else reader.unknown(node) if None in found else not decisive


def _sides(reader: Reader, node: Node, variables: Variables) -> tuple[Any, Any, str]:
    sides = [reader.evaluate(each, variables) for each in children(node)]
    return sides[0], sides[-1], _sign(node)


def _sign(node: Node) -> str:
    return next((each.type for each in node.children if not each.is_named), "")


def _computed(reader: Reader, node: Node, operation: Operation | None, left: Any, right: Any) -> Any:
    """Apply an operation element by element, to numbers and to comparable texts."""
    nothing = unknown_in(left) or unknown_in(right)
    if operation is None or nothing:
        return nothing or reader.unknown(node)
    try:
        return broadcast(operation, left, right)
    except (ArithmeticError, TypeError, ValueError):
        return reader.unknown(node)


def broadcast(operation: Operation, left: Any, right: Any) -> Any:
    """Apply an operation element by element.

    Raises:
        TypeError: for anything but numbers, and texts that are compared.
        ValueError: the lengths differ.
    """
    if isinstance(left, tuple) or isinstance(right, tuple):
        count = len(left if isinstance(left, tuple) else right)
        lefts = left if isinstance(left, tuple) else (left,) * count
        rights = right if isinstance(right, tuple) else (right,) * count
        upright = isinstance(left, Column) or isinstance(right, Column)
        if upright and (type(left) is tuple or type(right) is tuple):
            raise ValueError("a column and a row")
        made = (broadcast(operation, a, b) for a, b in zip(lefts, rights, strict=True))
        return Column(made) if upright else tuple(made)
    texts = isinstance(left, str) and isinstance(right, str) and operation in (operator.eq, operator.ne)
    if not texts and not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
        raise TypeError("neither numbers nor texts")
    if operation is operator.pow and abs(right) > 1024:
        raise ValueError("too large a power")
    found = operation(left, right)
    if not isinstance(found, (bool, int, float)) and not texts:
        raise TypeError("not real")
    return found if isinstance(found, bool) else whole(found if abs(found) < 2**53 else float(found))


def _unary(reader: Reader, node: Node, variables: Variables) -> Any:
    value = reader.evaluate(children(node)[0], variables)
    return value if node.children[0].type == "+" else _computed(reader, node, operator.mul, value, -1)


def _not(reader: Reader, node: Node, variables: Variables) -> Any:
    value = reader.evaluate(children(node)[0], variables)
    if isinstance(value, tuple) and all(isinstance(each, (bool, int)) for each in value):
        return type(value)(not each for each in value)
    known = truth(value)
    return not known if known is not None else value if isinstance(value, Unknown) else reader.unknown(node)


def _transposed(reader: Reader, node: Node, variables: Variables) -> Any:
    value = reader.evaluate(children(node)[0], variables)
    if type(value) is tuple and value and isinstance(value[0], tuple):
        return tuple(zip(*value, strict=True))
    return TURNED[type(value)](value) if type(value) in TURNED else value


def _inner(reader: Reader, node: Node, variables: Variables) -> Any:
    return reader.evaluate(children(node)[0], variables)


EXPRESSIONS: Mapping[str, Callable[[Any, Node, Any], Any]] = {
    "number": _number,
    "string": _string,
    "boolean": lambda reader, node, variables: text(node) == "true",
    "matrix": _matrix,
    "cell": _cell,
    "range": _range,
    "binary_operator": _binary,
    "comparison_operator": _comparison,
    "boolean_operator": _boolean,
    "unary_operator": _unary,
    "not_operator": _not,
    "postfix_operator": _transposed,
    "_expression": _inner,
    "parenthesis": _inner,
    "spread_operator": lambda reader, node, variables: Char(":"),
}
