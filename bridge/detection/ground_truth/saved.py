"""Ground truth that MATLAB saved in a .mat: a table, a groundTruth of the Image Labeler, or datastores.

A table has a column for the images and one for each class, which holds for each image a matrix with rows [x y w h]. How
the objects are saved was not seen in a file: their documented properties are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array
from bridge.arrays.matlab import Cell, Object, Table, describe, texts
from bridge.data.variables import texts as labels
from bridge.detection.ground_truth.truth import GroundTruth, joined, located
from bridge.errors import UnreadableError
from bridge.readers.mat.file import require_read, variables

DEEPEST = 4  # objects in objects
Found = dict[str, list[tuple[Sequence[float], str]]]


def read(path: Path) -> GroundTruth:
    """Read the ground truth of a .mat."""
    saved = dict(variables(path))
    labels = _one(saved, "LabelData")
    tables = [value for value in saved.values() if isinstance(value, Table)]
    if isinstance(labels, Table):
        files: Sequence[str] = texts(_one(saved, "Source")) or texts(_one(saved, "DataSource")) or []
        return joined(_of_columns(path, files, labels))
    if isinstance(labels, Cell):
        return joined(_of_datastores(path, texts(_one(saved, "Files")) or [], labels))
    if len(tables) != 1:
        require_read(saved.values(), path)
        listed = ", ".join(f"{name} ({describe(value)})" for name, value in list(saved.items())[:12]) or "nothing"
        raise UnreadableError(
            f"{path} holds {len(tables)} tables", f"it holds {listed}", "save the one table of images and boxes alone"
        )
    (_, named), *columns = tables[0].columns.items()
    return joined(_of_columns(path, texts(named) or [], Table(dict(columns), tables[0].rows)))


def _one(held: Mapping[str, Any], name: str, depth: int = 0) -> Any:
    """Return the first property of a name, in objects and what they hold; None where there is none."""
    for value in held.values():
        if isinstance(value, Object):
            own = value.properties.get(name)
            inner = own if own is not None or depth >= DEEPEST else _one(value.properties, name, depth + 1)
            if inner is not None and not isinstance(inner, Object):
                return inner
        elif isinstance(value, Cell) and depth < DEEPEST:  # datastores that were combined
            inner = _one({str(at): each for at, each in enumerate(value)}, name, depth + 1)
            if inner is not None:
                return inner
    return None


def _of_columns(path: Path, files: Sequence[Any], table: Table) -> Found:
    _require_each(path, len(files), table.rows)
    return {
        located(path.parent, str(file)): [
            (box, name) for name, column in table.columns.items() for box in _rows(column, index)
        ]
        for index, file in enumerate(files)
    }


def _of_datastores(path: Path, files: Sequence[Any], data: Cell) -> Found:
    """A boxLabelDatastore keeps a row {boxes, labels} for each image."""
    rows = len(data) // 2
    _require_each(path, len(files), rows)
    return {
        located(path.parent, str(file)): list(zip(_rows(data, index), labels(data[rows + index]) or (), strict=True))
        for index, file in enumerate(files)
    }


def _require_each(path: Path, files: int, rows: int) -> None:
    if files != rows:
        raise UnreadableError(
            f"{path} names {files} images and has labels of {rows}",
            "each image has its own",
            "save the images with the labels: a table, gTruth, or imds and blds together",
        )


def _rows(column: Any, index: int) -> Iterator[Sequence[float]]:
    """Yield the boxes of an image: a cell's matrix or structs with a Position, or the row of a matrix where each image
    has one object of the class.
    """
    value = (
        column[index]
        if isinstance(column, list)
        else np.atleast_2d(column.read() if isinstance(column, Array) else column)[index]
    )
    for part in value if isinstance(value, Cell) else [value]:
        held = part["Position"] if isinstance(part, dict) else part
        boxes = np.asarray(held.read() if isinstance(held, Array) else held, np.float64)
        yield from boxes.reshape(-1, 4).tolist() if boxes.size else []
