"""A .csv with a line for each object, `path,x,y,width,height,label`; an image without any has one with its path."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from bridge.detection.ground_truth.truth import GroundTruth, joined, located
from bridge.errors import UnreadableError
from bridge.files.atomic import write_text

HEADER = ["path", "x", "y", "width", "height", "label"]


def read(path: Path) -> GroundTruth:
    objects: dict[str, list[tuple[list[float], str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        if rows.fieldnames != HEADER:
            raise UnreadableError(
                f"{path} has the header {rows.fieldnames}",
                "the columns of a table of objects have names",
                f"write {','.join(HEADER)}",
            )
        for line, row in enumerate(rows, 2):
            held = objects.setdefault(row["path"], [])
            given = [row[name] for name in HEADER[1:]]
            if any(given):
                try:
                    held.append(([float(each) for each in given[:4]], _required(given[4])))
                except (TypeError, ValueError) as error:
                    raise UnreadableError(
                        f"line {line} of {path} holds {given}",
                        "x, y, width and height are numbers, label a name",
                        "correct it",
                    ) from error
    return joined({located(path.parent, name): held for name, held in objects.items()})


def _required(label: str) -> str:
    if not label:
        raise ValueError("no label")
    return label


def write(truth: GroundTruth, path: Path, *, force: bool = False) -> Path:
    """Write a table; paths are seen from its folder where they lie below it."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(HEADER)
    for name, boxes, labels in zip(truth.names(path.parent), truth.boxes, truth.labels, strict=True):
        if not labels:
            rows.writerow([name, *[""] * 5])
        for box, label in zip(boxes.tolist(), labels, strict=True):
            rows.writerow([name, *(f"{side:.12g}" for side in box), label])
    return write_text(path, stream.getvalue(), force=force)
