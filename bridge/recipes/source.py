"""A recipe as Python source that does the same."""

from __future__ import annotations

from typing import Any

from bridge.errors import printable
from bridge.files.python import arguments, call, literal
from bridge.options.values import Schedule
from bridge.recipes.parts import Data, Loss, changed
from bridge.recipes.recipe import Recipe
from bridge.recipes.verbs import plain
from bridge.tables.pretrained import without_weights


def python(recipe: Recipe) -> str:
    """Return source that makes `net`, `options`, `loss`, `data` and `rng`."""
    lines = [f"# {printable(line)}".rstrip() for line in recipe.description.splitlines()]
    lines += ["import bridge"]
    parts: dict[str, Loss | Data] = {"loss": recipe.loss, "data": recipe.data}
    given = {name: changed(part) for name, part in parts.items() if changed(part)}
    if any(edit.makes_layers for edit in recipe.edits):
        lines.append("from bridge import layers")
    if given:
        lines.append(
            f"from bridge.recipes.parts import {', '.join(sorted(type(parts[name]).__name__ for name in given))}"
        )
    if recipe.options.schedules and any(isinstance(item, Schedule) for item in recipe.options.schedules):
        lines.append("from bridge.options.values import schedule")
    lines += ["", *_network(recipe), *(edit.source() for edit in recipe.edits)]
    skipped = {"position": recipe.rng.skip} if recipe.rng.skip else {}
    lines += [f"rng = {call('bridge.random.MatlabStream', recipe.rng.seed, **skipped)}", "net = net.initialize(rng)"]
    lines += ["", f"options = {_options(recipe)}"]
    lines += [f"{name} = {call(type(parts[name]).__name__, **values)}" for name, values in given.items()]
    return "\n".join(lines) + "\n"


def _network(recipe: Recipe) -> list[str]:
    base = recipe.base
    if recipe.is_new:
        return ["classes = []  # put the class names of the data here"] if recipe.takes_classes else []
    classes = {"classes": plain(base.classes)} if base.classes else {}
    if base.name and not base.file and base.untrained:
        lines = [f"net = {call('bridge.networks.architecture', base.name, **classes)}"]
    elif base.name and not base.file:
        saved = call("bridge.load", f"{base.name}.mat", **classes)
        lines = [f"# {without_weights(base.name)}", f"net = {saved}"]
    else:
        lines = [f"net = {call('bridge.load', str(recipe.folder / (base.file or 'net.mat')), **classes)}"]
    if recipe.takes_classes:
        lines.append("classes = net.classes  # put the class names of the data here")
    return lines


def _options(recipe: Recipe) -> str:
    options = recipe.options
    semantics = options.semantics.overrides()
    known = {name: value for name, value in options.given if name in options.to_mapping()}
    rules = {"trainer": options.trainer} | ({"semantics": semantics} if semantics else {})
    listed = [
        literal(options.solver),
        *arguments(rules),
        *(f"{name}={_option(value)}" for name, value in known.items()),
    ]
    return f"bridge.training_options({', '.join(listed)})"


def _option(value: Any) -> str:
    if isinstance(value, Schedule):
        return call("schedule", value.name, **dict(value.given))
    return f"[{', '.join(map(_option, value))}]" if isinstance(value, tuple) else literal(value)
