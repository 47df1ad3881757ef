"""Statements: assignments, branches, loops."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from typing import Any

from tree_sitter import Node

from bridge.errors import BridgeError
from bridge.scripts.language.assignment import assign
from bridge.scripts.language.calls import FUNCTIONS, Reader, Variables, words
from bridge.scripts.language.draws import Draws
from bridge.scripts.language.findings import Refusal
from bridge.scripts.language.indexing import columns
from bridge.scripts.language.operators import is_case, truth
from bridge.scripts.language.syntax import FUNCTION, assigned, calls, child, children, descendants, line, name, text
from bridge.scripts.language.values import Char, Many, Object, Unknown

SHORT = 50  # turns of a loop that are read one by one, without asking whether they change anything
MOST_TURNS = 6000  # steps within one `while`

Choice = tuple[Any, Node | None]  # a condition, and what is run where it is met
Branch = ChainMap[str, Any]  # what a branch sets, before the variables outside


class Way(Enum):
    """How the rest of a body is not reached: one of MATLAB's, or perhaps one of them."""

    RETURN = "return_statement"
    BREAK = "break_statement"
    CONTINUE = "continue_statement"
    ERROR = "error"
    PERHAPS = "perhaps"


class Leave(Exception):
    """The rest of a body is not reached."""

    def __init__(self, way: Way) -> None:
        super().__init__(way)
        self.way = way


def run(reader: Reader, statements: Sequence[Node], variables: Variables) -> None:
    """Read statements one after another. A statement that MATLAB refuses is listed, and costs itself alone; within a
    `try`, or a branch that may not be taken, it is left to that.
    """
    for node in statements:
        reader.steps += 1
        if node.type == "ERROR" or node.is_missing:
            reader.problem(node, "this is no MATLAB that could be read")
            run(reader, [each for each in children(node) if each.type in READ_IN_ERRORS], variables)
            continue
        try:
            STATEMENTS.get(node.type, expression_statement)(reader, node, variables)
        except (Refusal, BridgeError) as error:
            refusal = error if isinstance(error, Refusal) else Refusal(reader.place(node), error)
            if reader.guarded:
                raise refusal from error
            _pass_over(reader, node, refusal, variables)


def _pass_over(reader: Reader, node: Node, refusal: Refusal, variables: Variables) -> None:
    """List a refused statement. What it would have set keeps its value, or is not known if it has none."""
    reader.findings.refuse(refusal)
    missing = Unknown(text(node), refusal.place, f"line {refusal.place[1]} does not set it", refused=True)
    for each in assigned(node) - variables.keys():
        variables[each] = missing


@contextmanager
def guarded(reader: Reader) -> Iterator[None]:
    """Read what may fail without an error of the whole script."""
    reader.guarded += 1
    try:
        yield
    finally:
        reader.guarded -= 1


def block(reader: Reader, node: Node | None, variables: Variables) -> None:
    """Read the body of a statement."""
    if node is not None:
        run(reader, children(node), variables)


def expression_statement(reader: Reader, node: Node, variables: Variables) -> None:
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
        and reader.subject.variable(word) is None
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


def assignment(reader: Reader, node: Node, variables: Variables) -> None:
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
    values = list(value) if isinstance(value, Many) else [value]
    if isinstance(value, Unknown) and len(targets) > 1:
        values = [replace(value, output=number) for number in range(len(targets))]
    missing = reader.unknown(node, f"{text(right)} gives no value number {len(values) + 1} that is known")
    values += [missing] * (len(targets) - len(values))
    for target, each in zip(targets, values, strict=False):
        if target.type != "ignored_argument":
            assign(reader, target, each, variables)


def if_statement(reader: Reader, node: Node, variables: Variables) -> None:
    """Read the branches one after another; the condition of a later one only where no earlier one is taken."""
    clauses = [node, *(each for each in children(node) if each.type in ("elseif_clause", "else_clause"))]

    def branches() -> Iterator[Choice]:
        for clause in clauses:
            condition = clause.child_by_field_name("condition")
            yield True if condition is None else reader.evaluate(condition, variables), child(clause, "block")

    choose(reader, branches(), node, variables)


def switch_statement(reader: Reader, node: Node, variables: Variables) -> None:
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


def choose(reader: Reader, branches: Iterable[Choice], node: Node, variables: Variables) -> None:
    """Read the branch that is taken, or all that may be, where that is not known."""
    possible: list[Node | None] = []
    certain = False
    for condition, body in branches:
        taken = truth(condition)
        if taken is False and body is not None and calls(body) & reader.subject.sought:
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
    before = reader.draws
    outcomes = [] if certain else [(ChainMap({}, variables), before)]
    refused: Refusal | None = None
    for body in possible:
        copy: Branch = ChainMap({}, variables)
        found, reader.draws = reader.subject.count(), before
        try:
            with guarded(reader):
                block(reader, body, copy)
        except Refusal as refusal:  # a script that runs does not come here
            reader.report(body or node, "MATLAB would refuse this branch: it is read as one that is not taken")
            refused = refusal
            continue
        except Leave as leave:
            if leave.way not in (Way.ERROR, Way.RETURN) or (leave.way is Way.RETURN and reader.depth):
                raise Leave(Way.PERHAPS) from leave
            if reader.subject.count() == found:
                continue
        outcomes.append((copy, reader.draws))
    if refused is not None and not outcomes:
        raise refused
    merge(reader, outcomes, node, variables)


def merge(reader: Reader, outcomes: Sequence[tuple[Branch, Draws]], node: Node, variables: Variables) -> None:
    """Keep what is the same in every outcome; the rest is not known."""
    for key in sorted({key for each, _ in outcomes for key in each.maps[0]}):
        held = [each.get(key) for each, _ in outcomes]
        if not all(each is held[0] or same(each, held[0]) for each in held):
            nothing = reader.unknown(node, f"which branch sets '{key}' is not known", reader.script.quote(line(node)))
            both = held[0].merged(held[1:], nothing) if isinstance(held[0], Object) else None
            variables[key] = nothing if both is None else both
        elif held[0] is not None:
            variables[key] = held[0]
    if outcomes:
        first, *rest = (draws for _, draws in outcomes)
        reader.draws = first.merged(rest, f"which branch of line {line(node)} draws is not known")


def for_statement(reader: Reader, node: Node, variables: Variables) -> None:
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
        if value is items[0] and len(items) > SHORT and changes_nothing(reader, body, turn, once):
            variables[turn] = items[-1]
            break


def changes_nothing(reader: Reader, body: Node | None, turn: str, once: Branch) -> bool:
    """Whether the body of a loop, read for any turn, leaves everything as it is: then all further turns do."""
    if body is None or calls(body) & reader.subject.sought:
        return False
    before, outer = reader.draws, once.parents
    try:
        block(reader, body, once)
    except Leave:
        return False
    known = all(key in outer and same(value, outer[key]) for key, value in once.maps[0].items() if key != turn)
    return known and reader.draws == before


def while_statement(reader: Reader, node: Node, variables: Variables) -> None:
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


def ends(reader: Reader, leave: Leave, body: Node | None, node: Node, variables: Variables) -> bool:
    """Whether a loop ends that was left; if that is not known, neither is what it sets."""
    if leave.way in (Way.BREAK, Way.CONTINUE):
        return leave.way is Way.BREAK
    returns = body is not None and reader.depth and Way.RETURN.value in {each.type for each in descendants(body)}
    if leave.way is not Way.PERHAPS or returns:
        raise leave
    for each in assigned(body):
        why = f"whether the loop is left early is not known, and so '{each}'"
        variables[each] = reader.unknown(node, why, reader.script.quote(line(node)))
    return True


def unsettled(reader: Reader, body: Node | None, copy: Branch, node: Node, variables: Variables) -> None:
    """Read the body of a loop that runs an unknown number of times, once; what it changes is not known.

    Numbers and texts that it sets may be anything when it begins again.
    """
    for each in assigned(body):
        if isinstance(copy.get(each), (int, float, str)):
            copy[each] = reader.unknown(node, f"'{each}' changes in a loop that is not followed", each)
    found, before = reader.subject.count(), reader.draws
    with suppress(Leave):
        block(reader, body, copy)
    changed = [
        key
        for key, value in copy.maps[0].items()
        if key in variables and not same(value, variables[key]) and not isinstance(value, Unknown)
    ]
    if reader.subject.count() > found and changed:
        reader.problem(
            node, f"it trains an unknown number of times, and changes {', '.join(sorted(changed))} from one to the next"
        )
    merge(reader, [(ChainMap({}, variables), before), (copy, reader.draws)], node, variables)


def try_statement(reader: Reader, node: Node, variables: Variables) -> None:
    handler = child(node, "catch_clause")
    failed = False
    try:
        with guarded(reader):
            block(reader, child(node, "block"), variables)
    except Refusal:  # MATLAB refuses the same
        failed = True
    except Leave as leave:
        failed = leave.way is Way.ERROR
        if not failed:
            raise
    if handler is not None:
        choose(reader, [(failed or None, child(handler, "block"))], node, variables)


def leave(reader: Reader, node: Node, variables: Variables) -> None:
    raise Leave(Way(node.type))


def declaration(reader: Reader, node: Node, variables: Variables) -> None:
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


READ_IN_ERRORS = ("assignment", "for_statement", "if_statement", "function_call", "ERROR")
STATEMENTS: Mapping[str, Callable[[Any, Node, Variables], None]] = {
    "assignment": assignment,
    "if_statement": if_statement,
    "switch_statement": switch_statement,
    "for_statement": for_statement,
    "while_statement": while_statement,
    "try_statement": try_statement,
    **dict.fromkeys((Way.RETURN.value, Way.BREAK.value, Way.CONTINUE.value), leave),
    "global_operator": declaration,
    "persistent_operator": declaration,
    FUNCTION: lambda reader, node, variables: None,  # read where it is called
}
