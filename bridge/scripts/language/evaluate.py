"""A small abstract evaluator: what the variables of a script hold, where reading alone tells.

What cannot be told becomes `Unknown`, and whatever is computed from it too. A branch whose condition is not known is
read on both sides, and what differs between them is unknown afterwards. Nothing is executed but this arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tree_sitter import Node

from bridge.errors import BridgeError
from bridge.network import Network
from bridge.scripts.language import indexing, operators
from bridge.scripts.language.assignment import work
from bridge.scripts.language.indexing import Variables
from bridge.scripts.language.statements import Leave, run
from bridge.scripts.language.syntax import EXTRAS, Script, calls, child, children, line, name, parameters, text
from bridge.scripts.language.values import (
    Cell,
    Char,
    Handle,
    Layers,
    Many,
    Place,
    Struct,
    Training,
    Unknown,
    unknown_in,
)
from bridge.scripts.reading.findings import Findings
from bridge.scripts.reading.known import FUNCTIONS, words

MOST_STEPS = 60_000
DEEPEST_CALL = 20


@dataclass(frozen=True)
class Call:
    """A function call: its name, values, and where each of them and the whole stand.

    Attributes:
        outputs: how many values are asked for.
        node: the source.
        reader: what reads the script.
    """

    function: str
    values: tuple[Any, ...]
    places: tuple[Place, ...]
    texts: tuple[str, ...]
    text: str
    place: Place
    outputs: int
    node: Node = field(repr=False)
    reader: Evaluator = field(repr=False)

    def unknown(self, why: str = "") -> Unknown:
        """Return that the call's value is not known."""
        return next((each for each in self.values if isinstance(each, Unknown) and each.why), None) or Unknown(
            self.text, self.place, why
        )

    def report(self, what: str) -> None:
        """Tell of something odd."""
        self.reader.findings.report(self.place, what)


class Evaluator:
    """Reads statements, and gathers on the way what trains and what is not understood.

    Attributes:
        network: the network that was passed for the one that the script starts from.
        trainings: the calls that train; `custom` one made of updates, `options` the last trainingOptions.
        loaded: the network of a file whose variables were loaded without a name.
        shared: global and persistent variables.
        ends: what `end` means, in the brackets around.
        steps, depth: the work done, and the functions within functions, which are both limited.
    """

    def __init__(self, script: Script, network: Network | None = None) -> None:
        self.script = script
        self.network = network
        self.findings = Findings(script)
        self.trainings: list[Training] = []
        self.loaded: Any = None
        self.shared: set[str] = set()
        self.options: Any = None
        self.custom: Training | None = None
        self.ends: list[int | Unknown] = []
        self.steps = 0
        self.depth = 0

    @property
    def exhausted(self) -> bool:
        """Whether the script takes too much work to be followed further."""
        return self.steps > MOST_STEPS or self.depth >= DEEPEST_CALL

    def main(self, variables: Variables) -> None:
        """Read what runs when the file is run: the statements of a script, or the first function of a function file."""
        statements = self.script.statements
        first = next(iter(self.script.functions.values()), None)
        if not statements and first is not None:
            variables.update(
                {each: self.unknown(first, quote=each) for each in parameters(child(first, "function_arguments"))}
            )
            statements = children(child(first, "block") or first)
        with suppress(Leave):
            run(self, statements, variables)

    # Expressions

    def evaluate(self, node: Node, variables: Variables) -> Any:
        """Return the value of an expression."""
        handler = EXPRESSIONS.get(node.type)
        if handler is None or node.is_missing:
            return self.unknown(node, "this expression is not understood")
        value = handler(self, node, variables)
        self.steps += work(value)
        return value[0] if isinstance(value, Many) and len(value) == 1 else value

    def each(self, nodes: Sequence[Node], variables: Variables) -> list[tuple[Any, Node]]:
        """Return values with their sources; a comma-separated list counts as several."""
        found: list[tuple[Any, Node]] = []
        for node in nodes:
            value = self.evaluate(node, variables)
            found += [(item, node) for item in value] if isinstance(value, Many) else [(value, node)]
        return found

    def call(self, node: Node, variables: Variables, outputs: int = 1) -> Any:
        """Return what a name, an index or a call gives; several outputs are a `Many`."""
        if node.type == "field_expression":
            return indexing.fields(self, node, variables)
        called = text(node) if node.type == "identifier" else name(node)
        given = child(node, "arguments") if node.type == "function_call" else None
        if called in variables:
            value = variables[called]
            return value if node.type == "identifier" else indexing.bracketed(self, value, node, variables, outputs)
        if node.has_error:
            self.problem(node, "this call could not be read as a whole")
            return self.unknown(node, "it could not be read")
        return self.apply(called, self.arguments(given, variables), node, outputs)

    def arguments(self, given: Node | None, variables: Variables) -> list[tuple[Any, Node]]:
        """Return the arguments of a call; `Name = value` becomes a name and a value."""
        if given is None:
            return []
        found: list[tuple[Any, Node]] = []
        nodes = [each for each in given.children if each.type not in (*EXTRAS, ",")]
        for index, each in enumerate(nodes):
            if each.type == "=" or not each.is_named:
                continue
            if index + 1 < len(nodes) and nodes[index + 1].type == "=":
                found.append((Char(text(each)), each))
            else:
                found += self.each([each], variables)
        return found

    def apply(self, called: str, given: Sequence[tuple[Any, Node]], node: Node, outputs: int = 1) -> Any:
        """Return what a function gives: one of the script, one beside it, or one of MATLAB's that is known here."""
        self.steps += 1
        values, where = tuple(value for value, _ in given), tuple(self.place(each) for _, each in given)
        call = Call(
            called,
            values,
            where,
            tuple(text(each) for _, each in given),
            text(node),
            self.place(node),
            outputs,
            node,
            self,
        )
        script, definition = self.script.definition(called)
        if definition is not None:
            return self.defined(script, definition, call)
        if script.holds_class:
            return FUNCTIONS["custom layer"](replace(call, text=script.source.decode()))
        if called in FUNCTIONS:
            return self.known(call)
        if self.loaded is not None and not given:
            return indexing.loaded(self.loaded, called, call.unknown())
        return call.unknown(f"what {called} does is not known") if outputs else None

    def known(self, call: Call) -> Any:
        """Return what a function of MATLAB's gives; arguments of a kind that it does not take are not understood."""
        with self.quoting(call.node):
            try:
                return first(FUNCTIONS[call.function](call), call.outputs)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                return call.unknown(f"the arguments of {call.function} are not understood")

    def defined(self, script: Script, definition: Node, call: Call) -> Any:
        """Return what a function of the script's own gives; for MathWorks' helpers what is documented, where their
        source cannot be followed.
        """
        if call.function not in words("helpers"):
            return marked(self.user(script, definition, call), call)
        with suppress(BridgeError):
            value = self.user(script, definition, call)
            if unknown_in(value) is None:
                return marked(value, call)
        return self.known(call)

    def user(self, script: Script, definition: Node, call: Call) -> Any:
        """Return what a function of the script's own gives."""
        if self.exhausted:
            return call.unknown(f"{call.function} calls itself too often to be followed")
        names = parameters(child(definition, "function_arguments"))
        variables: Variables = dict(zip(names, call.values, strict=False))
        if names and names[-1] == "varargin":
            variables["varargin"] = Cell(call.values[len(names) - 1 :])
        variables["nargin"] = len(call.values)
        self.depth += 1
        try:
            self.defaults(script, definition, call, names, variables)
            self.within(script, children(child(definition, "block") or definition), variables)
        except Leave as leave:
            if str(leave) != "perhaps":
                raise
            return call.unknown(f"whether {call.function} returns early is not known")
        finally:
            self.depth -= 1
        nothing = Unknown(call.text, call.place, f"{call.function} may not set its output")
        values = [variables.get(each, nothing) for each in parameters(child(definition, "function_output"))]
        return (values[0] if call.outputs <= 1 else Many(values)) if values else None

    def defaults(self, script: Script, definition: Node, call: Call, names: list[str], variables: Variables) -> None:
        """Take the defaults of an `arguments` block, and arguments by name into its structs."""
        block = child(definition, "arguments_statement")
        for each in children(block) if block is not None else []:
            if each.type != "property":
                continue
            default = child(each, "default_value")
            value = (
                self.evaluate(children(default)[0], variables) if default is not None and children(default) else None
            )
            owner, _, field_name = name(each).partition(".")
            if field_name:
                held = variables.get(owner)
                struct = held if isinstance(held, Struct) else Struct()
                given = dict(
                    zip(map(str, call.values[len(names) - 1 :: 2]), call.values[len(names) :: 2], strict=False)
                )
                known = {key.lower(): item for key, item in given.items()}
                variables[owner] = Struct({**struct, field_name: known.get(field_name.lower(), value)})
            elif owner not in variables and default is not None:
                variables[owner] = value

    def within(self, script: Script, statements: Sequence[Node], variables: Variables) -> None:
        """Read statements of another file or function."""
        outer, self.script = self.script, script
        try:
            run(self, [each for each in statements if each.type not in NO_STATEMENTS], variables)
        except Leave as leave:
            if str(leave) in ("error", "perhaps"):
                raise
        finally:
            self.script = outer

    def knows(self, called: str) -> bool:
        """Whether a function is defined or known."""
        return called in FUNCTIONS or called in self.script.functions

    # What is told

    @contextmanager
    def quoting(self, node: Node) -> Iterator[None]:
        """Put the line before an error that comes from it, once."""
        try:
            yield
        except BridgeError as error:
            if hasattr(error, "place"):
                raise
            told = type(error)(
                f"{self.script.path.name}, line {line(node)}, {self.script.quote(line(node))}: {error.error}",
                error.cause,
                error.hint,
            )
            told.place = self.place(node)  # type: ignore[attr-defined]
            raise told from error

    def place(self, node: Node) -> Place:
        return self.script.path.name, line(node)

    def unknown(self, node: Node, why: str = "", quote: str = "") -> Unknown:
        """Return that a value is not known; its source is that of the node, if no other is given."""
        return Unknown(quote or text(node), self.place(node), why)

    def problem(self, node: Node, what: str) -> None:
        """List a line as not understood."""
        self.findings.problem(self.place(node), what)

    def report(self, node: Node, what: str) -> None:
        """Tell of something odd."""
        self.findings.report(self.place(node), what)


def first(value: Any, outputs: int) -> Any:
    """Return the first of several values, where only one is asked for."""
    return value[0] if isinstance(value, Many) and outputs <= 1 and value else value


def marked(value: Any, call: Call) -> Any:
    """Return layers that a function froze with the place of its call: all of them, also those without learnables."""
    given = next((each for each in call.values if isinstance(each, Layers)), None)
    if not isinstance(value, Layers) or given is None or len(given) != len(value):
        return value
    if not any(new.is_frozen and new.changes != old.changes for old, new in zip(given, value, strict=True)):
        return value
    return Layers(replace(each, frozen=call.place) for each in value)


NO_STATEMENTS = (
    "function_arguments",
    "function_output",
    "arguments_statement",
    "function_definition",
    "class_definition",
)


def _handle(reader: Evaluator, node: Node, variables: Variables) -> Any:
    inner = children(node)[0]
    if inner.type not in ("identifier", "field_expression", "function_call"):
        return reader.unknown(node)
    return Handle(text(node), reader.place(node), name=text(inner), script=reader.script)


def _lambda(reader: Evaluator, node: Node, variables: Variables) -> Any:
    body = node.child_by_field_name("expression")
    captured = {each: variables[each] for each in (calls(body) if body is not None else ()) if each in variables}
    return Handle(
        text(node), reader.place(node), "", tuple(parameters(child(node, "arguments"))), body, captured, reader.script
    )


EXPRESSIONS: Mapping[str, Callable[[Evaluator, Node, Variables], Any]] = {
    **operators.EXPRESSIONS,
    "identifier": lambda reader, node, variables: reader.call(node, variables),
    "function_call": lambda reader, node, variables: reader.call(node, variables),
    "field_expression": indexing.fields,
    "handle_operator": _handle,
    "lambda": _lambda,
    "end_keyword": lambda reader, node, variables: reader.ends[-1] if reader.ends else reader.unknown(node),
}
