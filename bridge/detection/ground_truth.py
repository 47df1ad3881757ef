"""Images and the objects in them: what detectors are trained on and measured against.

A .csv has one line for each object and the header `path,x,y,width,height,label`; a line with a path alone is an image
without objects. A .mat holds a table as MATLAB's Image Labeler exports it: the first column names the images, each
further column is a class and holds for each image a matrix with rows [x y w h]. Boxes are [x y w h] in pixels from 1;
paths are seen from the file's own folder.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import Table, describe, texts
from bridge.detection.family import Family
from bridge.detection.images import prepared, require, size_of
from bridge.errors import UnreadableError, UsageError, nearest, reading
from bridge.images import imread
from bridge.readers.mat.file import require_read, variables

HEADER = ["path", "x", "y", "width", "height", "label"]
NO_CLASS = -1  # of a row that fills up the objects of an image


@dataclass(frozen=True)
class GroundTruth:
    """Images with their objects.

    Attributes:
        files: paths of the images.
        boxes: for each image M x 4, rows [x y w h] in pixels from 1.
        labels: for each image M class names.
    """

    files: tuple[str, ...]
    boxes: tuple[NDArray, ...]
    labels: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for file, boxes, labels in zip(self.files, self.boxes, self.labels, strict=True):
            if boxes.shape != (len(labels), 4) or not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
                raise UnreadableError(
                    f"a box of {file} is none",
                    f"the boxes are {boxes.tolist()}",
                    "each is [x y width height], the sizes above 0",
                )

    def __len__(self) -> int:
        return len(self.files)

    def sizes(self, of_network: Sequence[int] | None = None) -> NDArray:
        """Return (height, width) of every box; with the (height, width) of a network's input as the boxes are after
        resizing.
        """
        return np.concatenate([self._sizes(index, of_network) for index in range(len(self))] or [np.empty((0, 2))])

    def _sizes(self, index: int, of_network: Sequence[int] | None) -> NDArray:
        own: NDArray = self.boxes[index][:, [3, 2]]
        if of_network is None or len(own) == 0:
            return own
        return np.asarray(own * np.divide(of_network[:2], imread(self.files[index]).shape[:2]))


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a .csv or .mat of objects.

    Raises:
        UsageError: it does not exist, is of another kind, or names no object.
        UnreadableError: it is damaged, holds no such table, or names an image that does not exist.
    """
    readers = {".csv": _table, ".mat": _saved_table}
    if path.suffix.lower() not in readers or not path.is_file():
        what = "is of another kind" if path.exists() else "does not exist"
        raise UsageError(
            f"{path} {what}", f"objects come as {' or '.join(readers)}", f"the header of a .csv is {','.join(HEADER)}"
        )
    with reading(str(path)):
        found = readers[path.suffix.lower()](path)
    missing = [file for file in found.files if not Path(file).is_file()]
    if missing:
        raise UnreadableError(
            f"{missing[0]} does not exist",
            f"{path} names it, and {len(missing) - 1} others that do not exist",
            "correct the paths",
        )
    if not any(found.labels):
        raise UsageError(
            f"{path} names no object", "there is nothing to learn from images alone", "label objects in it"
        )
    return found


def _table(path: Path) -> GroundTruth:
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
    return _joined({str(path.parent / name): held for name, held in objects.items()})


def _required(label: str) -> str:
    if not label:
        raise ValueError("no label")
    return label


def _joined(objects: Mapping[str, Sequence[tuple[Sequence[float], str]]]) -> GroundTruth:
    boxes = (np.array([box for box, _ in held], np.float64).reshape(-1, 4) for held in objects.values())
    return GroundTruth(
        tuple(objects), tuple(boxes), tuple(tuple(label for _, label in held) for held in objects.values())
    )


def _saved_table(path: Path) -> GroundTruth:
    saved = dict(variables(path))
    tables = [value for value in saved.values() if isinstance(value, Table)]
    if len(tables) != 1:
        require_read(saved.values(), path)
        listed = ", ".join(f"{name} ({describe(value)})" for name, value in list(saved.items())[:12]) or "nothing"
        raise UnreadableError(
            f"{path} holds {len(tables)} tables", f"it holds {listed}", "save the one table of images and boxes alone"
        )
    (_, files), *columns = tables[0].columns.items()
    found: dict[str, list[tuple[Sequence[float], str]]] = {}
    for index, file in enumerate(texts(files) or ()):
        held = [(box, name) for name, column in columns for box in _rows(column, index)]
        found[str(path.parent / str(file).replace("\\", "/"))] = held
    return _joined(found)


def _rows(column: Any, index: int) -> Iterator[Sequence[float]]:
    """Yield the boxes of an image: a cell's matrix, or the row of a matrix where each image has one object of the
    class.
    """
    value = (
        column[index]
        if isinstance(column, list)
        else np.atleast_2d(column.read() if isinstance(column, Array) else column)[index]
    )
    boxes = np.asarray(value.read() if isinstance(value, Array) else value, np.float64)
    yield from boxes.reshape(-1, 4).tolist() if boxes.size else []


class BoxImages(Dataset[tuple[Tensor, Tensor]]):
    """Images in the size of a network, 0..1, with their objects: what a detector is trained on.

    An item is C x H x W and M x 5: x, y, width and height in pixels of the network's input, and the class index. M is
    the same for all images; rows that only fill up have the class -1. Boxes are scaled as `detect` scales them back:
    they keep counting from 1.
    """

    def __init__(self, truth: GroundTruth, family: Family, resize: str | None = None) -> None:
        """Join images and a detector; `resize` is a method of `imresize`, None that of the detector.

        Raises:
            UsageError: a label is no class of the network.
        """
        present = {label for labels in truth.labels for label in labels}
        unknown = sorted(present - set(family.classes))
        if unknown:
            raise UsageError(
                f"the label '{unknown[0]}' is no class of the network",
                nearest(unknown[0], family.classes),
                "build it with the classes of the data",
            )
        self._truth, self._family = truth, family
        self._resize = resize or family.row.resize
        self._most = max(map(len, truth.labels))

    def __len__(self) -> int:
        return len(self._truth)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        file = self._truth.files[index]
        image = imread(file)
        try:
            require(image, self._family.size[2])
        except UsageError as error:
            raise UsageError(f"{file}: {error.error}", error.cause, error.hint) from error
        height, width = size_of(image)
        rows, columns = self._family.input_size((height, width))
        boxes = self._truth.boxes[index] * np.tile([columns / width, rows / height], 2)
        target = torch.full((self._most, 5), float(NO_CLASS))
        target[: len(boxes), :4] = torch.from_numpy(boxes)
        target[: len(boxes), 4] = torch.tensor(
            [float(self._family.classes.index(label)) for label in self._truth.labels[index]]
        )
        return prepared(image, (rows, columns), self._resize), target
