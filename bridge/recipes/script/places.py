"""Indexing, fields and assignment to them: `layers(1:10)`, `net.Layers(end-2).Name`, `layers(i).(property) = 0`."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from tree_sitter import Node

from bridge.errors import UsageError
from bridge.recipes.script.fields import field, set_field
from bridge.recipes.script.syntax import child, children, name, text
from bridge.recipes.script.values import Cell, Char, Column, ColumnCell, Graph, Handle, Item, Layers, Many, Store, Struct, Table, Unknown, unknown_in

if TYPE_CHECKING:
    from bridge.recipes.script.evaluate import Evaluator

Variables = MutableMapping[str, Any]
MOST_GROWTH = 100_000
MOST_LAYERS = 2000  # NASNet-Large, the longest of MATLAB's, has 1243
DEEPEST_CALL = 20
DEEPEST_VALUE = 60
ELEMENTS_OF_A_STEP = 200  # a long value is copied whole wherever a part of it is set: that counts as steps, so that growing it in a loop ends


def work(value: Any) -> int:
    """Return how many steps it takes to go over a value."""
    held = value.layers if isinstance(value, Graph) else value
    return len(held) // ELEMENTS_OF_A_STEP if isinstance(held, (tuple, dict)) else 0


def columns(value: Any) -> Sequence[Any] | None:
    """Return what a `for` loop goes over, None where that is not known."""
    if isinstance(value, Unknown) or unknown_in(value) is not None:
        return None
    if isinstance(value, Layers):
        return [Layers((each,)) for each in value]
    if isinstance(value, (Column, ColumnCell)):
        return [value] if len(value) > 1 else list(value)
    if isinstance(value, Cell):
        return [Cell((each,)) for each in value]
    if isinstance(value, tuple):
        return list(zip(*value, strict=True)) if value and isinstance(value[0], tuple) else list(value)
    return [value] if isinstance(value, (int, float)) or (isinstance(value, str) and (len(value) == 1 or not isinstance(value, Char))) else None


def elements(value: Any) -> Sequence[Any] | None:
    """Return the elements that arrayfun and cellfun go over, None where they are not known."""
    return columns(tuple(value) if isinstance(value, Column) else Cell(value) if isinstance(value, ColumnCell) else value)


def shape(value: Any) -> tuple[int, int] | None:
    """Return rows and columns, None where they are not known."""
    if isinstance(value, Table):
        return value.height, len(value)
    if isinstance(value, (Layers, Column, ColumnCell)):
        return len(value), 1
    if isinstance(value, (tuple, Char)):
        return (len(value), len(value[0])) if _is_matrix(value) else (1, len(value))
    return (1, 1) if isinstance(value, (int, float, str, Struct, Handle, Graph)) else None


def length(value: Any) -> int | None:
    """Return the number of elements, None where it is not known."""
    found = shape(value)
    return found[0] * found[1] if found else None


def _is_matrix(value: Any) -> bool:
    return isinstance(value, tuple) and not isinstance(value, (Cell, Layers)) and bool(value) and isinstance(value[0], tuple)


def bracketed(reader: Evaluator, value: Any, node: Node, variables: Variables, outputs: int = 1) -> Any:
    """Return what round or curly brackets behind a value give."""
    curly = any(each.type == "{" for each in node.children)
    if isinstance(value, Handle) and not curly:
        return invoke(reader, value, reader.arguments(child(node, "arguments"), variables), node, outputs)
    return indexed(reader, value, subscripts(reader, value, node, variables), node, curly)


def invoke(reader: Evaluator, handle: Handle, given: Sequence[tuple[Any, Node]], node: Node, outputs: int = 1) -> Any:
    """Return what a function handle gives."""
    if handle.name:
        return reader.apply(handle.name, given, node, outputs)
    if reader.depth >= DEEPEST_CALL or handle.body is None:
        return Unknown(text(node), reader.place(node), f"{handle.text} is not followed")
    variables = {**handle.variables, **dict(zip(handle.parameters, (value for value, _ in given), strict=False))}
    outer, reader.script, reader.depth = reader.script, handle.script, reader.depth + 1
    try:
        return reader.evaluate(handle.body, variables)
    finally:
        reader.script, reader.depth = outer, reader.depth - 1


def subscripts(reader: Evaluator, value: Any, node: Node, variables: Variables) -> list[Any]:
    """Return the indices in the brackets of a node; `end` is the length of the value."""
    given = child(node, "arguments")
    nodes = children(given) if given is not None else []
    size = shape(value)
    found: list[Any] = []
    for position, each in enumerate(nodes):
        end = None if size is None or position > 1 else size[0] * size[1] if len(nodes) == 1 else size[position]
        reader.ends.append(Unknown(text(node), reader.place(node)) if end is None else end)
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
    if not all(isinstance(each, (int, bool)) for each in given):
        return None
    return [each - 1 for each in given]


def indexed(reader: Evaluator, value: Any, given: Sequence[Any], node: Node, curly: bool = False) -> Any:
    """Return elements of a value.

    Raises:
        UsageError: an index is beyond the end.
    """
    missing = value if isinstance(value, Unknown) else unknown_in(tuple(given))
    if missing is not None:
        return missing
    if isinstance(value, Table):
        return _of_table(reader, value, given, node, curly)
    if not given and not curly:
        return value
    if not isinstance(value, (tuple, int, float, str, Struct, Graph)):
        return Unknown(text(node), reader.place(node))
    items = value if isinstance(value, tuple) else (value,)
    if isinstance(value, Char) or len(given) not in (1, 2):
        return Unknown(text(node), reader.place(node), "this index is not followed")
    matrix = _is_matrix(value)
    if matrix and len(given) == 2:
        rows, across = positions(given[0], len(items)), positions(given[1], len(items[0]))
        if rows is None or across is None or not _inside(rows, items) or not _inside(across, items[0]):
            return Unknown(text(node), reader.place(node))
        found = tuple(tuple(items[row][column] for column in across) for row in rows)
        if len(across) == 1:
            return Column(row[0] for row in found) if len(rows) > 1 else found[0][0]
        return found if len(rows) > 1 else found[0]
    wanted = positions(_along(given), len(items))
    if wanted is None or matrix:
        return Unknown(text(node), reader.place(node), "this index is not followed")
    if not _inside(wanted, items):
        if not isinstance(value, Layers):
            return Unknown(text(node), reader.place(node), "the index is beyond the end")
        worst = next(each for each in wanted if not 0 <= each < len(items))
        raise UsageError(f"there is no element {worst + 1}", f"'{text(node)}' has {len(items)}, counted from 1", "check the index against the network")
    chosen = [items[each] for each in wanted]
    if isinstance(value, Layers):
        return Layers(chosen)
    if isinstance(value, Cell):
        return Many(chosen) if curly else type(value)(chosen)
    upright = isinstance(value, Column) or (len(given) == 1 and isinstance(given[0], Char))
    return chosen[0] if len(chosen) == 1 else Column(chosen) if upright else tuple(chosen)


def _along(given: Sequence[Any]) -> Any:
    """Return the one subscript of a vector: of two, one is 1 or all; None where that is not so."""
    chosen = [each for each in given if each not in (1, ":")]
    return None if len(chosen) > 1 else chosen[0] if chosen else next((each for each in given if each == ":"), given[0] if given else None)


def _inside(wanted: Sequence[int], items: Sequence[Any]) -> bool:
    return all(0 <= each < len(items) for each in wanted)


def _of_table(reader: Evaluator, value: Table, given: Sequence[Any], node: Node, curly: bool) -> Any:
    rows = positions(given[0], value.height) if given else None
    if rows is None or not all(0 <= each < value.height for each in rows) or len(given) != 2:
        return Unknown(text(node), reader.place(node), "this part of a table is not followed")
    names = list(value)
    if given[1] == ":" and isinstance(given[1], Char):
        chosen = names
    elif isinstance(given[1], int):
        chosen = names[given[1] - 1 : given[1]]
    else:
        chosen = [each for each in (given[1] if isinstance(given[1], tuple) else (given[1],)) if each in value]
    if not curly:
        return Table({key: type(value[key])(value[key][row] for row in rows) for key in chosen})
    found = [item for key in chosen for item in (value[key][row] for row in rows)]
    return found[0] if len(found) == 1 else tuple(found)


def fields(reader: Evaluator, node: Node, variables: Variables) -> Any:
    """Return the value of `a.b(2).c`."""
    parts = node.children_by_field_name("field")
    first = node.child_by_field_name("object")
    value = reader.call(first, variables) if first is not None else None
    if isinstance(value, Unknown) and first is not None and text(first) not in variables and reader.functions.get(text(node)):
        return reader.apply(text(node), [], node)
    for part in parts:
        key = _key(reader, part, variables)
        if key is None:
            return Unknown(text(node), reader.place(node), "this field is not followed")
        value = field(reader, value, key, node)
        if part.type == "function_call":
            value = bracketed(reader, value, part, variables)
    return value


def _key(reader: Evaluator, part: Node, variables: Variables) -> str | None:
    if part.type == "indirect_access":
        value = reader.evaluate(children(part)[0], variables)
        return value if isinstance(value, str) else None
    return name(part) if part.type == "function_call" else text(part)


# Assignment

def assign(reader: Evaluator, target: Node, value: Any, variables: Variables) -> None:
    """Set a variable, or a part of one.

    Raises:
        UsageError: the sides have different lengths, or an index makes no sense.
    """
    (_, root), *steps = _steps(target)
    if not is_small(value):
        value = Unknown(text(target), reader.place(target), "it is too large or nested too deeply to be followed")
    if text(root) in reader.shared:
        value = Unknown(text(target), reader.place(target), "other functions may set it")
    variables[text(root)] = _changed(reader, variables.get(text(root)), steps, value, target, variables)


def is_small(value: Any) -> bool:
    """Whether a value has few enough elements, counted all the way down, is not nested too deeply, and its texts are short enough."""
    layers = value.layers if isinstance(value, Graph) else value
    if isinstance(layers, Layers):
        return len(layers) <= MOST_LAYERS
    level, left = [value], MOST_GROWTH
    for _ in range(DEEPEST_VALUE):
        left -= sum(len(each) // 10 if isinstance(each, str) else len(each) for each in level if isinstance(each, (str, tuple, dict)))
        if left <= 0 or not level:
            return left > 0
        level = [item for each in level if isinstance(each, (tuple, dict)) for item in (each.values() if isinstance(each, dict) else each)]
    return False


def _steps(target: Node) -> list[tuple[str, Node]]:
    """Return the root, and each field ("key") and bracket ("index") behind it."""
    if target.type == "function_call":
        found = target.child_by_field_name("name")
        return [("key", found or target), ("index", target)]
    if target.type != "field_expression":
        return [("key", target)]
    first = target.child_by_field_name("object")
    parts = [step for each in target.children_by_field_name("field") for step in _steps(each)]
    return [*(_steps(first) if first is not None else []), *parts]


def _changed(reader: Evaluator, held: Any, steps: Sequence[tuple[str, Node]], value: Any, target: Node, variables: Variables) -> Any:
    """Return `held` with a part of it set to the value."""
    if not steps:
        return value
    if isinstance(held, Unknown):
        return held
    reader.steps += work(held)
    (kind, step), rest = steps[0], steps[1:]
    if kind == "index":
        return _elements(reader, held, step, rest, value, target, variables)
    key = _key(reader, step, variables)
    nothing = Unknown(text(target), reader.place(target), f"what '{text(target)}' sets is not known")
    if key is None:
        return nothing
    if rest:
        fresh = held is None or (isinstance(held, Struct) and key not in held)
        value = _changed(reader, None if fresh else field(reader, held, key, target), rest, value, target, variables)
    return set_field(Struct() if held is None else held, key, value, reader.place(target), nothing)


def _elements(
    reader: Evaluator, held: Any, step: Node, rest: Sequence[tuple[str, Node]], value: Any, target: Node, variables: Variables
) -> Any:
    """Return `held` with the elements in brackets set, or a part of each."""
    nothing = Unknown(text(target), reader.place(target), f"which part of '{text(step)}' is set is not known")
    if isinstance(held, (Store, Table, Handle)) or _is_matrix(held):
        return nothing
    given = subscripts(reader, () if held is None else held, step, variables)
    curly = any(each.type == "{" for each in step.children)
    items = list(held) if isinstance(held, tuple) else [] if held is None else [held]
    wanted = positions(_along(given), len(items))
    if wanted is None or any(not 0 <= each < MOST_GROWTH for each in wanted):
        return nothing
    if rest:
        if not _inside(wanted, items):
            return nothing if held is not None else _put(held, [], wanted, [_changed(reader, None, rest, value, target, variables)], None, False)
        values: list[Any] = [_changed(reader, _single(held, items[each]), rest, value, target, variables) for each in wanted]
        values = [each[0] if isinstance(each, Layers) and isinstance(held, Layers) else each for each in values]
    elif not curly and value == () and not isinstance(value, Layers):
        kept = [each for index, each in enumerate(items) if index not in wanted]
        return type(held)(kept) if isinstance(held, tuple) else tuple(kept)
    else:
        values = list(value) if isinstance(value, (Layers, Cell, tuple)) and not curly else [value]
    if isinstance(held, Layers) and (missing := unknown_in(tuple(values))) is not None:
        return missing
    return _put(held, items, wanted, values, value, curly)


def _single(held: Any, item: Any) -> Any:
    return Layers((item,)) if isinstance(held, Layers) else item


def _put(held: Any, items: list[Any], wanted: Sequence[int], values: list[Any], value: Any, curly: bool) -> Any:
    if len(values) != len(wanted):
        if len(values) != 1 or isinstance(held, Layers):
            layers = "layers" if isinstance(held, Layers) else "elements"
            raise UsageError(
                f"the sides have different lengths: {len(wanted)} {layers} on the left, {len(values)} on the right",
                "MATLAB refuses this assignment",
                "use the same range on both sides",
            )
        values = values * len(wanted)
    for index, each in zip(wanted, values, strict=True):
        items += [() if curly or isinstance(held, Cell) else 0] * (index + 1 - len(items))
        items[index] = each
    if isinstance(held, Layers) or isinstance(value, Layers):
        return Layers(items) if all(isinstance(each, Item) for each in items) else Cell(items)
    return type(held)(items) if isinstance(held, tuple) else Cell(items) if curly else tuple(items)
