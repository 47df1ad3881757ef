"""Images and the objects in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UnreadableError
from bridge.images import imread

Objects = Mapping[str, Sequence[tuple[Sequence[float], str]]]  # of each file: boxes with their labels


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

    def names(self, folder: Path) -> list[str]:
        """Return the paths of the images as seen from a folder, where they lie below it."""
        own = folder.resolve()
        found = (Path(file).resolve() for file in self.files)
        return [(path.relative_to(own) if path.is_relative_to(own) else path).as_posix() for path in found]

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in alphabetical order."""
        return tuple(sorted({label for labels in self.labels for label in labels}))


def joined(objects: Objects) -> GroundTruth:
    """Make a ground truth of the objects of each file."""
    boxes = (np.array([box for box, _ in held], np.float64).reshape(-1, 4) for held in objects.values())
    return GroundTruth(
        tuple(objects), tuple(boxes), tuple(tuple(label for _, label in held) for held in objects.values())
    )


def located(folder: Path, name: str) -> str:
    """Return where an image lies that a file in a folder names.

    A name is seen from the folder. One that leads nowhere there, as an absolute path of another machine, is looked for
    below the folder by its last parts.
    """
    given = name.replace("\\", "/")
    parts = PurePath(given).parts
    candidates = [folder / given, *(folder.joinpath(*parts[start:]) for start in range(1, len(parts)))]
    return str(next((path for path in candidates if path.is_file()), candidates[0]))
