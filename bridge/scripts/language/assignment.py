"""Assignment to variables and to parts of them: `layers(1:10) = ...`, `layers(i).(property) = 0`, `c{end+1} = ...`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tree_sitter import Node

from bridge.errors import UsageError
from bridge.scripts.language.calls import Reader, Variables
from bridge.scripts.language.indexing import (
    along,
    field,
    field_name,
    inside,
    is_curly,
    is_matrix,
    positions,
    subscripts,
)
from bridge.scripts.language.syntax import text
from bridge.scripts.language.values import Cell, Handle, Object, Objects, Place, Struct, Table, Unknown, unknown_in

MOST_GROWTH = 20_000
MOST_OBJECTS = 2000  # the longest network of MATLAB's has 1243 layers
DEEPEST_VALUE = 60
# a long value is copied whole wherever a part of it is set: that counts as steps, so that growing it in a loop ends
ELEMENTS_OF_A_STEP = 200


def work(value: Any) -> int:
    """Return how many steps it takes to go over a value."""
    count = value.parts if isinstance(value, Object) else len(value) if isinstance(value, (tuple, dict)) else 0
    return count // ELEMENTS_OF_A_STEP


def is_small(value: Any) -> bool:
    """Whether a value has few enough elements, counted all the way down, is not nested too deeply, and its texts are
    short enough.
    """
    if isinstance(value, (Object, Objects)):
        return (value.parts if isinstance(value, Object) else len(value)) <= MOST_OBJECTS
    level, left = [value], MOST_GROWTH
    for _ in range(DEEPEST_VALUE):
        left -= sum(
            len(each) // 10 if isinstance(each, str) else len(each)
            for each in level
            if isinstance(each, (str, tuple, dict))
        )
        if left <= 0 or not level:
            return left > 0
        level = [
            item
            for each in level
            if isinstance(each, (tuple, dict))
            for item in (each.values() if isinstance(each, dict) else each)
        ]
    return False


def assign(reader: Reader, target: Node, value: Any, variables: Variables) -> None:
    """Set a variable, or a part of one.

    Raises:
        UsageError: the sides have different lengths, or an index makes no sense.
    """
    root, *steps = _steps(target)
    if not is_small(value):
        value = reader.unknown(target, "it is too large or nested too deeply to be followed")
    if text(root) in reader.shared:
        value = reader.unknown(target, "other functions may set it")
    held = variables.get(text(root))
    made = _changed(reader, held, steps, value, target, variables)
    if isinstance(made, Unknown) and made.refused and held is not None:
        if made is not held:
            reader.problem(target, f"'{text(root)}' stays as it is: {made.why}")
        return
    variables[text(root)] = made


def _steps(target: Node) -> list[Node]:
    """Return the name of the variable, and each field and pair of brackets behind it; brackets are a node with
    arguments.
    """
    if target.type == "function_call":
        return [target.child_by_field_name("name") or target, target]
    if target.type != "field_expression":
        return [target]
    parts = [target.child_by_field_name("object"), *target.children_by_field_name("field")]
    return [step for each in parts if each is not None for step in _steps(each)]


def _changed(reader: Reader, held: Any, steps: Sequence[Node], value: Any, target: Node, variables: Variables) -> Any:
    """Return `held` with a part of it set to the value."""
    if not steps:
        return value
    if isinstance(held, Unknown):
        return held
    reader.steps += work(held) + isinstance(held, (Object, Objects))
    step, *rest = steps
    if step.type == "function_call":
        return _with_elements(reader, held, step, rest, value, target, variables)
    key = field_name(reader, step, variables)
    nothing = reader.unknown(target, f"what '{text(target)}' sets is not known")
    if key is None:
        return nothing
    if rest:
        fresh = held is None or (isinstance(held, Struct) and key not in held)
        value = _changed(reader, None if fresh else field(reader, held, key, target), rest, value, target, variables)
    return _with_field(Struct() if held is None else held, key, value, reader.place(target), nothing)


def _with_field(held: Any, key: str, value: Any, place: Place, nothing: Unknown) -> Any:
    """Return a value with a field set; `nothing` where that cannot be followed."""
    if isinstance(held, Struct):
        made = type(held)(held)
        made[key] = value
        return made
    single = isinstance(held, Objects) and len(held) == 1
    changed = (held[0] if single else held).set(key, value, place) if single or isinstance(held, Object) else None
    if changed is None:
        return value if isinstance(value, Unknown) and value.why else nothing
    return type(held)((changed,)) if single else changed


def _with_elements(
    reader: Reader, held: Any, step: Node, rest: Sequence[Node], value: Any, target: Node, variables: Variables
) -> Any:
    """Return `held` with the elements in brackets set, or a part of each."""
    nothing = reader.unknown(target, f"which part of '{text(step)}' is set is not known")
    if isinstance(held, (Object, Table, Handle)) or is_matrix(held):
        return nothing
    curly = is_curly(step)
    items = list(held) if isinstance(held, tuple) else [] if held is None else [held]
    wanted = positions(along(subscripts(reader, () if held is None else held, step, variables)), len(items))
    if wanted is None or any(not 0 <= each < MOST_GROWTH for each in wanted):
        return nothing
    if rest and held is None:
        return _put(held, [], wanted, [_changed(reader, None, rest, value, target, variables)], None, False)
    if rest:
        if not inside(wanted, items):
            return nothing
        array = type(held) if isinstance(held, Objects) else None
        chosen = [array((items[each],)) if array else items[each] for each in wanted]
        values = [_changed(reader, each, rest, value, target, variables) for each in chosen]
        values = [each[0] if array and isinstance(each, array) else each for each in values]
    elif not curly and value == () and not isinstance(value, Objects):
        kept = [each for index, each in enumerate(items) if index not in wanted]
        return type(held)(kept) if isinstance(held, tuple) else tuple(kept)
    else:
        values = list(value) if isinstance(value, tuple) and not curly else [value]
    if isinstance(held, Objects) and (missing := unknown_in(tuple(values))) is not None:
        return missing
    return _put(held, items, wanted, values, value, curly)


def _put(held: Any, items: list[Any], wanted: Sequence[int], values: list[Any], value: Any, curly: bool) -> Any:
    array = next((each for each in (held, value) if isinstance(each, Objects)), None)
    if len(values) != len(wanted):
        if len(values) != 1 or isinstance(held, Objects):
            what = array.NOUN if array is not None else "elements"
            raise UsageError(
                f"the sides have different lengths: {len(wanted)} {what} on the left, {len(values)} on the right",
                "MATLAB refuses this assignment",
                "use the same range on both sides",
            )
        values = values * len(wanted)
    for index, each in zip(wanted, values, strict=True):
        if isinstance(held, Objects) and index > len(items):  # what MATLAB would put between, layers do not have
            what = f"position {index + 1} is set of {len(items)} {held.NOUN}{held.beyond(index + 1)}"
            raise UsageError(
                what, "MATLAB refuses this assignment", "set one that is there, or the one behind the last"
            )
        items += [() if curly or isinstance(held, Cell) else 0] * (index + 1 - len(items))
        items[index] = each
    if array is not None:
        new = values if array is held else items
        return type(array)(items) if all(isinstance(each, Object) for each in new) else Cell(items)
    return type(held)(items) if isinstance(held, tuple) else Cell(items) if curly else tuple(items)
