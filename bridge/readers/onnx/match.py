"""Find a formula in a graph: a pattern of operators, matched backwards from the value it ends in.

A pattern is one of
    ("Mul", a, b)   a node of that operator; "Mul:half" also names it. Both orders of an Add or a Mul are tried;
    "x"             any value, the same one wherever the name stands again;
    "$scale"        a constant;
    0.5             a constant of which every element is that number, in single precision;
    [p, q]          either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bridge.readers.onnx.graph import Graph, Node

Pattern = Any  # see above; a recursive alias would say no more
FEW = 16  # elements of a constant that may be a single number
SAME = 1e-6  # a single-precision number and the one in the formula


@dataclass(frozen=True)
class Match:
    """Values and nodes by their names in the pattern, and every node of the formula."""

    values: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, Node] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()


class Matcher:
    """Matches patterns in one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.producers, self.readers = graph, graph.producers(), graph.readers()

    def find(self, value: str, pattern: Pattern, **where: Pattern) -> Match | None:
        """Match `value`, then each variable of `where` with its own pattern.

        The formula must be self-contained: what it works out on the way is read by nothing else and is no output.
        """
        for match in self._with(self._match(pattern, value, Match()), list(where.items())):
            if all(self._private(node, match) for node in match.nodes if value not in node.outputs):
                return match
        return None

    def _with(self, matches: Iterator[Match], where: list[tuple[str, Pattern]]) -> Iterator[Match]:
        if not where:
            yield from matches
            return
        (name, pattern), *rest = where
        for match in matches:
            yield from self._with(self._match(pattern, match.values[name], match), rest)

    def _private(self, node: Node, match: Match) -> bool:
        read_by = [reader for name in node.outputs for reader in self.readers.get(name, [])]
        return all(reader in match.nodes for reader in read_by) and not set(node.outputs).intersection(
            self.graph.outputs
        )

    def _match(self, pattern: Pattern, value: str, match: Match) -> Iterator[Match]:
        if isinstance(pattern, list):
            for each in pattern:
                yield from self._match(each, value, match)
        elif isinstance(pattern, float):
            if self._is_number(value, pattern):
                yield match
        elif isinstance(pattern, str):
            known = match.values.get(pattern)
            if known == value or (known is None and (not pattern.startswith("$") or value in self.graph.constants)):
                yield replace(match, values={**match.values, pattern: value})
        else:
            yield from self._match_node(pattern, value, match)

    def _match_node(self, pattern: Pattern, value: str, match: Match) -> Iterator[Match]:
        operator, _, label = pattern[0].partition(":")
        node, wanted = self.producers.get(value), pattern[1:]
        if node is None or node.operator != operator or len(node.inputs) != len(wanted):
            return
        named = {**match.named, label: node} if label else match.named
        match = replace(match, named=named, nodes=(*match.nodes, node))
        yield from self._match_all(wanted, node.inputs, match)
        if operator in ("Add", "Mul"):
            yield from self._match_all(wanted, node.inputs[::-1], match)

    def _match_all(self, patterns: Sequence[Pattern], values: Sequence[str], match: Match) -> Iterator[Match]:
        if not patterns:
            yield match
            return
        for first in self._match(patterns[0], values[0], match):
            yield from self._match_all(patterns[1:], values[1:], first)

    def _is_number(self, value: str, number: float) -> bool:
        array = self.graph.constants.get(value)
        if array is None or not 0 < array.size <= FEW or array.dtype.kind not in "fiu":
            return False
        return bool(np.allclose(array.read(), number, rtol=SAME, atol=0))
