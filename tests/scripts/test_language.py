"""The language half of the script reader knows MATLAB, and no deep learning."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bridge.scripts.language
from bridge.tables.layers import layer_mappings, table

LANGUAGE = Path(bridge.scripts.language.__file__).parent
READING = LANGUAGE.parent / "reading"
MAY_IMPORT = ("bridge.errors", "bridge.random", "bridge.scripts.language", "bridge.tables")


def strings(path: Path) -> set[str]:
    """Return the texts of a file, but for its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return {node.value for node in constants if isinstance(node.value, str)}


@pytest.mark.parametrize("path", sorted(LANGUAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("bridge") and not name.startswith(MAY_IMPORT)} == set()


@pytest.mark.parametrize(
    "path", sorted([*LANGUAGE.glob("*.py"), *READING.glob("*.py")]), ids=lambda path: f"{path.parent.stem}.{path.stem}"
)
def test_classes_and_options_are_named_by_the_tables(path: Path) -> None:
    """No class or constructor of a layer, and no training option, stands in the code."""
    rows = list(layer_mappings())
    known = (
        {row.name for row in rows} | {row.constructor for row in rows} | {name for row in rows for name in row.matlab}
    )
    assert strings(path) & (known | set(table("training_options")["options"])) - {""} == set()
