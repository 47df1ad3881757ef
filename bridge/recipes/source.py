"""A recipe as Python source that does the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bridge.options.options import Schedule
from bridge.recipes.parts import Data, Loss, changed
from bridge.recipes.recipe import Recipe
from bridge.recipes.verbs import plain

CONSTRUCTOR = re.compile(r"(?<!net\.)layers\.\w+\(")


def python(recipe: Recipe) -> str:
    """Return source that makes `net`, `options`, `loss`, `data` and `seed`."""
    lines = [f"# {line}" for line in recipe.description.splitlines()]
    lines += ["import bridge"]
    parts: dict[str, Loss | Data] = {"loss": recipe.loss, "data": recipe.data}
    given = {name: changed(part) for name, part in parts.items() if changed(part)}
    edits = [edit.source() for edit in recipe.edits]
    if any(CONSTRUCTOR.search(line) for line in edits):
        lines.append("from bridge import layers")
    if given:
        lines.append(
            f"from bridge.recipes.parts import {', '.join(sorted(type(parts[name]).__name__ for name in given))}"
        )
    if recipe.options.schedules and any(isinstance(item, Schedule) for item in recipe.options.schedules):
        lines.append("from bridge.options.options import schedule")
    lines += ["", *_network(recipe), *edits, f"net = net.initialize({recipe.seed})", ""]
    lines += [f"options = bridge.training_options({_options(recipe)})"]
    lines += [f"{name} = {type(parts[name]).__name__}({_named(values)})" for name, values in given.items()]
    return "\n".join([*lines, f"seed = {recipe.seed}"]) + "\n"


def _network(recipe: Recipe) -> list[str]:
    base = recipe.base
    if recipe.is_new:
        return ["classes = []  # put the class names of the data here"] if recipe.takes_classes else []
    classes = f", classes={plain(base.classes)!r}" if base.classes else ""
    if base.name and not base.file:
        lines = [f"net = bridge.networks.architecture({base.name!r}{classes})"]
    else:
        lines = [f"net = bridge.load({str(recipe.folder / (base.file or 'net.mat'))!r}{classes})"]
    if recipe.takes_classes:
        lines.append("classes = net.classes  # put the class names of the data here")
    return lines


def _options(recipe: Recipe) -> str:
    options = recipe.options
    semantics = options.semantics.overrides()
    named = {name: value for name, value in options.given if name in options.to_mapping()}
    rules = {"trainer": options.trainer} | ({"semantics": semantics} if semantics else {})
    return ", ".join([repr(options.solver), *_arguments({**rules, **named})])


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(_arguments(values))


def _arguments(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in values.items()]


def _literal(value: Any) -> str:
    if isinstance(value, Schedule):
        return f"schedule({', '.join([repr(value.name), *_arguments(dict(value.given))])})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    return 'float("inf")' if value == float("inf") else repr(value)
