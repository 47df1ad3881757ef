"""Class names that were saved beside a network: a dlnetwork has none of its own."""

from __future__ import annotations

from pathlib import Path

from bridge.arrays.matlab import describe, names
from bridge.errors import UnreadableError, UsageError, nearest
from bridge.readers.mat.file import require_read, variables


def class_names(path: Path, variable: str = "") -> tuple[str, ...]:
    """Read the variable of a .mat file that holds names: a cell or string array, or a categorical.

    Args:
        path: the file.
        variable: which one; without it the only one.

    Raises:
        UsageError: several variables hold names, or `variable` none; they are listed.
        UnreadableError: none does, or none can be decoded; what the file holds is listed.
    """
    held = dict(variables(path))
    found = {variable: listed for variable, value in held.items() if (listed := names(value))}
    if variable:
        if variable not in found:
            raise UsageError(f"{path} holds no names in '{variable}'", nearest(variable, found))
        return found[variable]
    if len(found) > 1:
        shown = (f"{name} ({', '.join(each[:3])}{', ...' if len(each) > 3 else ''})" for name, each in found.items())
        hint = f"name one of them: {path}:{next(iter(found))}"
        raise UsageError(f"{path} holds {len(found)} lists of names", "; ".join(shown), hint)
    if not found:
        require_read(held.values(), path)
        others = ", ".join(f"{name} ({describe(value)})" for name, value in list(held.items())[:12])
        hint = "class names are a cell array, a string array or a categorical"
        raise UnreadableError(f"{path} holds no class names", f"it holds {others or 'nothing'}", hint)
    return next(iter(found.values()))
