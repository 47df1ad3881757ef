"""Copies definitions of bridge's own, with all that they use, into source code that stands alone."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

OWN = "bridge."


@dataclass(frozen=True)
class Module:
    """A module's source: its definitions by name, and where each imported name comes from, as (module, name), name ""
    for a module.
    """

    lines: tuple[str, ...]
    definitions: dict[str, ast.stmt]
    imported: dict[str, tuple[str, str]]

    def source(self, name: str) -> str:
        node = self.definitions[name]
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        return "\n".join(self.lines[first - 1 : node.end_lineno])


@cache
def read(name: str) -> Module:
    """Read the source of a module."""
    text = Path(importlib.import_module(name).__file__ or "").read_text(encoding="utf-8")
    definitions: dict[str, ast.stmt] = {}
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            definitions[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions.update({each.id: node for each in targets if isinstance(each, ast.Name)})
        elif isinstance(node, ast.Import):
            imported.update({each.asname or each.name: (each.name, "") for each in node.names})
        elif isinstance(node, ast.ImportFrom):
            imported.update({each.asname or each.name: (node.module or "", each.name) for each in node.names})
    return Module(tuple(text.splitlines()), definitions, imported)


@dataclass
class Paste:
    """Definitions in an order in which they can run, and the imports that they need.

    Attributes:
        imports: (module, name, the name it goes by), name "" for a module.
    """

    definitions: dict[tuple[str, str], str] = field(default_factory=dict)
    imports: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, defined: Iterable[type | Callable[..., object]]) -> None:
        for each in defined:
            self._add(each.__module__, each.__name__)

    def _add(self, module: str, name: str) -> None:
        if (module, name) in self.definitions:
            return
        held = read(module)
        for used in names_in(held.definitions[name]):
            if used in held.definitions and used != name:
                self._add(module, used)
            elif used in held.imported:
                source, original = held.imported[used]
                if source.startswith(OWN):
                    self._add(source, original)
                else:
                    self.imports.add((source, original, used))
        self.definitions[module, name] = held.source(name)


def names_in(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a definition reads and does not bind itself."""
    walked = list(ast.walk(node))
    bound = {each.arg for each in walked if isinstance(each, ast.arg)}
    yield from dict.fromkeys(
        each.id
        for each in walked
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id not in bound
    )


def import_lines(imports: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return import statements: the standard library, a blank line, torch."""
    plain: dict[bool, set[str]] = {True: set(), False: set()}
    names: dict[tuple[bool, str], set[str]] = {}
    for module, name, known_as in imports:
        torch = module.split(".")[0] == "torch"
        if name:
            names.setdefault((torch, module), set()).add(name if name == known_as else f"{name} as {known_as}")
        else:
            plain[torch].add(f"import {module}")

    def block(torch: bool) -> list[str]:
        return sorted(plain[torch]) + [
            f"from {module} import {', '.join(sorted(each))}"
            for (own, module), each in sorted(names.items())
            if own is torch
        ]

    return [*block(False), "", *block(True)]
