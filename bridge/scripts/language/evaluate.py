"""A small abstract evaluator: what the variables of a script hold, where reading alone tells.

What cannot be told becomes `Unknown`, and whatever is computed from it too. A branch whose condition is not known is
read on both sides, and what differs between them is unknown afterwards. Nothing is executed but this arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tree_sitter import Node

from bridge.errors import BridgeError
from bridge.scripts.language import indexing, operators
from bridge.scripts.language.assignment import work
from bridge.scripts.language.calls import FUNCTIONS, HELPERS, Argument, Call, Reader, Variables, words
from bridge.scripts.language.findings import Refusal
from bridge.scripts.language.statements import Leave, Way, guarded, run
from bridge.scripts.language.syntax import EXTRAS, Script, body, calls, child, children, name, parameters, shared, text
from bridge.scripts.language.values import Cell, Char, Handle, Many, Object, Struct, Unknown, unknown_in


class Evaluator(Reader):
    """Reads the statements of a script for a subject."""

    def main(self, variables: Variables) -> None:
        """Read what runs when the file is run: the statements of a script, or the first function of a function file."""
        statements = self.script.statements
        first = next(iter(self.script.functions.values()), None)
        if not statements and first is not None:
            variables.update(
                {each: self.unknown(first, quote=each) for each in parameters(child(first, "function_arguments"))}
            )
            statements = body(first)
            self.shared |= shared(first)
        with suppress(Leave):
            run(self, statements, variables)

    # Expressions

    def evaluate(self, node: Node, variables: Variables) -> Any:
        handler = EXPRESSIONS.get(node.type)
        if handler is None or node.is_missing:
            return self.unknown(node, "this expression is not understood")
        value = handler(self, node, variables)
        self.steps += work(value)
        return value[0] if isinstance(value, Many) and len(value) == 1 else value

    def each(self, nodes: Sequence[Node], variables: Variables) -> list[Argument]:
        found: list[Argument] = []
        for node in nodes:
            value = self.evaluate(node, variables)
            found += [(item, node) for item in value] if isinstance(value, Many) else [(value, node)]
        return found

    def call(self, node: Node, variables: Variables, outputs: int = 1) -> Any:
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

    def arguments(self, given: Node | None, variables: Variables) -> list[Argument]:
        if given is None:
            return []
        found: list[Argument] = []
        nodes = [each for each in given.children if each.type not in (*EXTRAS, ",")]
        for index, each in enumerate(nodes):
            if each.type == "=" or not each.is_named:
                continue
            if index + 1 < len(nodes) and nodes[index + 1].type == "=":
                found.append((Char(text(each)), each))
            else:
                found += self.each([each], variables)
        return found

    def apply(self, called: str, given: Sequence[Argument], node: Node, outputs: int = 1) -> Any:
        self.steps += 1
        call = Call.of(called, given, node, self, outputs)
        script, definition = self.script.definition(called)
        if definition is not None:
            return self.defined(script, definition, call)
        if script.holds_class:
            return self.subject.instance(call, script.source.decode())
        known = self.known(call)
        if known is not None:
            return self.given(known, call)
        loaded = self.subject.variable(called) if not given else None
        if loaded is not None:
            return loaded
        if called not in words("harmless"):
            self.draws = self.draws.trusting(called)
        elsewhere = node.type == "identifier"  # a variable of the workspace: data, say
        why = "" if elsewhere else f"what {called} does is not known"
        return Unknown(call.text, call.place, why) if outputs else None

    def known(self, call: Call) -> Any:
        """Return what tells the value of a function of MATLAB's: a method of an argument goes before."""
        for each in call.values:
            if isinstance(each, (Object, Unknown)) and call.function in each.METHODS:
                return each.METHODS[call.function]
        return FUNCTIONS.get(call.function)

    def given(self, function: Callable[[Call], Any], call: Call) -> Any:
        """Return what a function of MATLAB's gives; arguments of a kind that it does not take are not understood."""
        try:
            value = function(call)
        except BridgeError as error:
            raise Refusal(call.place, error) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return call.unknown(f"the arguments of {call.function} are not understood")
        return value[0] if isinstance(value, Many) and call.outputs <= 1 and value else value

    def defined(self, script: Script, definition: Node, call: Call) -> Any:
        """Return what a function of the script's own gives; for MathWorks' helpers what is documented, where their
        source cannot be followed.
        """
        if call.function not in HELPERS:
            return self.subject.returned(self.user(script, definition, call), call)
        with suppress(Refusal, BridgeError), guarded(self):
            value = self.user(script, definition, call)
            if unknown_in(value) is None:
                return self.subject.returned(value, call)
        return self.given(FUNCTIONS[call.function], call)

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
            self.shared |= shared(definition)
            self.within(script, body(definition), variables)
        except Leave as leave:
            if leave.way is not Way.PERHAPS:
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
        outer, self.script = self.script, script
        try:
            run(self, statements, variables)
        except Leave as leave:
            if leave.way in (Way.ERROR, Way.PERHAPS):
                raise
        finally:
            self.script = outer


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
