"""Statements: assignments, branches, loops."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tree_sitter import Node

from bridge.errors import BridgeError, UsageError
from bridge.scripts.language.assignment import assign
from bridge.scripts.language.indexing import Variables, columns
from bridge.scripts.language.operators import is_case, truth
from bridge.scripts.language.syntax import calls, child, children, descendants, line, name, text
from bridge.scripts.language.values import Char, Many, Options, Sourced, Unknown
from bridge.scripts.reading.known import FUNCTIONS, words

if TYPE_CHECKING:
    from bridge.scripts.language.evaluate import Evaluator

MOST_TURNS = 6000  # steps within one `while`

Choice = tuple[Any, Node | None]  # a condition, and what is run where it is met
Branch = ChainMap[str, Any]  # what a branch sets, before the variables outside


class Leave(Exception):
    """The rest of a body is not reached; the argument says why: "return", "error", "break", "continue", or "perhaps"
    one of these.
    """


def run(reader: Evaluator, statements: Sequence[Node], variables: Variables) -> None:
    """Read statements one after another."""
    for node in statements:
        reader.steps += 1
        if node.type == "ERROR" or node.is_missing:
            reader.problem(node, "this is no MATLAB that could be read")
            continue
        with reader.quoting(node):
            STATEMENTS.get(node.type, expression_statement)(reader, node, variables)


def block(reader: Evaluator, node: Node | None, variables: Variables) -> None:
    """Read the body of a statement."""
    if node is not None:
        run(reader, children(node), variables)


def expression_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    """Read a call that stands alone; its value is `ans`, where it has one."""
    word = text(node) if node.type == "identifier" else text(node.named_children[0]) if node.type == "command" else ""
    called = word or (name(node) if node.type == "function_call" else "")
    if word.startswith("!"):
        return  # a command of the operating system
    if called in words("hidden") and called not in variables:
        reader.problem(node, "what it runs or loads into variables is not read")
    elif (
        word
        and word not in variables
        and not reader.knows(word)
        and word not in words("harmless")
        and reader.loaded is None
    ):
        neighbour = reader.script.neighbour(word)
        if neighbour is not None:
            reader.within(neighbour, neighbour.statements, variables)
        else:
            reader.problem(node, f"{word} is neither in the script nor beside it, and may change any variable")
    elif node.type == "command":
        if word in FUNCTIONS:
            reader.apply(word, [(Char(text(each)), each) for each in node.named_children[1:]], node, 0)
    else:
        value = reader.call(node, variables, 0) if node.type == "function_call" else reader.evaluate(node, variables)
        if value is not None:
            variables["ans"] = value


def assignment(reader: Evaluator, node: Node, variables: Variables) -> None:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None or node.has_error:
        reader.problem(node, "this assignment could not be read")
        variables.update(
            {text(left): reader.unknown(node, "it could not be read")} if left and left.type == "identifier" else {}
        )
        return
    targets = left.named_children if left.type == "multioutput_variable" else [left]
    called = right.type in ("function_call", "identifier", "field_expression")
    value = reader.call(right, variables, len(targets)) if called else reader.evaluate(right, variables)
    values = (
        list(value) if isinstance(value, Many) else [value] * len(targets) if isinstance(value, Unknown) else [value]
    )
    missing = reader.unknown(node, f"{text(right)} gives no value number {len(values) + 1} that is known")
    values += [missing] * (len(targets) - len(values))
    for target, each in zip(targets, values, strict=False):
        if target.type != "ignored_argument":
            assign(reader, target, each, variables)


def if_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    """Read the branches one after another; the condition of a later one only where no earlier one is taken."""
    clauses = [node, *(each for each in children(node) if each.type in ("elseif_clause", "else_clause"))]

    def branches() -> Iterator[Choice]:
        for clause in clauses:
            condition = clause.child_by_field_name("condition")
            yield True if condition is None else reader.evaluate(condition, variables), child(clause, "block")

    choose(reader, branches(), node, variables)


def switch_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    condition = node.child_by_field_name("condition")
    value = reader.evaluate(condition, variables) if condition is not None else None

    def branches() -> Iterator[Choice]:
        for clause in children(node):
            label = clause.child_by_field_name("condition")
            if clause.type == "case_clause":
                yield (
                    is_case(value, reader.evaluate(label, variables) if label is not None else None),
                    child(clause, "block"),
                )
            elif clause.type == "otherwise_clause":
                yield True, child(clause, "block")

    choose(reader, branches(), node, variables)


def choose(reader: Evaluator, branches: Iterable[Choice], node: Node, variables: Variables) -> None:
    """Read the branch that is taken, or all that may be, where that is not known."""
    possible: list[Node | None] = []
    certain = False
    for condition, body in branches:
        taken = truth(condition)
        if taken is False and body is not None and calls(body) & words("trainers"):
            reader.report(body, "the training stands in a branch that is switched off; it is read as if it ran")
            possible, taken = [], True
        if taken is not False:
            possible.append(body)
        if taken:
            certain = True
            break
    if len(possible) == 1 and certain:
        block(reader, possible[0], variables)
        return
    outcomes = [] if certain else [ChainMap({}, variables)]
    refused: UsageError | None = None
    for body in possible:
        copy = ChainMap({}, variables)
        before = len(reader.trainings)
        try:
            block(reader, body, copy)
        except UsageError as error:  # MATLAB refuses the same: a script that runs does not come here
            reader.report(body or node, "MATLAB would refuse this branch: it is read as one that is not taken")
            refused = error
            continue
        except Leave as leave:
            if str(leave) not in ("error", "return") or (str(leave) == "return" and reader.depth):
                raise Leave("perhaps") from leave
            if len(reader.trainings) == before:
                continue
        outcomes.append(copy)
    if refused is not None and not outcomes:
        raise refused
    merge(reader, outcomes, node, variables)


def merge(reader: Evaluator, outcomes: Sequence[Branch], node: Node, variables: Variables) -> None:
    """Keep what is the same in every outcome; the rest is not known."""
    for key in sorted({key for each in outcomes for key in each.maps[0]}):
        held = [each.get(key) for each in outcomes]
        nothing = reader.unknown(node, f"which branch sets '{key}' is not known", reader.script.quote(line(node)))
        if not all(each is held[0] or same(each, held[0]) for each in held):
            options = [each for each in held if isinstance(each, Options)]
            variables[key] = merged(options, nothing) if len(options) == len(held) else nothing
        elif held[0] is not None:
            variables[key] = held[0]


def merged(held: Sequence[Options], nothing: Unknown) -> Options | Unknown:
    """Return options of which some are not known: those that differ."""
    if len({each.solver for each in held}) > 1:
        return nothing
    given: dict[str, Sourced] = {}
    for key in dict.fromkeys(key for each in held for key in each.given):
        found = [each.given.get(key) for each in held]
        known = found[0] is not None and all(each is not None and same(each.value, found[0].value) for each in found)
        given[key] = found[0] if known and found[0] is not None else Sourced(nothing, nothing.place)
    return Options(held[0].solver, given, held[0].place)


def for_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    iterator = child(node, "iterator")
    parts = children(iterator) if iterator is not None else []
    if len(parts) != 2:
        reader.problem(node, "this loop could not be read")
        return
    over, body = reader.evaluate(parts[1], variables), child(node, "block")
    items, turn = columns(over), text(parts[0])
    once = ChainMap({turn: reader.unknown(node, "", text(iterator or node))}, variables)
    if items is None:
        unsettled(reader, body, once, node, variables)
        return
    before = len(reader.trainings)
    for value in items:
        if reader.exhausted:
            reader.problem(node, "the loop is too long to be followed")
            unsettled(reader, body, once, node, variables)
            return
        variables[turn] = value
        try:
            block(reader, body, variables)
        except Leave as leave:
            if ends(reader, leave, body, node, variables):
                break
    if len(reader.trainings) > before + 1:
        reader.report(node, f"it trains {len(reader.trainings) - before} times; the last one is read")


def while_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    condition, body = node.child_by_field_name("condition"), child(node, "block")
    steps = reader.steps
    while condition is not None and (holds := truth(reader.evaluate(condition, variables))) is not False:
        if holds is None or reader.exhausted or reader.steps - steps > MOST_TURNS:
            unsettled(reader, body, ChainMap({}, variables), node, variables)
            return
        reader.steps += 1
        try:
            block(reader, body, variables)
        except Leave as leave:
            if ends(reader, leave, body, node, variables):
                return


def ends(reader: Evaluator, leave: Leave, body: Node | None, node: Node, variables: Variables) -> bool:
    """Whether a loop ends that was left; if that is not known, neither is what it sets."""
    if str(leave) in ("break", "continue"):
        return str(leave) == "break"
    if str(leave) != "perhaps" or (
        body is not None and reader.depth and "return_statement" in {each.type for each in descendants(body)}
    ):
        raise leave
    for each in assigned(body):
        why = f"whether the loop is left early is not known, and so '{each}'"
        variables[each] = reader.unknown(node, why, reader.script.quote(line(node)))
    return True


def unsettled(reader: Evaluator, body: Node | None, copy: Branch, node: Node, variables: Variables) -> None:
    """Read the body of a loop that runs an unknown number of times, once; what it changes is not known.

    Numbers and texts that it sets may be anything when it begins again.
    """
    for each in assigned(body):
        if isinstance(copy.get(each), (int, float, str)):
            copy[each] = reader.unknown(node, f"'{each}' changes in a loop that is not followed", each)
    trainings = len(reader.trainings)
    with suppress(Leave):
        block(reader, body, copy)
    changed = [
        key
        for key, value in copy.maps[0].items()
        if key in variables and not same(value, variables[key]) and not isinstance(value, Unknown)
    ]
    if len(reader.trainings) > trainings and changed:
        reader.problem(
            node, f"it trains an unknown number of times, and changes {', '.join(sorted(changed))} from one to the next"
        )
    merge(reader, [ChainMap({}, variables), copy], node, variables)


def try_statement(reader: Evaluator, node: Node, variables: Variables) -> None:
    handler = child(node, "catch_clause")
    failed = False
    try:
        block(reader, child(node, "block"), variables)
    except BridgeError:  # MATLAB refuses the same
        failed = True
    except Leave as leave:
        failed = str(leave) == "error"
        if not failed:
            raise
    if handler is not None:
        choose(reader, [(failed or None, child(handler, "block"))], node, variables)


def leave(reader: Evaluator, node: Node, variables: Variables) -> None:
    raise Leave(node.type.removesuffix("_statement"))


def declaration(reader: Evaluator, node: Node, variables: Variables) -> None:
    for each in node.named_children:
        if each.type == "identifier":
            reader.shared.add(text(each))
            variables[text(each)] = reader.unknown(node, "other functions may set it")


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, as far as that can be told."""
    try:
        return type(left) is type(right) and bool(left == right)
    except (BridgeError, ValueError, RecursionError):
        return False


def assigned(node: Node | None) -> set[str]:
    """Return the names that a piece of source sets."""
    found = (
        (each.child_by_field_name("left") for each in descendants(node) if each.type == "assignment")
        if node is not None
        else ()
    )
    return {text(each) for left in found if left is not None for each in descendants(left) if each.type == "identifier"}


STATEMENTS: Mapping[str, Callable[[Any, Node, Variables], None]] = {
    "assignment": assignment,
    "if_statement": if_statement,
    "switch_statement": switch_statement,
    "for_statement": for_statement,
    "while_statement": while_statement,
    "try_statement": try_statement,
    "return_statement": leave,
    "break_statement": leave,
    "continue_statement": leave,
    "global_operator": declaration,
    "persistent_operator": declaration,
}
