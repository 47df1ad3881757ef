"""The house as CONTRIBUTING describes it: facts of a class stand in its row alone, files and functions stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.tables.layers import layer_mappings, table

ROOT = Path(__file__).parent.parent / "bridge"
FILES = {str(path.relative_to(ROOT).as_posix()): path for path in sorted(ROOT.rglob("*.py"))}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
BUILDERS = "networks/"  # of MATLAB's pretrained networks: their layers have the names of their classes
CLASSES = {name for row in layer_mappings() for name in (row.name, row.constructor, *row.matlab) if name}
OPTIONS = set(table("training_options")["options"]) - {name for row in layer_mappings() for name in row.properties}
MAY_NAME_CLASSES = {
    "readers/mat/faster_rcnn.py": "puts the layers between the two networks of a detector of 2018",
    "readers/mat/shallow.py": "makes the layers of a shallow network, which MATLAB has as functions",
}
MAY_NAME_OPTIONS = {
    "data/observations.py": "asks whether two options were given at all",
    "options/options.py": "what a row cannot say: a schedule may be a chain, metrics a list",
    "parity/calibration.py": "fields of a probe, some named like options",
    "parity/reruns.py": "trains again with an option changed, as an explanation",
    "parity/references.py": "a field of a reference, named like the option",
    "writers/onnx/graph.py": "a dimension of MATLAB's own files, named like the option",
    "writers/structs.py": "a schedule is a struct in a file",
}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module but its docstrings, with their lines."""
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def naming(names: set[str]) -> dict[str, list[str]]:
    """Return the files that hold a string that is one of some names, with line and name."""
    found = {
        name: [f"{line}: {text}" for line, text in texts(ast.parse(path.read_text("utf-8"))) if text in names]
        for name, path in FILES.items()
        if not name.startswith(BUILDERS)
    }
    return {name: lines for name, lines in found.items() if lines}


def test_classes_of_layers_stand_in_rows() -> None:
    assert {name: lines for name, lines in naming(CLASSES).items() if name not in MAY_NAME_CLASSES} == {}


def test_options_of_training_stand_in_rows() -> None:
    assert {name: lines for name, lines in naming(OPTIONS).items() if name not in MAY_NAME_OPTIONS} == {}


def test_exceptions_are_needed() -> None:
    assert MAY_NAME_CLASSES.keys() <= naming(CLASSES).keys() and MAY_NAME_OPTIONS.keys() <= naming(OPTIONS).keys()


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_short(name: str) -> None:
    text = FILES[name].read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions if length(function) > LONGEST_FUNCTION] == []


def length(function: ast.FunctionDef) -> int:
    """Return the lines of a function but those of its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)
