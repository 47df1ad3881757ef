"""Parts of values: sizes, `layers(1:10)`, `net.Layers(end-2).Name`, `c{:}`, calls of handles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tree_sitter import Node

from bridge.errors import UsageError
from bridge.scripts.language.calls import Argument, Reader, Variables
from bridge.scripts.language.syntax import child, children, name, text
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
    Table,
    Unknown,
    unknown_in,
)


def columns(value: Any) -> Sequence[Any] | None:
    """Return what a `for` loop goes over, None where that is not known."""
    if unknown_in(value) is not None:
        return None
    if isinstance(value, Objects):
        return [type(value)((each,)) for each in value]
    if isinstance(value, (Column, ColumnCell)):
        return [value] if len(value) > 1 else list(value)
    if isinstance(value, Cell):
        return [Cell((each,)) for each in value]
    if isinstance(value, tuple):
        return list(zip(*value, strict=True)) if is_matrix(value) else list(value)
    return (
        [value]
        if isinstance(value, (int, float))
        or (isinstance(value, str) and (len(value) == 1 or not isinstance(value, Char)))
        else None
    )


def elements(value: Any) -> Sequence[Any] | None:
    """Return the elements that arrayfun and cellfun go over, None where they are not known."""
    return columns(
        tuple(value) if isinstance(value, Column) else Cell(value) if isinstance(value, ColumnCell) else value
    )


def shape(value: Any) -> tuple[int, int] | None:
    """Return rows and columns, None where they are not known."""
    if isinstance(value, Table):
        return value.height, len(value)
    if isinstance(value, (Objects, Column, ColumnCell)):
        return len(value), 1
    if isinstance(value, (tuple, Char)):
        return (len(value), len(value[0])) if is_matrix(value) else (1, len(value))
    return (1, 1) if isinstance(value, (int, float, str, Struct, Handle)) else None


def length(value: Any) -> int | None:
    """Return the number of elements, None where it is not known."""
    found = shape(value)
    return found[0] * found[1] if found else None


def items_of(value: Any) -> tuple[Any, ...]:
    """Return the elements of an array, or the value as the only one."""
    return value if isinstance(value, tuple) else (value,)


def laid_as(found: Iterable[Any], like: Any) -> Any:
    """Return results as the values lay that they are of."""
    upright = isinstance(like, (Column, ColumnCell))
    return next(iter(found)) if not isinstance(like, tuple) else Column(found) if upright else tuple(found)


def are_texts(*lists: tuple[Any, ...]) -> bool:
    """Whether all elements are texts."""
    return all(isinstance(each, str) for items in lists for each in items)


def is_matrix(value: Any) -> bool:
    """Whether a value is a tuple of rows."""
    return (
        isinstance(value, tuple)
        and not isinstance(value, (Cell, Objects))
        and bool(value)
        and isinstance(value[0], tuple)
    )


def bracketed(reader: Reader, value: Any, node: Node, variables: Variables, outputs: int = 1) -> Any:
    """Return what round or curly brackets behind a value give."""
    if isinstance(value, Handle) and not is_curly(node):
        return invoke(reader, value, reader.arguments(child(node, "arguments"), variables), node, outputs)
    return indexed(reader, value, subscripts(reader, value, node, variables), node)


def is_curly(node: Node) -> bool:
    """Whether the brackets of a node are curly ones."""
    return any(each.type == "{" for each in node.children)


def invoke(reader: Reader, handle: Handle, given: Sequence[Argument], node: Node, outputs: int = 1) -> Any:
    """Return what a function handle gives."""
    if handle.name:
        return reader.apply(handle.name, given, node, outputs)
    if reader.exhausted or handle.body is None:
        return reader.unknown(node, f"{handle.text} is not followed")
    variables = {**handle.variables, **dict(zip(handle.parameters, (value for value, _ in given), strict=False))}
    outer, reader.script = reader.script, handle.script
    reader.depth, reader.steps = reader.depth + 1, reader.steps + 1
    try:
        return reader.evaluate(handle.body, variables)
    finally:
        reader.script, reader.depth = outer, reader.depth - 1


def subscripts(reader: Reader, value: Any, node: Node, variables: Variables) -> list[Any]:
    """Return the indices in the brackets of a node; `end` is the length of the value."""
    given = child(node, "arguments")
    nodes = children(given) if given is not None else []
    size = shape(value)
    found: list[Any] = []
    for position, each in enumerate(nodes):
        end = None if size is None or position > 1 else size[0] * size[1] if len(nodes) == 1 else size[position]
        reader.ends.append(reader.unknown(node) if end is None else end)
        try:
            found.append(reader.evaluate(each, variables))
        finally:
            reader.ends.pop()
    return found


def positions(subscript: Any, count: int) -> list[int] | None:
    """Return the positions, from 0, that a subscript means; None where it is not known."""
    if isinstance(subscript, str):
        return list(range(count)) if subscript == ":" else None
    given = subscript if isinstance(subscript, tuple) else (subscript,)
    if given and all(isinstance(each, bool) for each in given):
        return [index for index, chosen in enumerate(given) if chosen]
    return [each - 1 for each in given] if all(isinstance(each, int) for each in given) else None


def indexed(reader: Reader, value: Any, given: Sequence[Any], node: Node) -> Any:
    """Return elements of a value.

    Raises:
        UsageError: an index is beyond the end.
    """
    curly = is_curly(node)
    missing = value if isinstance(value, Unknown) else unknown_in(tuple(given))
    if missing is not None:
        return missing
    if isinstance(value, Table):
        return _of_table(reader, value, given, node)
    if not given and not curly:
        return value
    if not isinstance(value, (tuple, int, float, str, Struct, Object)):
        return reader.unknown(node)
    nothing = reader.unknown(node, "this index is not followed")
    if isinstance(value, Char) or len(given) not in (1, 2):
        return nothing
    items = value if isinstance(value, tuple) else (value,)
    if is_matrix(value):
        return _of_matrix(items, given, nothing) if len(given) == 2 else nothing
    wanted = positions(along(given), len(items))
    if wanted is None:
        return nothing
    if not inside(wanted, items):
        if not isinstance(value, Objects):
            return reader.unknown(node, "the index is beyond the end")
        worst = next(each for each in wanted if not 0 <= each < len(items))
        raise UsageError(
            f"there is no element {worst + 1}",
            f"'{text(node)}' has {len(items)}, counted from 1{value.beyond(worst + 1)}",
            "check the index against what it counts",
        )
    chosen = [items[each] for each in wanted]
    if isinstance(value, Objects):
        return type(value)(chosen)
    if isinstance(value, Cell):
        return Many(chosen) if curly else type(value)(chosen)
    upright = isinstance(value, Column) or (len(given) == 1 and isinstance(given[0], Char))
    return chosen[0] if len(chosen) == 1 else Column(chosen) if upright else tuple(chosen)


def along(given: Sequence[Any]) -> Any:
    """Return the one subscript of a vector: of two, one is 1 or all; None where that is not so."""
    chosen = [each for each in given if each not in (1, ":")]
    return (
        None
        if len(chosen) > 1
        else chosen[0]
        if chosen
        else next((each for each in given if each == ":"), given[0] if given else None)
    )


def inside(wanted: Sequence[int], items: Sequence[Any]) -> bool:
    """Whether all positions are there."""
    return all(0 <= each < len(items) for each in wanted)


def _of_matrix(items: Sequence[Any], given: Sequence[Any], nothing: Unknown) -> Any:
    rows, across = positions(given[0], len(items)), positions(given[1], len(items[0]))
    if rows is None or across is None or not inside(rows, items) or not inside(across, items[0]):
        return nothing
    found = tuple(tuple(items[row][column] for column in across) for row in rows)
    if len(across) == 1:
        return Column(row[0] for row in found) if len(rows) > 1 else found[0][0]
    return found if len(rows) > 1 else found[0]


def _of_table(reader: Reader, value: Table, given: Sequence[Any], node: Node) -> Any:
    rows = positions(given[0], value.height) if len(given) == 2 else None
    if rows is None or not inside(rows, range(value.height)):
        return reader.unknown(node, "this part of a table is not followed")
    names, wanted = list(value), given[1]
    if isinstance(wanted, int):
        chosen = names[wanted - 1 : wanted]
    else:
        chosen = (
            names
            if wanted == ":"
            else [each for each in (wanted if isinstance(wanted, tuple) else (wanted,)) if each in value]
        )
    if not is_curly(node):
        return Table({key: type(value[key])(value[key][row] for row in rows) for key in chosen})
    found = [item for key in chosen for item in (value[key][row] for row in rows)]
    return found[0] if len(found) == 1 else tuple(found)


# Fields: variables of structs and tables, properties of objects.


def fields(reader: Reader, node: Node, variables: Variables) -> Any:
    """Return the value of `a.b(2).c`."""
    first = node.child_by_field_name("object")
    value = reader.call(first, variables) if first is not None else None
    if isinstance(value, Unknown) and first is not None and text(first) not in variables and reader.knows(text(node)):
        return reader.apply(text(node), [], node)
    for part in node.children_by_field_name("field"):
        key = field_name(reader, part, variables)
        if key is None:
            return reader.unknown(node, "this field is not followed")
        value = field(reader, value, key, node)
        if part.type == "function_call":
            value = bracketed(reader, value, part, variables)
    return value


def field_name(reader: Reader, part: Node, variables: Variables) -> str | None:
    """Return the name of a field; of `.(name)`, what the variable holds, None where that is not known."""
    if part.type == "indirect_access":
        value = reader.evaluate(children(part)[0], variables)
        return value if isinstance(value, str) else None
    return name(part) if part.type == "function_call" else text(part)


def field(reader: Reader, value: Any, key: str, node: Node) -> Any:
    """Return a field of a value."""
    if isinstance(value, Unknown):
        return reader.subject.part(value, key)
    if isinstance(value, Many):
        return Many(field(reader, each, key, node) for each in value)
    found = _field(value, key)
    return reader.unknown(node, f"'{key}' is not known here") if found is None else found


def _field(value: Any, key: str) -> Any:
    if isinstance(value, (Struct, Table)):
        return value.get(key)
    if isinstance(value, Object):
        return value.get(key)
    if isinstance(value, Objects):
        found = [each.get(key) for each in value]
        return found[0] if len(found) == 1 else Many(found) if None not in found else None
    if isinstance(value, tuple) and value and all(isinstance(each, Struct) for each in value):
        found = [each.get(key) for each in value]
        return Many(found) if None not in found else None
    return None
